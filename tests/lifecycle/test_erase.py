"""POST /customers/{id}/erase: afterwards nothing in the whole database knows the person."""

import uuid
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError

from cloudpos.lifecycle import erasing
from customers.models import Consent, Customer, Erasure, Event, Purchase, PurchaseReturn
from customers.services import lock_customers
from loyalty.models import Enrollment, LedgerEntry
from tests.fixtures import Shop, meanwhile
from tests.lifecycle.conftest import SECRETS, Person

pytestmark = pytest.mark.django_db


def everything() -> Iterator[tuple[str, str]]:
    """(table, row) of every row of every table, binary columns read as text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, array_agg(CASE WHEN a.atttypid = 'bytea'::regtype"
            " THEN format('encode(%I, ''escape'')', a.attname) ELSE format('%I::text', a.attname) END)"
            " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0"
            " AND NOT a.attisdropped GROUP BY c.relname"
        )
        for table, columns in cursor.fetchall():
            cursor.execute(f"SELECT concat_ws(' ', {', '.join(columns)}) FROM {table}")
            for (row,) in cursor.fetchall():
                yield table, row


def places(secret: str) -> set[str]:
    return {table for table, row in everything() if secret.casefold() in row.casefold()}


def erase(shop: Shop, customer_id: uuid.UUID) -> dict[str, Any]:
    response = shop.manager.post(f"/customers/{customer_id}/erase")
    assert response.status_code == 200, response.content
    data: dict[str, Any] = response.json()["data"]
    return data


def books() -> list[Any]:
    """What bookkeeping must keep, to the cent and the point."""
    return [
        list(
            Purchase.objects.order_by("pk").values_list(
                "pk", "amount", "tax", "transaction_id", "occurred_at"
            )
        ),
        list(
            PurchaseReturn.objects.order_by("pk").values_list("pk", "amount", "transaction_id", "occurred_at")
        ),
        list(
            LedgerEntry.objects.order_by("pk").values_list(
                "pk", "type", "points", "balance_before", "balance_after", "transaction_id", "occurred_at"
            )
        ),
        list(Enrollment.objects.order_by("pk").values_list("pk", "balance", "version", "tier", "net_spend")),
        list(
            Customer.objects.order_by("pk").values_list(
                "pk", "customer_number", "points", "tier", "total_spent", "visit_count", "last_visit_at"
            )
        ),
    ]


def test_every_trace_was_there_and_is_gone(shop: Shop, zenobia: Customer) -> None:
    unseen = [what for what, secret in SECRETS.items() if not places(secret)]
    assert unseen == [], "the test would not notice these"

    erase(shop, zenobia.pk)

    assert {what: found for what, secret in SECRETS.items() if (found := places(secret))} == {}


def test_no_amount_and_no_point_changes(shop: Shop, zenobia: Customer) -> None:
    before = books()
    erase(shop, zenobia.pk)
    assert books() == before
    assert before[0][0][1] == Decimal("100.00")


def test_the_receipt_says_what_went_and_what_was_kept(shop: Shop, zenobia: Customer) -> None:
    receipt = erase(shop, zenobia.pk)

    erased = {row["table"]: row["rows"] for row in receipt["erased"]}
    assert erased == {
        "customers": 2,
        "addresses": 1,
        "preferences": 2,
        "analyticsFigures": 0,
        "analyticsSnapshots": 0,
        "segments": 0,
        "consentRequests": 0,
        "externalIds": 0,
        "imports": 0,
        "consents": erased["consents"],
        "returns": 1,
        "events": 1,
        "webhookAttempts": 1,
        "webhookDeliveries": 1,
        "loyaltyTransactions": erased["loyaltyTransactions"],
        "loyaltyTierOverrides": 0,
        "merges": 1,
        "storedAnswers": 3,
        "exports": 0,
        "adminLog": 1,
    }
    assert erased["consents"] >= 1
    assert erased["loyaltyTransactions"] >= 1
    kept = {row["table"]: row["reason"] for row in receipt["kept"]}
    assert (
        kept["purchases"]
        == "Bookkeeping duty: what was sold, taken back and credited, without personal data."
    )
    assert kept["consents"].startswith("Duty to prove")
    assert "addresses" not in kept
    assert receipt["customerId"] == str(zenobia.pk)


def test_the_customer_is_gone_for_every_reader(shop: Shop, zenobia: Customer) -> None:
    erase(shop, zenobia.pk)

    for path in (
        "",
        "/timeline",
        "/export",
        "/addresses",
        "/preferences",
        "/consents",
        "/loyalty",
        "/purchases",
    ):
        response = shop.manager.get(f"/customers/{zenobia.pk}{path}")
        assert response.status_code == 404, path
    for query in ("query=zenobia", f"query={SECRETS['phone'][-6:]}", "tags=snorkelfan"):
        assert shop.manager.get(f"/customers?{query}").json()["data"]["total"] == 0
    assert shop.manager.get("/customers").json()["data"]["total"] == 0
    again = shop.cashier.post("/customers", {"firstName": "New", "email": SECRETS["email"]})
    assert again.status_code == 201


def test_again_it_is_the_same_receipt(shop: Shop, zenobia: Customer) -> None:
    first = erase(shop, zenobia.pk)
    assert erase(shop, zenobia.pk) == first
    assert Erasure.objects.count() == 1
    assert Event.objects.filter(type="customer.erased").count() == 1


def test_either_id_of_a_merge_erases_both(shop: Shop, zenobia: Customer) -> None:
    double = Customer.objects.get(merged_into=zenobia)
    receipt = erase(shop, double.pk)
    assert receipt["customerId"] == str(zenobia.pk)
    assert Customer.objects.exclude(erased_at=None).count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_merge_that_is_quicker_is_erased_as_well(
    shop: Shop, person: Person, zenobia: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was merged into the customer while the erasure waited for the lock is forgotten too."""
    double = person("Zenniferous", email="double.private@example.com")

    def merge_is_quicker(**arguments: Any) -> list[Customer]:
        monkeypatch.setattr(erasing, "lock_customers", lock_customers)
        path = f"/customers/{zenobia.pk}/merge"
        assert meanwhile(lambda: shop.owner.post(path, {"sourceId": str(double.pk)})).status_code == 200
        return lock_customers(**arguments)

    monkeypatch.setattr(erasing, "lock_customers", merge_is_quicker)
    assert shop.owner.post(f"/customers/{zenobia.pk}/erase").status_code == 200
    double.refresh_from_db()
    assert (double.first_name, double.email, double.erased_at is None) == ("", "", False)
    assert not places("double.private")


