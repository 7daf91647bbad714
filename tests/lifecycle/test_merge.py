"""POST /customers/{id}/merge."""

import threading
import uuid
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.utils.timezone import now

from cloudpos.lifecycle import merging
from cloudpos.lifecycle.merging import merge_customers
from customers.models import Address, Consent, Customer, Event, Merge, Purchase
from customers.services import record_consent, update_customer
from loyalty.models import LedgerEntry
from tests.fixtures import Shop
from tests.lifecycle.conftest import Person, Sell

pytestmark = pytest.mark.django_db


def merge(shop: Shop, target: Customer, source: Customer, **body: Any) -> dict[str, Any]:
    response = shop.manager.post(f"/customers/{target.pk}/merge", {"sourceId": str(source.pk), **body})
    assert response.status_code == 200, response.content
    data: dict[str, Any] = response.json()["data"]
    return data


def say(shop: Shop, customer: Customer, state: str, *, days_ago: int, channel: str = "email") -> None:
    record_consent(
        access=shop.access,
        customer_id=customer.pk,
        data={
            "channel": channel,
            "purpose": "marketing",
            "state": state,
            "source": "till",
            "occurred_at": now() - timedelta(days=days_ago),
        },
    )


def fields(report: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    return {row["field"]: (row["result"], row["takenFrom"]) for row in report["fields"]}


def dump() -> dict[str, list[Any]]:
    """Every row that a merge could touch."""
    tables = (
        "customers", "customer_addresses", "customer_consents", "customer_preferences", "customer_events",
        "customer_merges", "purchases", "purchase_returns", "loyalty_enrollments", "loyalty_transactions",
        "loyalty_lots", "loyalty_allocations",
    )  # fmt: skip
    found = {}
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
            found[table] = cursor.fetchall()
    return found


def test_the_target_keeps_its_values_and_the_source_fills_the_gaps(shop: Shop, person: Person) -> None:
    alice = person("Alice", "Smith", email="alice@example.com", tags=["wine", "loyal"], notes="Likes red.")
    double = person(
        "Ally", "Smyth", email="ally@example.com", phone="+442071838750", date_of_birth=date(1990, 2, 3),
        tags=["cheese", "wine"], notes="Prefers mornings.", metadata={"crm": 7},
    )  # fmt: skip

    report = merge(shop, alice, double)

    assert report["preview"] is False
    assert report["customerId"] == str(alice.pk)
    assert report["sourceId"] == str(double.pk)
    assert fields(report) == {
        "name": ("Alice Smith", "target"),
        "companyName": (None, "target"),
        "taxId": (None, "target"),
        "email": ("alice@example.com", "target"),
        "phone": ("+442071838750", "source"),
        "dateOfBirth": ("1990-02-03", "source"),
        "gender": (None, "target"),
        "language": (None, "target"),
        "homeStoreId": (str(shop.store.pk), "target"),
        "type": ("individual", "target"),
        "status": ("active", "target"),
        "tags": (["cheese", "loyal", "wine"], "both"),
        "notes": ("Likes red.\n\nPrefers mornings.", "both"),
        "metadata": ({"crm": 7}, "source"),
    }
    losing = {row["field"] for row in report["fields"] if row["losesInformation"]}
    assert losing == {"name", "email"}
    shown = shop.cashier.get(f"/customers/{alice.pk}").json()["data"]
    assert shown["phone"] == "+442071838750"
    assert shown["dateOfBirth"] == "1990-02-03"
    assert shown["tags"] == ["cheese", "loyal", "wine"]


def test_the_caller_may_let_the_source_win(shop: Shop, person: Person) -> None:
    alice = person("Alice", "Smith", email="alice@example.com")
    double = person("Alicia", "Smith-Jones", email="new@example.com")

    report = merge(shop, alice, double, takeFromSource=["email", "name", "phone"])

    assert fields(report)["name"] == ("Alicia Smith-Jones", "source")
    assert fields(report)["email"] == ("new@example.com", "source")
    # An empty value never wins.
    assert fields(report)["phone"] == (None, "target")
    alice.refresh_from_db()
    assert (alice.first_name, alice.email, alice.email_key) == (
        "Alicia",
        "new@example.com",
        "new@example.com",
    )
    found = shop.cashier.get("/customers?query=alicia").json()["data"]
    assert [row["id"] for row in found["customers"]] == [str(alice.pk)]


def test_a_suspension_on_either_side_stays(shop: Shop, person: Person) -> None:
    alice, double = person("Alice"), person("Alice")
    update_customer(access=shop.access, customer_id=double.pk, data={"status": "suspended"})

    assert fields(merge(shop, alice, double))["status"] == ("suspended", "source")


def test_history_points_and_addresses_follow(
    shop: Shop, program: Any, person: Person, sell: Sell, take_back: Sell
) -> None:
    home = {"street1": "1 High St", "city": "Leeds", "country": "GB"}
    alice = person("Alice", address=home)
    double = person("Alice", addresses=[{**home, "street1": "2 Low St"}, {**home, "street1": "3 Mid St"}])
    sell(alice, "100.00", "T-1")
    sell(double, "40.00", "T-2", occurredAt="2026-05-01T10:00:00Z")
    sell(double, "10.00", "T-3", occurredAt="2026-05-02T10:00:00Z")
    take_back("T-2", "R-1", amount="5.00", occurredAt="2026-05-03T10:00:00Z")

    report = merge(shop, alice, double)

    assert report["moved"]["addresses"] == 2
    assert report["moved"]["purchases"] == 2
    assert report["moved"]["returns"] == 1
    assert report["points"] == {"target": 100, "source": 45, "result": 145}
    assert report["totalSpent"] == {"target": "100.00", "source": "45.00", "result": "145.00"}
    shown = shop.cashier.get(f"/customers/{alice.pk}").json()["data"]
    assert (shown["points"], shown["totalSpent"], shown["visitCount"]) == (145, "145.00", 3)
    assert shown["firstVisitAt"] == "2026-05-01T10:00:00Z"
    assert [(row["street1"], row["isDefault"]) for row in shown["addresses"]] == [
        ("1 High St", True),
        ("2 Low St", False),
        ("3 Mid St", False),
    ]
    purchases = shop.cashier.get(f"/customers/{alice.pk}/purchases").json()["data"]
    assert {row["transactionId"] for row in purchases["purchases"]} == {"T-1", "T-2", "T-3"}
    types = list(
        LedgerEntry.objects.for_merchant(shop.merchant)
        .filter(type="transferred")
        .order_by("points")
        .values_list("points", flat=True)
    )
    assert types == [-45, 45]


def test_both_balances_stay_what_the_rules_say_after_later_returns(
    shop: Shop, program: Any, person: Person, sell: Sell, take_back: Sell
) -> None:
    alice, double = person("Alice"), person("Alice")
    sell(alice, "100.00", "T-1")
    sell(double, "40.00", "T-2", occurredAt="2026-05-01T10:00:00Z")
    merge(shop, alice, double)

    receipt = take_back("T-2", "R-9")

    assert receipt["pointsTaken"] == 40
    assert receipt["balance"] == 100
    # A late sale of the old id, from a till that was offline, arrives at the target.
    late = sell(double, "7.00", "T-4", occurredAt="2026-04-01T10:00:00Z")
    assert late["purchase"]["customerId"] == str(alice.pk)
    assert late["balance"] == 107


def test_the_tier_follows_the_united_spend(shop: Shop, program: Any, person: Person, sell: Sell) -> None:
    alice, double = person("Alice"), person("Alice")
    sell(alice, "300.00", "T-1")
    sell(double, "300.00", "T-2")

    report = merge(shop, alice, double)

    assert report["tier"] == {"target": "bronze", "source": "bronze", "result": "silver"}


def test_the_old_id_and_number_answer_with_the_target(shop: Shop, person: Person) -> None:
    alice, double = person("Alice", email="alice@example.com"), person("Alice")
    merge(shop, alice, double)

    by_id = shop.cashier.get(f"/customers/{double.pk}")
    by_number = shop.cashier.get(f"/customers/lookup?number={double.customer_number}")

    assert by_id.json()["data"] == shop.cashier.get(f"/customers/{alice.pk}").json()["data"]
    assert by_number.json()["data"]["id"] == str(alice.pk)
    assert shop.cashier.get("/customers").json()["data"]["total"] == 1


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        (("granted", 1), ("withdrawn", 9), False),
        (("withdrawn", 9), ("granted", 1), False),
        (("withdrawn", 1), ("granted", 9), False),
        (("granted", 9), ("withdrawn", 1), False),
        (("granted", 9), ("granted", 1), True),
        (("granted", 9), None, True),
        (None, ("granted", 9), True),
        (None, ("withdrawn", 9), False),
    ],
)
def test_the_strictest_consent_wins(
    shop: Shop, person: Person, mine: Any, theirs: Any, expected: bool
) -> None:
    alice, double = person("Alice"), person("Alice")
    for customer, said in ((alice, mine), (double, theirs)):
        if said is not None:
            say(shop, customer, said[0], days_ago=said[1])
    statements = Consent.objects.for_merchant(shop.merchant).count()

    report = merge(shop, alice, double)

    (row,) = report["consents"]
    assert row["result"] is expected
    preferences = shop.cashier.get(f"/customers/{alice.pk}/preferences").json()["data"]
    assert preferences["email"]["marketing"] is expected
    log = Consent.objects.for_merchant(shop.merchant).filter(customer_id=alice.pk)
    # A statement is added only where the last word would have been a grant.
    overruled = {said[0] for said in (mine, theirs) if said} == {"granted", "withdrawn"} and (
        min((said for said in (mine, theirs)), key=lambda said: said[1])[0] == "granted"
    )
    assert log.count() == statements + overruled
    assert log.filter(source="merge").count() == overruled


