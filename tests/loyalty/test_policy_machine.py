"""Random lives under a program with pending points, debt and expiry, against a model that shares no code with it."""

from __future__ import annotations

import calendar
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from loyalty.reading import standing
from loyalty.services import InsufficientPoints, create_program, expire_lots
from tests.fixtures import make_shop
from tests.tills import bring_back, findings, move, register, sell

pytestmark = pytest.mark.django_db

PENDING_DAYS = 1


def after(day: datetime) -> datetime:
    return day.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def month_later(at: datetime) -> datetime:
    year, month = (at.year, at.month + 1) if at.month < 12 else (at.year + 1, 1)
    return at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1]))


@dataclass
class Heap:
    """Points of one credit."""

    sale: str
    left: int
    earned: datetime
    ready: datetime
    over: datetime


@dataclass
class Model:
    heaps: list[Heap] = field(default_factory=list)
    debt: int = 0
    sold: dict[str, int] = field(default_factory=dict)
    returned: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)

    def pass_time(self, at: datetime) -> None:
        for heap in self.heaps:
            if heap.over <= at:
                self.gone[heap.sale] = self.gone.get(heap.sale, 0) + heap.left
        self.heaps = [heap for heap in self.heaps if heap.over > at and heap.left]
        self.heaps.sort(key=lambda heap: (heap.over, heap.earned))

    def give(self, sale: str, points: int, at: datetime, *, waits: bool) -> None:
        filled = min(points, self.debt)
        self.debt -= filled
        if points > filled:
            ready = after(at + timedelta(days=PENDING_DAYS)) if waits else at
            self.heaps.append(Heap(sale, points - filled, at, ready, after(month_later(at))))
            self.heaps.sort(key=lambda heap: (heap.over, heap.earned))

    def take(self, heaps: list[Heap], points: int) -> int:
        """What could not be taken."""
        for heap in heaps:
            part = min(points, heap.left)
            heap.left -= part
            points -= part
        return points

    def redeem(self, points: int, at: datetime) -> bool:
        ready = [heap for heap in self.heaps if heap.ready <= at]
        if sum(heap.left for heap in ready) < points:
            return False
        self.take(ready, points)
        return True

    def bring_back(self, sale: str, amount: int) -> None:
        before = self.returned.get(sale, 0)
        # A point for each pound: what comes back takes as much.
        self.returned[sale] = before + amount
        missing = self.take([heap for heap in self.heaps if heap.sale == sale], amount)
        settled = min(missing, self.gone.get(sale, 0))
        self.gone[sale] = self.gone.get(sale, 0) - settled
        self.debt += self.take(self.heaps, missing - settled)

    @property
    def balance(self) -> int:
        return sum(heap.left for heap in self.heaps) - self.debt

    def pending(self, at: datetime) -> int:
        return sum(heap.left for heap in self.heaps if heap.ready > at)


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_life(seed: int) -> None:
    chance = random.Random(seed)
    shop = make_shop("Corner Shop", timezone="UTC")
    at = datetime(2026, 1, 20, 9, 0, tzinfo=UTC)
    owed = 0
    with time_machine.travel(at, tick=False):
        create_program(
            merchant_id=shop.merchant.pk, tiers=[], begins_at=at - timedelta(days=1), shortfall="unlimited",
            pending_days=PENDING_DAYS, expiry="after_earning", expiry_months=1,
        )  # fmt: skip
        alice = register(shop, "Alice")
    model = Model()
    for step in range(45):
        at += timedelta(hours=chance.choice([1, 5, 30, 100]))
        with time_machine.travel(at, tick=False):
            model.pass_time(at)
            left = [sale for sale, amount in model.sold.items() if amount > model.returned.get(sale, 0)]
            what = chance.choice(["sell", "sell", "redeem", "redeem", "return", "return", "give", "sweep"])
            if what == "sell":
                amount = chance.randint(1, 200)
                sell(shop.access, alice, f"T-{step}", str(amount))
                model.sold[f"T-{step}"] = amount
                model.give(f"T-{step}", amount, at, waits=True)
            elif what == "redeem":
                available = sum(heap.left for heap in model.heaps if heap.ready <= at)
                points = available if available and chance.random() < 0.6 else chance.randint(1, 150)
                if model.redeem(points, at):
                    move(shop.access, alice, "redeemed", points)
                else:
                    with pytest.raises(InsufficientPoints):
                        move(shop.access, alice, "redeemed", points)
            elif what == "return" and left:
                sale = chance.choice(left)
                rest = model.sold[sale] - model.returned.get(sale, 0)
                amount = rest if chance.random() < 0.5 else chance.randint(1, rest)
                bring_back(shop.access, sale, f"R-{step}", str(amount))
                model.bring_back(sale, amount)
            elif what == "give":
                points = chance.randint(1, 50)
                move(shop.access, alice, "earned", points)
                model.give("", points, at, waits=False)
            else:
                expire_lots(merchant_id=shop.merchant.pk)
            owed = max(owed, model.debt)
            found = standing(access=shop.access, customer_id=alice.pk)
            available = sum(heap.left for heap in model.heaps if heap.ready <= at)
            assert (found["balance"], found["pending"], found["available"]) == (
                model.balance,
                model.pending(at),
                available,
            ), (step, what)
            assert sum(row["points"] for row in found["expiring"]) == max(0, model.balance)
    with time_machine.travel(at, tick=False):
        assert findings(shop) == []
    assert owed, "a life in which nothing is ever owed tests little"
