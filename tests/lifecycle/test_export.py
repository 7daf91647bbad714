"""GET /customers/{id}/export."""

import uuid
from typing import Any

import pytest
from django.test.utils import CaptureQueriesContext

from cloudpos.lifecycle import exporting
from cloudpos.lifecycle.tables import TABLES
from customers.models import Customer, Event
from tests.fixtures import Shop
from tests.lifecycle.conftest import SECRETS, Person, Sell
from tests.lifecycle.test_merge import merge

pytestmark = pytest.mark.django_db


def export(shop: Shop, customer_id: uuid.UUID) -> dict[str, Any]:
    response = shop.manager.get(f"/customers/{customer_id}/export")
    assert response.status_code == 200, response.content
    data: dict[str, Any] = response.json()["data"]
    return data


def test_everything_that_is_known_is_in_it(shop: Shop, zenobia: Customer) -> None:
    response = shop.manager.get(f"/customers/{zenobia.pk}/export")

    text = response.content.decode()
    assert [what for what, secret in SECRETS.items() if secret not in text] == []
    data = response.json()["data"]
    assert list(data) == ["customerId", *[table.key for table in TABLES]]
    assert {row["firstName"] for row in data["customers"]} == {SECRETS["first name"], SECRETS["merged name"]}
    assert [row["transactionId"] for row in data["purchases"]] == ["T-1", "T-2"]
    assert [row["name"] for row in data["purchaseItems"]] == ["Lamp"]
    assert [row["reason"] for row in data["returns"]] == [SECRETS["return reason"]]
    assert sum(row["points"] for row in data["loyaltyTransactions"]) == data["customers"][0]["points"]


def test_nobody_else_is_in_it(shop: Shop, foreign_shop: Shop, person: Person, sell: Sell) -> None:
    alice, bob = person("Alice"), person("Bob", email="bob@example.com")
    sell(bob, "10.00", "T-1")

    data = export(shop, alice.pk)

    assert [row["id"] for row in data["customers"]] == [str(alice.pk)]
    assert data["purchases"] == []
    assert foreign_shop.manager.get(f"/customers/{alice.pk}/export").status_code == 404


def test_the_old_id_exports_the_same(shop: Shop, person: Person) -> None:
    alice, double = person("Alice"), person("Alice")
    merge(shop, alice, double)
    by_double, by_alice = export(shop, double.pk), export(shop, alice.pk)
    # The first of them is on record in the second.
    assert [row["type"] for row in by_alice["events"]].count("customer.exported") == 1
    by_alice["events"] = [row for row in by_alice["events"] if row["type"] != "customer.exported"]
    assert by_double == by_alice


def test_a_deleted_customer_is_still_stored_and_told(
    shop: Shop, foreign_shop: Shop, person: Person, sell: Sell
) -> None:
    """Hidden from lists; a person who asks what we have of them is answered all the same."""
    alice, double = person("Alice"), person("Alice")
    sell(alice, "10.00", "T-1")
    merge(shop, alice, double)
    assert shop.manager.delete(f"/customers/{alice.pk}").status_code == 200
    assert shop.manager.get(f"/customers/{alice.pk}").status_code == 404
    data = export(shop, alice.pk)
    assert [row["transactionId"] for row in data["purchases"]] == ["T-1"]
    assert {row["id"] for row in data["customers"]} == {str(alice.pk), str(double.pk)}
    assert export(shop, double.pk)["purchases"] == data["purchases"]
    assert foreign_shop.owner.get(f"/customers/{alice.pk}/export").status_code == 404
    assert shop.cashier.get(f"/customers/{alice.pk}/export").status_code == 403


def test_of_an_erased_customer_there_is_nothing_to_tell(shop: Shop, person: Person) -> None:
    alice, double = person("Alice"), person("Alice")
    merge(shop, alice, double)
    assert shop.manager.post(f"/customers/{alice.pk}/erase").status_code == 200
    for customer in (alice, double):
        response = shop.manager.get(f"/customers/{customer.pk}/export")
        assert (response.status_code, response.json()["code"]) == (404, "customer_not_found")


def test_one_query_per_table(
    shop: Shop, program: Any, person: Person, sell: Sell, django_assert_max_num_queries: Any
) -> None:
    alice = person("Alice")
    for number in range(5):
        sell(alice, "1.00", f"T-{number}")
    export(shop, alice.pk)
    captured: CaptureQueriesContext
    # Who it is, their family, each table once, and the record of it in a transaction.
    with django_assert_max_num_queries(len(TABLES) + 5) as captured:
        export(shop, alice.pk)
    assert len(captured) == len(TABLES) + 5


def test_who_exported_is_on_record(shop: Shop, person: Person, sell: Sell) -> None:
    alice, double = person("Alice"), person("Alice")
    sell(alice, "10.00", "T-1")
    merge(shop, alice, double)
    data = export(shop, double.pk)
    (made,) = Event.objects.filter(type="customer.exported")
    rows = sum(len(rows) for key, rows in data.items() if key != "customerId")
    assert (made.customer_id, made.data) == (alice.pk, {"rows": rows})
    assert (made.actor_id, made.store_id) == (shop.manager.user_id, shop.store.pk)
    assert shop.cashier.get(f"/customers/{alice.pk}/export").status_code == 403
    assert shop.manager.get(f"/customers/{uuid.uuid4()}/export").status_code == 404
    assert Event.objects.filter(type="customer.exported").count() == 1


def test_too_much_is_refused_not_cut(
    shop: Shop, person: Person, sell: Sell, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = person("Alice")
    for number in range(3):
        sell(alice, "1.00", f"T-{number}")
    monkeypatch.setattr(exporting, "EXPORT_ROWS_MAX", 2)
    response = shop.manager.get(f"/customers/{alice.pk}/export")
    assert (response.status_code, response.json()["code"]) == (409, "too_much_to_export")


def test_only_a_manager_may(shop: Shop, person: Person) -> None:
    assert shop.cashier.get(f"/customers/{person('Bob').pk}/export").status_code == 403
