"""POST /customers/{id}/merge/{mergeId}/undo."""

import uuid
from datetime import date
from typing import Any

import pytest

from customers.models import Consent, Customer, Event, Merge
from customers.services import create_customer, delete_address, update_customer
from loyalty.services import post_points
from tests.fixtures import Shop
from tests.lifecycle.conftest import Person, Sell
from tests.lifecycle.test_merge import merge, say

pytestmark = pytest.mark.django_db

# What a merge and its undo change on purpose: they are two more versions.
BOOKKEEPING = {"version", "updatedAt"}


def undo(shop: Shop, customer: Customer, merge_id: str) -> dict[str, Any]:
    response = shop.manager.post(f"/customers/{customer.pk}/merge/{merge_id}/undo")
    assert response.status_code == 200, response.content
    data: dict[str, Any] = response.json()["data"]
    return data


def shown(shop: Shop, customer: Customer) -> dict[str, Any]:
    """Everything that the API says of a customer, but its version."""
    found: dict[str, Any] = {}
    for part in ("", "/preferences", "/purchases", "/loyalty"):
        answer = shop.cashier.get(f"/customers/{customer.pk}{part}")
        assert answer.status_code == 200, answer.content
        data = answer.json()["data"]
        found[part] = {key: value for key, value in data.items() if key not in BOOKKEEPING}
    return found


def consents(shop: Shop, customer: Customer) -> set[uuid.UUID]:
    rows = Consent.objects.for_merchant(shop.merchant).filter(customer_id=customer.pk)
    return set(rows.exclude(source="merge").values_list("pk", flat=True))


def test_both_sides_are_as_they_were(
    shop: Shop, program: Any, person: Person, sell: Sell, take_back: Sell
) -> None:
    home = {"street1": "1 High St", "city": "Leeds", "country": "GB"}
    alice = person(
        "Alice", "Smith", email="alice@example.com", tags=["wine"], notes="A", metadata={"a": 1},
        preferences={"max_messages_per_week": 5},
    )  # fmt: skip
    double = person(
        "Ally", "Smyth", email="ally@example.com", phone="+442071838750", date_of_birth=date(1990, 2, 3),
        tags=["cheese"], notes="B", metadata={"b": 2}, addresses=[home, {**home, "street1": "2 Low St"}],
        preferences={"language": "de", "max_messages_per_week": 2},
    )  # fmt: skip
    sell(alice, "600.00", "T-1")
    sell(double, "40.00", "T-2", occurredAt="2026-05-01T10:00:00Z")
    take_back("T-2", "R-1", amount="5.00", occurredAt="2026-05-03T10:00:00Z")
    say(shop, alice, "withdrawn", days_ago=9)
    say(shop, double, "granted", days_ago=1)
    say(shop, double, "withdrawn", days_ago=2, channel="sms")
    before = [shown(shop, customer) for customer in (alice, double)]
    said = [consents(shop, customer) for customer in (alice, double)]
    report = merge(shop, alice, double, takeFromSource=["email"])

    undone = undo(shop, alice, report["mergeId"])

    assert undone["notRestored"] == []
    assert undone["points"] == {"target": 600, "source": 35}
    assert [shown(shop, customer) for customer in (alice, double)] == before
    assert [consents(shop, customer) for customer in (alice, double)] == said
    listed = shop.cashier.get("/customers").json()["data"]
    assert listed["total"] == 2
    assert shop.cashier.get("/customers?query=ally").json()["data"]["total"] == 1
    assert Merge.objects.get(pk=report["mergeId"]).moved == {}
    types = Event.objects.for_merchant(shop.merchant).filter(type="customer.unmerged")
    assert {happened.customer_id for happened in types} == {alice.pk, double.pk}


def test_either_id_names_the_merge(shop: Shop, person: Person) -> None:
    alice, double = person("Alice"), person("Alice")
    report = merge(shop, alice, double)
    assert undo(shop, double, report["mergeId"])["customerId"] == str(alice.pk)


def test_what_happened_since_stays_and_is_said(shop: Shop, program: Any, person: Person, sell: Sell) -> None:
    home = {"street1": "1 High St", "city": "Leeds", "country": "GB"}
    alice = person("Alice", email="alice@example.com")
    double = person("Alice", email="double@example.com", notes="B", tags=["cheese"], address=home)
    sell(double, "40.00", "T-2", occurredAt="2026-05-01T10:00:00Z")
    report = merge(shop, alice, double)
    access = shop.access
    sell(alice, "10.00", "T-3")
    post_points(access=access, customer_id=alice.pk, type="redeemed", points=45)
    update_customer(
        access=access, customer_id=alice.pk, data={"notes": "Mine now", "tags": ["cheese", "new"]}
    )
    address_id = shop.cashier.get(f"/customers/{alice.pk}").json()["data"]["addresses"][0]["id"]
    delete_address(access=access, customer_id=alice.pk, address_id=uuid.UUID(address_id))
    taker = create_customer(access=access, data={"first_name": "Bob", "email": "double@example.com"})

    undone = undo(shop, alice, report["mergeId"])

    assert undone["notRestored"] == [
        "Addresses deleted since the merge: 1",
        "Changed since the merge and left as it is: notes",
        f"The e-mail address of {double.customer_number} belongs to another customer now",
        "Points spent, expired or taken back since the merge: 40 of 40 did not return",
        f"Purchases since the merge stay with {alice.customer_number}: 1",
    ]
    one = shop.cashier.get(f"/customers/{alice.pk}").json()["data"]
    other = shop.cashier.get(f"/customers/{double.pk}").json()["data"]
    assert (one["notes"], one["tags"], one["totalSpent"], one["points"]) == ("Mine now", ["new"], "10.00", 5)
    assert (other["email"], other["totalSpent"], other["points"]) == (None, "40.00", 0)
    taker.refresh_from_db()
    assert taker.email == "double@example.com"


