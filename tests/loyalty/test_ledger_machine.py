"""Anything, in any order, against a model that shares no code with the service (tests/loyalty/ledger_model.py)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

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

from cloudpos.lifecycle.erasing import erase_customer
from cloudpos.lifecycle.merging import merge_customers
from customers.models import Customer
from loyalty.models import Enrollment, LedgerEntry, Lot
from loyalty.reading import standing
from loyalty.rules import TierRule
from loyalty.services import Expired, InsufficientPoints, create_program, expire_lots, lapsing
from loyalty.services.holds import HoldClosed, HoldLapsed, capture_hold, release_hold
from loyalty.services.redemptions import RedemptionCancelled, RewardIsWhole, cancel_redemption, redeem_reward
from loyalty.services.reversals import ReversalExceeds
from loyalty.services.stock import RewardUnavailable
from tests.fixtures import make_shop
from tests.loyalty.ledger_model import Model, ModelHold, ModelSale, Moved, World
from tests.loyalty.spending import hold as hold_points
from tests.loyalty.spending import offer
from tests.tills import books, bring_back, findings, minutes, move, register, sell

pytestmark = pytest.mark.django_db

TIERS = [
    TierRule("bronze", "Bronze", 0, Decimal("1")),
    TierRule("silver", "Silver", 60_00, Decimal("1.5")),
]
REWARD_POINTS = 15
REWARD_STOCK = 2
AMOUNTS = st.integers(0, 80_00)
MINUTES = st.integers(0, 8)


class LedgerMachine(RuleBasedStateMachine):
    @initialize(expires=st.booleans(), grace=st.sampled_from([0, 3]))
    def open(self, expires: bool, grace: int) -> None:
        self.exit = ExitStack()
        self.exit.enter_context(rolled_back())
        self.world = World(expires=expires, grace=timedelta(days=grace), stock=REWARD_STOCK)
        self.clock = self.exit.enter_context(time_machine.travel(self.world.now, tick=False))
        self.shop = make_shop(f"Shop {uuid.uuid4().hex[:8]}", timezone="UTC")
        policy = {"expiry": "after_earning", "expiry_months": 1} if expires else {}
        create_program(merchant_id=self.shop.merchant.pk, tiers=TIERS, grace_days=grace, **policy)
        self.access = self.shop.access
        self.reward = offer(self.shop, points=REWARD_POINTS, stock=REWARD_STOCK)
        # Whom the rules are about first; the other one may be served too, and may be merged into the first.
        self.people = {name: (register(self.shop, name), Model(self.world)) for name in ("Alice", "Bob")}
        self.serve("Alice")
        self.holds: dict[str, uuid.UUID] = {}
        self.redemptions: dict[str, uuid.UUID] = {}
        self.count = 0

    def serve(self, name: str) -> None:
        self.customer: Customer
        self.model: Model
        self.customer, self.model = self.people[name]

    def pass_time(self, time: timedelta) -> None:
        self.world.now += time
        self.clock.move_to(self.world.now, tick=False)
        for _, model in self.people.values():
            model.expire()

    def name(self, letter: str) -> str:
        self.count += 1
        self.pass_time(timedelta(seconds=1))
        return f"{letter}{self.count:03}"

    # --- Time and people --------------------------------------------------------------------------------------

    @rule(days=st.integers(1, 20))
    def wait(self, days: int) -> None:
        self.pass_time(timedelta(days=days))

    @rule()
    def wait_a_minute(self) -> None:
        self.pass_time(timedelta(minutes=1))

    @precondition(lambda self: len(self.people) > 1)
    @rule()
    def serve_the_other(self) -> None:
        self.serve("Bob" if self.customer.first_name == "Alice" else "Alice")

    @precondition(lambda self: len(self.people) > 1 and self.customer.first_name == "Bob")
    @rule()
    def merge(self) -> None:
        self.name("M")
        alice, model = self.people["Alice"]
        merge_customers(access=self.access, customer_id=alice.pk, source_id=self.customer.pk)
        model.swallow(self.model)
        del self.people["Bob"]
        self.serve("Alice")

    @rule()
    def sweep(self) -> None:
        expire_lots(merchant_id=self.shop.merchant.pk)
        assert books(self.customer)["balance"] == self.model.balance
        assert expire_lots(merchant_id=self.shop.merchant.pk) == Expired()

    # --- Purchases --------------------------------------------------------------------------------------------

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

    # --- Points by hand ---------------------------------------------------------------------------------------

    @rule(points=st.integers(1, 60))
    def earn(self, points: int) -> None:
        name = self.name("E")
        move(self.access, self.customer, "earned", points, name)
        self.model.give(name, points)
        self.model.moves[name] = Moved(name, points)

    @rule(points=st.integers(1, 90))
    def redeem(self, points: int) -> None:
        name = self.name("D")
        if points > self.model.available:
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
        if -points > self.model.available:
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
    @rule(data=st.data(), some=st.integers(1, 50), wholly=st.booleans())
    def reverse(self, data: st.DataObject, some: int, wholly: bool) -> None:
        moved = self.model.moves[data.draw(st.sampled_from(sorted(self.model.moves)))]
        left = abs(moved.points) - moved.reversed
        points = left if wholly and left else some
        name = self.name("V")
        wanted: type[Exception] | None = None
        if points > left:
            wanted = ReversalExceeds
        elif points < left and self.model.redemptions.get(moved.name):
            wanted = RewardIsWhole
        elif moved.points > 0 and points > self.model.available:
            wanted = InsufficientPoints
        if wanted is not None:
            with pytest.raises(wanted):
                move(self.access, self.customer, "reversed", points, name, reverses_transaction_id=moved.name)
            return
        move(self.access, self.customer, "reversed", points, name, reverses_transaction_id=moved.name)
        self.model.undo(moved, points, name)
        if points == left:
            # All of a redemption given back is its cancelling.
            self.model.redemptions.pop(moved.name, None)

    # --- Holds and rewards ------------------------------------------------------------------------------------

    def rewards_taken(self) -> int:
        return sum(model.rewards_taken for _, model in self.people.values())

    @rule(points=st.integers(1, 60), seconds=st.sampled_from([30, 3_600, 86_400]), is_reward=st.booleans())
    def hold(self, points: int, seconds: int, is_reward: bool) -> None:
        name = self.name("H")
        what: dict[str, Any] = {"points": points}
        if is_reward:
            what, points = {"reward_id": self.reward.pk}, REWARD_POINTS
        wanted: type[Exception] | None = None
        if is_reward and self.rewards_taken() == REWARD_STOCK:
            wanted = RewardUnavailable
        elif points > self.model.available:
            wanted = InsufficientPoints
        if wanted is not None:
            with pytest.raises(wanted):
                hold_points(self.access, self.customer, name, ttl_seconds=seconds, **what)
            return
        self.holds[name] = hold_points(self.access, self.customer, name, ttl_seconds=seconds, **what).pk
        ends = self.world.now + timedelta(seconds=seconds)
        self.model.holds[name] = ModelHold(name, points, ends, is_reward)

    def closed(self, held: ModelHold) -> type[Exception] | None:
        if held.state not in ("held", "lapsed"):
            return HoldClosed
        return HoldLapsed if held.ends <= self.world.now else None

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data(), share=st.sampled_from([1, 2]))
    def capture(self, data: st.DataObject, share: int) -> None:
        held = self.model.holds[data.draw(st.sampled_from(sorted(self.model.holds)))]
        self.name("K")
        points = held.points if held.is_reward else -(-held.points // share)
        wanted = self.closed(held)
        if wanted is None and points > self.model.balance - (self.model.held - held.points):
            wanted = InsufficientPoints
        if wanted is not None:
            with pytest.raises(wanted):
                capture_hold(access=self.access, hold_id=self.holds[held.name], points=points)
            return
        captured = capture_hold(access=self.access, hold_id=self.holds[held.name], points=points)
        held.state = "captured"
        self.take_for_good(held.name, points, captured.redemption.pk, is_reward=held.is_reward)
        assert captured.balance == self.model.balance

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        held = self.model.holds[data.draw(st.sampled_from(sorted(self.model.holds)))]
        self.name("L")
        wanted = self.closed(held)
        if wanted is not None:
            with pytest.raises(wanted):
                release_hold(access=self.access, hold_id=self.holds[held.name])
            return
        release_hold(access=self.access, hold_id=self.holds[held.name])
        held.state = "released"

    @rule()
    def lapse(self) -> None:
        due = [
            held
            for _, model in self.people.values()
            for held in model.holds.values()
            if held.state == "held" and held.ends <= self.world.now
        ]
        # What somebody who wanted the last reward has lapsed on the way is done already.
        assert lapsing.lapse_holds(at=self.world.now) <= len(due)
        assert lapsing.count_due(at=self.world.now) == 0
        for held in due:
            held.state = "lapsed"

    @rule()
    def redeem_the_reward(self) -> None:
        name = self.name("G")
        wanted: type[Exception] | None = None
        if self.rewards_taken() == REWARD_STOCK:
            wanted = RewardUnavailable
        elif self.model.available < REWARD_POINTS:
            wanted = InsufficientPoints
        request = {"customer_id": self.customer.pk, "reward_id": self.reward.pk, "transaction_id": name}
        if wanted is not None:
            with pytest.raises(wanted):
                redeem_reward(access=self.access, **request)
            return
        redeemed = redeem_reward(access=self.access, **request)
        self.take_for_good(name, REWARD_POINTS, redeemed.redemption.pk, is_reward=True)
        assert redeemed.balance == self.model.balance
        assert not redeem_reward(access=self.access, **request).is_new

    def take_for_good(self, name: str, points: int, redemption_id: uuid.UUID, *, is_reward: bool) -> None:
        self.model.moves[name] = Moved(name, -points, self.model.take(points))
        self.model.redemptions[name] = is_reward
        self.redemptions[name] = redemption_id

    @precondition(lambda self: self.model.redemptions)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.redemptions)))
        self.name("C")
        moved = self.model.moves[name]
        cancelled = cancel_redemption(access=self.access, redemption_id=self.redemptions[name])
        # Its entry has no transactionId of its own.
        self.model.undo(moved, -moved.points - moved.reversed, "")
        del self.model.redemptions[name]
        assert cancelled.balance == self.model.balance
        with pytest.raises(RedemptionCancelled):
            cancel_redemption(access=self.access, redemption_id=self.redemptions[name])

    # --- What is always so ------------------------------------------------------------------------------------

    @invariant()
    def the_books_are_the_models(self) -> None:
        for customer, model in self.people.values():
            self.compare(customer, model)
        self.reward.refresh_from_db()
        unswept = sum(
            held.is_reward and held.state == "held" and held.ends <= self.world.now
            for _, model in self.people.values()
            for held in model.holds.values()
        )
        assert self.rewards_taken() <= self.reward.taken <= self.rewards_taken() + unswept

    def compare(self, customer: Customer, model: Model) -> None:
        found = books(customer)
        # What is over is in no balance that anybody is told, swept or not.
        told = standing(access=self.access, customer_id=customer.pk)
        assert told["balance"] == sum(line["points"] for line in told["expiring"]) == model.balance
        assert (told["held"], told["available"]) == (model.held, model.available)
        assert found["balance"] == found["shown"]
        short = {name: sale.short + sale.forgiven for name, sale in model.sales.items()}
        assert found["points"] == {name: sale.recorded + short[name] for name, sale in model.sales.items()}
        assert found["shortfall"] == sum(short.values())
        if found["spend"][0] is not None:
            assert found["spend"] == (Decimal(model.spend) / 100,) * 2
        assert found["visits"][0] == len(model.sales)
        if LedgerEntry.objects.filter(enrollment__customer_id=customer.pk).exists():
            assert found["tier"][1] == ("silver" if model.spend >= 60_00 else "bronze")
        stored = sorted(
            (lot.purchase.transaction_id if lot.purchase else lot.entry.transaction_id, lot.remaining)
            for lot in Lot.objects.filter(enrollment__customer_id=customer.pk, remaining__gt=0)
            .exclude(expires_at__lte=self.world.now)
            .select_related("purchase", "entry")
        )
        assert stored == sorted((lot.source, lot.points) for lot in model.lots if lot.points)

    def teardown(self) -> None:
        if hasattr(self, "exit"):
            try:
                assert findings(self.shop) == []
                before = amounts(self.shop)
                erase_customer(access=self.shop.owner.access, customer_id=self.customer.pk)
                assert amounts(self.shop) == before
                assert findings(self.shop) == []
            finally:
                self.exit.close()


def amounts(shop: Any) -> list[Any]:
    """Every number of the ledger."""
    accounts = Enrollment.objects.for_merchant(shop.merchant).order_by("pk")
    entries = LedgerEntry.objects.for_merchant(shop.merchant).order_by("pk")
    lots = Lot.objects.for_merchant(shop.merchant).order_by("pk")
    customers = Customer.objects.for_merchant(shop.merchant).order_by("pk")
    return [
        *accounts.values_list("pk", "balance", "version", "tier", "net_spend"),
        *entries.values_list(
            "pk", "version", "type", "points", "balance_before", "balance_after", "occurred_at"
        ),
        *lots.values_list("pk", "points", "remaining", "earned_at", "expires_at"),
        *customers.values_list("pk", "points", "total_spent", "visit_count"),
    ]


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
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
