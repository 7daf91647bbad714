"""The list of customers: the right rows, in few queries, however many there are."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cloudpos.tenancy.backoffice import pages
from customers.models import Customer
from customers.services import create_customers, update_customer, write_standing
from tests.admin.conftest import Regulars, person, staff_client
from tests.fixtures import Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kept_regulars")]

URL = "/admin/customers/customer/"
# Session, person, their merchants; tiers of the filter; total, rows.
QUERIES = 6


def listed(client: Client, query: str = "") -> list[str]:
    """Names in the order of the list."""
    return re.findall(r'class="cp-name">([^<]*?) ?<', client.get(URL + query).content.decode())


def text_of(client: Client, query: str = "") -> str:
    return re.sub(r"\s+", " ", client.get(URL + query).content.decode())


def test_a_row_tells_what_a_manager_asks_first(manager: Client, regulars: Regulars) -> None:
    text = text_of(manager)
    alice = regulars.alice
    for part in (
        "Alice Ashford",
        alice.customer_number,
        "alice@corner-shop.test",
        'cp-badge--silver" title="">Silver<',
        'cp-badge--blue" title="">New<',
        "£630.00",
        "3 days ago",
        "3 customers",
    ):
        assert part in text, part
    # Carol never came.
    assert text.count("days ago") + text.count("day ago") == 2


@pytest.mark.parametrize("query", ["", "?q=alice", "?segment=new", "?o=-1"])
def test_the_number_of_queries_does_not_grow(
    manager: Client, shop: Shop, regulars: Regulars, query: str
) -> None:
    manager.get(URL)

    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            manager.get(URL + query)
        return len(queries)

    few = count()
    create_customers(
        access=shop.access, rows=[{"first_name": "Alice", "last_name": f"Number {i}"} for i in range(20)]
    )
    assert count() == few <= QUERIES


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("alice", ["Alice Ashford"]),
        ("ASH ali", ["Alice Ashford"]),
        ("bob@corner", ["Bob Brown"]),
        ("lice", []),
        ("' | 'x", []),
        ("%", []),
    ],
)
def test_search_is_by_prefixes_of_words(
    manager: Client, regulars: Regulars, text: str, found: list[str]
) -> None:
    assert listed(manager, f"?q={text}") == found


def test_search_by_number(manager: Client, regulars: Regulars) -> None:
    assert listed(manager, f"?q={regulars.bob.customer_number[:6]}") == ["Bob Brown"]


def test_search_uses_the_index_and_no_pattern(manager: Client, regulars: Regulars) -> None:
    with CaptureQueriesContext(connection) as queries:
        manager.get(f"{URL}?q=alice")
    statements = " ".join(query["sql"] for query in queries)
    assert '"customers"."search" @@' in statements
    assert "LIKE" not in statements.upper()


def test_filters(manager: Client, shop: Shop, regulars: Regulars) -> None:
    update_customer(access=shop.access, customer_id=regulars.bob.pk, data={"status": "suspended"})
    write_standing(regulars.carol, segment="at_risk")
    assert listed(manager, "?status=suspended") == ["Bob Brown"]
    assert listed(manager, "?segment=at_risk") == ["Carol Costa"]
    assert listed(manager, "?tier=silver") == ["Alice Ashford"]
    assert listed(manager, "?tier=silver&segment=at_risk") == []
    assert listed(manager, "?type=business") == []
    # What is not a choice filters nothing.
    assert len(listed(manager, "?segment=secret")) == 3


def test_totals_come_from_the_counters(manager: Client, regulars: Regulars, monkeypatch: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert "3 customers" in text_of(manager)
        assert "1 customer" in text_of(manager, "?tier=silver")
    assert not [query for query in queries if "COUNT(" in query["sql"] and '"customers"' in query["sql"]]


def test_a_search_is_counted_up_to_a_bound(manager: Client, regulars: Regulars, monkeypatch: Any) -> None:
    monkeypatch.setattr(pages, "ROWS_COUNTED_MAX", 1)
    monkeypatch.setattr("cloudpos.admin.customers.listing.ROWS_COUNTED_MAX", 1)
    assert "1+ customer" in text_of(manager, "?q=corner")


def test_sorting(manager: Client, regulars: Regulars) -> None:
    # Columns: 1 name, 6 total spent, 7 last visit.
    assert listed(manager, "?o=1") == ["Alice Ashford", "Bob Brown", "Carol Costa"]
    assert listed(manager, "?o=-1") == ["Carol Costa", "Bob Brown", "Alice Ashford"]
    assert listed(manager, "?o=-6") == ["Alice Ashford", "Bob Brown", "Carol Costa"]
    # Whoever never came stands last, not first.
    assert listed(manager, "?o=-7") == ["Bob Brown", "Alice Ashford", "Carol Costa"]


def test_times_are_the_merchants(manager: Client, shop: Shop, regulars: Regulars) -> None:
    from datetime import UTC, datetime

    late = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)  # in London it is already the 2nd
    Customer.objects.filter(pk=regulars.alice.pk).update(last_visit_at=late)
    assert "2 Jul 2026" in text_of(manager)


def test_names_are_text(manager: Client, shop: Shop, regulars: Regulars) -> None:
    evil = "<script>alert(1)</script>"
    update_customer(
        access=shop.access, customer_id=regulars.alice.pk, data={"first_name": evil, "tags": [evil]}
    )
    pages_with_alice = [
        URL,
        reverse("admin:customers_customer_change", args=[regulars.alice.pk]),
        reverse("admin:customers_customer_merge", args=[regulars.bob.pk]) + f"?source={regulars.alice.pk}",
        reverse("admin:customers_customer_erase", args=[regulars.alice.pk]),
        reverse("admin:customers_purchase_changelist"),
        reverse("admin:index"),
    ]
    for page in pages_with_alice:
        text = manager.get(page).content.decode()
        assert "<script>alert" not in text, page
        assert "&lt;script&gt;" in text, page


def test_an_empty_list_says_what_to_do(foreign_shop: Shop) -> None:
    manager = staff_client(person(foreign_shop, "manager"))
    text = text_of(manager)
    assert "No customers yet" in text
    assert "Nothing matches" in text_of(manager, "?q=nobody")


def test_removed_customers_are_not_listed(manager: Client, shop: Shop, regulars: Regulars) -> None:
    manager.post(reverse("admin:customers_customer_remove", args=[regulars.bob.pk]))
    assert listed(manager, "?o=1") == ["Alice Ashford", "Carol Costa"]