def test_preferences_are_united(shop: Shop, person: Person) -> None:
    alice = person("Alice", preferences={"max_messages_per_week": 5})
    double = person("Alice", preferences={"language": "de", "max_messages_per_week": 2})

    merge(shop, alice, double)

    preferences = shop.cashier.get(f"/customers/{alice.pk}/preferences").json()["data"]
    assert (preferences["language"], preferences["maxMessagesPerWeek"]) == ("de", 2)


def test_the_preview_is_the_merge_without_a_trace(
    shop: Shop, program: Any, person: Person, sell: Sell
) -> None:
    alice = person("Alice", email="alice@example.com", tags=["a"])
    double = person("Alice", phone="+442071838750", tags=["b"])
    sell(alice, "300.00", "T-1")
    sell(double, "300.00", "T-2")
    say(shop, alice, "granted", days_ago=1)
    say(shop, double, "withdrawn", days_ago=2)
    before = dump()

    promised = merge(shop, alice, double, preview=True)

    assert dump() == before
    assert promised["preview"] is True
    assert promised["mergeId"] is None
    done = merge(shop, alice, double)
    for moment in (promised, done):
        moment.pop("mergedAt")
    assert done.pop("mergeId")
    assert done.pop("preview") is False
    assert promised == {**done, "preview": True, "mergeId": None}