@pytest.mark.django_db(transaction=True)
def test_who_was_unmerged_meanwhile_is_not_erased(
    shop: Shop, person: Person, zenobia: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = person("Bob")
    merged = shop.owner.post(f"/customers/{zenobia.pk}/merge", {"sourceId": str(double.pk)}).json()["data"]

    def undo_is_quicker(**arguments: Any) -> list[Customer]:
        monkeypatch.setattr(erasing, "lock_customers", lock_customers)
        path = f"/customers/{zenobia.pk}/merge/{merged['mergeId']}/undo"
        assert meanwhile(lambda: shop.owner.post(path)).status_code == 200
        return lock_customers(**arguments)

    monkeypatch.setattr(erasing, "lock_customers", undo_is_quicker)
    assert shop.owner.post(f"/customers/{zenobia.pk}/erase").status_code == 200
    double.refresh_from_db()
    assert (double.first_name, double.erased_at, double.deleted_at) == ("Bob", None, None)


def test_a_deleted_customer_can_be_erased(shop: Shop, person: Person) -> None:
    bob = person("Bob", email="bob@example.com")
    assert shop.manager.delete(f"/customers/{bob.pk}").status_code == 200
    erase(shop, bob.pk)
    assert places("bob@example.com") == set()


def test_a_repeated_request_does_not_bring_the_person_back(shop: Shop, person: Person) -> None:
    body = {"firstName": "Bob", "email": "bob@example.com"}
    keyed = {"Idempotency-Key": "create-bob"}
    bob = shop.cashier.post("/customers", body, headers=keyed).json()["data"]
    erase(shop, uuid.UUID(bob["id"]))

    again = shop.cashier.post("/customers", body, headers=keyed)

    assert again.status_code == 410
    assert again.json()["code"] == "customer_erased"
    assert places("bob@example.com") == set()


def test_nobody_else_is_touched(shop: Shop, foreign_shop: Shop, person: Person, zenobia: Customer) -> None:
    bob = person("Bob", "Builder", address={"street1": "9 Hill", "city": "York", "country": "GB"})
    before = Customer.objects.filter(pk=bob.pk).values().get()
    assert foreign_shop.manager.post(f"/customers/{zenobia.pk}/erase").status_code == 404
    assert places(SECRETS["first name"])

    erase(shop, zenobia.pk)

    assert Customer.objects.filter(pk=bob.pk).values().get() == before
    assert bob.addresses.count() == 1


def test_only_a_manager_may(shop: Shop, person: Person) -> None:
    bob = person("Bob")
    assert shop.cashier.post(f"/customers/{bob.pk}/erase").status_code == 403


def refused(query: Any, **changed: Any) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        query.update(**changed)


def test_the_database_lets_only_free_words_go(shop: Shop, zenobia: Customer) -> None:
    """The triggers that keep rows immutable open for an erasure, and for nothing else."""
    refused(PurchaseReturn.objects.all(), reason="another reason")
    refused(PurchaseReturn.objects.all(), reason="", amount=Decimal("1.00"))
    refused(Consent.objects.all(), ip="203.0.113.1")
    refused(Consent.objects.all(), ip=None, state="withdrawn")
    refused(LedgerEntry.objects.all(), description="another story")
    refused(LedgerEntry.objects.all(), description="", points=1)
    refused(Purchase.objects.all(), payment_method="gold")
    assert date.fromisoformat(SECRETS["birth date"]) == zenobia.date_of_birth
