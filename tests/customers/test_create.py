"""POST /customers"""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections
from django.test.utils import CaptureQueriesContext

from customers.identity import is_customer_number
from customers.models import Consent, Customer, Event
from customers.services import create_customer
from customers.services.profile import tsvector
from tests.customers.conftest import DEFAULT_PREFERENCES, Make, statements
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


def errors_of(response: Any) -> dict[str, str]:
    assert response.status_code == 400, response.content
    return {error["field"]: error["code"] for error in response.json()["errors"]}


def test_everything_that_can_be_said(shop: Shop) -> None:
    response = shop.cashier.post(
        "/customers",
        {
            "type": "business",
            "firstName": "  Zoë ",
            "lastName": "O’Neil",
            "companyName": "Archer & Sons",
            "taxId": "GB123456789",
            "email": "Zoe@EXAMPLE.com",
            "phone": "020 7183 8750",
            "phoneCountry": "GB",
            "dateOfBirth": "1984-02-29",
            "gender": "female",
            "language": "en-GB",
            "notes": "Rings twice.\nNever on Mondays.",
            "tags": ["VIP  list", "wholesale", "Wholesale"],
            "metadata": {"shoe_size": 41, "nested": {"a": [1, None, "x"]}},
            "addresses": [
                {"street1": "1 High Street", "city": "London", "postalCode": "N1 9GU", "country": "gb"},
                {
                    "label": "Works",
                    "type": "work",
                    "street1": "2 Mill Lane",
                    "street2": "Unit 4",
                    "city": "York",
                    "state": "Yorkshire",
                    "postalCode": "YO1 7EX",
                    "country": "GB",
                    "latitude": 53.9576,
                    "longitude": -1.0827,
                    "isDefault": True,
                    "instructions": "Ring at the gate",
                },
            ],
            "preferences": {
                "email": {"marketing": True, "transactional": True},
                "language": "en",
                "quietHours": {"start": "22:00", "end": "07:30"},
                "maxMessagesPerWeek": 2,
            },
        },
    )
    assert response.status_code == 201
    body = response.json()
    data = body["data"]
    works, home = data["addresses"]
    assert body == {
        "success": True,
        "message": "Customer created",
        "data": {
            "id": data["id"],
            "customerNumber": data["customerNumber"],
            "type": "business",
            "status": "active",
            "firstName": "Zoë",
            "lastName": "O’Neil",
            "companyName": "Archer & Sons",
            "taxId": "GB123456789",
            "email": "Zoe@example.com",
            "phone": "+442071838750",
            "dateOfBirth": "1984-02-29",
            "gender": "female",
            "language": "en-GB",
            "notes": "Rings twice.\nNever on Mondays.",
            "tags": ["vip list", "wholesale"],
            "metadata": {"shoe_size": 41, "nested": {"a": [1, None, "x"]}},
            "segment": "new",
            "tier": None,
            "points": 0,
            "totalSpent": "0.00",
            "visitCount": 0,
            "averageOrderValue": "0.00",
            "firstVisitAt": None,
            "lastVisitAt": None,
            "homeStoreId": str(shop.store.pk),
            "addresses": [
                {
                    "id": works["id"],
                    "label": "Works",
                    "type": "work",
                    "street1": "2 Mill Lane",
                    "street2": "Unit 4",
                    "city": "York",
                    "state": "Yorkshire",
                    "postalCode": "YO1 7EX",
                    "country": "GB",
                    "latitude": 53.9576,
                    "longitude": -1.0827,
                    "isDefault": True,
                    "instructions": "Ring at the gate",
                },
                {
                    "id": home["id"],
                    "label": None,
                    "type": "home",
                    "street1": "1 High Street",
                    "street2": None,
                    "city": "London",
                    "state": None,
                    "postalCode": "N1 9GU",
                    "country": "GB",
                    "latitude": None,
                    "longitude": None,
                    "isDefault": False,
                    "instructions": None,
                },
            ],
            "preferences": {
                **DEFAULT_PREFERENCES,
                "email": {"marketing": True, "transactional": True, "analytics": False},
                "language": "en",
                "quietHours": {"start": "22:00", "end": "07:30"},
                "maxMessagesPerWeek": 2,
            },
            "version": 1,
            "createdAt": data["createdAt"],
            "updatedAt": data["updatedAt"],
        },
    }
    assert response.headers["Location"] == f"/api/v1/customers/{data['id']}"
    assert response.headers["ETag"] == '"1"'
    assert is_customer_number(data["customerNumber"])
    assert shop.cashier.get(response.headers["Location"]).json()["data"] == data


def test_a_name_is_enough(shop: Shop) -> None:
    data = shop.cashier.post("/customers", {"firstName": "Alice"}).json()["data"]
    assert data["preferences"] == DEFAULT_PREFERENCES
    assert data["addresses"] == []
    assert data["type"] == "individual"
    assert not Consent.objects.for_merchant(shop.merchant).exists()


