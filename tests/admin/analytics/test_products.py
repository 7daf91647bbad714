"""The products page, and who bought a product."""

import csv
import io
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now

from analytics import product_buyers
from cloudpos.checkout.returns import return_purchase
from cloudpos.checkout.sales import take_purchase
from cloudpos.tenancy.models import Store
from customers.models import Customer
from tests.admin.conftest import Regulars, person, staff_client
from tests.analytics.goods import sum_up
from tests.fixtures import Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kept_regulars")]

QUERIES = 16
QUERIES_BUYERS = 10


def url_of(query: str = "") -> str:
    return reverse("products_page") + query


def buyers_of(query: str) -> str:
    return f"{reverse('product_buyers_page')}?{query}"


def text_of(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def rows_of(client: Client, url: str) -> list[dict[str, str]]:
    answer = client.get(url)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def line(sku: str, quantity: str, price: str, category: str = "") -> dict[str, Any]:
    return {
        "sku": sku,
        "name": sku.title(),
        "category": category,
        "quantity": Decimal(quantity),
        "unit_price": Decimal(price),
    }


def basket(shop: Shop, customer: Customer, id: str, days: int, *lines: dict[str, Any]) -> None:
    amount = sum((each["quantity"] * each["unit_price"] for each in lines), Decimal(0))
    sale = {
        "customer_id": customer.pk,
        "transaction_id": id,
        "amount": amount,
        "occurred_at": now() - timedelta(days=days),
        "items": list(lines),
    }
    take_purchase(access=shop.access, sale=sale)


@pytest.fixture
def sales(shop: Shop, regulars: Regulars) -> Regulars:
    """Beside Oolong tea: bread and butter for Carol three times, bread once 40 days ago, of which one butter came back."""
    for n in range(3):
        lines = line("bread", "2", "3.00", "Bakery"), line("butter", "1", "2.50", "Dairy")
        basket(shop, regulars.carol, f"both-{n}", n + 2, *lines)
    basket(shop, regulars.carol, "before", 40, line("bread", "4", "3.00", "Bakery"))
    back = {"transaction_id": "one butter", "items": [{"line": 2, "quantity": Decimal(1)}]}
    return_purchase(access=shop.access, purchase_transaction_id="both-0", back=back)
    return regulars


def test_what_sold_beside_the_days_before(manager: Client, sales: Regulars) -> None:
    shown = text_of(manager, url_of())
    assert re.search(r"Oolong tea TEA-1 £652.50 new 96.2% 3 new 0.0%", shown)
    assert re.search(r"Bread bread £18.00 \+50% 2.7% 6 \+50% 0.0%", shown)
    assert re.search(r"Butter butter £7.50 new 1.1% 3 new 33.3%", shown)
    assert shown.index("Oolong tea") < shown.index("Bread") < shown.index("Butter")
    assert "Units 12 +200% · 4 before" in shown
    assert "Came back 8.3% +8.3 pts · of the units; 0.0% before" in shown
    assert re.search(r"Bakery £18.00 70.6% 6 units, 0.0% came back \+50%", shown)


def test_by_units(manager: Client, sales: Regulars) -> None:
    page = manager.get(url_of("?by=quantity")).content.decode()
    assert page.index(">Bread<") < page.index(">Butter<")
    # The choice of days and of the store keep the order.
    assert "?days=90&amp;by=quantity" in page


def test_bought_together_in_words(manager: Client, sales: Regulars) -> None:
    shown = text_of(manager, url_of())
    assert (
        "Bread and Butter 3 of 3 purchases with the first had the second too (100%); both are in 50.0% of all."
        in shown
    )
    assert "2.0× as often as by chance" in shown
    assert "Looked into 6 purchases." in shown


def test_the_figures_are_those_of_the_api(manager: Client, shop: Shop, sales: Regulars) -> None:
    today = now().astimezone(shop.merchant.tz).date()
    days = f"from={today - timedelta(days=29)}&to={today}"
    csv = manager.get(url_of("?format=csv")).content
    assert csv == shop.manager.get(f"/analytics/products?{days}&format=csv&limit=100").content
    assert [row["sku"] for row in rows_of(manager, url_of("?format=csv&by=quantity"))][0] == "bread"


def test_from_a_product_to_who_bought_it(manager: Client, sales: Regulars) -> None:
    page = manager.get(url_of()).content.decode()
    links = re.findall(rf'href="({re.escape(reverse("product_buyers_page"))}[^"]+)"[^>]*>([^<]+)<', page)
    urls = {name: url.replace("&amp;", "&") for url, name in links}
    shown = text_of(manager, urls["Bread"])
    assert "Bought Bread from" in shown and "1 customer" in shown and "Carol Costa" in shown
    assert "Alice" not in shown
    (carol,) = rows_of(manager, urls["Bread"] + "&format=csv")
    assert (carol["quantity"], carol["spent"], carol["purchases"]) == ("6", "18.00", "3")
    assert [row["name"] for row in rows_of(manager, urls["Oolong tea"] + "&format=csv")] == [
        "Alice Ashford",
        "Bob Brown",
    ]
    category = buyers_of("category=Dairy")
    assert "Bought Dairy" in text_of(manager, category)


def test_one_store(manager: Client, shop: Shop, sales: Regulars) -> None:
    kiosk = Store.objects.create(merchant=shop.merchant, name="Station Kiosk", code="KSK")
    shown = text_of(manager, url_of(f"?store={kiosk.pk}"))
    assert "No purchase of the last 30 days at Station Kiosk names a product" in shown
    assert "0 customers" in text_of(manager, buyers_of(f"sku=bread&store={kiosk.pk}"))
    assert "1 customer" in text_of(manager, buyers_of(f"sku=bread&store={shop.store.pk}"))


def test_days_that_are_too_many_to_look_into(
    manager: Client, sales: Regulars, monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    sum_up(shop)
    assert "too many" not in text_of(manager, buyers_of("sku=bread&days=90"))
    monkeypatch.setattr(product_buyers, "SEARCHED_MAX", 3)
    assert "Days before that are too many to look into." in text_of(manager, buyers_of("sku=bread&days=90"))


@pytest.mark.parametrize(
    "query",
    [
        "",
        "sku=",
        "sku=bread&name=bread",
        "sku=bread&category=Bakery",
        "name=" + "x" * 201,
    ],
)
def test_addresses_that_name_no_product(manager: Client, regulars: Regulars, query: str) -> None:
    assert manager.get(buyers_of(query)).status_code == 404


@pytest.mark.parametrize(
    "query", ["sku=unknown", "name=%F0%9F%8D%8E", "category=%27%3B--", "name=Oolong+tea"]
)
def test_products_that_nobody_bought(manager: Client, regulars: Regulars, query: str) -> None:
    assert "0 customers" in text_of(manager, buyers_of(query))


def test_a_name_is_no_markup(manager: Client, shop: Shop, regulars: Regulars) -> None:
    basket(shop, regulars.bob, "markup", 1, {**line("", "1", "9000.00", "<i>x</i>"), "name": "<b>&\n1"})
    page = manager.get(url_of()).content.decode()
    assert "<b>&" not in page and "<i>x" not in page and "&lt;b&gt;&amp;" in page


def test_a_merchant_without_a_purchase(foreign_shop: Shop) -> None:
    manager = staff_client(person(foreign_shop, "manager"))
    shown = text_of(manager, url_of())
    assert "No purchase of the last 30 days names a product" in shown
    assert "nan" not in shown.lower() and "None" not in shown


def test_how_much_is_asked_of_the_database(manager: Client, sales: Regulars) -> None:
    for url, most in ((url_of(), QUERIES), (buyers_of("sku=bread"), QUERIES_BUYERS)):
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            manager.get(url)
        assert len(queries) == most, url
