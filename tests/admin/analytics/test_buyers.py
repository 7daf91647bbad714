"""The customers behind the overview's numbers."""

import csv
import io
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now

from analytics.buyers import GROUPS
from cloudpos.admin.analytics import people
from cloudpos.checkout.returns import return_purchase
from cloudpos.tenancy.models import Store
from customers.services import create_customer, delete_customer, record_consent
from tests.admin.conftest import Regulars, sell
from tests.fixtures import Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kept_regulars")]

QUERIES = 11


def url_of(group: str, query: str = "") -> str:
    return reverse("buyers_page", args=[group]) + query


def text_of(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def rows_of(client: Client, url: str) -> list[dict[str, str]]:
    answer = client.get(url)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def test_who_bought_most_first(manager: Client, regulars: Regulars) -> None:
    shown = text_of(manager, url_of("active"))
    assert "2 customers" in shown
    assert shown.index("Alice Ashford") < shown.index("Bob Brown")
    assert "£630.00" in shown
    assert "Carol Costa" not in shown


def test_new_and_again(manager: Client, shop: Shop, regulars: Regulars) -> None:
    sell(shop, regulars.carol, "5.00", id="old", at=now() - timedelta(days=50))
    sell(shop, regulars.carol, "5.00", id="recent", at=now() - timedelta(days=2))
    assert [row["name"] for row in rows_of(manager, url_of("new", "?format=csv"))] == [
        "Alice Ashford",
        "Bob Brown",
    ]
    assert [row["name"] for row in rows_of(manager, url_of("repeat", "?format=csv"))] == [
        "Alice Ashford",
        "Carol Costa",
    ]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("days", [30, 90, 365])
def test_as_many_as_the_overview_says(
    manager: Client, shop: Shop, regulars: Regulars, group: str, days: int
) -> None:
    sell(shop, regulars.carol, "5.00", id="old", at=now() - timedelta(days=50))
    sell(shop, regulars.carol, "5.00", id="recent", at=now() - timedelta(days=2))
    return_purchase(
        access=shop.access,
        purchase_transaction_id="corner-shop-3",
        back={"transaction_id": "all of it", "reason": "broken"},
    )
    today = now().astimezone(shop.merchant.tz).date()
    first = today - timedelta(days=days - 1)
    data = shop.manager.get(f"/analytics/overview?from={first}&to={today}").json()["data"]
    people = data["customers"]
    repeat = round(data["repeatRate"] * people["active"])
    expected = {"active": people["active"], "new": people["new"], "repeat": repeat}[group]
    assert len(rows_of(manager, url_of(group, f"?days={days}&format=csv"))) == expected


def test_days_of_a_step_and_one_store(manager: Client, shop: Shop, regulars: Regulars) -> None:
    other = Store.objects.create(merchant=shop.merchant, name="Station Kiosk")
    day = (now() - timedelta(days=3)).astimezone(shop.merchant.tz).date()
    assert "1 customer " in text_of(manager, url_of("active", f"?from={day}&to={day}"))
    shown = text_of(manager, url_of("active", f"?store={other.pk}"))
    assert "0 customers" in shown and "at Station Kiosk" in shown and "Nobody yet" in shown


@pytest.mark.parametrize(
    "query", ["?from=x&to=y", "?from=2026-02-01&to=2026-01-01", "?from=0001-01-01&to=9999-12-31"]
)
def test_days_that_are_no_period_show_the_chosen_one(manager: Client, regulars: Regulars, query: str) -> None:
    assert "2 customers" in text_of(manager, url_of("active", query))


@pytest.mark.parametrize("page", ["0", "-1", "x", "²", "999999999999", "401"])
def test_pages_that_are_not_there(manager: Client, regulars: Regulars, page: str) -> None:
    assert "2 customers" in text_of(manager, url_of("active", f"?page={page}"))


def test_pages(manager: Client, regulars: Regulars, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "ROWS_PER_PAGE", 1)
    first, second = (text_of(manager, url_of("active", f"?page={page}")) for page in (1, 2))
    assert "Alice Ashford" in first and "Bob Brown" not in first and "page 1 of 2" in first
    assert "Bob Brown" in second and "Alice Ashford" not in second


def test_pages_are_bounded(manager: Client, regulars: Regulars, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "ROWS_PER_PAGE", 1)
    monkeypatch.setattr(people, "PAGES_MAX", 1)
    shown = text_of(manager, url_of("active", "?page=2"))
    assert "Alice Ashford" in shown and "Bob Brown" not in shown and "Next" not in shown


def test_a_file_says_who_may_be_written_to(manager: Client, shop: Shop, regulars: Regulars) -> None:
    alice, bob = rows_of(manager, url_of("active", "?format=csv"))
    assert alice["mayBeEmailed"] == "true"
    assert (bob["mayBeEmailed"], bob["mayBeTexted"]) == ("false", "false")
    assert (alice["customerNumber"], alice["email"]) == (regulars.alice.customer_number, regulars.alice.email)
    assert (alice["purchases"], alice["spent"]) == ("2", "630.00")
    record_consent(
        access=shop.access,
        customer_id=regulars.alice.pk,
        data={"channel": "email", "purpose": "marketing", "state": "withdrawn", "source": "call"},
    )
    assert rows_of(manager, url_of("active", "?format=csv"))[0]["mayBeEmailed"] == "false"


def test_who_was_removed_is_counted_and_not_written_to(
    manager: Client, shop: Shop, regulars: Regulars
) -> None:
    delete_customer(access=shop.access, customer_id=regulars.alice.pk)
    removed, bob = rows_of(manager, url_of("active", "?format=csv"))
    assert (removed["customerNumber"], removed["spent"]) == (regulars.alice.customer_number, "630.00")
    assert {removed[name] for name in ("name", "email", "phone")} == {""}
    assert {removed[name] for name in ("mayBeEmailed", "mayBeTexted")} == {"false"}
    assert bob["name"] == "Bob Brown"


def test_a_name_is_no_formula(manager: Client, shop: Shop, regulars: Regulars) -> None:
    mallory = create_customer(access=shop.access, data={"first_name": "=1+1", "last_name": "Mallory"})
    sell(shop, mallory, "9000.00", id="formula")
    assert rows_of(manager, url_of("active", "?format=csv"))[0]["name"] == "'=1+1 Mallory"


def test_a_file_is_bounded(manager: Client, regulars: Regulars, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "ROWS_IN_FILE_MAX", 1)
    assert len(rows_of(manager, url_of("active", "?format=csv"))) == 1


def test_a_group_that_nobody_knows(manager: Client, regulars: Regulars) -> None:
    assert manager.get(url_of("rich")).status_code == 404


def test_how_much_is_asked_of_the_database(manager: Client, regulars: Regulars) -> None:
    with CaptureQueriesContext(connection) as queries:
        manager.get(url_of("repeat", "?days=365"))
    assert len(queries) == QUERIES
