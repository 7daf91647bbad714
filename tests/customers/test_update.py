"""PUT and PATCH /customers/{customerId}"""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from customers.models import Consent, Customer, Event
from tests.customers.conftest import ABSENT, DEFAULT_PREFERENCES, Make
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


def read(shop: Shop, customer: Customer) -> dict[str, Any]:
    data: dict[str, Any] = shop.cashier.get(f"/customers/{customer.pk}").json()["data"]
    return data


def test_patch_changes_what_is_said(shop: Shop, alice: Customer) -> None:
    before = read(shop, alice)
    response = shop.cashier.patch(f"/customers/{alice.pk}", {"lastName": "Baker", "tags": ["VIP"]})
    assert response.status_code == 200
    data = response.json()["data"]
    assert data == {
        **before,
        "lastName": "Baker",
        "tags": ["vip"],
        "version": 2,
        "updatedAt": data["updatedAt"],
    }
    assert response.headers["ETag"] == '"2"'
    assert read(shop, alice) == data
    event = Event.objects.for_merchant(shop.merchant).get(type="customer.updated")
    assert event.data == {"fields": ["last_name", "tags"]}


def test_put_replaces_the_profile_and_keeps_the_rest(shop: Shop, make: Make) -> None:
    alice = make(
        "Alice",
        last_name="Archer",
        email="alice@example.com",
        notes="Rings twice",
        tags=["vip"],
        metadata={"a": 1},
        status="suspended",
        addresses=[{"street1": "1 High Street", "city": "London"}],
        preferences={"email": {"marketing": True}},
    )
    before = read(shop, alice)
    data = shop.cashier.put(f"/customers/{alice.pk}", {"firstName": "Alicia"}).json()["data"]
    assert data == {
        **before,
        "firstName": "Alicia",
        "lastName": None,
        "email": None,
        "notes": None,
        "tags": [],
        "metadata": {},
        "version": 2,
        "updatedAt": data["updatedAt"],
    }


def test_what_was_read_may_be_put_back(shop: Shop, alice: Customer) -> None:
    before = read(shop, alice)
    response = shop.cashier.put(f"/customers/{alice.pk}", before)
    assert (response.status_code, response.json()["data"]) == (200, before)
    assert not Event.objects.for_merchant(shop.merchant).filter(type="customer.updated").exists()


def test_null_empties(shop: Shop, alice: Customer) -> None:
    body = {"lastName": None, "email": None, "phone": "", "homeStoreId": None, "tags": None, "metadata": None}
    data = shop.cashier.patch(f"/customers/{alice.pk}", body).json()["data"]
    assert [data[name] for name in body] == [None, None, None, None, [], {}]


def test_a_changed_name_is_found_and_the_old_one_is_not(shop: Shop, alice: Customer) -> None:
    shop.cashier.patch(f"/customers/{alice.pk}", {"firstName": "Zelda"})
    assert shop.cashier.get("/customers", {"query": "zeld"}).json()["data"]["total"] == 1
    assert (
        shop.cashier.get("/customers", {"query": "alice archer"}).json()["data"]["total"] == 1
    )  # her e-mail
    shop.cashier.patch(f"/customers/{alice.pk}", {"email": None})
    assert shop.cashier.get("/customers", {"query": "alice"}).json()["data"]["total"] == 0


def test_if_match(shop: Shop, alice: Customer) -> None:
    path = f"/customers/{alice.pk}"
    stale = shop.cashier.patch(path, {"firstName": "Eve"}, headers={"If-Match": '"7"'})
    assert (stale.status_code, stale.json()["version"]) == (412, 1)
    assert shop.cashier.put(path, {"firstName": "Eve"}, headers={"If-Match": '"1"'}).status_code == 200
    assert shop.cashier.patch(path, {"firstName": "Eva"}, headers={"If-Match": '"1"'}).status_code == 412
    assert shop.manager.delete(path, headers={"If-Match": '"1"'}).status_code == 412
    assert shop.manager.delete(path, headers={"If-Match": '"2"'}).status_code == 200


def test_another_ones_email_and_phone(shop: Shop, alice: Customer, bob: Customer) -> None:
    for field, value in (("email", "ALICE@example.com"), ("phone", "020 7183 8750")):
        response = shop.cashier.patch(f"/customers/{bob.pk}", {field: value})
        body = response.json()
        assert (response.status_code, body["code"], body["customerId"]) == (
            409,
            f"{field}_taken",
            str(alice.pk),
        )
    assert read(shop, bob)["version"] == 1


def test_own_email_in_another_spelling(shop: Shop, alice: Customer) -> None:
    data = shop.cashier.patch(f"/customers/{alice.pk}", {"email": "Alice@EXAMPLE.com"}).json()["data"]
    assert data["email"] == "Alice@example.com"


def test_a_business_keeps_its_name(shop: Shop, alice: Customer) -> None:
    response = shop.cashier.patch(f"/customers/{alice.pk}", {"type": "business"})
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == "companyName"
    assert read(shop, alice)["type"] == "individual"


