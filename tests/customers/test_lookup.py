"""GET /customers/lookup, /customers/stats and POST /customers/batch"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from customers.models import Customer, Event, ExternalId
from customers.services import write_standing
from tests.customers.conftest import Make, statements
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


# --- lookup -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("phone", "+442071838750"),
        ("phone", "020 7183 8750"),
        ("email", " ALICE@example.COM "),
    ],
)
def test_found(shop: Shop, alice: Customer, bob: Customer, name: str, value: str) -> None:
    shop.cashier.get("/customers")
    with statements(exactly=1):
        response = shop.cashier.get("/customers/lookup", {name: value})
    assert response.status_code == 200
    assert response.json()["data"] == shop.cashier.get(f"/customers/{alice.pk}").json()["data"]
    assert response.headers["ETag"] == '"1"'


def test_by_number_as_it_is_printed(shop: Shop, alice: Customer) -> None:
    number = alice.customer_number
    for spelling in (number, f"{number[:3]} {number[3:6]}-{number[6:]}"):
        assert shop.cashier.get("/customers/lookup", {"number": spelling}).json()["data"]["id"] == str(
            alice.pk
        )


def test_by_the_id_of_another_system(shop: Shop, foreign_shop: Shop, alice: Customer) -> None:
    shop.cashier.get("/customers")
    for named in ("shop-17", "gid://shop/Customer/17"):
        ExternalId.objects.create(merchant=shop.merchant, customer=alice, external_id=named)
        with statements(exactly=1):
            response = shop.cashier.get("/customers/lookup", {"externalId": named})
        assert response.json()["data"] == shop.cashier.get(f"/customers/{alice.pk}").json()["data"]
        assert foreign_shop.cashier.get("/customers/lookup", {"externalId": named}).status_code == 404
    assert shop.cashier.get("/customers/lookup", {"externalId": "SHOP-17"}).status_code == 404
    assert shop.cashier.get("/customers/lookup", {"externalId": "shop-17", "number": "1"}).status_code == 400
    shop.manager.delete(f"/customers/{alice.pk}")
    assert shop.cashier.get("/customers/lookup", {"externalId": "shop-17"}).status_code == 404


def test_a_plus_that_was_not_encoded(shop: Shop, alice: Customer) -> None:
    assert shop.cashier.get("/customers/lookup?phone=+442071838750").json()["data"]["id"] == str(alice.pk)


def test_a_phone_of_another_country(shop: Shop, make: Make) -> None:
    carol = make("Carol", phone="+33123456789")
    path = "/customers/lookup?phone=01 23 45 67 89"
    assert shop.cashier.get(path).status_code == 404
    assert shop.cashier.get(f"{path}&phoneCountry=FR").json()["data"]["id"] == str(carol.pk)


@pytest.mark.parametrize(
    "query",
    [
        "phone=+442071838751",
        "phone=12",
        "phone=abc",
        "email=nobody@example.com",
        "email=x",
        "number=1",
        "number=0000000000",
        "email=mallory@example.com",
        "phone=%2B12125550100",
    ],
)
def test_not_found(shop: Shop, alice: Customer, mallory: Customer, query: str) -> None:
    response = shop.cashier.get(f"/customers/lookup?{query}")
    assert (response.status_code, response.json()["code"]) == (404, "customer_not_found")


@pytest.mark.parametrize("query", ["", "phone=", "phone=1&email=x", "name=Alice", "page=1"])
def test_exactly_one(shop: Shop, query: str) -> None:
    assert shop.cashier.get(f"/customers/lookup?{query}").status_code == 400


def test_deleted(shop: Shop, alice: Customer) -> None:
    shop.manager.delete(f"/customers/{alice.pk}")
    for query in ("phone=020 7183 8750", "email=alice@example.com", f"number={alice.customer_number}"):
        assert shop.cashier.get(f"/customers/lookup?{query}").status_code == 404


# --- stats --------------------------------------------------------------------------------------------------


def test_stats(shop: Shop, make: Make, mallory: Customer) -> None:
    make("Ann", status="suspended")
    write_standing(make("Ben"), segment="vip", tier="gold", last_visit_at=now() - timedelta(days=3))
    old = make("Cat", type="business", company_name="Cat Ltd")
    write_standing(old, last_visit_at=datetime(2020, 1, 1, tzinfo=UTC))
    Customer.objects.filter(pk=old.pk).update(created_at=now() - timedelta(days=40))
    shop.manager.delete(f"/customers/{make('Dan').pk}")
    shop.cashier.get("/customers")
    with statements(exactly=3):
        response = shop.cashier.get("/customers/stats")
    assert response.json() == {
        "success": True,
        "message": "",
        "data": {
            "total": 3,
            "byStatus": {"active": 2, "inactive": 0, "suspended": 1},
            "byType": {"individual": 2, "business": 1},
            "bySegment": {"new": 2, "regular": 0, "vip": 1, "at_risk": 0, "churned": 0},
            "byTier": {"none": 2, "gold": 1},
            "createdLast30Days": 2,
            "visitedLast30Days": 1,
        },
    }


def test_stats_of_nobody(shop: Shop, mallory: Customer) -> None:
    data = shop.cashier.get("/customers/stats").json()["data"]
    assert (data["total"], data["byTier"], data["byStatus"]["active"]) == (0, {}, 0)


# --- batch --------------------------------------------------------------------------------------------------


def test_each_row_by_itself(shop: Shop, alice: Customer) -> None:
    rows: list[Any] = [
        {"firstName": "Ben", "email": "ben@example.com", "preferences": {"email": {"marketing": True}}},
        {"firstName": "Other", "email": "ALICE@example.com"},
        {"firstName": "Twin", "email": "Ben@example.com"},
        {"colour": "red"},
        "nonsense",
        {},
        {"firstName": "Cat", "address": {"street1": "1 High Street", "city": "London"}},
    ]
    response = shop.cashier.post("/customers/batch", {"customers": rows})
    assert response.status_code == 200
    data = response.json()["data"]
    results = data["results"]
    assert [result["index"] for result in results] == list(range(7))
    assert [result["status"] for result in results] == ["created"] + ["failed"] * 5 + ["created"]
    assert (data["created"], data["failed"]) == (2, 5)
    ben, cat = results[0]["customer"], results[6]["customer"]
    for shown in (ben, cat):
        assert shown == shop.cashier.get(f"/customers/{shown['id']}").json()["data"]
    assert results[1]["error"] == {
        "code": "email_taken",
        "message": "Another customer has this e-mail address",
        "errors": [
            {"field": "email", "message": "Another customer has this e-mail address", "code": "email_taken"}
        ],
        "customerId": str(alice.pk),
    }
    assert results[2]["error"]["customerId"] == ben["id"]
    assert [(e["field"], e["code"]) for e in results[3]["error"]["errors"]] == [("colour", "unknown_field")]
    assert results[4]["error"]["code"] == "validation_error"
    assert [(e["field"], e["code"]) for e in results[5]["error"]["errors"]] == [("firstName", "required")]
    created = Event.objects.for_merchant(shop.merchant).filter(type="customer.created")
    assert {str(event.customer_id) for event in created} == {str(alice.pk), ben["id"], cat["id"]}
    assert shop.cashier.get("/customers").json()["data"]["total"] == 3


def test_a_hundred_rows_take_a_handful_of_statements(shop: Shop) -> None:
    rows = [
        {"firstName": f"N{n}", "email": f"n{n}@example.com", "address": {"street1": "1", "city": "London"}}
        for n in range(100)
    ]
    shop.cashier.get("/customers")
    with statements(exactly=2):
        data = shop.cashier.post("/customers/batch", {"customers": rows}).json()["data"]
    assert (data["created"], data["failed"]) == (100, 0)
    assert [result["customer"]["firstName"] for result in data["results"]] == [f"N{n}" for n in range(100)]


@pytest.mark.parametrize(
    "body",
    [{}, {"customers": []}, {"customers": [{"firstName": "A"}] * 101}, {"customers": {}}, {"people": []}, []],
)
def test_no_batch(shop: Shop, body: Any) -> None:
    assert shop.cashier.post("/customers/batch", body).status_code == 400
    assert not Customer.objects.for_merchant(shop.merchant).exists()
