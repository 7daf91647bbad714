"""GET /analytics/products."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache

from analytics import products as service
from analytics.models import Article, RollupDay
from analytics.rollups import reading
from analytics.rollups.refresh import refresh
from cloudpos import outbox
from cloudpos.tenancy.models import Store
from customers.models import Customer
from tests.analytics.conftest import buy, give_back, new_customer
from tests.analytics.goods import MAY, item, may, read, sum_up
from tests.fixtures import ApiClient, Shop

pytestmark = pytest.mark.django_db


def sold(found: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {
        row["sku"] or row["name"]: (row["quantity"], row["revenue"], row["purchases"], row["returnRate"])
        for row in found["products"]
    }


def test_what_sold_best(shop: Shop, fruit: str) -> None:
    for _ in range(2):
        assert read(shop.manager) == {
            "from": "2026-05-01",
            "to": "2026-05-31",
            "sortBy": "revenue",
            "compare": "none",
            "comparedWith": None,
            "currency": "GBP",
            "products": [
                {
                    "sku": "apple",
                    "name": "Apple",
                    "category": "Fruit",
                    "quantity": "4.5",
                    "revenue": "7.50",
                    "purchases": 2,
                    "returnedQuantity": "2",
                    "returnRate": 0.4444,
                    "shareOfRevenue": 0.6,
                    "previous": None,
                },
                {
                    "sku": "bag",
                    "name": "Bag",
                    "category": "",
                    "quantity": "1",
                    "revenue": "3.00",
                    "purchases": 1,
                    "returnedQuantity": "0",
                    "returnRate": 0.0,
                    "shareOfRevenue": 0.24,
                    "previous": None,
                },
                {
                    "sku": "",
                    "name": "Gift wrap",
                    "category": "",
                    "quantity": "1",
                    "revenue": "2.00",
                    "purchases": 1,
                    "returnedQuantity": "0",
                    "returnRate": 0.0,
                    "shareOfRevenue": 0.16,
                    "previous": None,
                },
            ],
            "totalProducts": 3,
            "categories": [
                {
                    "category": "Fruit",
                    "quantity": "4.5",
                    "revenue": "7.50",
                    "purchases": 2,
                    "returnedQuantity": "2",
                    "returnRate": 0.4444,
                    "shareOfRevenue": 1.0,
                    "previous": None,
                }
            ],
            "totalCategories": 1,
            "boughtTogether": [],
            "purchasesLookedInto": 3,
            "isSample": False,
            "asOf": None,
            "notes": ["No two products were bought together often enough to say so."],
        }
        sum_up(shop)


def test_by_quantity_and_limited(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "9.00", may(1), items=[item("pin", "90", "0.10"), item("lamp", "1", "40.00")])
    assert [row["sku"] for row in read(shop.manager)["products"]] == ["lamp", "pin"]
    found = read(shop.manager, f"{MAY}&sortBy=quantity&limit=1")
    assert ([row["sku"] for row in found["products"]], found["totalProducts"]) == (["pin"], 2)


def test_a_purchase_that_was_taken_back_brought_everything_back(shop: Shop, fruit: str) -> None:
    sum_up(shop)
    give_back(shop, fruit, may(25))
    for _ in range(2):
        found = sold(read(shop.manager))
        assert (found["apple"], found["bag"]) == (("4.5", "7.50", 2, 0.8889), ("1", "3.00", 1, 1.0))
        sum_up(shop)


def test_one_store_and_the_days_of_its_clock(shop: Shop, alice: Customer, fruit: str) -> None:
    auckland = Store.objects.create(
        merchant=shop.merchant, name="Auckland", code="AKL", timezone="Pacific/Auckland"
    )
    there = ApiClient(user_id=shop.manager.user_id, store_id=auckland.pk)
    # 1 June there.
    buy(shop, alice, "5.00", may(31, 13), access=there.access, items=[item("kiwi", "5")])
    buy(shop, alice, "2.00", may(31, 11), access=there.access, items=[item("kiwi", "2")])
    for _ in range(2):
        assert sold(read(shop.manager, f"{MAY}&storeId={auckland.pk}")) == {"kiwi": ("2", "2.00", 1, 0.0)}
        assert sold(read(shop.manager))["kiwi"] == ("2", "2.00", 1, 0.0)
        june = read(shop.manager, f"from=2026-06-01&to=2026-06-01&storeId={auckland.pk}")
        assert (sold(june), june["purchasesLookedInto"]) == ({"kiwi": ("5", "5.00", 1, 0.0)}, 1)
        sum_up(shop)


def test_a_foreign_store_is_as_absent_as_any(shop: Shop, foreign_shop: Shop) -> None:
    answer = shop.manager.get(f"/analytics/products?storeId={foreign_shop.store.pk}")
    assert (answer.status_code, answer.json()["code"]) == (404, "store_not_found")


@pytest.mark.parametrize("seed", range(2))
def test_as_worked_out_the_plain_way(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    people = [new_customer(shop, f"Person {n}") for n in range(4)]
    quantities: Counter[str] = Counter()
    revenue: Counter[str] = Counter()
    for n in range(40):
        instant = may(1, 0) + timedelta(minutes=chance.randrange(30 * 24 * 60))
        items = [
            item(
                chance.choice("abcdefg"),
                f"{chance.randint(1, 3000) / 1000:.3f}",
                f"{chance.randint(0, 99999) / 10000:.4f}",
            )
            for _ in range(chance.randint(1, 4))
        ]
        buy(shop, chance.choice(people), "5.00", instant, items=items)
        for each in items:
            quantities[each["sku"]] += each["quantity"]
            revenue[each["sku"]] += each["quantity"] * each["unit_price"]
        if n % 9 == 8:
            outbox.relay()
        if n % 13 == 12:
            refresh(merchant_id=shop.merchant.pk)
    for _ in range(2):
        found = {row["sku"]: row for row in read(shop.manager)["products"]}
        assert {sku: Decimal(row["quantity"]) for sku, row in found.items()} == quantities
        for sku, row in found.items():
            assert abs(Decimal(row["revenue"]) - revenue[sku]) < Decimal("0.01")
        sum_up(shop)
    assert Article.objects.count() == len(quantities)


def test_days_summed_up_before_goods_were_are_read_from_the_receipts(
    shop: Shop, fruit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sum_up(shop)
    before = read(shop.manager)
    RollupDay.objects.update(goods=None)
    assert read(shop.manager) == before
    monkeypatch.setattr(reading, "PURCHASES_PER_REQUEST_MAX", 2)
    answer = shop.manager.get(f"/analytics/products?{MAY}&limit=7")
    assert answer.status_code == 200  # as it was kept
    cache.clear()
    answer = shop.manager.get(f"/analytics/products?{MAY}")
    assert (answer.status_code, answer.json()["code"]) == (503, "analytics_being_prepared")


def test_a_merchant_without_a_purchase_is_told_so(shop: Shop) -> None:
    found = read(shop.manager)
    assert (found["products"], found["categories"], found["boughtTogether"]) == ([], [], [])
    assert found["notes"] == ["No purchase of this period names a product."]


def test_lists_are_bounded(shop: Shop, alice: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        items = [item(sku, category=sku) for sku in ("bread", "butter", "candle")]
        buy(shop, alice, "3.00", may(n + 1), items=items)
    monkeypatch.setattr(service, "LIMIT_MAX", 2)
    found = read(shop.manager)
    assert [len(found[name]) for name in ("products", "categories", "boughtTogether")] == [2, 2, 2]
    assert (found["totalProducts"], found["totalCategories"]) == (3, 3)


def test_beside_another_period(shop: Shop, alice: Customer) -> None:
    """May has 31 days: what was before it begins on 31 March."""
    for at in (datetime(2026, 3, 30, 12, tzinfo=UTC), datetime(2026, 4, 1, 12, tzinfo=UTC)):
        buy(shop, alice, "4.00", at, items=[item("apple", "2", "2.00", category="Fruit")])
    buy(shop, alice, "9.00", datetime(2025, 5, 31, 12, tzinfo=UTC), items=[item("apple", "3", "3.00")])
    buy(shop, alice, "3.00", may(5), items=[item("apple", "1", "3.00", category="Fruit"), item("bag")])
    nothing = {
        "quantity": "0",
        "revenue": "0.00",
        "purchases": 0,
        "returnedQuantity": "0",
        "returnRate": None,
    }
    for _ in range(2):
        found = read(shop.manager, f"{MAY}&compare=previous_period")
        assert found["comparedWith"] == {"from": "2026-03-31", "to": "2026-04-30"}
        before = {row["sku"]: row["previous"] for row in found["products"]}
        assert before == {
            "apple": {**nothing, "quantity": "2", "revenue": "4.00", "purchases": 1, "returnRate": 0.0},
            "bag": nothing,
        }
        assert found["categories"][0]["previous"]["revenue"] == "4.00"
        year = read(shop.manager, f"{MAY}&compare=previous_year")
        assert year["comparedWith"] == {"from": "2025-05-01", "to": "2025-05-31"}
        assert {row["sku"]: row["previous"]["quantity"] for row in year["products"]} == {
            "apple": "3",
            "bag": "0",
        }
        sum_up(shop)


def test_as_csv(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "9.00", may(1), items=[item("=1+1", "2", "1.50", name="@SUM", category="-x")])
    answer = shop.manager.get(f"/analytics/products?{MAY}&format=csv")
    assert answer.content.decode().splitlines() == [
        "sku,name,category,quantity,revenue,purchases,returnedQuantity,returnRate,shareOfRevenue",
        "'=1+1,'@SUM,'-x,2,3.00,1,0,0.0,1.0",
    ]


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("from=2026-05-02&to=2026-05-01", "to", "invalid_period"),
        ("from=1926-05-02&to=2026-05-01", "from", "period_too_long"),
        ("sortBy=margin", "sortBy", "invalid_choice"),
        ("compare=last_week", "compare", "invalid_choice"),
        ("limit=0", "limit", "out_of_range"),
        ("limit=101", "limit", "out_of_range"),
        ("page=2", "page", "unknown_parameter"),
    ],
)
def test_bad_parameters_are_named(shop: Shop, query: str, field: str, code: str) -> None:
    answer = shop.manager.get(f"/analytics/products?{query}")
    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]


def test_cashiers_see_no_products(shop: Shop) -> None:
    assert shop.cashier.get("/analytics/products").status_code == 403