def test_a_return_since_the_merge_follows_its_purchase(
    shop: Shop, program: Any, person: Person, sell: Sell, take_back: Sell
) -> None:
    alice, double = person("Alice"), person("Alice")
    sell(alice, "100.00", "T-1")
    sell(double, "40.00", "T-2", occurredAt="2026-05-01T10:00:00Z")
    report = merge(shop, alice, double)
    take_back("T-2", "R-1", amount="10.00")

    undone = undo(shop, alice, report["mergeId"])

    assert undone["moved"]["returns"] == 1
    assert undone["points"] == {"target": 100, "source": 30}
    other = shop.cashier.get(f"/customers/{double.pk}").json()["data"]
    assert other["totalSpent"] == "30.00"


def test_a_withdrawal_since_the_merge_counts_for_both(shop: Shop, person: Person) -> None:
    alice, double = person("Alice"), person("Alice")
    say(shop, double, "granted", days_ago=5)
    report = merge(shop, alice, double)
    say(shop, alice, "withdrawn", days_ago=0)

    undone = undo(shop, alice, report["mergeId"])

    assert undone["notRestored"] == ["Consent withdrawn since the merge counts for both: email marketing"]
    for customer in (alice, double):
        preferences = shop.cashier.get(f"/customers/{customer.pk}/preferences").json()["data"]
        assert preferences["email"]["marketing"] is False


def test_two_merges_of_one_target_come_apart_in_any_order(
    shop: Shop, program: Any, person: Person, sell: Sell
) -> None:
    alice, second, third = person("Alice"), person("Alice", tags=["b"]), person("Alice", tags=["c"])
    sell(second, "20.00", "T-2")
    sell(third, "30.00", "T-3")
    first_merge, second_merge = merge(shop, alice, second), merge(shop, alice, third)

    undo(shop, alice, first_merge["mergeId"])
    one = shop.cashier.get(f"/customers/{alice.pk}").json()["data"]
    assert (one["points"], one["tags"], one["totalSpent"]) == (30, ["c"], "30.00")
    undo(shop, alice, second_merge["mergeId"])

    points = [shop.cashier.get(f"/customers/{c.pk}").json()["data"]["points"] for c in (alice, second, third)]
    assert points == [0, 20, 30]


class TestRefusals:
    def answer(self, shop: Shop, customer: Customer, merge_id: Any) -> tuple[int, str]:
        response = shop.manager.post(f"/customers/{customer.pk}/merge/{merge_id}/undo")
        return response.status_code, response.json()["code"]

    def test_twice(self, shop: Shop, person: Person) -> None:
        alice, double = person("Alice"), person("Alice")
        report = merge(shop, alice, double)
        undo(shop, alice, report["mergeId"])
        assert self.answer(shop, alice, report["mergeId"]) == (409, "merge_already_undone")

    def test_below_a_later_merge(self, shop: Shop, person: Person) -> None:
        alice, double, carol = person("Alice"), person("Alice"), person("Carol")
        report = merge(shop, alice, double)
        later = merge(shop, carol, alice)
        assert self.answer(shop, alice, report["mergeId"]) == (409, "later_merge_first")
        undo(shop, carol, later["mergeId"])
        undo(shop, alice, report["mergeId"])

    def test_absent_foreign_and_of_somebody_else(
        self, shop: Shop, foreign_shop: Shop, person: Person
    ) -> None:
        alice, double, bob = person("Alice"), person("Alice"), person("Bob")
        report = merge(shop, alice, double)
        theirs = merge(foreign_shop, person("Mallory", at=foreign_shop), person("Mallory", at=foreign_shop))
        for customer, merge_id in (
            (alice, uuid.uuid4()),
            (alice, theirs["mergeId"]),
            (bob, report["mergeId"]),
        ):
            assert self.answer(shop, customer, merge_id) == (404, "merge_not_found")

    def test_of_the_forgotten(self, shop: Shop, person: Person) -> None:
        alice, double = person("Alice"), person("Alice")
        report = merge(shop, alice, double)
        assert shop.manager.post(f"/customers/{alice.pk}/erase").status_code == 200
        assert self.answer(shop, alice, report["mergeId"]) == (409, "merge_erased")
