"""GET /customers/{customerId}/purchases"""

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cloudpos.tenancy.models import Store
from customers.models import Customer
from loyalty.models import Program
from tests.fixtures import ApiClient, Shop
from tests.tills import bring_back, minutes, register, sell

pytestmark = pytest.mark.django_db


def numbers(response: Any) -> list[str]:
    return [purchase["transactionId"] for purchase in response.json()["data"]["purchases"]]


def test_purchases_with_items_and_returns(shop: Shop, program: Program, alice: Customer) -> None:
    items = [{"sku": "TEA", "name": "Tea", "quantity": Decimal(2), "unit_price": Decimal("5")}]
    receipt = sell(shop.access, alice, "T-1", "10", minutes(0), items=items).receipt
    back = bring_back(
        shop.access, "T-1", "R-1", None, minutes(5), items=[{"line": 1, "quantity": Decimal(1)}]
    ).receipt
    response = shop.cashier.get(f"/customers/{alice.pk}/purchases")
    assert response.status_code == 200
    data = response.json()["data"]
    assert {key: value for key, value in data.items() if key != "purchases"} == {
        "total": 1,
        "page": 1,
        "limit": 20,
        "totalPages": 1,
        "totalIsExact": True,
        "nextCursor": None,
    }
    (purchase,) = data["purchases"]
    (returned,) = purchase.pop("returns")
    assert purchase == _as_json(receipt["purchase"])
    assert returned == _as_json(back["return"])


def _as_json(part: dict[str, Any]) -> Any:
    import orjson

    from cloudpos.api.encoding import encode

    return orjson.loads(encode(part))


def test_newest_first_in_pages(shop: Shop, program: Program, alice: Customer, bob: Customer) -> None:
    for number in range(5):
        sell(shop.access, alice, f"T-{number}", "1", minutes(number))
    sell(shop.access, bob, "B", "1", minutes(0))
    path = f"/customers/{alice.pk}/purchases"
    assert numbers(shop.cashier.get(path)) == ["T-4", "T-3", "T-2", "T-1", "T-0"]
    second = shop.cashier.get(f"{path}?limit=2&page=2")
    assert (numbers(second), second.json()["data"]["total"]) == (["T-2", "T-1"], 5)
    assert numbers(shop.cashier.get(f"{path}?sortOrder=asc&limit=1")) == ["T-0"]
    cursor = shop.cashier.get(f"{path}?limit=3").json()["data"]["nextCursor"]
    assert numbers(shop.cashier.get(f"{path}?limit=3&cursor={cursor}")) == ["T-1", "T-0"]


def test_by_time_and_store(shop: Shop, program: Program, alice: Customer) -> None:
    second = Store.objects.create(merchant=shop.merchant, name="Station", code="STN")
    station = ApiClient(user_id=shop.cashier.user_id, store_id=second.pk)
    sell(shop.access, alice, "T-1", "1", minutes(0))
    sell(station.access, alice, "T-2", "1", minutes(24 * 60))
    path = f"/customers/{alice.pk}/purchases"
    assert numbers(shop.cashier.get(f"{path}?occurredTo=2026-03-02")) == ["T-1"]
    assert numbers(shop.cashier.get(f"{path}?occurredFrom=2026-03-03")) == ["T-2"]
    assert numbers(shop.cashier.get(f"{path}?storeId={second.pk}")) == ["T-2"]
    refused = shop.cashier.get(f"{path}?store=x&limit=0")
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["store", "limit"]


def test_the_number_of_statements_does_not_grow(shop: Shop, program: Program, alice: Customer) -> None:
    for number in range(12):
        items = [{"quantity": Decimal(1), "unit_price": Decimal(1)}] * 3
        sell(shop.access, alice, f"T-{number}", "3", minutes(number), items=items)
        bring_back(shop.access, f"T-{number}", f"R-{number}", "1", minutes(number))
    shop.cashier.get(f"/customers/{alice.pk}/purchases")
    with CaptureQueriesContext(connection) as queries:
        shop.cashier.get(f"/customers/{alice.pk}/purchases?limit=10")
    assert len(queries) == 6


def test_a_foreign_customer_is_absent(shop: Shop, foreign_shop: Shop) -> None:
    mallory = register(foreign_shop, "Mallory")
    assert shop.cashier.get(f"/customers/{mallory.pk}/purchases").status_code == 404
