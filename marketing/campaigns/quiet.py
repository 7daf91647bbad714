"""Hours in which nobody is written to. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

# (from, until) by the clock on the wall; until before from: over midnight. From equal to until: no hours at all.
Hours = tuple[time, time]


def quiet_until(at: datetime, hours: Sequence[Hours], zone: ZoneInfo) -> datetime | None:
    """When the quiet hours that `at` is in are over; None outside of all. Hours that follow each other are one.

    Hours around the clock leave no time at all: then it is a day later.
    """
    end = at
    for _ in range(2 * len(hours) + 1):
        ends = [until for each in hours if (until := _end_of(end, each, zone)) is not None]
        if not ends:
            return None if end == at else end
        end = max(ends)
    return at + timedelta(days=1)


def _end_of(at: datetime, hours: Hours, zone: ZoneInfo) -> datetime | None:
    start, until = hours
    local = at.astimezone(zone)
    clock = local.timetz().replace(tzinfo=None)
    is_over_midnight = until < start
    if is_over_midnight:
        inside = clock >= start or clock < until
    else:
        inside = start <= clock < until
    if not inside:
        return None
    day = local.date() + timedelta(days=1 if is_over_midnight and clock >= start else 0)
    # An end that a change of the clock skips, or has twice: the later one, so that nobody is woken.
    end = datetime.combine(day, until, zone)
    found = max(each.astimezone(UTC) for each in (end, end.replace(fold=1)))
    return found if found > at else None
