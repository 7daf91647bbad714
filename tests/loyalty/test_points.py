"""POST /customers/loyalty/points"""

import uuid
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils.timezone import now

from cloudpos.tenancy.models import Store
from customers.models import Customer, Event
from customers.services import delete_customer
from loyalty.ledger.lots import LOTS_FIRST_PAGE
from loyalty.models import Enrollment, LedgerEntry, Lot, Program
from loyalty.services import create_program
from tests.fixtures import ApiClient, Shop
from tests.tills import findings, minutes, move, register, sell

pytestmark = pytest.mark.django_db


def post(
    client: ApiClient, customer: Customer, type: str, points: Any, number: str = "", **fields: Any
) -> Any:
    sent = {"customerId": str(customer.pk), "type": type, "points": points, **fields}
    return client.post("/customers/loyalty/points", {**sent, "transactionId": number} if number else sent)


def errors(response: Any) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in response.json()["errors"]]


def balance() -> int:
    return Enrollment.objects.get().balance


def test_earning(shop: Shop, program: Program, alice: Customer) -> None:
    response = post(shop.cashier, alice, "earned", 100, "X-1", description="Birthday")
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/v1/customers/{alice.pk}/loyalty/transactions"
    entry = LedgerEntry.objects.get()
    at = entry.occurred_at.isoformat().replace("+00:00", "Z")
    assert response.json()["data"] == {
        "id": str(entry.pk),
        "customerId": str(alice.pk),
        "type": "earned",
        "points": 100,
        "balanceBefore": 0,
        "balance": 100,
        "description": "Birthday",
        "transactionId": "X-1",
        "storeId": str(shop.store.pk),
        "occurredAt": at,
        "recordedAt": entry.recorded_at.isoformat().replace("+00:00", "Z"),
    }
    alice.refresh_from_db()
    assert (alice.points, alice.tier) == (100, "bronze")
    assert entry.actor_id == shop.cashier.user_id


def test_redeeming(shop: Shop, program: Program, alice: Customer) -> None:
    post(shop.cashier, alice, "earned", 100)
    response = post(shop.cashier, alice, "redeemed", 30, "X-2")
    assert response.status_code == 201
    data = response.json()["data"]
    assert (data["points"], data["balanceBefore"], data["balance"]) == (-30, 100, 70)


def test_each_change_is_told_once(shop: Shop, program: Program, alice: Customer) -> None:
    post(shop.cashier, alice, "earned", 100, "X-1")
    Event.objects.all().delete()
    post(shop.cashier, alice, "redeemed", 30, "X-2")
    post(shop.cashier, alice, "redeemed", 30, "X-2")
    post(shop.cashier, alice, "redeemed", 71, "X-3")
    (event,) = Event.objects.all()
    entry = LedgerEntry.objects.get(type="redeemed")
    assert (event.type, event.data) == (
        "points.redeemed",
        {"entryId": str(entry.pk), "points": -30, "balance": 70},
    )


def test_more_than_there_is(shop: Shop, program: Program, alice: Customer) -> None:
    post(shop.cashier, alice, "earned", 100)
    response = post(shop.cashier, alice, "redeemed", 101, "X-1")
    assert response.status_code == 409
    body = response.json()
    assert (body["code"], body["balance"], body["missing"]) == ("insufficient_points", 100, 1)
    assert balance() == 100
    # A refusal is not an effect: the number is free.
    assert post(shop.cashier, alice, "redeemed", 100, "X-1").status_code == 201
    assert balance() == 0


def test_points_whose_time_is_over_cannot_be_redeemed(shop: Shop, program: Program, alice: Customer) -> None:
    post(shop.cashier, alice, "earned", 60)
    post(shop.cashier, alice, "earned", 40)
    Lot.objects.filter(points=60).update(expires_at=now() - timedelta(seconds=1))
    response = post(shop.cashier, alice, "redeemed", 41)
    assert (response.status_code, response.json()["balance"]) == (409, 40)
    assert post(shop.cashier, alice, "redeemed", 40).status_code == 201
    # Whatever is written next posts first what is over.
    assert list(LedgerEntry.objects.order_by("version").values_list("type", "points")) == [
        ("earned", 60),
        ("earned", 40),
        ("expired", -60),
        ("redeemed", -40),
    ]
    assert Lot.objects.get(points=60).remaining == 0
    assert findings(shop) == []