PARTS: list[dict[str, Any]] = [
    {},
    {"type": "business", "companyName": "Archer & Sons", "homeStoreId": None, "tags": []},
    {"notes": "", "gender": None, "metadata": {"b": [1, 2.5, 1e-7, -0.0, None], "a": {"": "ü"}}},
    {"dateOfBirth": "1984-02-29", "phone": "+442071838750", "email": "Zoe@EXAMPLE.com", "status": "inactive"},
    {"address": {"street1": "1 High Street", "city": "London", "latitude": 51, "longitude": -0.1234567}},
    {
        "addresses": [
            {"street1": f"{number} High Street", "city": "London", "isDefault": number == 3, "label": "  "}
            for number in range(5)
        ]
    },
    {"preferences": {"sms": {"marketing": True}, "quietHours": {"start": "22:00", "end": "07:30"}}},
    {"preferences": {"language": "pt-BR", "maxMessagesPerWeek": 0}},
    {"preferences": {"email": {"marketing": False, "transactional": False}}},
    {"preferences": {}},
]


@pytest.mark.parametrize("parts", PARTS)
def test_the_answer_is_what_is_read_afterwards(shop: Shop, parts: dict[str, Any]) -> None:
    made = shop.cashier.post("/customers", {"firstName": "Zoë", **parts})
    assert made.status_code == 201, made.content
    read = shop.cashier.get(f"/customers/{made.json()['data']['id']}")
    assert made.json()["data"] == read.json()["data"]
    assert list(made.json()["data"]) == list(read.json()["data"])
    assert made.headers["ETag"] == read.headers["ETag"]


def test_one_address_is_the_default_in_the_merchants_country(shop: Shop) -> None:
    body = {"firstName": "Alice", "address": {"street1": "1 High Street", "city": "London"}}
    (address,) = shop.cashier.post("/customers", body).json()["data"]["addresses"]
    assert (address["isDefault"], address["country"]) == (True, "GB")


def test_consent_given_at_registration_is_in_the_log(shop: Shop) -> None:
    body = {"firstName": "Alice", "preferences": {"sms": {"marketing": True, "transactional": True}}}
    response = shop.cashier.post("/customers", body)
    customer_id = response.json()["data"]["id"]
    (consent,) = Consent.objects.for_merchant(shop.merchant)
    assert (str(consent.customer_id), consent.channel, consent.purpose, consent.state, consent.source) == (
        customer_id,
        "sms",
        "marketing",
        "granted",
        "registration",
    )
    assert (consent.actor_id, consent.ip) == (shop.cashier.user_id, "127.0.0.1")


def test_events(shop: Shop) -> None:
    body = {"firstName": "Alice", "preferences": {"sms": {"marketing": True}}}
    response = shop.cashier.post("/customers", body, headers={"X-Request-ID": "till-7"})
    events = Event.objects.for_merchant(shop.merchant).order_by("type")
    assert [(event.type, event.data, event.request_id) for event in events] == [
        ("consent.changed", {"channel": "sms", "purpose": "marketing", "state": "granted"}, "till-7"),
        ("customer.created", {"type": "individual"}, "till-7"),
    ]
    assert {str(event.customer_id) for event in events} == {response.json()["data"]["id"]}


def test_queries(shop: Shop) -> None:
    shop.cashier.get("/customers")  # warms the access cache
    with statements(exactly=1):
        shop.cashier.post("/customers", {"firstName": "Alice", "email": "alice@example.com"})
    everything = {
        "firstName": "Bob",
        "address": {"street1": "1 High Street", "city": "London"},
        "preferences": {"sms": {"marketing": True}},
    }
    with statements(exactly=1):
        assert shop.cashier.post("/customers", everything).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_its_statement_is_its_transaction(shop: Shop, monkeypatch: Any) -> None:
    shop.cashier.get("/customers")
    heard: list[int] = []
    monkeypatch.setattr("customers.events._doorbells", [lambda: heard.append(Event.objects.count())])
    with CaptureQueriesContext(connection) as captured:
        assert shop.cashier.post("/customers", {"firstName": "Alice"}).status_code == 201
    sent = [query["sql"].split()[0] for query in captured]
    assert sent == ["WITH", "SELECT"]  # the second is the bell's own
    assert heard == [1]
    # What hangs on a customer fails them: the database refuses the store at the statement's end.
    access = replace(shop.access, store_id=uuid.uuid4())
    with pytest.raises(IntegrityError):
        create_customer(access=access, data={"first_name": "Bob"})
    assert [customer.first_name for customer in Customer.objects.all()] == ["Alice"]
    assert Event.objects.count() == 1


