"""When a recurring campaign goes out next, in store time. Pure."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cloudpos.api.errors import BadRequest, FieldError

DAY, WEEK, MONTH = EVERY = ("day", "week", "month")
INTERVAL_MAX = {DAY: 90, WEEK: 26, MONTH: 12}
# No two dates are further apart.
SEARCHED_DAYS = 400


class InvalidRecurrence(BadRequest):
    code = "invalid_recurrence"


@dataclass(frozen=True, slots=True)
class Recurrence:
    """`weekdays` 0 is Monday. `day` of a month that is shorter is its last."""

    every: str
    interval: int
    at: time
    weekdays: tuple[int, ...] = ()
    day: int = 1

    def falls_on(self, day: date, first: date) -> bool:
        """`first`: the day from which weeks, months and days are counted."""
        if day < first:
            return False
        if self.every == DAY:
            return (day - first).days % self.interval == 0
        if self.every == WEEK:
            weeks = (_monday(day) - _monday(first)).days // 7
            return weeks % self.interval == 0 and day.weekday() in self.weekdays
        months = (day.year - first.year) * 12 + day.month - first.month
        last = calendar.monthrange(day.year, day.month)[1]
        return months % self.interval == 0 and day.day == min(self.day, last)

    def next_after(self, after: datetime, *, first: date, zone: ZoneInfo) -> datetime | None:
        """The first time later than `after`, in UTC; None when there is none before the year 9999 ends."""
        start = max(after.astimezone(zone).date(), first)
        for n in range(SEARCHED_DAYS):
            try:
                day = start + timedelta(days=n)
            except OverflowError:
                return None
            if self.falls_on(day, first):
                # A time that the clock skips is as much later; of two, the first.
                instant = datetime.combine(day, self.at, zone).astimezone(UTC)
                if instant > after:
                    return instant
        return None


def read_recurrence(said: Any, *, field: str = "recurrence") -> Recurrence:
    """From {"every": "week", "interval": 1, "weekdays": [1, 4], "at": "09:00"}; weekdays 1 is Monday, 7 Sunday.

    Raises InvalidRecurrence.
    """
    problems: list[FieldError] = []
    if not isinstance(said, dict):
        raise InvalidRecurrence(errors=[FieldError(field, "An object is expected.", "invalid")])

    def wrong(name: str, message: str) -> None:
        problems.append(FieldError(f"{field}.{name}", message, "invalid"))

    every = said.get("every")
    if every not in EVERY:
        wrong("every", "day, week or month is expected.")
        every = DAY
    known = {"every", "interval", "at", *({WEEK: ["weekdays"], MONTH: ["day"]}.get(every, []))}
    for name in sorted(said.keys() - known):
        wrong(name, "This is unknown here.")
    interval = said.get("interval", 1)
    if type(interval) is not int or not 1 <= interval <= INTERVAL_MAX[every]:
        wrong("interval", f"A whole number from 1 to {INTERVAL_MAX[every]} is expected.")
    at = _time(said.get("at"))
    if at is None:
        wrong("at", "A time such as 09:00 is expected.")
    weekdays = said.get("weekdays")
    if every == WEEK and not (
        isinstance(weekdays, list)
        and weekdays
        and len(weekdays) <= 7
        and all(type(day) is int and 1 <= day <= 7 for day in weekdays)
    ):
        wrong("weekdays", "Weekdays are expected: 1 is Monday, 7 is Sunday.")
    day = said.get("day", 1)
    if type(day) is not int or not 1 <= day <= 31:
        wrong("day", "A day from 1 to 31 is expected.")
    if problems or at is None:
        raise InvalidRecurrence(errors=problems)
    numbers = tuple(sorted({each - 1 for each in weekdays})) if every == WEEK and weekdays else ()
    return Recurrence(every=every, interval=interval, at=at, weekdays=numbers, day=day)


def _time(said: Any) -> time | None:
    if not isinstance(said, str) or len(said) != 5:
        return None
    try:
        return time.fromisoformat(said)
    except ValueError:
        return None


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
