"""The days that a question about the program is about, and the steps of its series."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from cloudpos.api.errors import BadRequest

GRANULARITIES = ("day", "week", "month")
PERIOD_DAYS_MAX = 3_660
STEPS_MAX = 400
# Without a granularity: days for up to this long, then weeks, then months.
DAYS_SHOWN_MAX = 62
WEEKS_SHOWN_MAX = 184


@dataclass(frozen=True, slots=True)
class Span:
    """Whole days, both ends included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> Span:
        """As many days, right before."""
        return Span(self.first - timedelta(days=self.days), self.first - timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Steps:
    """The series of a span: steps of a day, of calendar weeks from Monday, or of months; cut at its ends."""

    span: Span
    granularity: str
    steps: tuple[Span, ...]

    def of(self, day: date) -> int:
        """Which step a day of the span is in."""
        return bisect_right([step.first for step in self.steps], day) - 1


def read_steps(*, first: date | None, last: date | None, granularity: str | None, today: date) -> Steps:
    """What is asked for; the last twelve months, to today, when neither end is given.

    Raises BadRequest for a period that ends before it begins or is too long, and for more than STEPS_MAX steps.
    """
    if last is None:
        last = today if first is None else max(first, today)
    if first is None:
        first = (last.replace(day=1) - timedelta(days=320)).replace(day=1)
    if last < first:
        raise BadRequest("The period ends before it begins.", field="to", code="invalid_period")
    span = Span(first, last)
    # The period before is looked at too.
    if span.days > PERIOD_DAYS_MAX or span.days * 2 > last.toordinal():
        raise BadRequest(
            f"A period has at most {PERIOD_DAYS_MAX} days.", field="from", code="period_too_long"
        )
    if granularity is None:
        granularity = (
            "day" if span.days <= DAYS_SHOWN_MAX else "week" if span.days <= WEEKS_SHOWN_MAX else "month"
        )
    if span.days / {"day": 1, "week": 7, "month": 28}[granularity] > STEPS_MAX:
        raise BadRequest(
            f"At most {STEPS_MAX} steps: choose a longer granularity.",
            field="granularity",
            code="too_many_steps",
        )
    return Steps(span, granularity, tuple(_steps(span, granularity)))


def _steps(span: Span, granularity: str) -> Iterator[Span]:
    first = span.first
    while first <= span.last:
        if granularity == "day":
            last = first
        elif granularity == "week":
            last = first + timedelta(days=6 - first.weekday())
        else:
            last = (first.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        yield Span(first, min(last, span.last))
        first = last + timedelta(days=1)