@pytest.mark.parametrize("spelling", ["alice@example.com", "ALICE@Example.COM", "Alice@ｅxample.com"])
def test_one_email_is_one_person(shop: Shop, make: Make, spelling: str) -> None:
    alice = make("Alice", email="alice@example.com")
    response = shop.cashier.post("/customers", {"firstName": "Other", "email": spelling})
    assert response.status_code == 409
    body = response.json()
    assert body == {
        "success": False,
        "code": "email_taken",
        "message": "Another customer has this e-mail address",
        "errors": [
            {"field": "email", "message": "Another customer has this e-mail address", "code": "email_taken"}
        ],
        "customerId": str(alice.pk),
        "requestId": body["requestId"],
    }


def test_an_international_domain_is_one_domain(shop: Shop, make: Make) -> None:
    alice = make("Alice", email="alice@bücher.example")
    response = shop.cashier.post("/customers", {"firstName": "Other", "email": "alice@xn--bcher-kva.example"})
    assert (response.status_code, response.json()["customerId"]) == (409, str(alice.pk))


@pytest.mark.parametrize(
    "spelling", ["+442071838750", "020 7183 8750", "(020) 7183-8750", "+44 (0)20 7183 8750"]
)
def test_one_phone_is_one_person(shop: Shop, make: Make, spelling: str) -> None:
    alice = make("Alice", phone="+442071838750")
    response = shop.cashier.post("/customers", {"firstName": "Other", "phone": spelling})
    assert response.status_code == 409
    body = response.json()
    assert (body["code"], body["customerId"]) == ("phone_taken", str(alice.pk))


def test_another_merchants_customer_may_have_the_same(shop: Shop, mallory: Customer) -> None:
    body = {"firstName": "Alice", "email": mallory.email, "phone": mallory.phone}
    assert shop.cashier.post("/customers", body).status_code == 201


def test_a_deleted_customers_email_and_phone_are_free(shop: Shop, alice: Customer) -> None:
    assert shop.manager.delete(f"/customers/{alice.pk}").status_code == 200
    body = {"firstName": "Alice", "email": alice.email, "phone": alice.phone}
    assert shop.cashier.post("/customers", body).status_code == 201


def test_a_number_that_is_taken_is_drawn_again(shop: Shop, alice: Customer, monkeypatch: Any) -> None:
    draws = iter([alice.customer_number, alice.customer_number, "1000000009"])
    monkeypatch.setattr("customers.services.customers.new_customer_number", lambda: next(draws))
    data = shop.cashier.post("/customers", {"firstName": "Bob"}).json()["data"]
    assert data["customerNumber"] == "1000000009"
    found = shop.cashier.get("/customers", {"query": "1000000009"}).json()["data"]["customers"]
    assert [row["id"] for row in found] == [data["id"]]


def test_what_the_service_computes_cannot_be_written(shop: Shop) -> None:
    own = str(uuid.uuid4())
    data = shop.cashier.post(
        "/customers",
        {
            "firstName": "Alice",
            "id": own,
            "customerNumber": "1",
            "tier": "platinum",
            "segment": "vip",
            "points": 10**6,
            "totalSpent": "999.00",
            "visitCount": 5,
            "version": 9,
            "createdAt": "2001-01-01T00:00:00Z",
        },
    ).json()["data"]
    assert data["id"] != own
    assert (data["tier"], data["segment"], data["points"], data["totalSpent"]) == (None, "new", 0, "0.00")
    assert (data["visitCount"], data["version"], data["createdAt"][:4] > "2001") == (0, 1, True)


