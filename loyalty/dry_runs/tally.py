"""Adding up what a change makes of purchases: in all, by week, tier and store, and the purchases most affected."""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from loyalty.dry_runs.reading import Person
from loyalty.rules import SalePoints
from loyalty.rules.promotions import Award, PromotionRule

TOP_PURCHASES = 10
# A week, a tier and a store; and one of them.
Cell = tuple[date, str, uuid.UUID]
Part = date | str | uuid.UUID | None


@dataclass(slots=True)
class Sums:
    """`before` are the points that really came of the purchases, net of returns; `change` what is more, or less."""

    before: int = 0
    change: int = 0
    purchases: int = 0
    touched: int = 0
    customers: int = 0

    def take_in(self, other: Sums) -> None:
        """All but the customers, who may be in both."""
        self.before += other.before
        self.change += other.change
        self.purchases += other.purchases
        self.touched += other.touched


@dataclass(frozen=True, slots=True)
class Affected:
    """One purchase as it was and as it would have been."""

    customer_id: uuid.UUID
    before: SalePoints
    after: SalePoints
    awards: tuple[Award, ...]


@dataclass(slots=True)
class DryRun:
    """What came out. Weeks are named by their Monday in the merchant's zone. `as_of`: nothing recorded later is in it."""

    begin: datetime
    end: datetime
    as_of: datetime
    zone: ZoneInfo
    more: int = 0
    less: int = 0
    buyers: int = 0
    redeem_value: Decimal | None = None
    assumptions: list[str] = field(default_factory=list)
    rule: PromotionRule | None = None
    # By week, tier and store; and by each of them (None: in all) how many customers are touched.
    _cells: dict[Cell, Sums] = field(default_factory=dict)
    _customers: dict[Part, int] = field(default_factory=dict)
    _top: list[tuple[int, float, int, Affected]] = field(default_factory=list)
    _days: dict[int, date] = field(default_factory=dict)

    def add(
        self,
        person: Person,
        before: SalePoints,
        after: SalePoints | None,
        awards: tuple[Award, ...] = (),
    ) -> None:
        """A purchase; `after` is None when nothing changes. A person's purchases come together, but for a few."""
        was = before.net
        change = 0 if after is None else after.net - was
        sale, tier = before.sale, before.tier
        cell = (self._week(sale.at), tier.code if tier is not None else "", sale.reference[1])
        sums = self._cells.get(cell)
        if sums is None:
            sums = self._cells[cell] = Sums()
        sums.before += was
        sums.purchases += 1
        if after is None or not change:
            return
        sums.change += change
        sums.touched += 1
        for part in (None, *cell):
            if part not in person.counted_in:
                person.counted_in.add(part)
                self._customers[part] = self._customers.get(part, 0) + 1
        if change > 0:
            self.more += change
        else:
            self.less -= change
        if len(self._top) == TOP_PURCHASES and abs(change) < self._top[0][0]:
            return
        # Of the same change the earlier one first, in whatever order they come.
        ranked = (abs(change), -sale.at.timestamp(), -sale.id.int, Affected(person.id, before, after, awards))
        if len(self._top) < TOP_PURCHASES:
            heapq.heappush(self._top, ranked)
        else:
            heapq.heappushpop(self._top, ranked)

    @property
    def total(self) -> Sums:
        return self._added_up(lambda cell: None).get(None, Sums())

    @property
    def weeks(self) -> dict[date, Sums]:
        """By its Monday."""
        return self._added_up(itemgetter(0))

    @property
    def tiers(self) -> dict[str, Sums]:
        """By its code; "" is none."""
        return self._added_up(itemgetter(1))

    @property
    def stores(self) -> dict[uuid.UUID, Sums]:
        return self._added_up(itemgetter(2))

    def _added_up(self, part_of: Callable[[Cell], Any]) -> dict[Any, Sums]:
        found: dict[Any, Sums] = {}
        for cell, sums in self._cells.items():
            part = part_of(cell)
            if part not in found:
                found[part] = Sums(customers=self._customers.get(part, 0))
            found[part].take_in(sums)
        return found

    @property
    def top(self) -> list[Affected]:
        """The purchases with the largest change, the largest first."""
        return [ranked[-1] for ranked in sorted(self._top, key=lambda ranked: ranked[:-1], reverse=True)]

    def all_weeks(self) -> list[tuple[date, Sums]]:
        """Every week of the period, also without purchases."""
        weeks = self.weeks
        first = _monday(self.begin.astimezone(self.zone).date())
        last = (self.end - timedelta(microseconds=1)).astimezone(self.zone).date()
        return [
            (first + timedelta(days=days), weeks.get(first + timedelta(days=days), Sums()))
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
