"""Customers at risk and the grid of scores, from figures that a recalculation has worked out."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from analytics.models import CustomerFigures
from analytics.segment_moves import count_months
from customers.models import Customer
from tests.admin.conftest import person, sell, staff_client
from tests.analytics.conftest import new_customer, recalculate
from tests.fixtures import Shop

PART_QUERIES = 5
PAGE_QUERIES = 6
GRID_QUERIES = 4
NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock() -> Any:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client(shop: Shop) -> Client:
    return staff_client(person(shop, "manager"))


@pytest.fixture
def customers(shop: Shop) -> list[Customer]:
    """Alice and Bob came every ten days until they stopped three months ago, Bob for more money; Carol came once, lately."""
    alice, bob, carol = (new_customer(shop, name) for name in ("Alice", "Bob", "Carol"))
    for person_, amount in ((alice, "10.00"), (bob, "12.50")):
        for number in range(9):
            at = NOW - timedelta(days=85 + 10 * number)
            sell(shop, person_, amount, id=f"{amount}-{number}", at=at)
    sell(shop, carol, "999.00", id="lately", at=NOW - timedelta(days=5))
    recalculate(shop)
    return [alice, bob, carol]


def text_of(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def test_who_is_worth_most_comes_first(client: Client, customers: list[Customer]) -> None:
    assert set(CustomerFigures.objects.filter(segment="at_risk").values_list("customer_id", flat=True)) == {
        customer.pk for customer in customers[:2]
    }
    shown = text_of(client, reverse("at_risk_page"))
    assert "2 customers" in shown
    assert "In the last 12 months they spent £202.50." in shown
    assert shown.index("Bob") < shown.index("Alice")
    assert "£112.50" in shown and "6 Apr 2026" in shown and "10 days" in shown
    assert "Carol" not in shown
    # The reason is a sentence that speaks for leaving, not what it is stored as.
    assert "raises the risk." in shown and "{" not in shown[shown.index("2 customers") :]


def test_each_can_be_given_points(client: Client, customers: list[Customer]) -> None:
    for url in (reverse("at_risk_page"), reverse("at_risk_part")):
        page = client.get(url).content.decode()
        for customer in customers[:2]:
            assert reverse("admin:customers_customer_adjust_points", args=[customer.pk]) in page


def test_the_card_leads_to_them(client: Client, customers: list[Customer]) -> None:
    page = client.get(reverse("admin:index")).content.decode()
    assert f'<a class="cp-kpi__link" href="{reverse("at_risk_page")}">£202.50</a>' in page


def test_a_file(client: Client, customers: list[Customer]) -> None:
    answer = client.get(reverse("at_risk_page") + "?format=csv")
    bob, alice = csv.DictReader(io.StringIO(answer.content.decode()))
    assert (bob["name"], bob["value12Months"], bob["lastPurchase"]) == ("Bob", "112.50", "2026-04-06")
    assert 0.6 <= float(alice["churnProbability"]) < 0.9
    assert alice["usualGapDays"] == "10.0"


def test_the_grid_counts_everybody_who_bought(client: Client, customers: list[Customer]) -> None:
    page = client.get(reverse("rfm_part")).content.decode()
    cells = re.findall(r'<a href="(/admin/analytics/rfm/(\d)/(\d)/)" title="(\d+) customer', page)
    assert sum(int(n) for *_, n in cells) == 3
    for url, _, _, n in cells:
        assert f"{n} customer" in text_of(client, url)


@pytest.mark.parametrize("scores", [(0, 1), (6, 1), (1, 0), (1, 6)])
def test_scores_that_are_none(client: Client, shop: Shop, scores: tuple[int, int]) -> None:
    assert client.get(reverse("rfm_cell_page", args=scores)).status_code == 404


def test_before_anything_was_worked_out(client: Client, shop: Shop) -> None:
    assert "Nobody is at risk" in text_of(client, reverse("at_risk_part"))
    assert "Nobody yet" in text_of(client, reverse("at_risk_page"))
    assert "There are no scores yet" in text_of(client, reverse("rfm_part"))


def test_how_much_is_asked_of_the_database(client: Client, shop: Shop, customers: list[Customer]) -> None:
    count_months(merchant_id=shop.merchant.pk, zone=shop.merchant.tz, at=NOW)
    for name, expected in (
        ("at_risk_part", PART_QUERIES),
        ("at_risk_page", PAGE_QUERIES),
        ("rfm_part", GRID_QUERIES),
    ):
        # What is added up over everybody is kept for all pages.
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse(name))
        assert len(queries) == expected, name
