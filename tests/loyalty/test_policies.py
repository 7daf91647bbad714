"""Participating stores, points that cannot be spent yet, points owed, and points that last while a member is active."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction

from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Store
from customers.models import Customer, Event
from loyalty.models import Enrollment, LedgerEntry, Lot, Program, Reward
from loyalty.reading import standing
from loyalty.reading_rewards import offers
from loyalty.services import (
    InsufficientPoints,
    count_due_lots,
    create_program,
    expire_lots,
    merchants_with_due_lots,
    update_program,
)
from loyalty.services.holds import capture_hold, hold_points
from loyalty.services.redemptions import cancel_redemption, redeem_reward
from loyalty.services.rewards import create_reward
from loyalty.services.spending import StoreTakesNoPart
from tests.fixtures import Shop
from tests.tills import books, bring_back, findings, minutes, move, sell

pytestmark = pytest.mark.django_db


def program_with(shop: Shop, **fields: Any) -> Program:
    return create_program(merchant_id=shop.merchant.pk, **fields)


def entries(customer: Customer) -> list[tuple[str, int, int]]:
    return list(
        LedgerEntry.objects.filter(enrollment__customer_id=customer.pk)
        .order_by("version")
        .values_list("type", "points", "balance_after")
    )


def shown(shop: Shop, customer: Customer, *names: str) -> list[Any]:
    found = standing(access=shop.access, customer_id=customer.pk)
    return [found[name] for name in names]


class TestStores:
    @pytest.fixture
    def elsewhere(self, shop: Shop) -> Access:
        """At a store that takes no part."""
        other = Store.objects.create(merchant=shop.merchant, name="Airport", code="airport")
        program_with(shop, store_ids=[shop.store.pk])
        return replace(shop.access, store_id=other.pk)

    def test_a_sale_elsewhere_earns_nothing_and_says_so(
        self, shop: Shop, elsewhere: Access, alice: Customer
    ) -> None:
        receipt = sell(elsewhere, alice, "T-1", "600.00", minutes(0)).receipt
        assert (receipt["pointsEarned"], receipt["balance"]) == (0, 0)
        assert receipt["explanation"] == [
            {
                "code": "store_takes_no_part",
                "points": 0,
                "message": "This store does not take part: the purchase earns no points",
            }
        ]
        # What they spend counts towards their tier all the same.
        assert receipt["tier"] == "silver"
        assert sell(shop.access, alice, "T-2", "100.00", minutes(1)).receipt["pointsEarned"] == 125
        bring_back(elsewhere, "T-1", "R-1", at=minutes(2))
        assert books(alice)["points"] == {"T-1": 0, "T-2": 125}
        assert findings(shop) == []

    def test_nothing_is_given_or_redeemed_there(self, shop: Shop, elsewhere: Access, alice: Customer) -> None:
        sell(shop.access, alice, "T-1", "100.00", minutes(0))
        reward = create_reward(
            merchant_id=shop.merchant.pk,
            values={"name": "Tea", "kind": "free_item", "sku": "T-1", "points": 10},
        )
        before = entries(alice)
        for type in ("earned", "redeemed"):
            with pytest.raises(StoreTakesNoPart):
                move(elsewhere, alice, type, 10)
        with pytest.raises(StoreTakesNoPart):
            hold_points(access=elsewhere, customer_id=alice.pk, transaction_id="H-1", points=10)
        with pytest.raises(StoreTakesNoPart):
            redeem_reward(access=elsewhere, customer_id=alice.pk, reward_id=reward.pk, transaction_id="R-1")
        assert entries(alice) == before
        assert Reward.objects.get().taken == 0
        # A correction is no business of the store's.
        move(elsewhere, alice, "adjusted", -10, description="Mistake")
        # Held where it takes part, captured where the goods are.
        held = hold_points(access=shop.access, customer_id=alice.pk, transaction_id="H-1", points=10)
        assert capture_hold(access=elsewhere, hold_id=held.hold.pk).balance == 80

    def test_the_api_says_it(self, shop: Shop, elsewhere: Access, alice: Customer) -> None:
        update_program(merchant_id=shop.merchant.pk, store_ids=[elsewhere.store_id])
        response = shop.cashier.post(
            "/customers/loyalty/points", {"customerId": str(alice.pk), "type": "earned", "points": 5}
        )
        assert (response.status_code, response.json()["code"]) == (409, "store_takes_no_part")


MONDAY = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
# The day of the sale and fourteen more.
READY = datetime(2026, 3, 17, 0, 0, tzinfo=UTC)


class TestPending:
    @pytest.fixture(autouse=True)
    def pending(self, shop: Shop) -> Program:
        return program_with(shop, pending_days=14, begins_at=MONDAY - timedelta(days=30))

    def test_they_are_in_the_balance_and_cannot_be_spent(self, shop: Shop, alice: Customer) -> None:
        with time_machine.travel(MONDAY, tick=False):
            receipt = sell(shop.access, alice, "T-1", "100.00").receipt
            assert (receipt["balance"], receipt["pending"]) == (100, 100)
            assert receipt["explanation"][-1] == {
                "code": "pending",
                "points": 0,
                "message": "These points can be spent from 2026-03-17 on",
            }
            # By hand: at once.
            move(shop.access, alice, "earned", 30)
            assert shown(shop, alice, "balance", "pending", "available") == [130, 100, 30]
            with pytest.raises(InsufficientPoints) as refused:
                move(shop.access, alice, "redeemed", 50)
            assert refused.value.extra == {"balance": 130, "available": 30, "missing": 20, "pending": 100}
            assert (
                str(refused.value)
                == "The customer has 30 points to spend and 100 not to be spent yet, 20 too few"
            )
            with pytest.raises(InsufficientPoints):
                hold_points(access=shop.access, customer_id=alice.pk, transaction_id="H-1", points=31)
            hold_points(access=shop.access, customer_id=alice.pk, transaction_id="H-2", points=30)
            assert shown(shop, alice, "available") == [0]
        with time_machine.travel(READY - timedelta(seconds=1), tick=False):
            assert shown(shop, alice, "pending", "available") == [100, 30]
        with time_machine.travel(READY, tick=False):
            assert shown(shop, alice, "pending", "available") == [0, 130]
            move(shop.access, alice, "redeemed", 130)
            assert findings(shop) == []

    def test_a_reward_takes_only_what_is_available(self, shop: Shop, alice: Customer) -> None:
        reward = create_reward(
            merchant_id=shop.merchant.pk,
            values={"name": "Tea", "kind": "free_item", "sku": "T-1", "points": 40},
        )
        with time_machine.travel(MONDAY, tick=False):
            sell(shop.access, alice, "T-1", "100.00")
            (offer,) = offers(access=shop.access, customer_id=alice.pk)
            assert (offer["eligible"], offer["missing"]) == (False, 40)
            with pytest.raises(InsufficientPoints):
                redeem_reward(
                    access=shop.access, customer_id=alice.pk, reward_id=reward.pk, transaction_id="R-1"
                )
        assert Reward.objects.get().taken == 0

    def test_redeeming_skips_what_is_pending(self, shop: Shop, alice: Customer) -> None:
        """The sale of a month ago is behind that of today in no order but that of time: it is taken, and FIFO holds."""
        with time_machine.travel(MONDAY, tick=False):
            # Earned later than the lot below, and yet to be spent before it.
            sell(shop.access, alice, "T-1", "100.00")
        with time_machine.travel(MONDAY + timedelta(days=1), tick=False):
            move(shop.access, alice, "earned", 30)
            move(shop.access, alice, "redeemed", 20)
            assert dict(Lot.objects.values_list("points", "remaining")) == {100: 100, 30: 10}
            assert findings(shop) == []

    def test_a_return_takes_them(self, shop: Shop, alice: Customer) -> None:
        with time_machine.travel(MONDAY, tick=False):
            move(shop.access, alice, "earned", 30)
            sell(shop.access, alice, "T-1", "100.00")
            receipt = bring_back(shop.access, "T-1", "R-1", "40.00").receipt
            assert (receipt["pointsTaken"], receipt["balance"], receipt["pending"]) == (40, 90, 60)
            # A manager takes what there is, pending or not.
            move(shop.access, alice, "adjusted", -80, description="Fraud")
            assert shown(shop, alice, "balance", "pending", "available") == [10, 10, 0]
            assert findings(shop) == []

    def test_the_check_finds_what_was_spent_too_early(self, shop: Shop, alice: Customer) -> None:
        with time_machine.travel(READY, tick=False):
            sell(shop.access, alice, "T-1", "100.00", MONDAY)
            move(shop.access, alice, "redeemed", 10)
        assert findings(shop) == []
        Lot.objects.update(available_at=READY + timedelta(seconds=1))
        (found,) = findings(shop)
        assert found.startswith("6: ")

    def test_a_late_sale_was_waiting_all_the_time(self, shop: Shop, alice: Customer) -> None:
        with time_machine.travel(READY, tick=False):
            receipt = sell(shop.access, alice, "T-1", "100.00", MONDAY).receipt
            assert (receipt["pending"], [line["code"] for line in receipt["explanation"]]) == (0, ["base"])
            move(shop.access, alice, "redeemed", 100)

    def test_lots_keep_when_they_can_be_spent(self, shop: Shop, alice: Customer) -> None:
        with time_machine.travel(MONDAY, tick=False):
            sell(shop.access, alice, "T-1", "100.00")
            update_program(merchant_id=shop.merchant.pk, pending_days=0)
            assert shown(shop, alice, "available") == [0]


class TestDebt:
    @pytest.fixture(autouse=True)
    def owing(self, shop: Shop) -> Program:
        return program_with(shop, shortfall="unlimited")

    def spend_and_return(self, shop: Shop, alice: Customer) -> dict[str, Any]:
        sell(shop.access, alice, "T-1", "100.00", minutes(0))
        move(shop.access, alice, "redeemed", 70)
        return bring_back(shop.access, "T-1", "R-1", at=minutes(1)).receipt

    def test_the_balance_goes_below_zero_and_later_points_fill_it(self, shop: Shop, alice: Customer) -> None:
        receipt = self.spend_and_return(shop, alice)
        assert (receipt["pointsTaken"], receipt["pointsShortfall"], receipt["balance"]) == (100, 0, -70)
        assert receipt["explanation"][1] == {
            "code": "owed",
            "points": 0,
            "message": "70 owed: later points fill that first",
        }
        alice.refresh_from_db()
        assert alice.points == -70
        assert shown(shop, alice, "balance", "available", "expiring") == [-70, 0, []]
        assert findings(shop) == []
        assert sell(shop.access, alice, "T-2", "50.00", minutes(2)).receipt["balance"] == -20
        assert not Lot.objects.filter(remaining__gt=0).exists()
        assert findings(shop) == []
        assert sell(shop.access, alice, "T-3", "50.00", minutes(3)).receipt["balance"] == 30
        assert Lot.objects.get(remaining__gt=0).points == 30
        move(shop.access, alice, "redeemed", 30)
        # Returned whole: it had earned 50, though only 30 opened a lot.
        assert bring_back(shop.access, "T-3", "R-3", at=minutes(4)).receipt["balance"] == -50
        assert findings(shop) == []

    def test_nothing_is_spent_or_held_on_credit(self, shop: Shop, alice: Customer) -> None:
        self.spend_and_return(shop, alice)
        before = entries(alice)
        with pytest.raises(InsufficientPoints) as refused:
            move(shop.access, alice, "redeemed", 10)
        assert refused.value.extra == {"balance": -70, "available": 0, "missing": 80}
        with pytest.raises(InsufficientPoints):
            hold_points(access=shop.access, customer_id=alice.pk, transaction_id="H-1", points=1)
        with pytest.raises(InsufficientPoints):
            move(shop.access, alice, "adjusted", -1, description="Mistake")
        assert entries(alice) == before

    def test_a_cancelled_redemption_fills_it_first(self, shop: Shop, alice: Customer) -> None:
        sell(shop.access, alice, "T-1", "100.00", minutes(0))
        reward = create_reward(
            merchant_id=shop.merchant.pk,
            values={"name": "Tea", "kind": "free_item", "sku": "T-1", "points": 80},
        )
        had = redeem_reward(
            access=shop.access, customer_id=alice.pk, reward_id=reward.pk, transaction_id="X-1"
        )
        assert bring_back(shop.access, "T-1", "R-1", "30.00", at=minutes(1)).receipt["balance"] == -10
        assert cancel_redemption(access=shop.access, redemption_id=had.redemption.pk).balance == 70
        assert sum(Lot.objects.values_list("remaining", flat=True)) == 70
        assert findings(shop) == []

    def test_a_debt_outlives_the_policy_and_grows_no_more(self, shop: Shop, alice: Customer) -> None:
        sell(shop.access, alice, "T-2", "50.00", minutes(-1))
        self.spend_and_return(shop, alice)
        assert books(alice)["balance"] == -20
        update_program(merchant_id=shop.merchant.pk, shortfall="within_balance")
        receipt = bring_back(shop.access, "T-2", "R-2", at=minutes(5)).receipt
        assert (receipt["pointsTaken"], receipt["pointsShortfall"], receipt["balance"]) == (0, 50, -20)
        assert sell(shop.access, alice, "T-3", "5.00").receipt["balance"] == -15
        assert findings(shop) == []

    def test_late_corrections_are_owed_too(self, shop: Shop, alice: Customer) -> None:
        sell(shop.access, alice, "T-1", "500.00", minutes(0))
        sell(shop.access, alice, "T-2", "100.00", minutes(10))
        move(shop.access, alice, "redeemed", 620)
        # Before T-2, which earned as silver.
        bring_back(shop.access, "T-1", "R-1", "100.00", at=minutes(5))
        found = books(alice)
        assert (found["balance"], found["shortfall"], found["points"]) == (-120, 0, {"T-1": 400, "T-2": 100})
        assert findings(shop) == []

    def test_what_has_expired_is_gone_already(self, shop: Shop, alice: Customer) -> None:
        update_program(merchant_id=shop.merchant.pk, expiry="after_earning", expiry_months=1)
        # From the change on.
        sold_at = datetime.now(UTC)
        sell(shop.access, alice, "T-1", "100.00", sold_at)
        with time_machine.travel(sold_at + timedelta(days=40), tick=False):
            receipt = bring_back(shop.access, "T-1", "R-1").receipt
            assert (receipt["pointsTaken"], receipt["balance"]) == (0, 0)
            assert findings(shop) == []

    def test_the_database_itself_refuses_it_elsewhere(self, shop: Shop, alice: Customer) -> None:
        self.spend_and_return(shop, alice)
        with (
            pytest.raises(IntegrityError, match="loyalty_enrollments_balance_positive"),
            transaction.atomic(),
        ):
            Enrollment.objects.update(debt_allowed=False)
        update_program(merchant_id=shop.merchant.pk, shortfall="within_balance")
        sell(shop.access, alice, "T-2", "80.00", minutes(2))
        assert Enrollment.objects.get().debt_allowed is False
        with (
            pytest.raises(IntegrityError, match="loyalty_enrollments_balance_positive"),
            transaction.atomic(),
        ):
            Enrollment.objects.update(balance=-1)

    @pytest.mark.parametrize(
        "broken",
        [
            "UPDATE loyalty_enrollments SET balance = -69",
            "UPDATE loyalty_transactions SET points = -99, balance_after = balance_before - 99 WHERE type = 'reversed'",
        ],
    )
    def test_the_check_finds_a_debt_that_nobody_made(self, shop: Shop, alice: Customer, broken: str) -> None:
        self.spend_and_return(shop, alice)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE loyalty_transactions DISABLE TRIGGER USER")
            cursor.execute(broken)
            cursor.execute("ALTER TABLE loyalty_transactions ENABLE TRIGGER USER")
        assert findings(shop)


class TestInactivity:
    BEGIN = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
    # Three months, to the end of the day: London is an hour ahead by then.
    OVER = datetime(2026, 4, 15, 23, 0, tzinfo=UTC)

    @pytest.fixture(autouse=True)
    def lapsing(self, shop: Shop) -> Program:
        return program_with(
            shop, expiry="after_inactivity", expiry_months=3, begins_at=self.BEGIN - timedelta(days=900)
        )

    def at(self, when: datetime) -> Any:
        return time_machine.travel(when, tick=False)

    def test_they_are_over_at_the_instant(self, shop: Shop, alice: Customer) -> None:
        with self.at(self.BEGIN):
            sell(shop.access, alice, "T-1", "100.00")
            assert shown(shop, alice, "inactiveAt", "expiring") == [
                self.OVER,
                [{"expiresAt": self.OVER, "points": 100}],
            ]
        with self.at(self.OVER - timedelta(seconds=1)):
            assert shown(shop, alice, "balance") == [100]
        with self.at(self.OVER):
            # Read, and not written.
            assert shown(shop, alice, "balance", "available", "expiring") == [0, 0, []]
            with pytest.raises(InsufficientPoints):
                move(shop.access, alice, "redeemed", 1)
            assert merchants_with_due_lots(at=self.OVER) == [shop.merchant.pk]
            due = count_due_lots(merchant_id=shop.merchant.pk, at=self.OVER)
            assert (due.points, due.lots, due.accounts) == (100, 1, 1)
            assert expire_lots(merchant_id=shop.merchant.pk) == due
            assert Event.objects.get(type="points.expired").data["points"] == -100
            assert entries(alice)[-1] == ("expired", -100, 0)
            assert LedgerEntry.objects.get(type="expired").occurred_at == self.OVER
            assert merchants_with_due_lots(at=self.OVER) == []
            alice.refresh_from_db()
            assert alice.points == 0
            assert findings(shop) == []

    @pytest.mark.parametrize("activity", ["purchase", "free purchase", "redemption", "earned"])
    def test_activity_keeps_them(self, shop: Shop, alice: Customer, activity: str) -> None:
        with self.at(self.BEGIN):
            sell(shop.access, alice, "T-1", "100.00")
        with self.at(self.BEGIN + timedelta(days=60)):
            if "purchase" in activity:
                sell(shop.access, alice, "T-2", "0.00" if activity == "free purchase" else "10.00")
            else:
                move(shop.access, alice, activity.replace("redemption", "redeemed"), 10)
        with self.at(self.OVER + timedelta(days=30)):
            assert shown(shop, alice, "balance")[0] >= 90
        with self.at(self.OVER + timedelta(days=62)):
            assert shown(shop, alice, "balance") == [0]

    def test_a_return_or_a_correction_is_no_activity(self, shop: Shop, alice: Customer) -> None:
        with self.at(self.BEGIN):
            sell(shop.access, alice, "T-1", "100.00")
        with self.at(self.BEGIN + timedelta(days=60)):
            bring_back(shop.access, "T-1", "R-1", "10.00")
            move(shop.access, alice, "adjusted", 5, description="Sorry")
            assert shown(shop, alice, "inactiveAt") == [self.OVER]
        with self.at(self.OVER):
            assert shown(shop, alice, "balance") == [0]

    def test_a_late_purchase_brings_nothing_back(self, shop: Shop, alice: Customer) -> None:
        """What was over was told; and its own points last from when we hear of it."""
        with self.at(self.BEGIN):
            sell(shop.access, alice, "T-1", "100.00")
        with self.at(self.OVER + timedelta(days=1)):
            receipt = sell(shop.access, alice, "T-2", "30.00", self.BEGIN + timedelta(days=30)).receipt
            assert receipt["balance"] == 30
            assert entries(alice)[-2:] == [("expired", -100, 0), ("earned", 30, 30)]
        with self.at(self.OVER + timedelta(days=85)):
            assert shown(shop, alice, "balance") == [30]
            assert findings(shop) == []

    def test_a_history_that_is_sent_late_keeps_all_of_its_points(self, shop: Shop, alice: Customer) -> None:
        with self.at(self.BEGIN):
            for number in range(3):
                sell(
                    shop.access,
                    alice,
                    f"T-{number}",
                    "10.00",
                    self.BEGIN - timedelta(days=800 - 300 * number),
                )
            assert shown(shop, alice, "balance") == [30]

    def test_a_cancelled_redemption_gets_lots_that_can_expire_again(
        self, shop: Shop, alice: Customer
    ) -> None:
        with self.at(self.BEGIN):
            sell(shop.access, alice, "T-1", "100.00")
            move(shop.access, alice, "redeemed", 40, "X-1")
        with self.at(self.OVER):
            expire_lots(merchant_id=shop.merchant.pk)
            move(shop.access, alice, "reversed", 40, "X-1")
            assert shown(shop, alice, "balance") == [40]
        with self.at(self.OVER + timedelta(days=100)):
            expire_lots(merchant_id=shop.merchant.pk)
            assert shown(shop, alice, "balance") == [0]
            assert findings(shop) == []

    def test_points_keep_their_end_when_the_policy_changes(
        self, shop: Shop, alice: Customer, bob: Customer
    ) -> None:
        with self.at(self.BEGIN):
            sell(shop.access, alice, "T-1", "100.00")
            sell(shop.access, bob, "T-2", "100.00")
        with self.at(self.BEGIN + timedelta(days=1)):
            update_program(merchant_id=shop.merchant.pk, expiry="none")
            sell(shop.access, bob, "T-3", "1.00")
        with self.at(self.OVER):
            assert shown(shop, alice, "balance") == [0]
            # Active once more, by the last rule that spoke of it.
            assert shown(shop, bob, "balance", "inactiveAt") == [101, self.OVER + timedelta(days=1)]
        with self.at(self.OVER + timedelta(days=1)):
            # What was earned since lasts.
            assert shown(shop, bob, "balance") == [1]
            expire_lots(merchant_id=shop.merchant.pk)
            assert findings(shop) == []

    def test_a_shorter_policy_takes_no_time_away(self, shop: Shop, alice: Customer) -> None:
        with self.at(self.BEGIN):
            sell(shop.access, alice, "T-1", "100.00")
        with self.at(self.BEGIN + timedelta(days=1)):
            update_program(merchant_id=shop.merchant.pk, expiry_months=1)
            sell(shop.access, alice, "T-2", "1.00")
            assert shown(shop, alice, "inactiveAt") == [self.OVER]
