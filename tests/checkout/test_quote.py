"""POST /purchases/quote"""

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Customer, Event, Purchase
from loyalty.models import Enrollment, LedgerEntry, Program
from tests.fixtures import Shop
from tests.loyalty.promoting import promote
from tests.tills import minutes, sell

pytestmark = pytest.mark.django_db


def promise(receipt: dict[str, Any]) -> dict[str, Any]:
    """What a quote and the real thing have in common."""
    purchase = {key: value for key, value in receipt["purchase"].items() if key not in ("id", "recordedAt")}
    return {**receipt, "purchase": purchase}


@pytest.mark.parametrize("minute", [30, 0, -30], ids=["latest", "same instant", "late"])
def test_a_quote_is_what_the_purchase_then_gives(
    shop: Shop, program: Program, alice: Customer, minute: int
) -> None:
    sell(shop.access, alice, "T-1", "480", minutes(0))
    sell(shop.access, alice, "T-2", "60", minutes(10))
    sale = {
        "customerId": str(alice.pk),
        "transactionId": "T-3",
        "amount": "99.99",
        "occurredAt": minutes(minute).isoformat(),
        "items": [{"sku": "TEA", "quantity": 1, "unitPrice": "99.99"}],
    }
    quote = shop.cashier.post("/purchases/quote", sale)
    bought = shop.cashier.post("/purchases", sale)
    assert (quote.status_code, bought.status_code) == (200, 201)
    assert promise(quote.json()["data"]) == promise(bought.json()["data"])


def test_it_leaves_no_trace(shop: Shop, program: Program, alice: Customer) -> None:
    Event.objects.all().delete()
    with CaptureQueriesContext(connection) as queries:
        response = shop.cashier.post("/purchases/quote", {"email": "alice@example.org", "amount": 600})
    assert response.json()["data"]["pointsEarned"] == 600
    assert response.json()["data"]["purchase"]["transactionId"] == ""
    assert not any(
        word in query["sql"] for query in queries.captured_queries for word in ("INSERT", "UPDATE", "DELETE")
    )
    for model in (Purchase, Enrollment, LedgerEntry, Event):
        assert model.objects.count() == 0
    alice.refresh_from_db()
    assert (alice.points, alice.tier, alice.version) == (0, "", 1)


def test_it_is_checked_like_a_purchase(shop: Shop, program: Program, alice: Customer) -> None:
    refused = shop.cashier.post(
        "/purchases/quote", {"customerId": str(alice.pk), "amount": 1, "currency": "USD"}
    )
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "currency_mismatch")
    absent = shop.cashier.post("/purchases/quote", {"email": "nobody@example.org", "amount": 1})
    assert (absent.status_code, absent.json()["code"]) == (404, "customer_not_found")


def test_it_says_why_promotions_give_nothing_when_asked(
    shop: Shop, program: Program, alice: Customer
) -> None:
    given = promote(shop, "Welcome", points=5, priority=2)
    small = promote(shop, "Large baskets", min_spend=Decimal("50.00"), priority=1)
    promote(shop, "Used up", total_times=1)
    sell(shop.access, alice, "T-1", "10", minutes(0))
    sale = {"customerId": str(alice.pk), "amount": "10.00", "occurredAt": minutes(1).isoformat()}
    plain = shop.cashier.post("/purchases/quote", sale).json()["data"]
    assert "promotions" not in plain
    with CaptureQueriesContext(connection) as without:
        shop.cashier.post("/purchases/quote", sale)
    with CaptureQueriesContext(connection) as asked:
        found = shop.cashier.post("/purchases/quote?explain=all", sale).json()["data"]
    assert len(asked) == len(without)
    assert found["promotions"][:2] == [
        {
            "promotionId": str(given.pk),
            "name": "Welcome",
            "points": 5,
            "reason": None,
            "message": "Welcome: a bonus",
        },
        {
            "promotionId": str(small.pk),
            "name": "Large baskets",
            "points": 0,
            "reason": "spend_too_low",
            "message": "Large baskets: the purchase is too small",
        },
    ]
    assert [each["reason"] for each in found["promotions"]] == [None, "spend_too_low", "total_cap"]
    assert {**promise(found), "promotions": []} == {**promise(plain), "promotions": []}


@pytest.mark.parametrize("query", ["explain=some", "explain=all&explain=all", "why=all"])
def test_other_parameters_are_refused(shop: Shop, program: Program, alice: Customer, query: str) -> None:
    response = shop.cashier.post(f"/purchases/quote?{query}", {"customerId": str(alice.pk), "amount": 1})
    assert response.status_code == 400
