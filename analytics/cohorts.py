"""What became of the customers who first bought in the same week, month or quarter.

Cell k of a cohort is its k-th calendar period after the first one, which is 0. Who is active has bought something in it that was
not taken back altogether; revenue is net of returns. With a store, everything is as if there were no other. A period that is
not over yet is running: its cells still grow, and are left out of the means.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate

from django.core.cache import cache

from analytics.periods import Period
from analytics.rollups.changes import standing
from analytics.rollups.members import numbers_in
from analytics.rollups.reading import Books, one_instant
from analytics.rollups.spans import first_of, nth, spans
from cloudpos.api.errors import BadRequest

GRANULARITIES = ("week", "month", "quarter")
RETENTION, REVENUE, REVENUE_PER_CUSTOMER, CUMULATIVE_VALUE = METRICS = (
    "retention",
    "revenue",
    "revenuePerCustomer",
    "cumulativeValue",
)
COHORTS_MAX = PERIODS_MAX = 120
COHORTS_DEFAULT = 12
# The longest that one can be.
UNIT_DAYS_MAX = {"week": 7, "month": 31, "quarter": 92}
CACHE_SECONDS = 3_600
# Stands for every other cohort in a table of one byte per member.
NO_COHORT = 255


@dataclass(frozen=True, slots=True)
class Cohort:
    """Those who first bought in `period`. By period from 0 to the last that has begun: how many were active, and their net
    revenue in cents. The periods from `running` on are not over.
    """

    period: Period
    size: int
    active: list[int]
    cents: list[int]
    running: int


@dataclass(frozen=True, slots=True)
class Cohorts:
    granularity: str
    cohorts: list[Cohort]
    as_of: datetime | None

    @property
    def periods(self) -> int:
        """How many the longest row has."""
        return max((len(cohort.active) for cohort in self.cohorts), default=0)

    def cells(self, cohort: Cohort, metric: str) -> list[float | int]:
        """A row: shares of the cohort, or cents (in all, of each customer, or of each customer so far)."""
        if metric == RETENTION:
            return [active / cohort.size if cohort.size else 0.0 for active in cohort.active]
        if metric == REVENUE:
            return list(cohort.cents)
        if metric == REVENUE_PER_CUSTOMER:
            return [cents / cohort.size if cohort.size else 0.0 for cents in cohort.cents]
        return [cents / cohort.size if cohort.size else 0.0 for cents in accumulate(cohort.cents)]

    def means(self, metric: str) -> list[float | None]:
        """By period, over the cohorts for which it is over, weighted by their size; None where it is over for none."""
        found: list[float | None] = []
        rows = [(cohort, self.cells(cohort, metric)) for cohort in self.cohorts if cohort.size]
        for k in range(self.periods):
            # A cohort that still grows has no size to divide by.
            over = [(cohort.size, cells[k]) for cohort, cells in rows if k < cohort.running]
            weight = sum(size for size, _ in over)
            found.append(sum(size * cell for size, cell in over) / weight if weight else None)
        return found


def read_cohorts(*, first: date | None, last: date | None, granularity: str, today: date) -> list[Period]:
    """The cohorts that the days from `first` to `last` are in, of those that have begun; without days the latest
    COHORTS_DEFAULT. Raises BadRequest for days in the wrong order and for more than COHORTS_MAX cohorts.
    """
    if first is not None and last is not None and last < first:
        raise BadRequest("endDate is before startDate.", field="endDate", code="invalid_period")
    if last is None:
        last = today if first is None else max(first, today)
    if first is None:
        first = nth(first_of(last, granularity), granularity, 1 - COHORTS_DEFAULT).first
    # Two centuries are refused before their weeks are listed.
    found: list[Period] = []
    if (last - first).days // UNIT_DAYS_MAX[granularity] < COHORTS_MAX:
        found = list(spans(Period(first, last), granularity))
    if not 0 < len(found) <= COHORTS_MAX:
        raise BadRequest(
            f"At most {COHORTS_MAX} cohorts at once: choose fewer days or a longer granularity.",
            field="startDate",
            code="too_many_cohorts",
        )
    return [period for period in found if period.first <= today]


def cohorts(
    *,
    merchant_id: uuid.UUID,
    wanted: Sequence[Period],
    granularity: str,
    today: date,
    store_id: uuid.UUID | None = None,
) -> Cohorts:
    """These cohorts up to today; from the cache while nothing has changed.

    Raises StoreNotFound, and AnalyticsBeingPrepared after a large import.
    """
    asked = (merchant_id, standing(merchant_id).mark, store_id, tuple(wanted), granularity, today)
    key = "analytics-cohorts:" + hashlib.sha256(repr(asked).encode()).hexdigest()
    known: Cohorts | None = cache.get(key)
    if known is None:
        with one_instant():
            table = _Table(merchant_id, wanted, granularity, today, store_id)
            known = Cohorts(granularity, list(table.rows()), table.books.as_of)
        cache.set(key, known, CACHE_SECONDS)
    return known


class _Table:
    def __init__(
        self,
        merchant_id: uuid.UUID,
        wanted: Sequence[Period],
        granularity: str,
        today: date,
        store_id: uuid.UUID | None,
    ) -> None:
        self.books = Books(merchant_id, until=today)
        self._scope = self.books.scope(store_id)
        self._wanted, self._today = wanted, today
        # Every period that a cell is about.
        self._periods: list[Period] = []
        if wanted:
            end = min(today, nth(wanted[-1].first, granularity, PERIODS_MAX - 1).last)
            self._periods = list(spans(Period(wanted[0].first, end), granularity))

    def rows(self) -> Iterator[Cohort]:
        if not self._wanted:
            return
        before, *bought = self._scope.buyers(self._scope.before(self._wanted[0].first), *self._periods)
        known = before.once
        members = []
        for buyers in bought[: len(self._wanted)]:
            members.append(buyers.once & ~known)
            known |= buyers.once
        cents = self._cents(members, known.bit_length())
        for i, (period, cohort) in enumerate(zip(self._wanted, members, strict=True)):
            reached = self._periods[i : i + PERIODS_MAX]
            yield Cohort(
                period=period,
                size=cohort.bit_count(),
                active=[(cohort & buyers.once).bit_count() for buyers in bought[i : i + PERIODS_MAX]],
                cents=[cents[i + k][i] for k in range(len(reached))],
                running=sum(each.last < self._today for each in reached),
            )

    def _cents(self, members: Sequence[int], numbers: int) -> list[list[int]]:
        """By period, the net revenue of each cohort and, at NO_COHORT, of everybody else."""
        cohort_of = bytearray([NO_COHORT]) * numbers
        for i, cohort in enumerate(members):
            for number in numbers_in(cohort):
                cohort_of[number] = i
        found = []
        for period in self._periods:
            sums = [0] * (NO_COHORT + 1)
            for part in self._scope.members(period):
                for number, money in zip(part.numbers, part.cents, strict=True):
                    # Numbers beyond the table are of those who first bought after the last cohort.
                    sums[cohort_of[number] if number < numbers else NO_COHORT] += money
            found.append(sums)
        return found
