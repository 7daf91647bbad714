"""POST /purchases/batch"""

from typing import Any

import pytest
from django.db import OperationalError

from cloudpos.checkout import sales
from customers.models import Customer, Purchase
from loyalty.models import Program
from tests.fixtures import Shop
from tests.tills import books, findings, minutes

pytestmark = pytest.mark.django_db


def sale(customer: Customer, number: int, **fields: Any) -> dict[str, Any]:
    return {
        "customerId": str(customer.pk),
        "transactionId": f"T-{number}",
        "amount": "10.00",
        "occurredAt": minutes(number).isoformat(),
        **fields,
    }


def test_each_purchase_has_a_result_of_its_own(
    shop: Shop, program: Program, alice: Customer, bob: Customer
) -> None:
    shop.cashier.post("/purchases", sale(alice, 1))
    response = shop.cashier.post(
        "/purchases/batch",
        {
            "purchases": [
                sale(alice, 1),
                sale(bob, 2),
                sale(alice, 1, amount="11.00"),
                sale(alice, 3, amount="-1"),
                {**sale(alice, 4), "customerId": "3f2a9d0e-0000-4000-8000-000000000000"},
                7,
                sale(alice, 0, amount="500"),
            ]
        },
    )
    assert response.status_code == 200
    data = response.json()["data"]
    assert (data["created"], data["repeated"], data["failed"]) == (2, 1, 4)
    results = data["results"]
    assert [result["index"] for result in results] == list(range(7))
    assert [result["status"] for result in results] == [200, 201, 409, 400, 404, 400, 201]
    assert results[1]["receipt"]["pointsEarned"] == 10
    assert results[2]["error"]["code"] == "transaction_conflict"
    assert results[3]["error"] == {
        "message": "Please correct the marked fields.",
        "code": "validation_error",
        "errors": [
            {
                "field": "amount",
                "message": "Ensure this value is greater than or equal to 0.",
                "code": "min_value",
            }
        ],
    }
    assert results[4]["error"]["code"] == "customer_not_found"
    # What failed left nothing, what did not is there.
    assert sorted(Purchase.objects.values_list("transaction_id", flat=True)) == ["T-0", "T-1", "T-2"]
    assert books(alice)["points"] == {"T-1": 12, "T-0": 500}
    assert findings(shop) == []


def test_the_same_batch_again_changes_nothing(shop: Shop, program: Program, alice: Customer) -> None:
    batch = {"purchases": [sale(alice, number) for number in range(20)]}
    first = shop.cashier.post("/purchases/batch", batch).json()["data"]
    again = shop.cashier.post("/purchases/batch", batch).json()["data"]
    assert (first["created"], again["repeated"]) == (20, 20)
    assert [result["receipt"] for result in again["results"]] == [
        result["receipt"] for result in first["results"]
    ]
    assert Purchase.objects.count() == 20


def test_with_an_idempotency_key_one_that_fails_still_fails_alone(
    shop: Shop, program: Program, alice: Customer
) -> None:
    batch = {"purchases": [sale(alice, 1), sale(alice, 1, amount=9), sale(alice, 2)]}
    first = shop.cashier.post("/purchases/batch", batch, headers={"Idempotency-Key": "k"})
    assert [result["status"] for result in first.json()["data"]["results"]] == [201, 409, 201]
    again = shop.cashier.post("/purchases/batch", batch, headers={"Idempotency-Key": "k"})
    assert again.content == first.content
    assert Purchase.objects.count() == 2


class Deadlock(OperationalError):
    """As psycopg's DeadlockDetected, which Django wraps."""

    sqlstate = "40P01"


@pytest.fixture
def one_deadlock(monkeypatch: pytest.MonkeyPatch, bob: Customer) -> None:
    """The first sale to bob meets one."""
    take = sales.record_sale
    met: list[Any] = []

    def record(*, access: Any, sale: Any, at: Any) -> Any:
        if sale["customer_id"] == bob.pk and not met:
            met.append(sale)
            raise OperationalError from Deadlock()
        return take(access=access, sale=sale, at=at)

    monkeypatch.setattr(sales, "record_sale", record)


def test_with_a_key_a_deadlock_is_the_whole_request_s_and_nothing_is_stored(
    shop: Shop, program: Program, alice: Customer, bob: Customer, one_deadlock: None
) -> None:
    """An item's "try again" in a stored answer would be repeated for seven days."""
    batch = {"purchases": [sale(alice, 1), sale(bob, 2)]}
    first = shop.cashier.post("/purchases/batch", batch, headers={"Idempotency-Key": "k"})
    assert (first.status_code, first.json()["code"]) == (503, "unavailable")
    assert first.headers["Retry-After"]
    assert Purchase.objects.count() == 0
    again = shop.cashier.post("/purchases/batch", batch, headers={"Idempotency-Key": "k"})
    assert [result["status"] for result in again.json()["data"]["results"]] == [201, 201]
    assert Purchase.objects.count() == 2


def test_without_a_key_a_deadlock_is_one_item_s(
    shop: Shop, program: Program, alice: Customer, bob: Customer, one_deadlock: None
) -> None:
    batch = {"purchases": [sale(bob, 1), sale(alice, 2)]}
    first = shop.cashier.post("/purchases/batch", batch)
    assert [result["status"] for result in first.json()["data"]["results"]] == [503, 201]
    again = shop.cashier.post("/purchases/batch", batch)
    assert [result["status"] for result in again.json()["data"]["results"]] == [201, 200]


@pytest.mark.parametrize(
    ("purchases", "code"), [([], "empty"), ([{}] * 501, "max_length"), ({}, "not_a_list"), (None, "null")]
)
def test_a_batch_is_a_list_of_one_to_five_hundred(shop: Shop, purchases: Any, code: str) -> None:
    response = shop.cashier.post("/purchases/batch", {"purchases": purchases})
    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == code
