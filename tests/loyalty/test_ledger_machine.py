"""Anything, in any order, against a model that shares no code with the service.

The model keeps lots as a plain list, folds the history from its beginning for every step, and works with fractions.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
import time_machine
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from customers.models import Customer
from loyalty.models import LedgerEntry, Lot
from loyalty.reading import standing
from loyalty.rules import TierRule
from loyalty.services import Expired, InsufficientPoints, create_program, expire_lots
from loyalty.services.points import ReversalExceeds
from tests.fixtures import make_shop
from tests.tills import MORNING, books, bring_back, findings, minutes, move, register, sell

pytestmark = pytest.mark.django_db

TIERS = [
    TierRule("bronze", "Bronze", 0, Decimal("1")),
    TierRule("silver", "Silver", 60_00, Decimal("1.5")),
]


FOREVER = datetime.max.replace(tzinfo=UTC)
# Later than any minute of a sale.
BY_HAND = 10**6


@dataclass
class ModelSale:
    name: str
    cents: int
    minute: int
    returns: list[tuple[str, int, int]] = field(default_factory=list)
    """(name, cents, minute)"""
    recorded: int = 0
    """Points that the model has given for it, less those taken back."""
    short: int = 0
    """Points that should have been taken back and were spent."""
    forgiven: int = 0
    """Points that should have been taken back and had expired."""
    gone: int = 0
    """Points that have expired, without those forgiven."""


@dataclass
class ModelLot:
    """Points left, and where they came from: a sale, or a number of their own."""

    source: str
    points: int
    earned: tuple[int, int]
    """(minute, serial): what was given by hand was given after every sale."""
    ends: datetime = FOREVER

    @property
    def order(self) -> tuple[datetime, tuple[int, int]]:
        return (self.ends, self.earned)


@dataclass
class Moved:
    """A redemption or earning by hand, with what it took, for its reversal."""

    name: str
    points: int
    taken: list[tuple[ModelLot, int]] = field(default_factory=list)
    reversed: int = 0


def a_month_on(day: date) -> datetime:
    """The end of the same day of the next month, or of that month's last."""
    year, month = (day.year, day.month + 1) if day.month < 12 else (day.year + 1, 1)
    while True:
        try:
            last = date(year, month, day.day)
        except ValueError:
            day -= timedelta(days=1)
        else:
            return datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)


class Model:
    def __init__(self, *, expires: bool, grace: timedelta) -> None:
        self.expires = expires
        self.grace = grace
        self.now = MORNING + timedelta(days=1)
        self.sales: dict[str, ModelSale] = {}
        self.lots: list[ModelLot] = []
        self.moves: dict[str, Moved] = {}
        self.serial = 0

    @property
    def balance(self) -> int:
        return sum(lot.points for lot in self.lots)

    @property
    def spend(self) -> int:
        return sum(sale.cents - sum(back[1] for back in sale.returns) for sale in self.sales.values())

    def rightful(self) -> dict[str, int]:
        """What each sale should have by now."""
        steps: list[tuple[int, int, str, ModelSale, int]] = []
        for sale in self.sales.values():
            steps.append((sale.minute, 0, sale.name, sale, sale.cents))
            steps += [
                (max(minute, sale.minute), 1, name, sale, cents) for name, cents, minute in sale.returns
            ]
        spend = Fraction(0)
        gross: dict[str, int] = {}
        for _, kind, _, sale, cents in sorted(steps, key=lambda step: step[:3]):
            if kind == 0:
                factor = Fraction(3, 2) if spend >= 60 else Fraction(1)
                gross[sale.name] = math.floor(Fraction(cents, 100) * factor)
                spend += Fraction(cents, 100)
            else:
                spend -= Fraction(cents, 100)
        points = {}
        for sale in self.sales.values():
            share = Fraction(sum(back[1] for back in sale.returns), sale.cents) if sale.cents else Fraction(0)
            points[sale.name] = gross[sale.name] - math.floor(gross[sale.name] * share)
        return points

    def give(self, source: str, points: int, minute: int | None = None) -> ModelLot:
        """By a sale of that minute, or by hand now."""
        self.serial += 1
        day = self.now if minute is None else minutes(minute)
        lot = ModelLot(source, points, (BY_HAND + self.serial if minute is None else minute, self.serial))
        if self.expires:
            lot.ends = a_month_on(day.date())
        self.lots.append(lot)
        self.expire()
        return lot

    def give_back(self, lot: ModelLot, points: int, name: str) -> None:
        """Into the lot it came from; when that is over, into another one of the same kind."""
        if lot.ends > self.now:
            lot.points += points
            return
        self.serial += 1
        source = lot.source if lot.source in self.sales else name
        ends = self.now + self.grace if self.grace else lot.ends
        self.lots.append(ModelLot(source, points, (lot.earned[0], self.serial), ends))
        self.expire()

    def expire(self) -> None:
        for lot in self.lots:
            if lot.ends <= self.now:
                if lot.source in self.sales:
                    self.sales[lot.source].gone += lot.points
                lot.points = 0

    def take(self, points: int, source: str | None = None) -> list[tuple[ModelLot, int]]:
        """From the lots of `source` first, then the earliest earned; as many as there are."""
        taken: list[tuple[ModelLot, int]] = []
        for lot in sorted(self.lots, key=lambda lot: (lot.source != source, lot.order)):
            part = min(points, lot.points)
            if part:
                lot.points -= part
                points -= part
                taken.append((lot, part))
        return taken

    def settle(self, new: str | None) -> None:
        """Gains of older sales, then the new sale or return, then losses of older sales."""
        due = {
            name: points - sale.recorded
            for (name, points), sale in zip(self.rightful().items(), self.sales.values(), strict=True)
        }
        for name, points in due.items():
            sale = self.sales[name]
            if points > 0 and name != new:
                sale.recorded += points
                forgiven = min(points, sale.forgiven)
                sale.forgiven -= forgiven
                sale.gone += forgiven
                points -= forgiven
                repaid = min(points, sale.short)
                sale.short -= repaid
                if points > repaid:
                    self.give(name, points - repaid, sale.minute)
        for name, points in due.items():
            if name == new:
                sale = self.sales[name]
                if points > 0:
                    self.give(name, points, sale.minute)
                elif points < 0:
                    self._take_back(sale, -points)
                sale.recorded += points
        for name, points in due.items():
            if points < 0 and name != new:
                self._take_back(self.sales[name], -points)
                self.sales[name].recorded += points

    def _take_back(self, sale: ModelSale, points: int) -> None:
        own = sum(lot.points for lot in self.lots if lot.source == sale.name)
        forgiven = min(max(points - own, 0), sale.gone)
        sale.gone -= forgiven
        sale.forgiven += forgiven
        points -= forgiven
        sale.short += points - sum(part for _, part in self.take(points, sale.name))


