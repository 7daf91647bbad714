"""Which products are bought together, and that looking for them is bounded."""

import pytest

from analytics import bought_together
from analytics.bought_together import (
    PAIR_BASKETS_MIN,
    PAIRED_PER_BASKET_MAX,
    PAIRED_PRODUCTS_MAX,
    Pair,
    pairs_of,
)
from cloudpos.tenancy.models import Store
from customers.models import Customer
from tests.analytics.conftest import buy
from tests.analytics.goods import MAY, item, may, read
from tests.fixtures import ApiClient, Shop

pytestmark = pytest.mark.django_db


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
    monkeypatch.setattr(bought_together, "BASKETS_MAX", 2)
    for n in range(4):
        buy(shop, alice, "2.00", may(n + 1), items=[item("bread")])
    found = read(shop.manager)
    assert (found["purchasesLookedInto"], found["isSample"]) == (2, True)


def test_for_one_store_only_the_latest_purchases_of_all_stores_are_searched(
    shop: Shop, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kiosk = Store.objects.create(merchant=shop.merchant, name="Station Kiosk", code="KSK")
    there = ApiClient(user_id=shop.manager.user_id, store_id=kiosk.pk)
    for n in range(3):
        buy(shop, alice, "2.00", may(n + 1), access=there.access, items=[item("bread")])
        buy(shop, alice, "2.00", may(n + 10), items=[item("bread")])
    query = f"{MAY}&storeId={kiosk.pk}"
    found = read(shop.manager, query)
    assert (found["purchasesLookedInto"], found["isSample"]) == (3, False)
    monkeypatch.setattr(bought_together, "SEARCHED_MAX", 4)
    found = read(shop.manager, query)
    assert (found["purchasesLookedInto"], found["isSample"]) == (1, True)
    # What is sold is in the sums, and is not searched for.
    assert found["products"][0]["purchases"] == 3


def test_of_a_very_long_receipt_the_first_lines_are_looked_into(
    shop: Shop, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bought_together, "LINES_PER_BASKET_MAX", 2)
    for n in range(3):
        buy(shop, alice, "3.00", may(n + 1), items=[item("bread"), item("butter"), item("candle")])
    found = read(shop.manager)
    assert [(pair["first"]["sku"], pair["second"]["sku"]) for pair in found["boughtTogether"]] == [
        ("bread", "butter")
    ]
    # What is sold is in the sums, and is not searched for.
    assert found["totalProducts"] == 3


def products_named(n: int) -> list[tuple[str, str]]:
    return [(f"{number:03}", "") for number in range(n)]


def test_of_a_purchase_with_very_many_products_some_are_paired() -> None:
    found = pairs_of([products_named(PAIRED_PER_BASKET_MAX + 1)] * 5)
    assert len(found) == PAIRED_PER_BASKET_MAX * (PAIRED_PER_BASKET_MAX - 1) // 2


def test_only_the_most_frequent_products_are_paired() -> None:
    frequent = products_named(PAIRED_PRODUCTS_MAX)
    rare = [("rare", ""), ("rarer", "")]
    baskets = [[product] for product in frequent] * (PAIR_BASKETS_MIN + 1) + [rare] * PAIR_BASKETS_MIN
    assert pairs_of(baskets) == []
    assert len(pairs_of(baskets[2:] + [rare] * 2)) == 1


def test_a_pair_that_was_bought_together_by_chance_is_none() -> None:
    both = [("bread", ""), ("butter", "")]
    assert pairs_of([both] * (PAIR_BASKETS_MIN - 1)) == []
    assert pairs_of([both] * PAIR_BASKETS_MIN) == [Pair(*both, 3, 3, 3, 3)]
    # In a thousandth of very many purchases.
    assert pairs_of([both] * 4 + [[("candle", "")]] * 4_000) == []
    assert len(pairs_of([both] * 5 + [[("candle", "")]] * 4_000)) == 1