def test_addresses_are_replaced_by_id(shop: Shop, alice: Customer) -> None:
    (home,) = read(shop, alice)["addresses"]
    work = {"street1": "2 Mill Lane", "city": "York", "type": "work", "isDefault": True}
    data = shop.cashier.patch(
        f"/customers/{alice.pk}", {"addresses": [{**home, "city": "Leeds", "isDefault": False}, work]}
    ).json()["data"]
    assert [(a["city"], a["isDefault"]) for a in data["addresses"]] == [("York", True), ("Leeds", False)]
    assert data["addresses"][1]["id"] == home["id"]
    data = shop.cashier.patch(f"/customers/{alice.pk}", {"addresses": [home]}).json()["data"]
    assert [(a["id"], a["city"], a["isDefault"]) for a in data["addresses"]] == [(home["id"], "London", True)]
    assert shop.cashier.patch(f"/customers/{alice.pk}", {"addresses": []}).json()["data"]["addresses"] == []


def test_another_customers_address_id(shop: Shop, alice: Customer, bob: Customer) -> None:
    (home,) = read(shop, alice)["addresses"]
    response = shop.cashier.patch(f"/customers/{bob.pk}", {"addresses": [home]})
    assert response.status_code == 400
    assert [(e["field"], e["code"]) for e in response.json()["errors"]] == [
        ("addresses.0.id", "address_not_found")
    ]


def test_address_changes_the_default_one(shop: Shop, alice: Customer, bob: Customer) -> None:
    data = shop.cashier.patch(f"/customers/{alice.pk}", {"address": {"city": "Leeds"}}).json()["data"]
    assert [(a["city"], a["street1"]) for a in data["addresses"]] == [("Leeds", "1 High Street")]
    missing = shop.cashier.patch(f"/customers/{bob.pk}", {"address": {"city": "Leeds"}})
    assert [error["field"] for error in missing.json()["errors"]] == ["address.street1"]


def test_preferences_go_through_the_log(shop: Shop, alice: Customer) -> None:
    body = {"preferences": {"email": {"marketing": True}, "language": "fr"}}
    data = shop.cashier.patch(f"/customers/{alice.pk}", body).json()["data"]
    assert data["preferences"] == {
        **DEFAULT_PREFERENCES,
        "email": {"marketing": True, "transactional": True, "analytics": False},
        "language": "fr",
    }
    assert data["version"] == 2
    assert Consent.objects.for_merchant(shop.merchant).count() == 1


def test_absent_foreign_and_deleted(shop: Shop, mallory: Customer) -> None:
    answers = [shop.cashier.patch(f"/customers/{pk}", {"firstName": "Eve"}) for pk in (ABSENT, mallory.pk)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert len({tuple(sorted({**a.json(), "requestId": ""}.items(), key=str))[0] for a in answers}) == 1
    mallory.refresh_from_db()
    assert mallory.first_name == "Mallory"


def test_roles(shop: Shop, alice: Customer) -> None:
    assert shop.cashier.delete(f"/customers/{alice.pk}").status_code == 403
    assert shop.manager.delete(f"/customers/{alice.pk}").json() == {
        "success": True,
        "data": None,
        "message": "Customer deleted",
    }
    assert shop.manager.delete(f"/customers/{alice.pk}").status_code == 404
    assert Event.objects.for_merchant(shop.merchant).filter(type="customer.deleted").count() == 1
    assert Customer.objects.for_merchant(shop.merchant).get(pk=alice.pk).first_name == "Alice"
    assert shop.cashier.get("/customers").json()["data"]["total"] == 0


@pytest.mark.django_db(transaction=True)
def test_two_customers_take_one_email_at_the_same_moment(shop: Shop, make: Make) -> None:
    people = [make(f"Person {n}") for n in range(6)]

    def take(customer: Customer) -> tuple[int, str]:
        try:
            response = shop.cashier.patch(f"/customers/{customer.pk}", {"email": "one@example.com"})
            return response.status_code, str(response.json().get("customerId") or customer.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as executor:
        outcomes = list(executor.map(take, people))
    assert sorted(status for status, _ in outcomes) == [200] + [409] * 5
    assert len({holder for _, holder in outcomes}) == 1


@pytest.mark.django_db(transaction=True)
def test_no_change_is_lost_between_two_writers(shop: Shop, alice: Customer) -> None:
    def write(field: str) -> int:
        try:
            return int(shop.cashier.patch(f"/customers/{alice.pk}", {field: field}).status_code)
        finally:
            connections.close_all()

    fields = ["firstName", "lastName", "companyName", "taxId", "notes"]
    with ThreadPoolExecutor(5) as executor:
        assert set(executor.map(write, fields)) == {200}
    data = read(shop, alice)
    assert [data[field] for field in fields] == fields
    assert data["version"] == 6


def test_unknown_id_forms(shop: Shop) -> None:
    assert shop.cashier.patch(f"/customers/{uuid.uuid4()}x", {}).status_code == 404
