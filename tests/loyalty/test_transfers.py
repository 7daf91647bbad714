"""Points follow a customer into another one, and back: `transfer_for_merge` and `undo_transfer`."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils.timezone import now

from customers.models import Customer, Purchase, PurchaseReturn
from customers.purchases import standing_on_record
from customers.services import lock_customers, write_standing
from loyalty.models import Enrollment, LedgerEntry, Lot, Program
from loyalty.services import settle, transfer_for_merge, undo_transfer, update_program
from loyalty.services.transfers import Transfer
from tests.fixtures import Shop
from tests.tills import books, bring_back, findings, minutes, move, sell

pytestmark = pytest.mark.django_db


def hand_over(
    giver: Customer, taker: Customer, purchases: list[str] | None = None
) -> tuple[Customer, Customer]:
    """What a merge does besides: move the purchases, and recount both."""
    both = lock_customers(merchant_id=giver.merchant_id, customer_ids=[giver.pk, taker.pk])
    for model, field in ((Purchase, "transaction_id"), (PurchaseReturn, "purchase__transaction_id")):
        rows = model.objects.filter(customer_id=giver.pk)
        if purchases is not None:
            rows = rows.filter(**{f"{field}__in": purchases})
        rows.update(customer_id=taker.pk)
    for customer in both:
        write_standing(
            customer, **standing_on_record(merchant_id=customer.merchant_id, customer_id=customer.pk)
        )
    return both[0], both[1]


def merge(source: Customer, target: Customer) -> Transfer | None:
    with transaction.atomic():
        source, target = lock_customers(merchant_id=source.merchant_id, customer_ids=[source.pk, target.pk])
        transfer = transfer_for_merge(source=source, target=target, at=now())
        source, target = hand_over(source, target)
        for customer in (source, target):
            settle(customer=customer, cause="Merged")
    return transfer


def unmerge(source: Customer, target: Customer, transfer: Transfer, purchases: list[str]) -> Transfer | None:
    with transaction.atomic():
        target, source = hand_over(target, source, purchases)
        undone = undo_transfer(
            source=source, target=target, target_entry_ids=transfer.target_entry_ids, at=now()
        )
        for customer in (source, target):
            settle(customer=customer, cause="Merge undone")
    return undone


@pytest.fixture
def lives(shop: Shop, program: Program, alice: Customer, bob: Customer) -> None:
    """Alice has 450 points of two purchases, Bob 100 of one; together they reach silver."""
    sell(shop.access, alice, "A-1", "300", minutes(0))
    sell(shop.access, alice, "A-2", "150", minutes(20))
    sell(shop.access, bob, "B-1", "100", minutes(10))
    move(shop.access, alice, "redeemed", 30, "X-1")


def test_lots_move_with_their_times(shop: Shop, lives: None, alice: Customer, bob: Customer) -> None:
    expires_at = now() + timedelta(days=30)
    Lot.objects.filter(purchase__transaction_id="A-1").update(expires_at=expires_at)
    before = {
        lot.purchase.transaction_id: (lot.remaining, lot.earned_at, lot.expires_at)
        for lot in Lot.objects.filter(remaining__gt=0).select_related("purchase")
    }
    transfer = merge(alice, bob)
    assert transfer is not None and transfer.points == 420
    after = {
        lot.purchase.transaction_id: (lot.remaining, lot.earned_at, lot.expires_at)
        for lot in Lot.objects.filter(remaining__gt=0, enrollment__customer_id=bob.pk).select_related(
            "purchase"
        )
    }
    assert after == before
    assert after["A-1"] == (270, minutes(0), expires_at)
    assert (books(alice)["balance"], books(bob)["balance"]) == (0, 520)
    assert findings(shop) == []


def test_together_they_reach_a_tier(shop: Shop, lives: None, alice: Customer, bob: Customer) -> None:
    sell(shop.access, bob, "B-2", "100", minutes(30))
    merge(alice, bob)
    found = books(bob)
    # At minute 30 the 550 before it make silver.
    assert found["points"] == {"A-1": 300, "B-1": 100, "A-2": 150, "B-2": 125}
    assert (found["balance"], found["tier"]) == (645, ("silver", "silver"))
    assert books(alice)["tier"] == ("bronze", "bronze")
    assert findings(shop) == []


def test_a_merge_can_be_taken_apart(shop: Shop, lives: None, alice: Customer, bob: Customer) -> None:
    sell(shop.access, bob, "B-2", "100", minutes(30))
    before = (books(alice), books(bob))
    transfer = merge(alice, bob)
    assert transfer is not None
    unmerge(alice, bob, transfer, ["A-1", "A-2"])
    assert (books(alice), books(bob)) == before
    assert findings(shop) == []


def test_points_spent_meanwhile_stay_spent(shop: Shop, lives: None, alice: Customer, bob: Customer) -> None:
    transfer = merge(alice, bob)
    assert transfer is not None
    move(shop.access, bob, "redeemed", 400)
    undone = unmerge(alice, bob, transfer, ["A-1", "A-2"])
    # The earliest went first: 270 of A-1, 100 of B-1, 30 of A-2.
    assert undone is not None and undone.points == 120
    assert (books(alice)["balance"], books(bob)["balance"]) == (120, 0)
    assert findings(shop) == []


def test_someone_new_to_the_program_receives(
    shop: Shop, program: Program, alice: Customer, bob: Customer
) -> None:
    move(shop.access, alice, "earned", 70)
    transfer = merge(alice, bob)
    assert transfer is not None and transfer.points == 70
    assert (books(alice)["balance"], books(bob)["balance"]) == (0, 70)
    assert merge(alice, bob) is None
    assert findings(shop) == []


def test_a_redemption_of_before_the_merge_can_be_reversed(
    shop: Shop, lives: None, alice: Customer, bob: Customer
) -> None:
    merge(alice, bob)
    Customer.objects.filter(pk=alice.pk).update(deleted_at=now(), merged_into_id=bob.pk)
    answer = move(shop.access, alice, "reversed", 30, "X-1")
    assert (answer.transaction["customerId"], answer.transaction["balance"]) == (bob.pk, 550)
    lot = Lot.objects.get(entry_id=answer.transaction["id"])
    assert (lot.purchase.transaction_id, lot.earned_at, lot.remaining) == ("A-1", minutes(0), 30)
    assert LedgerEntry.objects.get(pk=answer.transaction["id"]).reverses.enrollment.customer_id == alice.pk
    assert findings(shop) == []


def test_without_a_program_nothing_moves(shop: Shop, alice: Customer, bob: Customer) -> None:
    assert merge(alice, bob) is None


class TestDebtAndPolicies:
    """What is owed comes along, and goes back; lots keep from when on they can be spent and how they end."""

    @pytest.fixture
    def owing(self, shop: Shop, program: Program, alice: Customer, bob: Customer) -> None:
        """Alice owes 70, by a policy of before."""
        update_program(merchant_id=shop.merchant.pk, shortfall="unlimited")
        sell(shop.access, alice, "A-1", "100")
        move(shop.access, alice, "redeemed", 70)
        bring_back(shop.access, "A-1", "R-1")
        update_program(merchant_id=shop.merchant.pk, shortfall="within_balance")
        assert books(alice)["balance"] == -70

    def test_a_debt_is_paid_by_the_other_account(
        self, shop: Shop, owing: None, alice: Customer, bob: Customer
    ) -> None:
        sell(shop.access, bob, "B-1", "100")
        transfer = merge(alice, bob)
        assert transfer is not None and transfer.points == -70
        assert (books(alice)["balance"], books(bob)["balance"]) == (0, 30)
        assert findings(shop) == []
        # Paid is paid.
        assert unmerge(alice, bob, transfer, ["A-1"]) is None
        assert (books(alice)["balance"], books(bob)["balance"]) == (0, 30)
        assert findings(shop) == []

    def test_what_the_other_cannot_pay_is_owed_by_them_and_goes_back(
        self, shop: Shop, owing: None, alice: Customer, bob: Customer
    ) -> None:
        sell(shop.access, bob, "B-1", "30")
        transfer = merge(alice, bob)
        assert transfer is not None
        assert (books(alice)["balance"], books(bob)["balance"]) == (0, -40)
        assert findings(shop) == []
        undone = unmerge(alice, bob, transfer, ["A-1"])
        assert undone is not None and undone.points == -40
        assert (books(alice)["balance"], books(bob)["balance"]) == (-40, 0)
        assert findings(shop) == []

    def test_points_that_come_along_fill_a_debt_first(
        self, shop: Shop, owing: None, alice: Customer, bob: Customer
    ) -> None:
        sell(shop.access, bob, "B-1", "100")
        merge(bob, alice)
        assert (books(alice)["balance"], books(bob)["balance"]) == (30, 0)
        assert sum(Lot.objects.values_list("remaining", flat=True)) == 30
        assert findings(shop) == []

    def test_lots_keep_when_they_can_be_spent_and_how_they_end(
        self, shop: Shop, program: Program, alice: Customer, bob: Customer
    ) -> None:
        update_program(
            merchant_id=shop.merchant.pk, pending_days=14, expiry="after_inactivity", expiry_months=6
        )
        sell(shop.access, alice, "A-1", "100")
        ends = Enrollment.objects.get(customer_id=alice.pk).inactive_at
        before = Lot.objects.values_list("available_at", "while_active", "earned_at").get()
        merge(alice, bob)
        lots = Lot.objects.filter(enrollment__customer_id=bob.pk)
        assert lots.values_list("available_at", "while_active", "earned_at").get() == before
        assert before[0] is not None and before[1] is True
        assert Enrollment.objects.get(customer_id=bob.pk).inactive_at == ends
        assert findings(shop) == []