def test_a_preview_with_an_idempotency_key_leaves_no_trace_either(shop: Shop, person: Person) -> None:
    alice, double = person("Alice"), person("Alice")
    before = dump()
    body = {"sourceId": str(double.pk), "preview": True}

    for _ in range(2):
        response = shop.manager.post(
            f"/customers/{alice.pk}/merge", body, headers={"Idempotency-Key": "preview-1"}
        )
        assert response.status_code == 200

    assert response.headers["Idempotent-Replayed"] == "true"
    assert dump() == before


def test_one_event_says_what_was_merged(shop: Shop, person: Person) -> None:
    alice, double = person("Alice"), person("Alice")
    report = merge(shop, alice, double)

    (happened,) = Event.objects.for_merchant(shop.merchant).filter(type="customer.merged")
    assert happened.customer_id == alice.pk
    assert happened.data == {
        "mergeId": report["mergeId"], "sourceId": str(double.pk), "targetId": str(alice.pk)
    }  # fmt: skip
    created = Event.objects.for_merchant(shop.merchant).filter(type="customer.created", customer_id=alice.pk)
    assert created.count() == 2


class TestRefusals:
    def answer(self, shop: Shop, target: uuid.UUID, source: uuid.UUID) -> tuple[int, str]:
        response = shop.manager.post(f"/customers/{target}/merge", {"sourceId": str(source)})
        return response.status_code, response.json()["code"]

    def test_with_itself(self, shop: Shop, person: Person) -> None:
        alice = person("Alice")
        assert self.answer(shop, alice.pk, alice.pk) == (400, "same_customer")

    def test_twice(self, shop: Shop, person: Person) -> None:
        alice, double, carol = person("Alice"), person("Alice"), person("Carol")
        merge(shop, alice, double)
        response = shop.manager.post(f"/customers/{carol.pk}/merge", {"sourceId": str(double.pk)})
        assert response.status_code == 409
        assert response.json()["code"] == "already_merged"
        assert response.json()["mergedInto"] == str(alice.pk)
        # The old id of the target is the target.
        assert self.answer(shop, double.pk, alice.pk) == (400, "same_customer")

    def test_absent_deleted_and_foreign_are_the_same(
        self, shop: Shop, foreign_shop: Shop, person: Person
    ) -> None:
        alice, gone, foreign = person("Alice"), person("Bob"), person("Mallory", at=foreign_shop)
        assert shop.manager.delete(f"/customers/{gone.pk}").status_code == 200
        bodies = set()
        for missing in (uuid.uuid4(), gone.pk, foreign.pk):
            as_source = shop.manager.post(f"/customers/{alice.pk}/merge", {"sourceId": str(missing)})
            as_target = shop.manager.post(f"/customers/{missing}/merge", {"sourceId": str(alice.pk)})
            for response in (as_source, as_target):
                assert response.status_code == 404
                body = response.json()
                body.pop("requestId")
                bodies.add(f"{response is as_source} {body}")
        assert len(bodies) == 2

    def test_more_history_than_fits_a_statement(
        self, shop: Shop, person: Person, sell: Sell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alice, double = person("Alice"), person("Alice")
        for number in range(3):
            sell(double, "1.00", f"T-{number}")
        monkeypatch.setattr(merging, "MERGE_ROWS_MAX", 2)
        before = dump()
        assert self.answer(shop, alice.pk, double.pk) == (409, "too_much_to_merge")
        assert dump() == before

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({}, "sourceId", "required"),
            ({"sourceId": "x"}, "sourceId", "invalid"),
            (
                {"sourceId": str(uuid.uuid4()), "takeFromSource": ["points"]},
                "takeFromSource.0",
                "invalid_choice",
            ),
            ({"sourceId": str(uuid.uuid4()), "preview": "yes"}, "preview", "invalid"),
            ({"sourceId": str(uuid.uuid4()), "points": 5}, "points", "unknown_field"),
        ],
    )
    def test_bad_bodies(
        self, shop: Shop, person: Person, body: dict[str, Any], field: str, code: str
    ) -> None:
        alice = person("Alice")
        response = shop.manager.post(f"/customers/{alice.pk}/merge", body)
        assert response.status_code == 400
        (error,) = response.json()["errors"]
        assert (error["field"], error["code"]) == (field, code)