@pytest.mark.parametrize("name", ["merchant", "merchantId", "balance", "first_name", "deletedAt", "search"])
def test_unknown_fields(shop: Shop, name: str) -> None:
    response = shop.cashier.post("/customers", {"firstName": "Alice", name: "x"})
    assert errors_of(response) == {name: "unknown_field"}


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"firstName": "required"}),
        ({"firstName": "", "lastName": None, "email": ""}, {"firstName": "required"}),
        ({"type": "business", "firstName": "Alice"}, {"companyName": "required"}),
        ({"type": "robot", "firstName": "Alice"}, {"type": "invalid_choice"}),
        ({"firstName": 5}, {"firstName": "invalid"}),
        ({"firstName": "x" * 101}, {"firstName": "max_length"}),
        ({"email": "alice"}, {"email": "invalid_email"}),
        ({"email": "alice@localhost"}, {"email": "invalid_email"}),
        ({"email": f"{'a' * 65}@example.com"}, {"email": "invalid_email"}),
        ({"email": "a@b.com\nBcc: x@y.z"}, {"email": "invalid_email"}),
        ({"phone": "12"}, {"phone": "invalid_phone"}),
        ({"phone": "+44 20 7183 8750 ext. 5"}, {"phone": "invalid_phone"}),
        ({"phone": "020 7183 8750", "phoneCountry": "ZZ"}, {"phone": "invalid_phone"}),
        ({"firstName": "A", "dateOfBirth": "2999-01-01"}, {"dateOfBirth": "invalid"}),
        ({"firstName": "A", "dateOfBirth": "2199-01-01"}, {"dateOfBirth": "future_date"}),
        ({"firstName": "A", "dateOfBirth": "1984-02-30"}, {"dateOfBirth": "invalid"}),
        ({"firstName": "A", "gender": "x"}, {"gender": "invalid_choice"}),
        ({"firstName": "A", "language": "english!"}, {"language": "invalid_language"}),
        ({"firstName": "A", "tags": "vip"}, {"tags": "not_a_list"}),
        ({"firstName": "A", "tags": ["x" * 51]}, {"tags.0": "max_length"}),
        ({"firstName": "A", "tags": [f"t{n}" for n in range(51)]}, {"tags": "max_length"}),
        ({"firstName": "A", "metadata": []}, {"metadata": "invalid"}),
        ({"firstName": "A", "metadata": {"x": "y" * 16_400}}, {"metadata": "too_large"}),
        ({"firstName": "A", "homeStoreId": str(uuid.uuid4())}, {"homeStoreId": "store_not_found"}),
        ({"firstName": "A", "address": {"city": "London"}}, {"address.street1": "required"}),
        (
            {"firstName": "A", "address": {"street1": "1", "city": "London", "country": "UK"}},
            {"address.country": "invalid_country"},
        ),
        (
            {"firstName": "A", "addresses": [{"street1": "1", "city": "London", "latitude": 51.5}]},
            {"addresses.0.longitude": "required"},
        ),
        (
            {"firstName": "A", "addresses": [{"street1": "1", "city": "L", "latitude": 91, "longitude": 0}]},
            {"addresses.0.latitude": "max_value"},
        ),
        (
            {"firstName": "A", "addresses": [{"street1": "1", "city": "L", "isDefault": True}] * 2},
            {"addresses.1.isDefault": "one_default"},
        ),
        (
            {"firstName": "A", "address": {"street1": "1", "city": "L"}, "addresses": []},
            {"address": "ambiguous"},
        ),
        (
            {"firstName": "A", "preferences": {"email": {"marketing": "yes"}}},
            {"preferences.email.marketing": "invalid"},
        ),
        (
            {"firstName": "A", "preferences": {"fax": {"marketing": True}}},
            {"preferences.fax": "unknown_field"},
        ),
        (
            {"firstName": "A", "preferences": {"quietHours": {"start": "22:00"}}},
            {"preferences.quietHours.end": "required"},
        ),
        (
            {"firstName": "A", "preferences": {"quietHours": {"start": "24:00", "end": "07:00"}}},
            {"preferences.quietHours.start": "invalid_time"},
        ),
        ({"email": "alice", "phone": "12"}, {"email": "invalid_email", "phone": "invalid_phone"}),
    ],
)
def test_refused(shop: Shop, body: dict[str, Any], wrong: dict[str, str]) -> None:
    assert errors_of(shop.cashier.post("/customers", body)) == wrong
    assert not Customer.objects.for_merchant(shop.merchant).exists()


def test_another_merchants_store_is_no_home(shop: Shop, foreign_shop: Shop) -> None:
    body = {"firstName": "Alice", "homeStoreId": str(foreign_shop.store.pk)}
    assert errors_of(shop.cashier.post("/customers", body)) == {"homeStoreId": "store_not_found"}


@pytest.mark.django_db(transaction=True)
def test_two_tills_register_one_person_at_the_same_moment(shop: Shop) -> None:
    body = {"firstName": "Alice", "email": "alice@example.com", "phone": "+442071838750"}

    def register(_: int) -> tuple[int, str]:
        try:
            response = shop.cashier.post("/customers", body)
            data = response.json()
            return response.status_code, data.get("customerId") or data["data"]["id"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as executor:
        outcomes = list(executor.map(register, range(8)))
    assert sorted(status for status, _ in outcomes) == [201] + [409] * 7
    assert len({customer_id for _, customer_id in outcomes}) == 1
    assert connection.in_atomic_block is False
    assert Customer.objects.for_merchant(shop.merchant).count() == 1


@pytest.mark.parametrize(
    "lexeme", ["it's", "'", "back\\slash", "end\\", "a:1b*", "two words", "ﬀ ünï", '"', "{,}"]
)
def test_lexemes_are_written_as_they_are(db: None, lexeme: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tsvector_to_array(%s::tsvector)", [tsvector([lexeme, "other"])])
        assert sorted(cursor.fetchone()[0]) == sorted([lexeme, "other"])
