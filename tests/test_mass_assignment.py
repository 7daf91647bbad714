"""What the service computes cannot be written by saying it, and what is another merchant's cannot be claimed."""

import uuid
from typing import Any

import pytest

from customers.models import Customer
from loyalty.models import Enrollment, LedgerEntry
from tests.fixtures import Shop
from tests.routes import CASES, World, absent_world, send

pytestmark = pytest.mark.django_db

INTRUDER = str(uuid.uuid4())
# Outside names, inside names and columns; each with a value that would show.
CLAIMED: dict[str, Any] = {
    "id": INTRUDER,
    "pk": INTRUDER,
    "merchant": INTRUDER,
    "merchantId": INTRUDER,
    "merchant_id": INTRUDER,
    "customer": INTRUDER,
    "customer_id": INTRUDER,
    "storeId": INTRUDER,
    "store_id": INTRUDER,
    "balance": 987_654,
    "pointsBalance": 987_654,
    "tier": "platinum",
    "totalSpent": "987654.00",
    "total_spent": "987654.00",
    "visitCount": 987_654,
    "averageOrderValue": "987654.00",
    "segment": "vip",
    "version": 987_654,
    "createdAt": "2001-01-01T00:00:00Z",
    "created_at": "2001-01-01T00:00:00Z",
    "updatedAt": "2001-01-01T00:00:00Z",
    "recordedAt": "2001-01-01T00:00:00Z",
    "firstVisitAt": "2001-01-01T00:00:00Z",
    "lastVisitAt": "2001-01-01T00:00:00Z",
    "deletedAt": "2001-01-01T00:00:00Z",
    "erasedAt": "2001-01-01T00:00:00Z",
    "mergedInto": INTRUDER,
    "merged_into_id": INTRUDER,
    "actorId": INTRUDER,
    "contentHash": "987654",
    "receipt": {"pointsEarned": 987_654},
    "pointsEarned": 987_654,
    "role": "owner",
    "isStaff": True,
    "is_superuser": True,
    "secret": "987654",
    "secretEncrypted": "987654",
    "state": "delivered",
    "search": "987654",
    "sort_name": "987654",
    "emailKey": "987654@example.com",
    "__class__": "Customer",
    "__proto__": {"isAdmin": True},
    "constructor": {"prototype": {}},
}
WRITES = sorted(key for key in CASES if key.startswith(("POST", "PUT", "PATCH")) and "/auth/" not in key)
SHOWN = ("987654", "2001-01-01", INTRUDER)


@pytest.fixture
def shop(kept_world: tuple[Shop, World]) -> Shop:
    return kept_world[0]


@pytest.fixture
def world(kept_world: tuple[Shop, World]) -> World:
    return kept_world[1]


def standing() -> list[Any]:
    return [
        list(
            Customer.objects.order_by("pk").values_list(
                "pk",
                "merchant_id",
                "points",
                "tier",
                "total_spent",
                "visit_count",
                "segment",
                "merged_into_id",
            )
        ),
        list(Enrollment.objects.order_by("pk").values_list("pk", "customer_id", "balance", "tier")),
        list(LedgerEntry.objects.order_by("pk").values_list("pk", "points", "balance_after")),
    ]


@pytest.mark.parametrize("key", WRITES)
def test_a_claim_is_refused_or_without_effect(shop: Shop, world: World, key: str) -> None:
    """Sent alone, so that one refusal hides no other: 400 that names it, or an answer that ignores it."""
    before = standing()
    # With ids that nobody has a valid body gets to a 404 at the latest: only the claim is under test.
    absent = absent_world()
    body = CASES[key].body(absent)
    for name, value in CLAIMED.items():
        if name in body:
            continue
        response = send(shop.owner, key, absent, body={**body, name: value})
        assert response.status_code < 500, (name, response.content)
        if response.status_code == 400:
            errors = response.json()["errors"]
            assert any(name in str(error["field"]) for error in errors) or "customerId" in body, name
    accepted = [row for row in standing()[0] if row not in before[0]]
    assert all(row[2:7] == (0, "", 0, 0, "new") for row in accepted), accepted
    assert [standing()[1], standing()[2]] == before[1:]


@pytest.mark.parametrize("key", ["POST /api/v1/customers", "PATCH /api/v1/customers/<uuid:customer_id>"])
def test_what_was_read_may_be_sent_back_and_changes_nothing(shop: Shop, world: World, key: str) -> None:
    ignored = {
        name: CLAIMED[name]
        for name in (
            "id", "tier", "totalSpent", "visitCount", "averageOrderValue", "segment", "version", "createdAt",
            "updatedAt", "firstVisitAt", "lastVisitAt",
        )
    }  # fmt: skip
    body = {"firstName": "Carol", **ignored, "points": 987_654, "customerNumber": "9876540000"}

    response = send(shop.owner, key, world, body=body)

    assert response.status_code in (200, 201), response.content
    text = response.content.decode()
    assert [word for word in SHOWN if word in text] == []
    assert response.json()["data"]["firstName"] == "Carol"
    assert Customer.objects.exclude(merchant=shop.merchant).count() == 0


def test_a_cashier_cannot_raise_a_balance_by_an_adjustment(shop: Shop, world: World) -> None:
    response = shop.cashier.post(
        "/customers/loyalty/points",
        {
            "customerId": str(world.customer),
            "type": "adjusted",
            "points": 5,
            "description": "Mine",
            "transactionId": "A-1",
        },
    )
    assert response.status_code == 403
