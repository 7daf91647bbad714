"""Calendar weeks (from Monday), months and quarters. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta

from analytics.periods import ONE_DAY, Period

# Those for which sums are kept, the longer first.
UNITS = ("month", "week")


def first_of(day: date, unit: str) -> date:
    """The first day of the day's own day, week, month or quarter."""
    if unit == "day":
        return day
    if unit == "week":
        return day - timedelta(days=day.weekday())
    if unit == "month":
        return day.replace(day=1)
    return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)


def span(first: date, unit: str) -> Period:
    """All of the unit that begins on this day."""
    if unit == "day":
        return Period(first, first)
    if unit == "week":
        return Period(first, first + timedelta(days=6))
    months = 1 if unit == "month" else 3
    # 31 days per month lead into the month after the last, and never beyond it.
    return Period(first, (first + timedelta(days=31 * months)).replace(day=1) - ONE_DAY)


def spans(days: Period, unit: str) -> Iterator[Period]:
    """The units that these days are in, whole, in order."""
    first = first_of(days.first, unit)
    while first <= days.last:
        whole = span(first, unit)
        yield whole
        first = whole.last + ONE_DAY


def steps(days: Period, unit: str) -> Iterator[Period]:
    """The same, cut at both ends."""
    for whole in spans(days, unit):
        yield Period(max(whole.first, days.first), min(whole.last, days.last))


def nth(first: date, unit: str, n: int) -> Period:
    """The n-th week, month or quarter after the one that begins on `first`."""
    if unit == "week":
        return span(first + timedelta(days=7 * n), unit)
    months = first.year * 12 + first.month - 1 + n * (1 if unit == "month" else 3)
    return span(date(months // 12, months % 12 + 1, 1), unit)


Piece = tuple[str, date]


def cover(days: Period, has: Callable[[str, date], bool]) -> Iterator[Piece]:
    """These days in as few pieces as there are: (unit, first day) of whole months and weeks that `has` knows, else of days."""
    day = days.first
    while day <= days.last:
        for unit in UNITS:
            if first_of(day, unit) == day and span(day, unit).last <= days.last and has(unit, day):
                yield unit, day
                day = span(day, unit).last + ONE_DAY
                break
        else:
            yield "day", day
            day += ONE_DAY