def test_earliest_expiry_goes_first_then_earliest_earned(
    shop: Shop, program: Program, alice: Customer
) -> None:
    for points in (10, 20, 30, 40):
        post(shop.cashier, alice, "earned", points)
    soon, later = now() + timedelta(days=1), now() + timedelta(days=9)
    Lot.objects.filter(points=30).update(expires_at=later)
    Lot.objects.filter(points=40).update(expires_at=soon)
    post(shop.cashier, alice, "redeemed", 75)
    assert dict(Lot.objects.values_list("points", "remaining")) == {10: 5, 20: 20, 30: 0, 40: 0}
    (redeemed,) = LedgerEntry.objects.filter(type="redeemed")
    assert sum(redeemed.allocations.values_list("points", flat=True)) == 75
    assert findings(shop) == []


def test_many_lots_are_read_page_by_page(shop: Shop, program: Program, alice: Customer) -> None:
    for number in range(40):
        sell(shop.access, alice, f"T-{number}", "1", minutes(number))
    assert LOTS_FIRST_PAGE < 40
    assert post(shop.cashier, alice, "redeemed", 39).status_code == 201
    (left,) = Lot.objects.filter(remaining__gt=0).select_related("purchase")
    assert left.purchase.transaction_id == "T-39"
    assert findings(shop) == []


