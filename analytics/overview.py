"""The merchant's figures for a period, beside those of a period before. From the roll-ups, in a handful of queries.

Revenue is what was sold less what was given back, each on its own day. A day is a day of the store where it happened.
A purchase that was taken back altogether makes nobody active.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

from django.core.cache import cache
from django.db.models import Sum

from analytics.periods import PREVIOUS_PERIOD, Period, compared_with
from analytics.rollups.changes import standing
from analytics.rollups.members import Buyers
from analytics.rollups.reading import Books, one_instant
from analytics.rollups.sheets import Sums
from analytics.rollups.spans import steps
from customers.models import CustomerCount

# Found again under a key that changes with what is on record; how long one that nobody asks for any more is kept.
CACHE_SECONDS = 3_600

CENT = Decimal("0.01")


@dataclass(slots=True)
class Totals:
    """One period's figures; money in the merchant's currency."""

    sums: Sums = field(default_factory=Sums)
    active: int = 0
    new: int = 0
    repeat: int = 0

    @property
    def sold(self) -> Decimal:
        return money(self.sums.sold)

    @property
    def returned(self) -> Decimal:
        return money(self.sums.returned)

    @property
    def revenue(self) -> Decimal:
        return money(self.sums.sold - self.sums.returned)

    @property
    def discount(self) -> Decimal:
        return money(self.sums.discount)

    @property
    def purchases(self) -> int:
        return self.sums.purchases

    @property
    def average_order_value(self) -> Decimal | None:
        """What was paid per purchase, before returns; None without one."""
        if not self.purchases:
            return None
        return (self.sold / self.purchases).quantize(CENT, ROUND_HALF_UP)

    @property
    def purchase_frequency(self) -> float | None:
        """Purchases per active customer; None without any."""
        return round(self.purchases / self.active, 4) if self.active else None

    @property
    def repeat_rate(self) -> float | None:
        """The share of active customers who had bought before, or twice in the period; None without any."""
        return round(self.repeat / self.active, 4) if self.active else None

    @property
    def redemption_rate(self) -> float | None:
        """Points redeemed per point earned; None when none was earned."""
        earned = self.sums.points_earned
        return round(self.sums.points_redeemed / earned, 4) if earned else None


@dataclass(slots=True)
class Step:
    """One step of the series."""

    period: Period
    sums: Sums
    customers: int
    new: int

    @property
    def revenue(self) -> Decimal:
        return money(self.sums.sold - self.sums.returned)


@dataclass(frozen=True, slots=True)
class Overview:
    """`previous` and its days are None when nothing was to be compared. `as_of`: see `Books`."""

    period: Period
    interval: str
    compare: str
    current: Totals
    compared: Period | None
    previous: Totals | None
    series: list[Step]
    as_of: datetime | None


def money(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def total_customers(merchant_id: uuid.UUID) -> int:
    """How many visible customers there are, from the list's counters."""
    found = CustomerCount.objects.filter(merchant_id=merchant_id).aggregate(total=Sum("n"))
    return int(found["total"] or 0)


def overview(
    *,
    merchant_id: uuid.UUID,
    period: Period,
    interval: str,
    compare: str = PREVIOUS_PERIOD,
    store_id: uuid.UUID | None = None,
) -> Overview:
    """The figures of all stores, or of one; from the cache while nothing has changed.

    Raises StoreNotFound, and AnalyticsBeingPrepared after a large import.
    """
    found = standing(merchant_id)
    asked = (merchant_id, found.mark, store_id, period, interval, compare)
    key = "analytics-overview:" + hashlib.sha256(repr(asked).encode()).hexdigest()
    known: Overview | None = cache.get(key)
    if known is None:
        with one_instant():
            books = Books(merchant_id, until=period.last)
            known = _Question(books, period, interval, compare, store_id).answer()
        cache.set(key, known, CACHE_SECONDS)
    return known


class _Question:
    def __init__(
        self, books: Books, period: Period, interval: str, compare: str, store_id: uuid.UUID | None
    ) -> None:
        self.books = books
        self.period, self.interval, self.compare = period, interval, compare
        self.scope = books.scope(store_id)
        # Who is new is so for all stores.
        self.everywhere = self.scope if store_id is None else books.scope()

    def answer(self) -> Overview:
        cut = list(steps(self.period, self.interval))
        compared = compared_with(self.period, self.compare)
        others = [compared] if compared else []
        buyers = self.scope.buyers(*cut, *others)
        known = self.everywhere.buyers(
            *(self.everywhere.before(each.first) for each in [self.period, *others])
        )
        before = [each.once for each in known]
        sums = self._sums_by_day(self.period, *others)
        series, current = self._series(cut, buyers, before[0], sums)
        previous = None
        for other in others:
            previous = _totals(_sum(sums, other), buyers[-1], before[1])
        return Overview(
            period=self.period,
            interval=self.interval,
            compare=self.compare,
            current=current,
            compared=compared,
            previous=previous,
            series=series,
            as_of=self.books.as_of,
        )

    def _series(
        self, cut: list[Period], buyers: list[Buyers], before: int, sums: dict[date, Sums]
    ) -> tuple[list[Step], Totals]:
        everybody, known = Buyers(), before
        series = []
        total = Sums()
        for days, bought in zip(cut, buyers, strict=False):
            here = _sum(sums, days)
            total.add(here)
            series.append(Step(days, here, bought.once.bit_count(), (bought.once & ~known).bit_count()))
            everybody.add(bought.once, bought.again)
            known |= bought.once
        return series, _totals(total, everybody, before)

    def _sums_by_day(self, *periods: Period) -> dict[date, Sums]:
        return {day: found.sums for period in periods for day, found in self.scope.days(period).items()}


def _sum(by_day: dict[date, Sums], days: Period) -> Sums:
    total = Sums()
    for day in days:
        if day in by_day:
            total.add(by_day[day])
    return total


def _totals(sums: Sums, bought: Buyers, before: int) -> Totals:
    new = bought.once & ~before
    return Totals(
        sums=sums,
        active=bought.once.bit_count(),
        new=new.bit_count(),
        repeat=((bought.once & before) | bought.again).bit_count(),
    )


__all__ = ["CENT", "Overview", "Step", "Totals", "money", "overview", "total_customers"]
