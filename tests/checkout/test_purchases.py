"""POST /purchases"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from cloudpos.tenancy.models import Store
from customers.models import Customer, Event, Purchase
from customers.services import delete_customer
from loyalty.models import Enrollment, LedgerEntry, Lot, Program
from tests.fixtures import ApiClient, Shop
from tests.tills import minutes, register

pytestmark = pytest.mark.django_db

AT = "2026-03-02T09:00:00Z"


def body(customer: Customer, **fields: Any) -> dict[str, Any]:
    return {
        "customerId": str(customer.pk),
        "transactionId": "T-1",
        "amount": "25.50",
        "tax": "4.25",
        "discount": "1.00",
        "paymentMethod": "card",
        "channel": "store",
        "occurredAt": AT,
        "items": [
            {
                "sku": "TEA",
                "name": "Tea",
                "category": "Drinks",
                "quantity": 2,
                "unitPrice": "8.25",
                "tax": "2.75",
            },
            {"sku": "HAM", "name": "Ham", "quantity": "0.750", "unitPrice": "13.3333"},
        ],
        **fields,
    }


def errors(response: Any) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in response.json()["errors"]]


def test_a_purchase_gives_a_receipt(shop: Shop, program: Program, alice: Customer) -> None:
    response = shop.cashier.post("/purchases", body(alice))
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/v1/customers/{alice.pk}/purchases"
    purchase = Purchase.objects.get()
    assert response.json() == {
        "success": True,
        "message": "",
        "data": {
            "purchase": {
                "id": str(purchase.pk),
                "customerId": str(alice.pk),
                "storeId": str(shop.store.pk),
                "transactionId": "T-1",
                "amount": "25.50",
                "tax": "4.25",
                "discount": "1.00",
                "currency": "GBP",
                "paymentMethod": "card",
                "channel": "store",
                "items": [
                    {
                        "line": 1,
                        "sku": "TEA",
                        "name": "Tea",
                        "category": "Drinks",
                        "quantity": "2",
                        "unitPrice": "8.25",
                        "tax": "2.75",
                    },
                    {
                        "line": 2,
                        "sku": "HAM",
                        "name": "Ham",
                        "category": "",
                        "quantity": "0.75",
                        "unitPrice": "13.3333",
                        "tax": "0.00",
                    },
                ],
                "occurredAt": AT,
                "recordedAt": purchase.recorded_at.isoformat().replace("+00:00", "Z"),
            },
            "pointsEarned": 25,
            "balance": 25,
            "pending": 0,
            "tier": "bronze",
            "nextTier": {"tier": "silver", "name": "Silver", "threshold": "500.00", "spendToReach": "474.50"},
            "explanation": [{"code": "base", "message": "25.50 GBP at 1 point per GBP", "points": 25}],
        },
    }


def test_it_is_in_the_books(shop: Shop, program: Program, alice: Customer) -> None:
    shop.cashier.post("/purchases", body(alice, amount="600"))
    alice.refresh_from_db()
    assert (alice.tier, alice.points, str(alice.total_spent), alice.visit_count) == (
        "silver",
        600,
        "600.00",
        1,
    )
    assert alice.first_visit_at == alice.last_visit_at == datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    purchase = Purchase.objects.get()
    entry = LedgerEntry.objects.get()
    assert (entry.type, entry.points, entry.version, entry.purchase_id) == ("earned", 600, 1, purchase.pk)
    assert (entry.description, entry.actor_id, entry.store_id) == (
        "Purchase T-1",
        shop.cashier.user_id,
        shop.store.pk,
    )
    lot = Lot.objects.get()
    assert (lot.points, lot.remaining, lot.earned_at, lot.expires_at) == (
        600,
        600,
        purchase.occurred_at,
        None,
    )
    assert Enrollment.objects.get().last_activity_at == purchase.occurred_at


def test_each_change_is_told_once(shop: Shop, program: Program, alice: Customer) -> None:
    Event.objects.all().delete()
    response = shop.cashier.post(
        "/purchases", body(alice, amount="600"), headers={"X-Request-ID": "till-7-request-1"}
    )
    purchase_id = response.json()["data"]["purchase"]["id"]
    events = {event.type: event for event in Event.objects.all()}
    assert Event.objects.count() == 3
    assert events["purchase.recorded"].data == {
        "purchaseId": purchase_id,
        "storeId": str(shop.store.pk),
        "amount": "600.00",
        "currency": "GBP",
        "transactionId": "T-1",
    }
    assert events["points.earned"].data == {
        "entryId": str(LedgerEntry.objects.get().pk),
        "points": 600,
        "balance": 600,
    }
    assert events["tier.changed"].data == {"from": "", "to": "silver", "reason": "reached", "until": None}
    for event in events.values():
        assert (event.customer_id, event.store_id, event.actor_id, event.request_id, event.dispatched_at) == (
            alice.pk,
            shop.store.pk,
            shop.cashier.user_id,
            "till-7-request-1",
            None,
        )
    # A repeated one, and one that is refused, tell nothing.
    shop.cashier.post("/purchases", body(alice, amount="600"))
    shop.cashier.post("/purchases", body(alice, amount="601"))
    assert Event.objects.count() == 3


def test_the_same_purchase_again_gets_the_same_receipt(shop: Shop, program: Program, alice: Customer) -> None:
    first = shop.cashier.post("/purchases", body(alice))
    shop.cashier.post("/purchases", body(alice, transactionId="T-2", amount="1000"))
    again = shop.cashier.post("/purchases", body(alice))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["data"] == first.json()["data"]
    assert Purchase.objects.count() == 2
    # Named in another way, with defaults spelled out and numbers in another form: still the same.
    reworded = body(alice, amount=25.5, currency="GBP")
    del reworded["customerId"]
    assert shop.cashier.post("/purchases", {**reworded, "email": "alice@example.org"}).status_code == 200


def test_a_repeated_receipt_reads_like_the_first_byte_for_byte(
    shop: Shop, program: Program, alice: Customer
) -> None:
    """A till that prints what it gets prints the same again: also the order of the keys."""
    body = {"customerId": str(alice.pk), "transactionId": "T-SAME", "amount": "600.00"}
    first, again = shop.cashier.post("/purchases", body), shop.cashier.post("/purchases", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert orjson.dumps(first.json()["data"]) == orjson.dumps(again.json()["data"])
    body = {"transactionId": "R-SAME", "amount": "100.00"}
    first, again = (shop.cashier.post("/purchases/T-SAME/returns", body) for _ in range(2))
    assert orjson.dumps(first.json()["data"]) == orjson.dumps(again.json()["data"])


def test_the_receipt_outlives_the_customer(shop: Shop, program: Program, alice: Customer) -> None:
    first = shop.cashier.post("/purchases", body(alice))
    delete_customer(access=shop.access, customer_id=alice.pk)
    again = shop.cashier.post("/purchases", body(alice))
    assert again.status_code == 200
    assert again.json()["data"] == first.json()["data"]


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": "25.51"},
        {"tax": "4.26"},
        {"discount": "0"},
        {"paymentMethod": "cash"},
        {"channel": "web"},
        {"occurredAt": "2026-03-02T09:00:01Z"},
        {"items": []},
    ],
)
def test_other_content_under_the_same_number_is_refused(
    shop: Shop, program: Program, alice: Customer, changed: dict[str, Any]
) -> None:
    shop.cashier.post("/purchases", body(alice))
    response = shop.cashier.post("/purchases", body(alice, **changed))
    assert response.status_code == 409
    assert response.json()["code"] == "transaction_conflict"
    assert errors(response) == [("transactionId", "transaction_conflict")]
    assert Purchase.objects.count() == 1


def test_another_customer_under_the_same_number_is_refused(
    shop: Shop, program: Program, alice: Customer, bob: Customer
) -> None:
    shop.cashier.post("/purchases", body(alice))
    assert shop.cashier.post("/purchases", body(bob)).status_code == 409


def test_each_store_counts_for_itself(shop: Shop, program: Program, alice: Customer) -> None:
    second = Store.objects.create(merchant=shop.merchant, name="Station", code="STN")
    station = ApiClient(user_id=shop.cashier.user_id, store_id=second.pk)
    assert shop.cashier.post("/purchases", body(alice)).status_code == 201
    assert station.post("/purchases", body(alice, amount="1")).status_code == 201
    alice.refresh_from_db()
    assert str(alice.total_spent) == "26.50"


@pytest.mark.parametrize("name", ["customerNumber", "phone", "email"])
def test_a_customer_is_named_in_any_way(shop: Shop, program: Program, alice: Customer, name: str) -> None:
    value = {"customerNumber": alice.customer_number, "phone": "07400 123456", "email": "ALICE@example.org"}[
        name
    ]
    sale = body(alice)
    del sale["customerId"]
    response = shop.cashier.post("/purchases", {**sale, name: value})
    assert response.status_code == 201
    assert response.json()["data"]["purchase"]["customerId"] == str(alice.pk)


def test_a_customer_is_named_exactly_once(shop: Shop, program: Program, alice: Customer) -> None:
    sale = body(alice)
    response = shop.cashier.post("/purchases", {**sale, "email": "alice@example.org"})
    assert (response.status_code, errors(response)) == (400, [("customerId", "ambiguous_customer")])
    del sale["customerId"]
    response = shop.cashier.post("/purchases", sale)
    assert (response.status_code, errors(response)) == (400, [("customerId", "required")])


def test_nobody_and_a_foreigner_are_the_same(
    shop: Shop, program: Program, foreign_shop: Shop, alice: Customer
) -> None:
    mallory = register(foreign_shop, "Mallory")
    foreign = shop.cashier.post("/purchases", body(mallory))
    absent = shop.cashier.post("/purchases", {**body(alice), "customerId": str(uuid.uuid4())})
    assert foreign.status_code == absent.status_code == 404
    assert {**foreign.json(), "requestId": ""} == {**absent.json(), "requestId": ""}
    assert Purchase.objects.count() == 0


def test_without_a_program_the_sale_is_recorded(shop: Shop, alice: Customer) -> None:
    response = shop.cashier.post("/purchases", body(alice))
    assert response.status_code == 201
    receipt = response.json()["data"]
    assert (receipt["pointsEarned"], receipt["balance"], receipt["tier"], receipt["nextTier"]) == (
        0,
        0,
        None,
        None,
    )
    assert receipt["explanation"] == [
        {"code": "no_program", "message": "This merchant has no active loyalty program", "points": 0}
    ]
    alice.refresh_from_db()
    assert str(alice.total_spent) == "25.50"


def test_a_late_purchase_corrects_those_after_it(shop: Shop, program: Program, alice: Customer) -> None:
    shop.cashier.post(
        "/purchases", body(alice, transactionId="T-2", amount="100", occurredAt="2026-03-03T09:00:00Z")
    )
    receipt = shop.cashier.post("/purchases", body(alice, amount="500")).json()["data"]
    assert (receipt["pointsEarned"], receipt["balance"], receipt["tier"]) == (500, 625, "silver")
    assert receipt["explanation"] == [
        {"code": "base", "message": "500.00 GBP at 1 point per GBP", "points": 500},
        {
            "code": "corrected",
            "message": "Arrived late: 1 other purchase corrected, beside the points above",
            "points": 25,
        },
    ]
    correction = LedgerEntry.objects.get(type="adjusted")
    assert correction.points == 25
    assert correction.description == "Late purchase T-1 of 2026-03-02 09:00: purchase T-2 now earns 125"


def test_it_takes_three_statements(shop: Shop, program: Program, alice: Customer) -> None:
    shop.cashier.post("/purchases", body(alice))
    with CaptureQueriesContext(connection) as queries:
        shop.cashier.post("/purchases", body(alice, transactionId="T-2", occurredAt="2026-03-02T10:00:00Z"))
    statements = [query["sql"] for query in queries.captured_queries if "SAVEPOINT" not in query["sql"]]
    # The lock, the account, and all that is written. The authentication is in it: a warm access cache asks nothing.
    assert len(statements) == 3


def test_a_late_one_takes_twelve_at_most(shop: Shop, program: Program, alice: Customer) -> None:
    for number in range(3):
        shop.cashier.post(
            "/purchases", body(alice, transactionId=f"T-{number}", occurredAt=minutes(number).isoformat())
        )
    with CaptureQueriesContext(connection) as queries:
        shop.cashier.post(
            "/purchases", body(alice, transactionId="T-9", occurredAt=minutes(-5).isoformat(), amount=900)
        )
    statements = [query["sql"] for query in queries.captured_queries if "SAVEPOINT" not in query["sql"]]
    assert len(statements) <= 12


def test_now_is_when_it_happened_unless_said(shop: Shop, program: Program, alice: Customer) -> None:
    sale = body(alice)
    del sale["occurredAt"]
    before = now()
    first = shop.cashier.post("/purchases", sale)
    assert before <= Purchase.objects.get().occurred_at <= now()
    # And the same request later is still the same sale.
    assert shop.cashier.post("/purchases", sale).json()["data"] == first.json()["data"]


def test_the_future_is_refused_beyond_the_clocks_skew(shop: Shop, program: Program, alice: Customer) -> None:
    near, far = now() + timedelta(minutes=4), now() + timedelta(minutes=6)
    response = shop.cashier.post("/purchases", body(alice, occurredAt=far.isoformat()))
    assert (response.status_code, errors(response)) == (400, [("occurredAt", "in_the_future")])
    assert shop.cashier.post("/purchases", body(alice, occurredAt=near.isoformat())).status_code == 201


@pytest.mark.parametrize(
    ("changed", "field", "code"),
    [
        ({"currency": "USD"}, "currency", "currency_mismatch"),
        ({"amount": "-1"}, "amount", "min_value"),
        ({"amount": "1.005"}, "amount", "places"),
        ({"amount": True}, "amount", "invalid"),
        ({"amount": "NaN"}, "amount", "invalid"),
        ({"amount": "99999999999"}, "amount", "too_large"),
        ({"amount": None}, "amount", "null"),
        ({"transactionId": ""}, "transactionId", "blank"),
        ({"transactionId": "x" * 101}, "transactionId", "max_length"),
        ({"transactionId": 7}, "transactionId", "invalid"),
        ({"occurredAt": "2026-03-02"}, "occurredAt", "invalid"),
        ({"occurredAt": "2026-03-02T09:00:00"}, "occurredAt", "invalid"),
        ({"items": {}}, "items", "not_a_list"),
        ({"items": [{"quantity": 1, "unitPrice": 1}] * 501}, "items", "max_length"),
        ({"items": [{"quantity": 0, "unitPrice": 1}]}, "items.0.quantity", "min_value"),
        ({"items": [{"quantity": 1}]}, "items.0.unitPrice", "required"),
        ({"items": [{"quantity": 1, "unitPrice": 1, "price": 1}]}, "items.0.price", "unknown_field"),
        ({"customerId": "7"}, "customerId", "invalid"),
        ({"points": 10}, "points", "unknown_field"),
        ({"storeId": "x"}, "storeId", "unknown_field"),
    ],
)
def test_what_is_wrong_is_named(
    shop: Shop, program: Program, alice: Customer, changed: dict[str, Any], field: str, code: str
) -> None:
    response = shop.cashier.post("/purchases", body(alice, **changed))
    assert response.status_code == 400
    assert (field, code) in errors(response)
    assert Purchase.objects.count() == 0


def test_five_hundred_items(shop: Shop, program: Program, alice: Customer) -> None:
    items = [{"sku": f"S{number}", "quantity": 1, "unitPrice": "0.05"} for number in range(500)]
    response = shop.cashier.post("/purchases", body(alice, items=items))
    assert response.status_code == 201
    assert [item["line"] for item in response.json()["data"]["purchase"]["items"]] == list(range(1, 501))


def test_nothing_paid_earns_nothing(shop: Shop, program: Program, alice: Customer) -> None:
    receipt = shop.cashier.post("/purchases", body(alice, amount="0")).json()["data"]
    assert (receipt["pointsEarned"], receipt["balance"], receipt["tier"]) == (0, 0, "bronze")
    assert LedgerEntry.objects.count() == 0


def test_an_idempotency_key_and_the_transaction_go_together(
    shop: Shop, program: Program, alice: Customer
) -> None:
    first = shop.cashier.post("/purchases", body(alice), headers={"Idempotency-Key": "k1"})
    replayed = shop.cashier.post("/purchases", body(alice), headers={"Idempotency-Key": "k1"})
    assert (first.status_code, replayed.status_code) == (201, 201)
    assert replayed.content == first.content
    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert shop.cashier.post("/purchases", body(alice), headers={"Idempotency-Key": "k2"}).status_code == 200


def test_a_very_large_sale_is_capped_at_what_an_entry_holds(
    shop: Shop, program: Program, alice: Customer
) -> None:
    receipt = shop.cashier.post("/purchases", body(alice, amount="9999999999.99")).json()["data"]
    assert receipt["pointsEarned"] == 1_000_000_000
    assert Enrollment.objects.get().balance == 1_000_000_000
