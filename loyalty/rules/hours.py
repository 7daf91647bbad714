"""The weekdays and hours of a promotion, by the clock of a store. No database."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

# Whatever the weekday: its night ends on the next day.
EVERY_NIGHT = timedelta(days=8)
MINUTE = timedelta(minutes=1)


def hindrance(weekdays: Collection[int], opens: time | None, closes: time | None, local: datetime) -> str:
    """Why a time by the store's clock is none of these: "other_hours", "other_day", or "" when it is.

    `weekdays` are 1 (Monday) to 7, empty: every day. A night that ends after midnight belongs to the day on which it begins.
    """
    day = local.date()
    if opens is not None and closes is not None:
        clock = local.time()
        if opens < closes:
            if not opens <= clock < closes:
                return "other_hours"
        elif clock < closes:
            # The rest of the night that began yesterday.
            day -= timedelta(days=1)
        elif clock < opens:
            return "other_hours"
    if weekdays and day.isoweekday() not in weekdays:
        return "other_day"
    return ""


def occur_between(
    weekdays: Collection[int],
    opens: time | None,
    closes: time | None,
    *,
    begin: datetime,
    end: datetime,
    zone: ZoneInfo,
) -> bool:
    """Whether some instant from `begin` to `end` (not included) is one of these days and hours.

    Looks at each minute: clocks are set forward and back by whole ones, and a promotion's hours are whole ones.
    """
    if not weekdays and opens is None:
        return begin < end
    if end - begin >= EVERY_NIGHT:
        return True
    at = begin
    while at < end:
        if not hindrance(weekdays, opens, closes, at.astimezone(zone)):
            return True
        at = at.replace(second=0, microsecond=0) + MINUTE
    return False
