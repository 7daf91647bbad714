"""The days that a question is about. Pure: today is passed in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from cloudpos.api.errors import BadRequest

ONE_DAY = timedelta(days=1)

PERIOD_DAYS_DEFAULT = 30
PERIOD_DAYS_MAX = 3_660
STEPS_MAX = 400
# Without an interval: days for up to this long, then weeks, then months.
DAYS_SHOWN_MAX = 92
WEEKS_SHOWN_MAX = 366

INTERVALS = ("day", "week", "month")
PREVIOUS_PERIOD, PREVIOUS_YEAR, NONE = COMPARISONS = ("previous_period", "previous_year", "none")


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, both ends included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def previous(self) -> Period:
        """As many days, right before."""
        return Period(self.first - timedelta(days=self.days), self.first - ONE_DAY)

    @property
    def year_before(self) -> Period:
        """The same dates a year earlier; 29 February becomes the 28th."""
        return Period(_year_before(self.first), _year_before(self.last))

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=n) for n in range(self.days))


def _year_before(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)


def compared_with(period: Period, compare: str) -> Period | None:
    """The period that one of COMPARISONS stands for."""
    if compare == PREVIOUS_PERIOD:
        return period.previous
    return period.year_before if compare == PREVIOUS_YEAR else None


def read_period(
    *,
    first: date | None,
    last: date | None,
    today: date,
    days: int = PERIOD_DAYS_DEFAULT,
    names: tuple[str, str] = ("from", "to"),
) -> Period:
    """The period asked for: the last `days` days when neither end is given, so many from or to a single end.

    Raises BadRequest, naming the parameter, for one that ends before it begins or is longer than PERIOD_DAYS_MAX.
    """
    span = timedelta(days=days - 1)
    if last is None:
        last = today if first is None else max(first, min(today, first + timedelta(days=PERIOD_DAYS_MAX - 1)))
    if first is None:
        first = last - span
    if last < first:
        raise BadRequest("The period ends before it begins.", field=names[1], code="invalid_period")
    period = Period(first, last)
    if period.days > PERIOD_DAYS_MAX:
        raise BadRequest(
            f"A period has at most {PERIOD_DAYS_MAX} days.", field=names[0], code="period_too_long"
        )
    return period


def read_interval(interval: str | None, period: Period) -> str:
    """The step of the series. Raises BadRequest when that would make more than STEPS_MAX of them."""
    if interval is None:
        return (
            "day" if period.days <= DAYS_SHOWN_MAX else "week" if period.days <= WEEKS_SHOWN_MAX else "month"
        )
    if period.days / {"day": 1, "week": 7, "month": 28}[interval] > STEPS_MAX:
        raise BadRequest(
            f"At most {STEPS_MAX} steps: choose a longer interval.", field="interval", code="too_many_steps"
        )
    return interval


def ranges_of(days: Iterable[date]) -> list[Period]:
    """Days in any order as periods that neither meet nor overlap."""
    return united(Period(day, day) for day in set(days))


def united(periods: Iterable[Period]) -> list[Period]:
    """Periods in any order as periods that neither meet nor overlap."""
    found: list[Period] = []
    for each in sorted(periods, key=lambda each: each.first):
        if found and each.first <= found[-1].last + ONE_DAY:
            found[-1] = Period(found[-1].first, max(found[-1].last, each.last))
        else:
            found.append(each)
    return found
