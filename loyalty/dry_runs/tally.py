"""Adding up what a change makes of purchases: in all, by week, tier and store, and the purchases most affected."""

from __future__ import annotations

import heapq
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from loyalty.rules import SalePoints
from loyalty.rules.promotions import Award, PromotionRule

TOP_PURCHASES = 10


@dataclass(slots=True)
class Sums:
    """`before` are the points that really came of the purchases, net of returns; `change` what is more, or less."""

    before: int = 0
    change: int = 0
    purchases: int = 0
    touched: int = 0
    customers: set[uuid.UUID] = field(default_factory=set)

    def add(self, before: int, change: int, customer_id: uuid.UUID) -> None:
        self.before += before
        self.purchases += 1
        if change:
            self.change += change
            self.touched += 1
            self.customers.add(customer_id)


@dataclass(frozen=True, slots=True)
class Affected:
    """One purchase as it was and as it would have been."""

    customer_id: uuid.UUID
    before: SalePoints
    after: SalePoints
    awards: tuple[Award, ...]


@dataclass(slots=True)
class DryRun:
    """What came out. Weeks are named by their Monday in the merchant's zone."""

    begin: datetime
    end: datetime
    zone: ZoneInfo
    total: Sums = field(default_factory=Sums)
    more: int = 0
    less: int = 0
    weeks: dict[date, Sums] = field(default_factory=dict)
    tiers: dict[str, Sums] = field(default_factory=dict)
    stores: dict[uuid.UUID, Sums] = field(default_factory=dict)
    buyers: int = 0
    redeem_value: Decimal | None = None
    assumptions: list[str] = field(default_factory=list)
    rule: PromotionRule | None = None
    _top: list[tuple[int, int, Affected]] = field(default_factory=list)
    _days: dict[int, date] = field(default_factory=dict)

    def add(
        self,
        customer_id: uuid.UUID,
        before: SalePoints,
        after: SalePoints | None,
        awards: tuple[Award, ...] = (),
    ) -> None:
        """A purchase; `after` is None when nothing changes."""
        was = before.net
        change = 0 if after is None else after.net - was
        sale = before.sale
        tier = before.tier.code if before.tier is not None else ""
        for sums in (
            self.total,
            self.weeks.setdefault(self._week(sale.at), Sums()),
            self.tiers.setdefault(tier, Sums()),
            self.stores.setdefault(sale.reference[1], Sums()),
        ):
            sums.add(was, change, customer_id)
        if after is None or not change:
            return
        if change > 0:
            self.more += change
        else:
            self.less -= change
        ranked = (abs(change), -self.total.purchases, Affected(customer_id, before, after, awards))
        if len(self._top) < TOP_PURCHASES:
            heapq.heappush(self._top, ranked)
        else:
            heapq.heappushpop(self._top, ranked)

    @property
    def top(self) -> list[Affected]:
        """The purchases with the largest change, the largest first."""
        return [affected for _, _, affected in sorted(self._top, key=lambda ranked: ranked[:2], reverse=True)]

    def all_weeks(self) -> list[tuple[date, Sums]]:
        """Every week of the period, also without purchases."""
        first = _monday(self.begin.astimezone(self.zone).date())
        last = (self.end - timedelta(microseconds=1)).astimezone(self.zone).date()
        return [
            (first + timedelta(days=days), self.weeks.get(first + timedelta(days=days), Sums()))
            for days in range(0, (last - first).days + 1, 7)
        ]

    def _week(self, at: datetime) -> date:
        # A quarter of an hour is the same day in every zone.
        place = int(at.timestamp()) // 900
        found = self._days.get(place)
        if found is None:
            found = self._days[place] = _monday(at.astimezone(self.zone).date())
        return found


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
