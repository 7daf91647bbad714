"""The heat map of cohorts, and who is behind its cells."""

import re
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cloudpos.tenancy.models import Store
from customers.models import Customer
from customers.services import create_customer
from tests.admin.conftest import sell
from tests.fixtures import Shop

QUERIES = 5
QUERIES_COLD = 10
# A day in the middle of a month: the next month begins in two weeks.
NOON = datetime.fromisoformat("2026-11-16T12:00:00+00:00")


@pytest.fixture
def customers(shop: Shop, time_machine: object) -> list[Customer]:
    """Alice came in September and in October, Bob in September, Carol in November."""
    time_machine.move_to(NOON, tick=False)  # type: ignore[attr-defined]
    people = [
        create_customer(access=shop.access, data={"first_name": name, "last_name": "Ashford"})
        for name in ("Alice", "Bob", "Carol")
    ]
    for number, (person, days, amount) in enumerate(
        [(0, 60, "20.00"), (0, 30, "5.00"), (1, 62, "9.00"), (2, 3, "7.00")]
    ):
        sell(shop, people[person], amount, id=f"sale-{number}", at=NOON - timedelta(days=days))
    return people


def page_of(client: Client, query: str = "") -> str:
    answer = client.get(reverse("cohorts_page") + query)
    assert answer.status_code == 200
    return answer.content.decode()


def table_of(client: Client, query: str = "") -> list[str]:
    """The rows of the heat map, as they read."""
    page = page_of(client, query)
    table = page[page.index('<table class="cp-heat') : page.index("</table>")]
    rows = table.split("<tr>")[1:]
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", row)).strip() for row in rows]


def test_retention(manager: Client, customers: list[Customer]) -> None:
    assert table_of(manager) == [
        "First purchase Customers 0 1 2",
        "Sep 2026 2 100% 50% 0% so far",
        "Nov 2026 1 100% so far",
        "Mean 100% 50%",
    ]


def test_value_and_quarters(manager: Client, customers: list[Customer]) -> None:
    assert table_of(manager, "?metric=revenue")[1:3] == [
        "Sep 2026 2 £29 £5 £0 so far",
        "Nov 2026 1 £7 so far",
    ]
    assert table_of(manager, "?metric=cumulativeValue&by=quarter") == [
        "First purchase Customers 0 1",
        "Q3 2026 2 £15 £17 so far",
        "Q4 2026 1 £7 so far",
        "Mean £15",
    ]
    assert "14 Sep 2026" in table_of(manager, "?by=week")[1]


def test_an_address_that_nobody_made_shows_retention_by_month(
    manager: Client, customers: list[Customer]
) -> None:
    assert table_of(manager, "?metric=x&by=century&store=x") == table_of(manager)


def test_the_people_of_a_cell(manager: Client, shop: Shop, customers: list[Customer]) -> None:
    page = page_of(manager)
    cells = re.findall(r'<a href="(/admin/analytics/cohorts/[^"]+)"', page)
    assert len(cells) == 6
    for url in cells:
        assert manager.get(url.replace("&amp;", "&")).status_code == 200
    people = manager.get(reverse("cohort_page", args=["2026-09-01", 1])).content.decode()
    assert "Sep 2026, month 1" in people and "1 customer<" in re.sub(r"\s+<", "<", people)
    assert "Alice Ashford" in people and "Bob Ashford" not in people and "£5.00" in people
    assert "Of 2 customers whose first purchase was from 1 Sep 2026 to 30 Sep 2026" in people


@pytest.mark.parametrize(
    ("cohort", "k"),
    [("2026-09-02", 0), ("x", 0), ("9999-01-01", 0), ("2026-09-01", 121), ("2026-09-01", 10**9)],
)
def test_a_cohort_that_is_none(manager: Client, customers: list[Customer], cohort: str, k: int) -> None:
    assert manager.get(reverse("cohort_page", args=[cohort, k])).status_code == 404


def test_one_store(manager: Client, shop: Shop, customers: list[Customer]) -> None:
    other = Store.objects.create(merchant=shop.merchant, name="Station Kiosk")
    assert "There is no cohort in this time" in page_of(manager, f"?store={other.pk}")
    assert f"store={shop.store.pk}" in page_of(manager, f"?store={shop.store.pk}")


def test_a_file(manager: Client, customers: list[Customer]) -> None:
    answer = manager.get(reverse("cohorts_page") + "?format=csv&metric=revenue")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "2026-09-01,2,29.00,5.00,0.00" in answer.content.decode()


def test_the_shade_is_a_class(manager: Client, customers: list[Customer]) -> None:
    page = page_of(manager)
    table = page[page.index('<table class="cp-heat') : page.index("</table>")]
    assert 'class="cp-heat--8"' in table
    assert " style=" not in table


def test_a_merchant_without_a_purchase(manager: Client, shop: Shop) -> None:
    assert "There is no cohort in this time" in page_of(manager)


def test_how_much_is_asked_of_the_database(manager: Client, customers: list[Customer]) -> None:
    with CaptureQueriesContext(connection) as queries:
        page_of(manager)
    assert len(queries) == QUERIES_COLD
    with CaptureQueriesContext(connection) as queries:
        page_of(manager)
    assert len(queries) == QUERIES
