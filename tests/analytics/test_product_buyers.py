"""Who bought a product."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from analytics import product_buyers
from analytics.periods import Period
from analytics.product_buyers import ProductBuyersFound
from analytics.rollups.goods import Article
from cloudpos.tenancy.models import Store
from customers.models import Customer
from tests.analytics.conftest import buy, new_customer
from tests.analytics.goods import item, may, sum_up
from tests.fixtures import ApiClient, Shop

pytestmark = pytest.mark.django_db


def who_bought(shop: Shop, article: Article, **more: Any) -> ProductBuyersFound:
    asked = {"period": Period(date(2026, 5, 1), date(2026, 5, 31)), "limit": 10, **more}
    return product_buyers.product_buyers(merchant_id=shop.merchant.pk, article=article, **asked)


APPLE = Article(False, "apple", "")


def test_who_bought_a_product(shop: Shop, alice: Customer, bob: Customer, fruit: str) -> None:
    buy(shop, bob, "1.00", may(4), items=[item("apple", "2", "0.50", category="Fruit")] * 2)
    # As the days before and after, and other merchants' apples.
    buy(shop, alice, "9.00", datetime(2026, 6, 1, 12, tzinfo=UTC), items=[item("apple")])
    buy(shop, alice, "9.00", datetime(2026, 4, 30, 12, tzinfo=UTC), items=[item("apple")])
    for _ in range(2):
        found = who_bought(shop, APPLE)
        assert (found.name, found.total) == ("Apple", 2)
        assert [
            (row.customer, row.purchases, row.quantity, row.spent, row.last_day) for row in found.rows
        ] == [
            (alice, 1, Decimal("4"), Decimal("6.00"), date(2026, 5, 1)),
            (bob, 2, Decimal("4.5"), Decimal("3.50"), date(2026, 5, 4)),
        ]
        assert who_bought(shop, Article(True, "", "Fruit")).total == 2
        assert [row.customer for row in who_bought(shop, Article(False, "", "Gift wrap")).rows] == [bob]
        assert who_bought(shop, Article(False, "", "apple")).total == 0
        page = who_bought(shop, APPLE, offset=1, limit=1)
        assert ([row.customer for row in page.rows], page.total) == ([bob], 2)
        beyond = who_bought(shop, APPLE, offset=9)
        assert (beyond.rows, beyond.total) == ([], 2)
        sum_up(shop)


def test_who_bought_at_one_store_and_of_one_merchant(shop: Shop, foreign_shop: Shop, alice: Customer) -> None:
    kiosk = Store.objects.create(merchant=shop.merchant, name="Station Kiosk", code="KSK")
    there = ApiClient(user_id=shop.manager.user_id, store_id=kiosk.pk)
    carol = new_customer(shop, "Carol")
    buy(shop, alice, "1.00", may(1), items=[item("apple")])
    buy(shop, carol, "1.00", may(1), access=there.access, items=[item("apple")])
    buy(foreign_shop, new_customer(foreign_shop, "Mallory"), "1.00", may(1), items=[item("apple")])
    for _ in range(2):
        assert [row.customer for row in who_bought(shop, APPLE, store_id=kiosk.pk).rows] == [carol]
        assert {row.customer for row in who_bought(shop, APPLE).rows} == {alice, carol}
        sum_up(shop)


def test_who_bought_is_looked_for_on_the_days_it_was_sold_on_the_latest_first(
    shop: Shop, alice: Customer, bob: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day, customer in ((2, alice), (9, bob), (20, bob)):
        buy(shop, customer, "1.00", may(day), items=[item("apple")])
    for _ in range(5):
        buy(shop, alice, "1.00", may(15), items=[item("bread")])
    sum_up(shop)
    monkeypatch.setattr(product_buyers, "SEARCHED_MAX", 2)
    found = who_bought(shop, APPLE)
    assert [row.customer for row in found.rows] == [bob]
    assert found.looked_into == Period(date(2026, 5, 9), date(2026, 5, 31))
    monkeypatch.setattr(product_buyers, "SEARCHED_MAX", 3)
    found = who_bought(shop, APPLE)
    assert (found.total, found.looked_into.first) == (2, date(2026, 5, 1))
