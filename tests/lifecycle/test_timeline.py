"""GET /customers/{id}/timeline."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from customers.models import Customer
from loyalty.services import post_points
from tests.fixtures import Shop
from tests.lifecycle.conftest import MONDAY, Person, Sell
from tests.lifecycle.test_merge import merge, say

pytestmark = pytest.mark.django_db


def read(shop: Shop, customer: Customer, **parameters: Any) -> dict[str, Any]:
    response = shop.cashier.get(f"/customers/{customer.pk}/timeline", parameters)
    assert response.status_code == 200, response.content
    data: dict[str, Any] = response.json()["data"]
    return data


def test_one_list_newest_first(shop: Shop, program: Any, person: Person, sell: Sell, take_back: Sell) -> None:
    alice = person("Alice")
    sold = sell(alice, "10.00", "T-1", items=[{"name": "Lamp", "quantity": 1, "unitPrice": "10.00"}])
    take_back(
        "T-1", "R-1", amount="4.00", reason="Scratched", occurredAt=(MONDAY + timedelta(hours=1)).isoformat()
    )
    say(shop, alice, "granted", days_ago=0)
    post_points(access=shop.access, customer_id=alice.pk, type="earned", points=7, description="Sorry")

    moments = read(shop, alice)["timeline"]

    times = [moment["occurredAt"] for moment in moments]
    assert times == sorted(times, reverse=True)
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for moment in moments:
        by_kind.setdefault(moment["kind"], []).append(moment)
    assert by_kind["purchase"] == [
        {
            "id": sold["purchase"]["id"],
            "kind": "purchase",
            "occurredAt": "2026-06-01T09:00:00Z",
            "storeId": str(shop.store.pk),
            "facts": {
                "transactionId": "T-1", "amount": "10.00", "currency": "GBP", "channel": "store", "items": 1
            },
        }
    ]  # fmt: skip
    (returned,) = by_kind["return"]
    assert returned["facts"] == {
        "transactionId": "R-1", "amount": "4.00", "reason": "Scratched", "purchaseId": sold["purchase"]["id"]
    }  # fmt: skip
    assert [(m["facts"]["type"], m["facts"]["points"], m["facts"]["balance"]) for m in by_kind["points"]] == [
        ("earned", 7, 13),
        ("reversed", -4, 6),
        ("earned", 10, 10),
    ]
    (said,) = by_kind["consent"]
    assert said["facts"] == {
        "channel": "email", "purpose": "marketing", "state": "granted", "source": "till", "wordingVersion": None
    }  # fmt: skip
    # What has a row of its own is not told twice.
    assert {m["facts"]["type"] for m in by_kind["event"]} == {"customer.created", "tier.changed"}


def test_walking_by_cursor_sees_everything_once(shop: Shop, program: Any, person: Person, sell: Sell) -> None:
    alice = person("Alice")
    for number in range(9):
        # Several at one instant: the id decides.
        sell(alice, "1.00", f"T-{number}", occurredAt=(MONDAY + timedelta(hours=number // 3)).isoformat())
    whole = read(shop, alice, limit=100)["timeline"]

    walked: list[Any] = []
    page = read(shop, alice, limit=4)
    walked += page["timeline"]
    while page["nextCursor"]:
        page = read(shop, alice, limit=4, cursor=page["nextCursor"])
        walked += page["timeline"]

    assert len(whole) >= 19
    assert walked == whole


def test_only_some_kinds(shop: Shop, program: Any, person: Person, sell: Sell) -> None:
    alice = person("Alice")
    sell(alice, "10.00", "T-1")
    assert {moment["kind"] for moment in read(shop, alice, kinds="points,purchase")["timeline"]} == {
        "points",
        "purchase",
    }
    assert [moment["kind"] for moment in read(shop, alice, kinds="merge")["timeline"]] == []


def test_a_merge_is_told_and_brings_the_other_story(
    shop: Shop, program: Any, person: Person, sell: Sell
) -> None:
    alice, double = person("Alice"), person("Alice")
    sell(double, "10.00", "T-1")
    report = merge(shop, alice, double)

    timeline = read(shop, double)["timeline"]

    assert timeline == read(shop, alice)["timeline"]
    (merged,) = [moment["facts"] for moment in timeline if moment["kind"] == "merge"]
    assert merged == {
        "mergeId": report["mergeId"],
        "sourceId": str(double.pk),
        "sourceNumber": double.customer_number,
        "undoneAt": None,
    }
    points = [moment["facts"]["points"] for moment in timeline if moment["kind"] == "points"]
    assert sorted(points) == [-10, 10, 10]
    assert [moment["facts"]["transactionId"] for moment in timeline if moment["kind"] == "purchase"] == [
        "T-1"
    ]


def test_a_bounded_number_of_queries(
    shop: Shop, program: Any, person: Person, sell: Sell, django_assert_num_queries: Any
) -> None:
    alice = person("Alice")
    for number in range(6):
        sell(alice, "1.00", f"T-{number}")
    read(shop, alice)
    # Who it is, which records are theirs, and the list.
    with django_assert_num_queries(3):
        read(shop, alice, limit=100)


def test_absent_and_foreign_are_the_same(shop: Shop, foreign_shop: Shop, person: Person) -> None:
    foreign = person("Mallory", at=foreign_shop)
    bodies = []
    for customer_id in (uuid.uuid4(), foreign.pk):
        response = shop.cashier.get(f"/customers/{customer_id}/timeline")
        assert response.status_code == 404
        bodies.append({**response.json(), "requestId": ""})
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("kinds=secrets", "kinds"),
        ("cursor=abc", "cursor"),
        ("page=2", "page"),
        (f"before={now():%Y}", "before"),
    ],
)
def test_bad_parameters(shop: Shop, person: Person, query: str, field: str) -> None:
    response = shop.cashier.get(f"/customers/{person('Alice').pk}/timeline?{query}")
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == field
