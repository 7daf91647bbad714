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
from analytics.products import PAIRED_PER_BASKET_MAX, pairs_of
from analytics.rollups import reading
from analytics.rollups.refresh import refresh
from cloudpos import outbox
from cloudpos.checkout.returns import return_purchase
from cloudpos.tenancy.models import Store
from customers.models import Customer
from tests.analytics.conftest import buy, give_back, new_customer
from tests.fixtures import ApiClient, Shop

pytestmark = pytest.mark.django_db

MAY = "from=2026-05-01&to=2026-05-31"


def may(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 5, day, hour, tzinfo=UTC)


def item(
    sku: str, quantity: str = "1", price: str = "1.00", name: str = "", category: str = ""
) -> dict[str, Any]:
    return {
        "sku": sku,
        "name": name or sku.title(),
        "category": category,
        "quantity": Decimal(quantity),
        "unit_price": Decimal(price),
    }


def read(client: ApiClient, query: str = MAY) -> dict[str, Any]:
    cache.clear()
    answer = client.get(f"/analytics/products?{query}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()["data"]
    return found


def sum_up(shop: Shop) -> None:
    outbox.relay()
    refresh(merchant_id=shop.merchant.pk)


def sold(found: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {
        row["sku"] or row["name"]: (row["quantity"], row["revenue"], row["purchases"], row["returnRate"])
        for row in found["products"]
    }


@pytest.fixture
def fruit(shop: Shop, alice: Customer, bob: Customer) -> str:
    """Three purchases; of the first two of four apples came back. Returns its transaction."""
    first = buy(
        shop,
        alice,
        "9.00",
        may(1),
        items=[item("apple", "4", "1.50", category="Fruit"), item("bag", "1", "3.00")],
    )
    buy(shop, bob, "1.50", may(2), items=[item("apple", "0.500", "3.00", category="Fruit")])
    buy(
        shop,
        bob,
        "2.00",
        may(3),
        items=[{"name": "Gift wrap", "quantity": Decimal(1), "unit_price": Decimal(2)}],
    )
    back = {"transaction_id": "R-1", "occurred_at": may(20), "items": [{"line": 1, "quantity": Decimal(2)}]}
    return_purchase(access=shop.access, purchase_transaction_id=first, back=back)
    return first


def test_what_sold_best(shop: Shop, fruit: str) -> None:
    for _ in range(2):
        assert read(shop.manager) == {
            "from": "2026-05-01",
            "to": "2026-05-31",
            "sortBy": "revenue",
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


def test_bought_together(shop: Shop, alice: Customer) -> None:
    for n in range(4):
        items = [item("bread"), item("butter")] if n < 3 else [item("bread")]
        buy(shop, alice, "2.00", may(n + 1), items=items)
    for n in range(4):
        buy(shop, alice, "1.00", may(n + 5), items=[item("candle")])
    buy(shop, alice, "1.00", may(9))
    found = read(shop.manager)
    assert found["boughtTogether"] == [
        {
            "first": {"sku": "bread", "name": "Bread", "purchases": 4},
            "second": {"sku": "butter", "name": "Butter", "purchases": 3},
            "purchases": 3,
            "support": 0.375,
            "confidence": 0.75,
            "confidenceReverse": 1.0,
            "lift": 2.0,
        }
    ]
    assert (found["purchasesLookedInto"], found["isSample"]) == (8, False)


def test_only_the_latest_purchases_are_looked_into(
    shop: Shop, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BASKETS_MAX", 2)
    for n in range(4):
        buy(shop, alice, "2.00", may(n + 1), items=[item("bread")])
    found = read(shop.manager)
    assert (found["purchasesLookedInto"], found["isSample"]) == (2, True)


def test_the_work_for_pairs_is_bounded() -> None:
    basket = [(f"{n:03}", "") for n in range(300)]
    found = pairs_of([basket] * 5)
    assert len(found) == PAIRED_PER_BASKET_MAX * (PAIRED_PER_BASKET_MAX - 1) // 2


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