def test_the_same_request_again_has_the_same_answer(shop: Shop, program: Program, alice: Customer) -> None:
    first = post(shop.cashier, alice, "earned", 100, "X-1")
    post(shop.cashier, alice, "earned", 5, "X-2")
    again = post(shop.cashier, alice, "earned", 100, "X-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["data"] == first.json()["data"]
    delete_customer(access=shop.access, customer_id=alice.pk)
    assert post(shop.cashier, alice, "earned", 100, "X-1").json()["data"] == first.json()["data"]
    assert balance() == 105


def test_other_content_under_the_same_number_is_refused(
    shop: Shop, program: Program, alice: Customer, bob: Customer
) -> None:
    post(shop.cashier, alice, "earned", 100, "X-1")
    for response in (
        post(shop.cashier, alice, "earned", 101, "X-1"),
        post(shop.cashier, alice, "earned", 100, "X-1", description="Other"),
        post(shop.cashier, bob, "earned", 100, "X-1"),
    ):
        assert (response.status_code, errors(response)) == (409, [("transactionId", "transaction_conflict")])
    assert LedgerEntry.objects.count() == 1


def test_a_number_counts_per_store_and_type(shop: Shop, program: Program, alice: Customer) -> None:
    second = Store.objects.create(merchant=shop.merchant, name="Station", code="STN")
    station = ApiClient(user_id=shop.cashier.user_id, store_id=second.pk)
    assert post(shop.cashier, alice, "earned", 100, "X-1").status_code == 201
    assert post(shop.cashier, alice, "redeemed", 10, "X-1").status_code == 201
    assert post(station, alice, "earned", 1, "X-1").status_code == 201
    assert balance() == 91


def test_without_a_number_each_request_counts(shop: Shop, program: Program, alice: Customer) -> None:
    post(shop.cashier, alice, "earned", 100)
    post(shop.cashier, alice, "earned", 100)
    assert balance() == 200


def test_an_adjustment_is_a_managers(shop: Shop, program: Program, alice: Customer) -> None:
    refused = post(shop.cashier, alice, "adjusted", 10, "X-1", description="Sorry")
    assert (refused.status_code, refused.json()["code"]) == (403, "role_too_low")
    assert post(shop.manager, alice, "adjusted", 10, "X-1", description="Sorry").status_code == 201
    assert (
        post(shop.manager, alice, "adjusted", -4, "X-2", description="Mistake").json()["data"]["balance"] == 6
    )
    too_much = post(shop.manager, alice, "adjusted", -7, "X-3", description="Mistake")
    assert (too_much.status_code, too_much.json()["code"]) == (409, "insufficient_points")


@pytest.mark.parametrize("type", ["earned", "redeemed", "reversed"])
@pytest.mark.parametrize("points", [0, -1, 1_000_000_001, 2**31, "100", 1.5, True, None, 10**30, [1]])
def test_points_are_whole_numbers_from_one_to_a_billion(
    shop: Shop, program: Program, alice: Customer, points: Any, type: str
) -> None:
    response = post(shop.cashier, alice, type, points, "X-1")
    assert response.status_code == 400
    assert errors(response)[0][0] == "points"
    assert LedgerEntry.objects.count() == 0


def test_a_billion_at_once_and_more_in_all(shop: Shop, program: Program, alice: Customer) -> None:
    for _ in range(3):
        assert post(shop.cashier, alice, "earned", 1_000_000_000).status_code == 201
    assert balance() == 3_000_000_000


@pytest.mark.parametrize(
    ("changed", "field", "code"),
    [
        ({"type": "expired"}, "type", "invalid_choice"),
        ({"type": "bonus"}, "type", "invalid_choice"),
        ({"type": None}, "type", "null"),
        ({"customerId": "x"}, "customerId", "invalid"),
        ({"description": "x" * 501}, "description", "max_length"),
        ({"transactionId": "x" * 101}, "transactionId", "max_length"),
        ({"transactionId": "a\x00b"}, "transactionId", "invalid_text"),
        ({"reversesType": "earned"}, "reversesType", "not_applicable"),
        ({"balance": 7}, "balance", "unknown_field"),
        # Points moved by hand are moved now.
        ({"occurredAt": "2099-01-01T00:00:00Z"}, "occurredAt", "unknown_field"),
    ],
)
def test_what_is_wrong_is_named(
    shop: Shop, program: Program, alice: Customer, changed: dict[str, Any], field: str, code: str
) -> None:
    sent = {"customerId": str(alice.pk), "type": "earned", "points": 1, **changed}
    response = shop.cashier.post("/customers/loyalty/points", sent)
    assert (response.status_code, errors(response)) == (400, [(field, code)])


def test_nobody_and_a_foreigner_are_the_same(shop: Shop, program: Program, foreign_shop: Shop) -> None:
    mallory = register(foreign_shop, "Mallory")
    foreign = post(shop.cashier, mallory, "earned", 1)
    absent = post(shop.cashier, Customer(pk=uuid.uuid4()), "earned", 1)
    assert foreign.status_code == absent.status_code == 404
    assert {**foreign.json(), "requestId": ""} == {**absent.json(), "requestId": ""}


def test_without_a_program(shop: Shop, alice: Customer) -> None:
    response = post(shop.cashier, alice, "earned", 1)
    assert (response.status_code, response.json()["code"]) == (409, "no_program")


def test_another_merchant_s_transaction_is_not_reversed(
    shop: Shop, program: Program, alice: Customer, foreign_shop: Shop
) -> None:
    create_program(merchant_id=foreign_shop.merchant.pk)
    mallory = register(foreign_shop, "Mallory")
    assert post(foreign_shop.cashier, mallory, "earned", 50, "X-1").status_code == 201
    response = post(shop.cashier, alice, "reversed", 50, "X-1")
    assert (response.status_code, response.json()["code"]) == (404, "transaction_not_found")


def test_what_was_given_back_is_not_given_back_again(shop: Shop, program: Program, alice: Customer) -> None:
    post(shop.cashier, alice, "earned", 100)
    post(shop.cashier, alice, "redeemed", 60, "X-1")
    assert post(shop.cashier, alice, "reversed", 60, "X-1").status_code == 201
    response = post(shop.cashier, alice, "reversed", 1, "V-1", reversesTransactionId="X-1")
    assert (response.status_code, response.json()["code"], response.json()["reversible"]) == (
        409,
        "reversal_exceeds_original",
        0,
    )
    assert balance() == 100


class TestReversing:
    """`reversed` undoes what an earlier transaction of this store did."""

    def test_a_redemption_goes_back_into_its_own_lots(
        self, shop: Shop, program: Program, alice: Customer
    ) -> None:
        for points in (60, 40):
            post(shop.cashier, alice, "earned", points)
        post(shop.cashier, alice, "redeemed", 80, "X-1")
        data = post(shop.cashier, alice, "reversed", 30, "X-1").json()["data"]
        assert (data["type"], data["points"], data["balance"]) == ("reversed", 30, 50)
        # As if 50 had been redeemed: what was taken last came back first.
        assert dict(Lot.objects.values_list("points", "remaining")) == {60: 10, 40: 40}
        assert findings(shop) == []

    def test_in_parts_under_numbers_of_their_own(self, shop: Shop, program: Program, alice: Customer) -> None:
        post(shop.cashier, alice, "earned", 100)
        post(shop.cashier, alice, "redeemed", 80, "X-1")
        part = {"reversesTransactionId": "X-1"}
        assert post(shop.cashier, alice, "reversed", 50, "V-1", **part).status_code == 201
        assert post(shop.cashier, alice, "reversed", 50, "V-1", **part).status_code == 200
        refused = post(shop.cashier, alice, "reversed", 31, "V-2", **part)
        assert (refused.status_code, refused.json()["code"], refused.json()["reversible"]) == (
            409,
            "reversal_exceeds_original",
            30,
        )
        assert post(shop.cashier, alice, "reversed", 30, "V-2", **part).status_code == 201
        assert balance() == 100
        assert findings(shop) == []

    def test_an_earning_is_taken_from_the_points_it_gave(
        self, shop: Shop, program: Program, alice: Customer
    ) -> None:
        post(shop.cashier, alice, "earned", 60, "X-1")
        post(shop.cashier, alice, "earned", 40, "X-2")
        assert post(shop.cashier, alice, "reversed", 40, "X-2").json()["data"]["points"] == -40
        assert dict(Lot.objects.values_list("points", "remaining")) == {60: 60, 40: 0}
        assert findings(shop) == []

    def test_an_earning_that_is_spent_is_not_there_to_take(
        self, shop: Shop, program: Program, alice: Customer
    ) -> None:
        post(shop.cashier, alice, "earned", 60, "X-1")
        post(shop.cashier, alice, "redeemed", 50, "X-2")
        refused = post(shop.cashier, alice, "reversed", 60, "X-1")
        assert (refused.status_code, refused.json()["missing"]) == (409, 50)

    def test_what_comes_back_too_late_expires_at_once(
        self, shop: Shop, program: Program, alice: Customer
    ) -> None:
        post(shop.cashier, alice, "earned", 60)
        post(shop.cashier, alice, "redeemed", 60, "X-1")
        access = shop.access
        Lot.objects.update(expires_at=now() + timedelta(days=1))
        with time_machine.travel(now() + timedelta(days=2)):
            move(access, alice, "reversed", 60, "X-1")
        assert list(LedgerEntry.objects.order_by("version").values_list("type", "points")) == [
            ("earned", 60),
            ("redeemed", -60),
            ("reversed", 60),
            ("expired", -60),
        ]
        assert balance() == 0
        assert findings(shop) == []

    def test_a_number_that_did_two_things_needs_a_word_more(
        self, shop: Shop, program: Program, alice: Customer
    ) -> None:
        post(shop.cashier, alice, "earned", 60, "X-1")
        post(shop.cashier, alice, "redeemed", 50, "X-1")
        refused = post(shop.cashier, alice, "reversed", 10, "X-1")
        assert (refused.status_code, errors(refused)) == (409, [("reversesType", "ambiguous_reversal")])
        assert post(shop.cashier, alice, "reversed", 10, "X-1", reversesType="redeemed").status_code == 201
        assert balance() == 20

    def test_only_what_this_customer_did_here(
        self, shop: Shop, program: Program, alice: Customer, bob: Customer
    ) -> None:
        post(shop.cashier, bob, "earned", 60, "X-1")
        post(shop.cashier, alice, "earned", 60)
        for number in ("X-1", "X-9"):
            response = post(shop.cashier, alice, "reversed", 10, number)
            assert (response.status_code, response.json()["code"]) == (404, "transaction_not_found")
        unnamed = post(shop.cashier, alice, "reversed", 10)
        assert (unnamed.status_code, errors(unnamed)) == (400, [("transactionId", "required")])