AMOUNTS = st.integers(0, 80_00)
MINUTES = st.integers(0, 8)


class LedgerMachine(RuleBasedStateMachine):
    @initialize(expires=st.booleans(), grace=st.sampled_from([0, 3]))
    def open(self, expires: bool, grace: int) -> None:
        self.exit = ExitStack()
        self.exit.enter_context(rolled_back())
        self.model = Model(expires=expires, grace=timedelta(days=grace))
        self.clock = self.exit.enter_context(time_machine.travel(self.model.now, tick=False))
        self.shop = make_shop(f"Shop {uuid.uuid4().hex[:8]}", timezone="UTC")
        policy = {"expiry": "after_earning", "expiry_months": 1} if expires else {}
        create_program(merchant_id=self.shop.merchant.pk, tiers=TIERS, grace_days=grace, **policy)
        self.access = self.shop.access
        self.customer: Customer = register(self.shop, "Alice")
        self.count = 0

    def pass_time(self, time: timedelta) -> None:
        self.model.now += time
        self.clock.move_to(self.model.now, tick=False)
        self.model.expire()

    def name(self, letter: str) -> str:
        self.count += 1
        self.pass_time(timedelta(seconds=1))
        return f"{letter}{self.count:03}"

    @rule(days=st.integers(1, 20))
    def wait(self, days: int) -> None:
        self.pass_time(timedelta(days=days))

    @rule()
    def sweep(self) -> None:
        expire_lots(merchant_id=self.shop.merchant.pk)
        assert books(self.customer)["balance"] == self.model.balance
        assert expire_lots(merchant_id=self.shop.merchant.pk) == Expired()

    @rule(cents=AMOUNTS, minute=MINUTES)
    def sell(self, cents: int, minute: int) -> None:
        name = self.name("S")
        receipt = sell(self.access, self.customer, name, str(Decimal(cents) / 100), minutes(minute)).receipt
        self.model.sales[name] = ModelSale(name, cents, minute)
        self.model.settle(name)
        assert receipt["pointsEarned"] == self.model.sales[name].recorded
        assert receipt["balance"] == self.model.balance

    @precondition(lambda self: self.model.sales)
    @rule(data=st.data(), part=st.sampled_from([1, 2, 3]), minute=MINUTES)
    def bring_back(self, data: st.DataObject, part: int, minute: int) -> None:
        sale = self.model.sales[data.draw(st.sampled_from(sorted(self.model.sales)))]
        left = sale.cents - sum(back[1] for back in sale.returns)
        cents = left if part == 1 else left // part
        if cents == 0:
            return
        name = self.name("R")
        short_before = sale.short + sale.forgiven
        receipt = bring_back(self.access, sale.name, name, str(Decimal(cents) / 100), minutes(minute)).receipt
        sale.returns.append((name, cents, minute))
        self.model.settle(sale.name)
        assert receipt["balance"] == self.model.balance
        assert receipt["pointsShortfall"] == sale.short + sale.forgiven - short_before

    @precondition(lambda self: self.model.sales)
    @rule(data=st.data())
    def repeat_a_sale(self, data: st.DataObject) -> None:
        sale = self.model.sales[data.draw(st.sampled_from(sorted(self.model.sales)))]
        taken = sell(
            self.access, self.customer, sale.name, str(Decimal(sale.cents) / 100), minutes(sale.minute)
        )
        assert not taken.is_new

    @rule(points=st.integers(1, 60))
    def earn(self, points: int) -> None:
        name = self.name("E")
        move(self.access, self.customer, "earned", points, name)
        self.model.give(name, points)
        self.model.moves[name] = Moved(name, points)

    @rule(points=st.integers(1, 90))
    def redeem(self, points: int) -> None:
        name = self.name("D")
        if points > self.model.balance:
            with pytest.raises(InsufficientPoints):
                move(self.access, self.customer, "redeemed", points, name)
            return
        answer = move(self.access, self.customer, "redeemed", points, name)
        self.model.moves[name] = Moved(name, -points, self.model.take(points))
        assert answer.transaction["balance"] == self.model.balance
        assert not move(self.access, self.customer, "redeemed", points, name).is_new

    @rule(points=st.integers(-40, 40).filter(bool))
    def adjust(self, points: int) -> None:
        name = self.name("A")
        if -points > self.model.balance:
            with pytest.raises(InsufficientPoints):
                move(self.access, self.customer, "adjusted", points, name)
            return
        move(self.access, self.customer, "adjusted", points, name)
        if points > 0:
            self.model.give(name, points)
            self.model.moves[name] = Moved(name, points)
        else:
            self.model.moves[name] = Moved(name, points, self.model.take(-points))

    @precondition(lambda self: self.model.moves)
    @rule(data=st.data(), points=st.integers(1, 50))
    def reverse(self, data: st.DataObject, points: int) -> None:
        moved = self.model.moves[data.draw(st.sampled_from(sorted(self.model.moves)))]
        name = self.name("V")
        wanted: type[Exception] | None = None
        if points > abs(moved.points) - moved.reversed:
            wanted = ReversalExceeds
        elif moved.points > 0 and points > self.model.balance:
            wanted = InsufficientPoints
        if wanted is not None:
            with pytest.raises(wanted):
                move(self.access, self.customer, "reversed", points, name, reverses_transaction_id=moved.name)
            return
        move(self.access, self.customer, "reversed", points, name, reverses_transaction_id=moved.name)
        moved.reversed += points
        if moved.points > 0:
            self.model.take(points, moved.name)
            return
        for place in range(len(moved.taken) - 1, -1, -1):
            lot, part = moved.taken[place]
            given = min(points, part)
            if given:
                self.model.give_back(lot, given, name)
            points -= given
            moved.taken[place] = (lot, part - given)

    @invariant()
    def the_books_are_the_models(self) -> None:
        found = books(self.customer)
        model = self.model
        # What is over is in no balance that anybody is told, swept or not.
        told = standing(access=self.access, customer_id=self.customer.pk)
        assert told["balance"] == sum(line["points"] for line in told["expiring"]) == model.balance
        assert found["balance"] == found["shown"]
        short = {name: sale.short + sale.forgiven for name, sale in model.sales.items()}
        assert found["points"] == {name: sale.recorded + short[name] for name, sale in model.sales.items()}
        assert found["shortfall"] == sum(short.values())
        assert found["spend"][1] == Decimal(model.spend) / 100
        assert found["visits"][0] == len(model.sales)
        if LedgerEntry.objects.filter(enrollment__customer_id=self.customer.pk).exists():
            assert found["tier"][1] == ("silver" if model.spend >= 60_00 else "bronze")
        stored = sorted(
            (lot.purchase.transaction_id if lot.purchase else lot.entry.transaction_id, lot.remaining)
            for lot in Lot.objects.filter(enrollment__customer_id=self.customer.pk, remaining__gt=0)
            .exclude(expires_at__lte=model.now)
            .select_related("purchase", "entry")
        )
        assert stored == sorted((lot.source, lot.points) for lot in model.lots if lot.points)

    def teardown(self) -> None:
        if hasattr(self, "exit"):
            try:
                assert findings(self.shop) == []
            finally:
                self.exit.close()


@contextmanager
def rolled_back() -> Iterator[None]:
    """A run leaves nothing for the next one to plan around."""
    with transaction.atomic():
        connection.atomic_blocks[-1]._from_testcase = True
        yield
        transaction.set_rollback(True)


def test_ledger_machine() -> None:
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