def test_a_chain_of_merges_ends_at_the_last_target(
    shop: Shop, program: Any, person: Person, sell: Sell
) -> None:
    alice, double, third = person("Alice"), person("Alice"), person("Alice")
    sell(double, "10.00", "T-1")
    merge(shop, alice, double)
    merge(shop, third, alice)

    shown = shop.cashier.get(f"/customers/{double.pk}").json()["data"]
    assert (shown["id"], shown["points"], shown["totalSpent"]) == (str(third.pk), 10, "10.00")


@pytest.mark.django_db(transaction=True)
def test_two_merges_of_each_other_at_once_leave_one_customer(shop: Shop, person: Person) -> None:
    """Locks are taken in order of id: neither waits for the other forever, and one of them is refused."""
    alice, double = person("Alice"), person("Alice")
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def run(target: Customer, source: Customer) -> None:
        try:
            barrier.wait(5)
            merge_customers(access=shop.access, customer_id=target.pk, source_id=source.pk)
            outcomes.append("merged")
        except Exception as exc:
            outcomes.append(type(exc).__name__)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in ((alice, double), (double, alice))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert outcomes.count("merged") == 1
    assert {"SameCustomer", "CustomerNotFound", "AlreadyMerged"} & set(outcomes)
    assert Merge.objects.for_merchant(shop.merchant).count() == 1
    assert Customer.objects.for_merchant(shop.merchant).visible().count() == 1


def test_no_row_of_the_source_is_left_behind(shop: Shop, program: Any, person: Person, sell: Sell) -> None:
    alice, double = (
        person("Alice"),
        person("Alice", address={"street1": "1", "city": "Leeds", "country": "GB"}),
    )
    sell(double, "10.00", "T-1")
    say(shop, double, "granted", days_ago=1)
    merge(shop, alice, double)

    for model in (Address, Consent, Purchase):
        assert not model.objects.for_merchant(shop.merchant).filter(customer_id=double.pk).exists(), model
    # The transfer itself is the last thing that happens to the source.
    events = Event.objects.for_merchant(shop.merchant).filter(customer_id=double.pk)
    assert list(events.values_list("type", flat=True)) == ["points.transferred"]
