"""What a merchant sells, to choose from."""

import pytest

from analytics.articles import articles_sold, categories_sold
from customers.models import Customer
from tests.analytics.conftest import buy, new_customer
from tests.analytics.goods import item, may, sum_up
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


def test_what_was_sold_is_offered_and_nothing_of_others(
    shop: Shop, foreign_shop: Shop, alice: Customer
) -> None:
    buy(shop, alice, "1.00", may(1), items=[item("pear", category="Fruit"), item("apple", category="Fruit")])
    buy(shop, alice, "1.00", may(2), items=[item("", name="Gift wrap", category="Cards & Wrap")])
    buy(foreign_shop, new_customer(foreign_shop, "Mallory"), "1.00", may(1), items=[item("poison")])
    sum_up(shop)
    sum_up(foreign_shop)
    assert categories_sold(shop.merchant.pk) == ["Cards & Wrap", "Fruit"]
    assert articles_sold(shop.merchant.pk) == [("apple", "Apple"), ("pear", "Pear")]
