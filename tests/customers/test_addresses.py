"""/customers/{customerId}/addresses"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from customers.models import Address, Customer, Event
from customers.services import hide_customer, lock_customer
from tests.customers.conftest import ABSENT, Make, statements
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

LONDON = {"street1": "1 High Street", "city": "London"}
YORK = {"street1": "2 Mill Lane", "city": "York"}


def cities(shop: Shop, customer: Customer) -> list[tuple[str, bool]]:
    data = shop.cashier.get(f"/customers/{customer.pk}/addresses").json()["data"]
    return [(address["city"], address["isDefault"]) for address in data["addresses"]]


def add(shop: Shop, customer: Customer, body: dict[str, Any]) -> str:
    response = shop.cashier.post(f"/customers/{customer.pk}/addresses", body)
    assert response.status_code == 201, response.content
    return str(response.json()["data"]["id"])


def test_add(shop: Shop, bob: Customer) -> None:
    response = shop.cashier.post(f"/customers/{bob.pk}/addresses", LONDON)
    data = response.json()["data"]
    assert (response.status_code, response.json()["message"]) == (201, "Address added")
    assert data == {
        "id": data["id"],
        "label": None,
        "type": "home",
        "street1": "1 High Street",
        "street2": None,
        "city": "London",
        "state": None,
        "postalCode": None,
        "country": "GB",
        "latitude": None,
        "longitude": None,
        "isDefault": True,
        "instructions": None,
    }
    path = f"/api/v1/customers/{bob.pk}/addresses/{data['id']}"
    assert response.headers["Location"] == path
    assert shop.cashier.get(path).json()["data"] == data
    customer = shop.cashier.get(f"/customers/{bob.pk}").json()["data"]
    assert (customer["addresses"], customer["version"]) == ([data], 2)
    event = Event.objects.for_merchant(shop.merchant).get(type="address.changed")
    assert event.data == {"action": "added", "addressId": data["id"]}


def test_the_list(shop: Shop, bob: Customer) -> None:
    add(shop, bob, LONDON)
    add(shop, bob, {**YORK, "isDefault": True})
    with statements(exactly=1):
        data = shop.cashier.get(f"/customers/{bob.pk}/addresses").json()["data"]
    assert {name: data[name] for name in data if name != "addresses"} == {
        "total": 2,
        "page": 1,
        "limit": 50,
        "totalPages": 1,
        "totalIsExact": True,
        "nextCursor": None,
    }
    assert data["addresses"] == shop.cashier.get(f"/customers/{bob.pk}").json()["data"]["addresses"]
    assert cities(shop, bob) == [("York", True), ("London", False)]


def test_there_is_always_one_default(shop: Shop, bob: Customer) -> None:
    london = add(shop, bob, {**LONDON, "isDefault": False})
    assert cities(shop, bob) == [("London", True)]
    york = add(shop, bob, YORK)
    assert cities(shop, bob) == [("London", True), ("York", False)]
    path = f"/customers/{bob.pk}/addresses"
    assert shop.cashier.patch(f"{path}/{york}", {"isDefault": True}).json()["data"]["isDefault"] is True
    assert cities(shop, bob) == [("York", True), ("London", False)]
    # Taken away, it goes to the oldest other; an only one keeps it.
    assert shop.cashier.patch(f"{path}/{york}", {"isDefault": False}).json()["data"]["isDefault"] is False
    assert cities(shop, bob) == [("London", True), ("York", False)]
    assert shop.cashier.delete(f"{path}/{london}").json() == {
        "success": True,
        "data": None,
        "message": "Address deleted",
    }
    assert cities(shop, bob) == [("York", True)]
    shop.cashier.patch(f"{path}/{york}", {"isDefault": False})
    assert cities(shop, bob) == [("York", True)]
    shop.cashier.delete(f"{path}/{york}")
    assert cities(shop, bob) == []


def test_put_and_patch(shop: Shop, bob: Customer) -> None:
    place = {"latitude": 51.5074123, "longitude": -0.1278, "label": "Flat", "country": "FR"}
    address = add(shop, bob, {**LONDON, **place})
    path = f"/customers/{bob.pk}/addresses/{address}"
    before = shop.cashier.get(path).json()["data"]
    assert (before["latitude"], before["longitude"]) == (51.507412, -0.1278)
    assert shop.cashier.patch(path, {"city": "Leeds"}).json()["data"] == {**before, "city": "Leeds"}
    assert shop.cashier.put(path, YORK).json()["data"] == {
        **before,
        **YORK,
        "label": None,
        "country": "GB",
        "latitude": None,
        "longitude": None,
    }
    assert shop.cashier.put(path, before).json()["data"] == before
    version = shop.cashier.get(f"/customers/{bob.pk}").json()["data"]["version"]
    shop.cashier.put(path, before)
    assert shop.cashier.get(f"/customers/{bob.pk}").json()["data"]["version"] == version


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"street1": "required", "city": "required"}),
        ({**LONDON, "street1": ""}, {"street1": "blank"}),
        ({**LONDON, "type": "igloo"}, {"type": "invalid_choice"}),
        ({**LONDON, "country": "XX"}, {"country": "invalid_country"}),
        ({**LONDON, "country": "GBR"}, {"country": "max_length"}),
        ({**LONDON, "longitude": 1}, {"latitude": "required"}),
        ({**LONDON, "latitude": "51", "longitude": 1}, {"latitude": "invalid"}),
        ({**LONDON, "longitude": 181, "latitude": 1}, {"longitude": "max_value"}),
        ({**LONDON, "isDefault": "yes"}, {"isDefault": "invalid"}),
        ({**LONDON, "customerId": "x"}, {"customerId": "unknown_field"}),
        ({**LONDON, "instructions": "x" * 501}, {"instructions": "max_length"}),
    ],
)
def test_refused(shop: Shop, bob: Customer, body: dict[str, Any], wrong: dict[str, str]) -> None:
    response = shop.cashier.post(f"/customers/{bob.pk}/addresses", body)
    assert response.status_code == 400
    assert {error["field"]: error["code"] for error in response.json()["errors"]} == wrong


def test_bounded(shop: Shop, bob: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("customers.services.addresses.ADDRESSES_MAX", 1)
    add(shop, bob, LONDON)
    response = shop.cashier.post(f"/customers/{bob.pk}/addresses", YORK)
    assert (response.status_code, response.json()["code"]) == (409, "too_many_addresses")


def test_if_match_is_the_customers(shop: Shop, bob: Customer) -> None:
    path = f"/customers/{bob.pk}/addresses"
    assert shop.cashier.post(path, LONDON, headers={"If-Match": '"9"'}).status_code == 412
    assert shop.cashier.post(path, LONDON, headers={"If-Match": '"1"'}).status_code == 201


def test_absent_and_foreign(shop: Shop, bob: Customer, alice: Customer, mallory: Customer) -> None:
    theirs = Address.objects.get(customer_id=mallory.pk).pk
    hers = Address.objects.get(customer_id=alice.pk).pk

    def answers(method: str, path: str) -> tuple[int, str]:
        response = getattr(shop.cashier, method)(path)
        return response.status_code, response.json()["code"]

    for method in ("get", "patch", "delete"):
        for customer, address, code in (
            (bob.pk, ABSENT, "address_not_found"),
            (bob.pk, hers, "address_not_found"),
            (bob.pk, theirs, "address_not_found"),
            (mallory.pk, theirs, "customer_not_found"),
            (ABSENT, hers, "customer_not_found"),
        ):
            assert answers(method, f"/customers/{customer}/addresses/{address}") == (404, code)
    for customer in (mallory.pk, ABSENT):
        assert answers("get", f"/customers/{customer}/addresses") == (404, "customer_not_found")
    assert Address.objects.filter(pk__in=[theirs, hers]).count() == 2


def test_a_merged_customers_addresses_are_the_others(shop: Shop, alice: Customer, bob: Customer) -> None:
    row = lock_customer(merchant_id=shop.merchant.pk, customer_id=bob.pk)
    hide_customer(row, merged_into=alice)
    assert cities(shop, bob) == cities(shop, alice) == [("London", True)]
    add(shop, bob, YORK)
    assert cities(shop, alice) == [("London", True), ("York", False)]


@pytest.mark.django_db(transaction=True)
def test_one_default_under_concurrency(shop: Shop, make: Make) -> None:
    bob = make("Bob")

    def add_default(place: int) -> int:
        try:
            body = {"street1": f"{place} High Street", "city": "London", "isDefault": True}
            return int(shop.cashier.post(f"/customers/{bob.pk}/addresses", body).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as executor:
        assert list(executor.map(add_default, range(6))) == [201] * 6
    addresses = shop.cashier.get(f"/customers/{bob.pk}/addresses").json()["data"]["addresses"]
    assert [address["isDefault"] for address in addresses] == [True] + [False] * 5

    def remove(address: dict[str, Any]) -> int:
        try:
            return int(shop.cashier.delete(f"/customers/{bob.pk}/addresses/{address['id']}").status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(5) as executor:
        assert list(executor.map(remove, addresses[:5])) == [200] * 5
    assert [is_default for _, is_default in cities(shop, bob)] == [True]
