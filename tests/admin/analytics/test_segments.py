"""The segments: sizes, values, movements, and who moved."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from analytics.segment_moves import count_months
from customers.models import Customer
from tests.admin.conftest import person, sell, staff_client
from tests.analytics.conftest import new_customer, recalculate
from tests.fixtures import Shop

QUERIES = 7
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
    """Alice came every ten days until she stopped three months ago: in June she became at risk. Bob came lately."""
    alice, bob = new_customer(shop, "Alice"), new_customer(shop, "Bob")
    for number in range(9):
        sell(shop, alice, "10.00", id=f"a-{number}", at=NOW - timedelta(days=85 + 10 * number))
    with time_machine.travel(NOW - timedelta(days=70), tick=False):
        recalculate(shop)
    sell(shop, bob, "30.00", id="b", at=NOW - timedelta(days=5))
    recalculate(shop)
    return [alice, bob]


def text_of(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def test_sizes_and_values(client: Client, customers: list[Customer]) -> None:
    shown = text_of(client, reverse("segments_page"))
    assert re.search(r"At risk .*? 1 50% £90.00 75% £90.00 7\d%", shown)
    assert re.search(r"New .*? 1 50% £30.00 25% £30.00", shown)
    page = client.get(reverse("segments_page")).content.decode()
    assert f'href="{reverse("admin:customers_customer_changelist")}?segment=at_risk"' in page


def test_the_figures_are_those_of_the_api(client: Client, shop: Shop, customers: list[Customer]) -> None:
    data = shop.manager.get("/analytics/segments").json()["data"]
    shown = text_of(client, reverse("segments_page"))
    for segment in data["segments"]:
        assert f"£{segment['value12Months']} " in shown
    csv = client.get(reverse("segments_page") + "?format=csv").content
    assert csv == shop.manager.get("/analytics/segments?format=csv").content


def test_who_moved(client: Client, customers: list[Customer]) -> None:
    page = client.get(reverse("segments_page")).content.decode()
    links = re.findall(r'<a class="cp-moves__\w+" href="([^"]+)" aria-label="([^"]+)"', page)
    assert [told for _, told in links] == [
        "1 customer left Regular in Jun 2026",
        "1 customer joined At risk in Jun 2026",
    ]
    for url, _ in links:
        shown = text_of(client, url)
        assert "1 customer" in shown and "Alice" in shown and "30 Jun 2026" in shown and "Bob" not in shown
    assert "Joined At risk, Jun 2026" in text_of(client, links[1][0])


def test_the_part_is_the_movements_alone(client: Client, customers: list[Customer]) -> None:
    part = client.get(reverse("segments_page") + "?part=1").content.decode()
    assert "<html" not in part and "joined At risk" in part and "Change the rules" not in part


@pytest.mark.parametrize(
    "arguments",
    [
        ["2026-06-02", "vip", "joined"],
        ["x", "vip", "joined"],
        ["20260601", "vip", "joined"],
        ["9999-12-01", "vip", "joined"],
        ["0001-01-01", "vip", "joined"],
        ["2026-06-01", "rich", "joined"],
        ["2026-06-01", "vip", "looked"],
    ],
)
def test_movements_that_are_none(client: Client, shop: Shop, arguments: list[str]) -> None:
    assert client.get(reverse("moved_page", args=arguments)).status_code == 404


def test_another_merchants_movements(
    client: Client, shop: Shop, foreign_shop: Shop, customers: list[Customer]
) -> None:
    foreign = staff_client(person(foreign_shop, "manager"))
    shown = text_of(foreign, reverse("moved_page", args=["2026-06-01", "at_risk", "joined"]))
    assert "0 customers" in shown and "Alice" not in shown


def test_a_merchant_without_customers(client: Client, shop: Shop) -> None:
    shown = text_of(client, reverse("segments_page"))
    assert "There are no customers yet" in shown and "Nobody has moved" in shown


def test_how_much_is_asked_of_the_database(client: Client, shop: Shop, customers: list[Customer]) -> None:
    # As the background does for months that are over.
    count_months(merchant_id=shop.merchant.pk, zone=shop.merchant.tz, at=NOW)
    client.get(reverse("segments_page"))
    with CaptureQueriesContext(connection) as queries:
        client.get(reverse("segments_page"))
    assert len(queries) == QUERIES
