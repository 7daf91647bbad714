"""Days in the time of a shop, with the clock passed in. Pure.

Rules speak of whole days, as shopkeepers do: "the last 7 days" begin at the midnight seven days ago, and today belongs to them.
So time alone changes an answer at midnight and at no other moment.
"""

import calendar
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from marketing.segments.language import Day, RelativeDay, Span, Window


@dataclass(frozen=True, slots=True)
class Clock:
    """An instant, the merchant's zone, and the zones of its stores."""

    at: datetime
    zone: ZoneInfo
    stores: Mapping[uuid.UUID, ZoneInfo] = field(default_factory=dict)

    def zone_of(self, store_ids: Iterable[uuid.UUID]) -> ZoneInfo:
        """Of stores that share one, theirs; else the merchant's."""
        zones = {self.stores.get(store_id, self.zone) for store_id in store_ids}
        return zones.pop() if len(zones) == 1 else self.zone

    def today(self, zone: ZoneInfo) -> date:
        return self.at.astimezone(zone).date()

    def day(self, day: Day, zone: ZoneInfo) -> date:
        """The calendar day that is meant."""
        if not isinstance(day, RelativeDay):
            return day
        return moved(self.today(zone), day.span, ahead=day.ahead)

    def window(self, window: Window, zone: ZoneInfo) -> tuple[date | None, date | None]:
        """(first day, the day after the last), None where it is open."""
        if window.last is not None:
            return self.last(window.last, zone)
        first = None if window.first_day is None else self.day(window.first_day, zone)
        last = None if window.last_day is None else self.day(window.last_day, zone) + timedelta(days=1)
        return first, last

    def last(self, span: Span, zone: ZoneInfo) -> tuple[date, date]:
        """The last so many days and today, as `window`."""
        today = self.today(zone)
        return moved(today, span, ahead=False), today + timedelta(days=1)

    def next(self, span: Span, zone: ZoneInfo) -> tuple[date, date]:
        """Today and the next so many days, as `window`."""
        today = self.today(zone)
        return today, moved(today, span, ahead=True) + timedelta(days=1)

    def range(self, op: str, value: object, zone: ZoneInfo) -> tuple[date | None, date | None]:
        """The days that an operator on days leaves, as `window`; a negative operator's are those that it excludes."""
        if op in ("in_last", "not_in_last"):
            assert isinstance(value, Span)
            return self.last(value, zone)
        if op == "in_next":
            assert isinstance(value, Span)
            return self.next(value, zone)
        if op == "between":
            assert isinstance(value, tuple)
            return self.day(value[0], zone), self.day(value[1], zone) + timedelta(days=1)
        assert isinstance(value, date | RelativeDay)
        day = self.day(value, zone)
        following = day + timedelta(days=1)
        return {
            "on": (day, following),
            "before": (None, day),
            "after": (following, None),
            "on_or_before": (None, following),
            "on_or_after": (day, None),
        }[op]

    def birthdays(self, days: int) -> list[int]:
        """Today and the next days as month * 100 + day. Who was born on 29 February has the 28th in other years."""
        today = self.today(self.zone)
        found = []
        for ahead in range(min(days, 366) + 1):
            day = today + timedelta(days=ahead)
            found.append(day.month * 100 + day.day)
            if (day.month, day.day) == (2, 28) and not calendar.isleap(day.year):
                found.append(229)
        return sorted(set(found))


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a day there; where clocks go forward over midnight, the instant at which they do."""
    return datetime.combine(day, time.min, zone)


def moved(day: date, span: Span, *, ahead: bool) -> date:
    """A span later or earlier; months that are too short end on their last day."""
    amount = span.amount if ahead else -span.amount
    if span.unit == "days":
        return day + timedelta(days=amount)
    if span.unit == "weeks":
        return day + timedelta(weeks=amount)
    months = amount * (12 if span.unit == "years" else 1)
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
