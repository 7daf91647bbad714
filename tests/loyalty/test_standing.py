"""GET /customers/{customerId}/loyalty and /customers/{customerId}/loyalty/transactions"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Customer, Event
from loyalty.models import LedgerEntry, Lot, Program
from loyalty.services import create_program
from tests.fixtures import Shop
from tests.loyalty.promoting import promote
from tests.tills import bring_back, minutes, move, register, sell

pytestmark = pytest.mark.django_db


def standing(shop: Shop, customer: Customer) -> Any:
    response = shop.cashier.get(f"/customers/{customer.pk}/loyalty")
    assert response.status_code == 200
    return response.json()["data"]


def test_before_the_first_purchase(shop: Shop, program: Program, alice: Customer) -> None:
    assert standing(shop, alice) == {
        "customerId": str(alice.pk),
        "enrolled": False,
        "balance": 0,
        "held": 0,
        "pending": 0,
        "available": 0,
        "redeemableAmount": None,
        "tier": "bronze",
        "multiplier": "1",
        "qualifyingSpend": "0.00",
        "currency": "GBP",
        "nextTier": {
            "tier": "silver",
            "name": "Silver",
            "threshold": "500.00",
            "spendToReach": "500.00",
            "pointsToReach": 500,
        },
        "tierDetails": {"code": "bronze", "name": "Bronze", "multiplier": "1", "benefits": [], "since": None},
        "why": {"code": "start", "message": "Everybody begins with Bronze", "until": None},
        "qualifying": {"metric": "spend", "amount": "0.00", "from": None, "to": None},
        "keep": None,
        "expiring": [],
        "inactiveAt": None,
    }


def test_without_a_program(shop: Shop, alice: Customer) -> None:
    found = standing(shop, alice)
    assert (found["enrolled"], found["balance"], found["tier"], found["nextTier"]) == (False, 0, None, None)


def test_after_purchases(shop: Shop, program: Program, alice: Customer) -> None:
    sell(shop.access, alice, "T-1", "1990.10", minutes(0))
    found = standing(shop, alice)
    assert (found["enrolled"], found["balance"], found["tier"], found["multiplier"]) == (
        True,
        1990,
        "silver",
        "1.25",
    )
    assert found["nextTier"] == {
        "tier": "gold",
        "name": "Gold",
        "threshold": "2000.00",
        "spendToReach": "9.90",
        "pointsToReach": 12,
    }
    sell(shop.access, alice, "T-2", "5000", minutes(1))
    assert (standing(shop, alice)["tier"], standing(shop, alice)["nextTier"]) == ("platinum", None)


def test_since_when_a_tier_is_had(shop: Shop, program: Program, alice: Customer) -> None:
    def since() -> tuple[str, str]:
        found = standing(shop, alice)["tierDetails"]
        return found["code"], found["since"]

    sell(shop.access, alice, "T-1", "10", minutes(0))
    assert since() == ("bronze", "2026-03-02T09:00:00Z")
    sell(shop.access, alice, "T-2", "600", minutes(5))
    sell(shop.access, alice, "T-3", "10", minutes(6))
    assert since() == ("silver", "2026-03-02T09:05:00Z")
    # It came back with a later purchase.
    bring_back(shop.access, "T-2", "R-2", "300", minutes(7))
    assert since()[0] == "bronze"
    sell(shop.access, alice, "T-4", "600", minutes(8))
    assert since() == ("silver", "2026-03-02T09:08:00Z")


def test_since_when_by_a_change_that_nobody_has_written_down(shop: Shop, alice: Customer) -> None:
    create_program(merchant_id=shop.merchant.pk, tier_window="rolling", tier_months=1)
    with time_machine.travel(minutes(5), tick=False):
        sell(shop.access, alice, "T-1", "600", minutes(0))
        sell(shop.access, alice, "T-2", "10", minutes(1))
    assert Event.objects.filter(type="tier.changed").values_list("data__to", flat=True).last() == "silver"
    # To the end of the day a month later, by London's clock.
    found = standing(shop, alice)["tierDetails"]
    assert (found["code"], found["since"]) == ("bronze", "2026-04-02T23:00:00Z")


def test_an_entry_names_the_promotion_that_gave_it(shop: Shop, program: Program, alice: Customer) -> None:
    promotions = [promote(shop, "Welcome", points=5), promote(shop, "Double", multiplier=Decimal(2))]
    sell(shop.access, alice, "T-1", "10", minutes(0))
    found = shop.cashier.get(f"/customers/{alice.pk}/loyalty/transactions").json()["data"]["transactions"]
    named = {(entry["points"], entry["promotionId"], entry["promotionName"]) for entry in found}
    assert named == {
        (10, None, None),
        (5, str(promotions[0].pk), "Welcome"),
        (10, str(promotions[1].pk), "Double"),
    }


def test_expiring_points_add_up_to_the_balance(shop: Shop, program: Program, alice: Customer) -> None:
    for points in (1, 2, 4, 8, 16):
        move(shop.access, alice, "earned", points)
    # Two instants of one day in London, and one that is the next day there already.
    for points, at in (
        (1, datetime(2030, 6, 1, 12, 0, tzinfo=UTC)),
        (2, datetime(2030, 6, 1, 8, 0, tzinfo=UTC)),
        (4, datetime(2030, 6, 1, 23, 30, tzinfo=UTC)),
    ):
        Lot.objects.filter(points=points).update(expires_at=at)
    move(shop.access, alice, "redeemed", 1)
    found = standing(shop, alice)
    # The 1 was redeemed from what expires first.
    assert found["expiring"] == [
        {"expiresAt": "2030-06-01T08:00:00Z", "points": 2},
        {"expiresAt": "2030-06-01T23:30:00Z", "points": 4},
        {"expiresAt": None, "points": 24},
    ]
    assert sum(row["points"] for row in found["expiring"]) == found["balance"] == 30


def test_transactions_newest_first(shop: Shop, program: Program, alice: Customer) -> None:
    sell(shop.access, alice, "T-1", "30", minutes(0))
    bring_back(shop.access, "T-1", "R-1", "10", minutes(1))
    move(shop.access, alice, "redeemed", 5, "X-1", description="Mug")
    response = shop.cashier.get(f"/customers/{alice.pk}/loyalty/transactions")
    assert response.status_code == 200
    rows = response.json()["data"]["transactions"]
    assert [(row["type"], row["points"], row["balanceBefore"], row["balance"]) for row in rows] == [
        ("redeemed", -5, 20, 15),
        ("reversed", -10, 30, 20),
        ("earned", 30, 0, 30),
    ]
    redeemed = LedgerEntry.objects.get(type="redeemed")
    at = redeemed.occurred_at.isoformat().replace("+00:00", "Z")
    assert rows[0] == {
        "id": str(redeemed.pk),
        "type": "redeemed",
        "points": -5,
        "balanceBefore": 20,
        "balance": 15,
        "description": "Mug",
        "transactionId": "X-1",
        "storeId": str(shop.store.pk),
        "purchaseId": None,
        "purchaseTransactionId": None,
        "purchaseReturnId": None,
        "reversesId": None,
        "promotionId": None,
        "promotionName": None,
        "actorId": str(shop.access.user_id),
        "occurredAt": at,
        "recordedAt": redeemed.recorded_at.isoformat().replace("+00:00", "Z"),
    }
    assert (rows[1]["purchaseTransactionId"], rows[1]["description"]) == ("T-1", "Return R-1 of purchase T-1")


def test_filters_and_pages(shop: Shop, program: Program, alice: Customer) -> None:
    for number in range(4):
        sell(shop.access, alice, f"T-{number}", "30", minutes(number * 24 * 60))
    move(shop.access, alice, "redeemed", 5)
    path = f"/customers/{alice.pk}/loyalty/transactions"

    def versions(query: str) -> list[str]:
        rows = shop.cashier.get(f"{path}?{query}").json()["data"]["transactions"]
        return [row["purchaseTransactionId"] for row in rows]

    assert versions("type=earned&limit=2") == ["T-3", "T-2"]
    assert versions("type=earned&limit=2&page=2") == ["T-1", "T-0"]
    assert versions("type=redeemed,reversed") == [None]
    assert versions("occurredFrom=2026-03-03&occurredTo=2026-03-04") == ["T-2", "T-1"]
    assert versions("sortOrder=asc&limit=1") == ["T-0"]
    assert shop.cashier.get(f"{path}?limit=2").json()["data"]["total"] == 5
    assert shop.cashier.get(f"{path}?type=gift").status_code == 400


def test_statements_are_few(shop: Shop, program: Program, alice: Customer) -> None:
    for number in range(6):
        sell(shop.access, alice, f"T-{number}", "30", minutes(number))
    for path, statements in (("loyalty", 4), ("loyalty/transactions", 3)):
        shop.cashier.get(f"/customers/{alice.pk}/{path}")
        with CaptureQueriesContext(connection) as queries:
            shop.cashier.get(f"/customers/{alice.pk}/{path}")
        assert len(queries) == statements


@pytest.mark.parametrize("path", ["loyalty", "loyalty/transactions"])
def test_a_foreign_customer_is_absent(shop: Shop, foreign_shop: Shop, path: str) -> None:
    mallory = register(foreign_shop, "Mallory")
    assert shop.cashier.get(f"/customers/{mallory.pk}/{path}").status_code == 404
