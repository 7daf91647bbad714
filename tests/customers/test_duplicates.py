"""GET /customers/duplicates."""

import uuid
from datetime import date
from typing import Any

import pytest

from customers import duplicates
from customers.models import Customer
from customers.services import create_customer
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

BORN = date(1990, 2, 3)


def person(shop: Shop, first_name: str, last_name: str = "", **data: Any) -> Customer:
    return create_customer(
        access=shop.access, data={"first_name": first_name, "last_name": last_name, **data}
    )


def home(postal_code: str) -> dict[str, str]:
    return {"street1": "1 High St", "city": "Leeds", "postal_code": postal_code, "country": "GB"}


def find(shop: Shop, **parameters: Any) -> dict[str, Any]:
    response = shop.manager.get("/customers/duplicates", parameters)
    assert response.status_code == 200, response.content
    data: dict[str, Any] = response.json()["data"]
    return data


def walk(shop: Shop, **parameters: Any) -> list[dict[str, Any]]:
    """Every page."""
    found: list[dict[str, Any]] = []
    page = find(shop, **parameters)
    found += page["duplicates"]
    for _ in range(200):
        if page["nextCursor"] is None:
            return found
        page = find(shop, **parameters, cursor=page["nextCursor"])
        found += page["duplicates"]
    pytest.fail("the walk does not end")


def pairs(groups: list[dict[str, Any]]) -> list[set[str]]:
    return [{row["id"] for row in group["customers"]} for group in groups]


def ids(*customers: Customer) -> set[str]:
    return {str(customer.pk) for customer in customers}


def test_a_group_says_who_and_why(shop: Shop) -> None:
    alice = person(shop, "Alice", "Smith", email="alice.smith@example.com", date_of_birth=BORN)
    double = person(shop, "Alice", "Smith", email="alicesmith+shop@example.com", date_of_birth=BORN)
    person(shop, "Bob", "Jones", email="bob@example.com", date_of_birth=BORN)

    page = find(shop)

    assert page["nextCursor"] is None
    assert page["limit"] == 20
    (group,) = page["duplicates"]
    assert group["score"] == 0.976
    assert group["size"] == 2
    assert group["reasons"] == [
        "E-mail addresses lead to the same mailbox",
        "Same date of birth",
        "Same name",
    ]
    assert [row["id"] for row in group["customers"]] == [str(alice.pk), str(double.pk)]
    assert group["customers"][0] == {
        "id": str(alice.pk),
        "customerNumber": alice.customer_number,
        "firstName": "Alice",
        "lastName": "Smith",
        "companyName": None,
        "email": "alice.smith@example.com",
        "phone": None,
        "dateOfBirth": "1990-02-03",
        "postalCode": None,
        "totalSpent": "0.00",
        "visitCount": 0,
        "points": 0,
        "lastVisitAt": None,
        "createdAt": shop.manager.get(f"/customers/{alice.pk}").json()["data"]["createdAt"],
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # dots and tags of an e-mail address
        (
            {"first_name": "Al", "email": "al.smith@gmail.com"},
            {"first_name": "Bo", "email": "alsmith+x@googlemail.com"},
        ),
        # first and last name swapped
        (
            {"first_name": "Alice", "last_name": "Smith", "date_of_birth": BORN},
            {"first_name": "Smith", "last_name": "Alice", "date_of_birth": BORN},
        ),
        # accents, case, hyphens
        (
            {"first_name": "Zoë", "last_name": "Smith-Jones", "date_of_birth": BORN},
            {"first_name": "ZOE", "last_name": "Smith Jones", "date_of_birth": BORN},
        ),
        # a postal code with and without its blank
        (
            {"first_name": "Alice", "last_name": "Smith", "address": home("LS1 2AB")},
            {"first_name": "Alice", "last_name": "Smith", "address": home("ls12ab")},
        ),
        # the same name at another provider
        (
            {"first_name": "Alice", "last_name": "Smith", "email": "alsm@example.com"},
            {"first_name": "Alice", "last_name": "Smith", "email": "alsm@example.org"},
        ),
        # a phone number of the wrong country
        ({"first_name": "Al", "phone": "+442071838750"}, {"first_name": "Bo", "phone": "+12071838750"}),
        # a name misheard
        (
            {"first_name": "Jon", "last_name": "Smith", "date_of_birth": BORN, "address": home("LS1 2AB")},
            {"first_name": "John", "last_name": "Smyth", "date_of_birth": BORN, "address": home("LS1 2AB")},
        ),
        # a business
        (
            {"type": "business", "company_name": "Acme Ltd.", "address": home("LS1 2AB")},
            {"type": "business", "company_name": "ACME Ltd", "address": home("LS1 2AB")},
        ),
    ],
)
def test_what_makes_two_customers_one(shop: Shop, one: dict[str, Any], other: dict[str, Any]) -> None:
    first = create_customer(access=shop.access, data=one)
    second = create_customer(access=shop.access, data=other)
    person(shop, "Somebody", "Else", date_of_birth=date(1950, 1, 1), email="else@example.net")

    assert pairs(walk(shop)) == [ids(first, second)]
    assert pairs(find(shop, customerId=str(second.pk))["duplicates"]) == [ids(first, second)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"first_name": "Alice", "last_name": "Smith"}, {"first_name": "Alice", "last_name": "Smith"}),
        ({"first_name": "Alice", "date_of_birth": BORN}, {"first_name": "Bob", "date_of_birth": BORN}),
        (
            {"first_name": "Al", "email": "info@example.com"},
            {"first_name": "Bo", "email": "info@example.org"},
        ),
        # father and son
        (
            {"first_name": "John", "last_name": "Smith", "address": home("LS1"), "date_of_birth": BORN},
            {
                "first_name": "John",
                "last_name": "Smith",
                "address": home("LS1"),
                "date_of_birth": date(1960, 5, 5),
            },
        ),
    ],
)
def test_what_does_not(shop: Shop, one: dict[str, Any], other: dict[str, Any]) -> None:
    for data in (one, other):
        create_customer(access=shop.access, data=data)
    assert walk(shop) == []


def test_who_bought_most_is_who_to_merge_into(shop: Shop) -> None:
    old = person(shop, "Alice", "Smith", date_of_birth=BORN)
    regular = person(shop, "Alice", "Smith", date_of_birth=BORN)
    Customer.objects.filter(pk=regular.pk).update(visit_count=3)
    (group,) = walk(shop)
    assert [row["id"] for row in group["customers"]] == [str(regular.pk), str(old.pk)]


def test_found_by_several_keys_and_shown_once(shop: Shop) -> None:
    data = {"date_of_birth": BORN, "address": home("LS1 2AB")}
    a = person(shop, "Alice", "Smith", email="al.ice@example.com", phone="+442071838750", **data)
    b = person(shop, "Alice", "Smith", email="alice@example.com", phone="+12071838750", **data)
    c = person(shop, "Alice", "Smith", **data)

    groups = walk(shop)

    # The mailbox joins two; the name joins all three; nothing else is new.
    assert sorted(pairs(groups), key=len) == [ids(a, b), ids(a, b, c)]


@pytest.mark.parametrize("slice_customers", [5, 10_000])
@pytest.mark.parametrize("limit", [1, 100])
def test_every_group_once_whatever_the_slices_and_pages(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, slice_customers: int, limit: int
) -> None:
    monkeypatch.setattr(duplicates, "SLICE_CUSTOMERS", slice_customers)
    expected = []
    for number in range(6):
        data = {"date_of_birth": date(1980 + number, 1, 1)}
        expected.append(ids(*[person(shop, "Alice", f"Name{number}", **data) for _ in range(2)]))
        # Two groups of one name.
        other = {"date_of_birth": date(1960 + number, 1, 1)}
        expected.append(ids(*[person(shop, "Alice", f"Name{number}", **other) for _ in range(2)]))
        person(shop, "Single", f"Name{number}", date_of_birth=date(1930 + number, 1, 1))

    groups = walk(shop, limit=limit)

    assert sorted(map(sorted, pairs(groups))) == sorted(map(sorted, expected))


def test_more_of_one_key_than_a_slice_holds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "SLICE_CUSTOMERS", 4)
    for _ in range(9):
        person(shop, "Walk-in", "Customer")
    alice = [person(shop, "Zoe", "Zebra", date_of_birth=BORN) for _ in range(2)]
    assert pairs(walk(shop)) == [ids(*alice)]


def test_a_crowd_is_shown_in_part(shop: Shop) -> None:
    for _ in range(12):
        person(shop, "Alice", "Smith", date_of_birth=BORN)
    (group,) = walk(shop)
    assert (group["size"], len(group["customers"])) == (12, 10)


def test_min_score(shop: Shop) -> None:
    person(shop, "Alice", "Smith", date_of_birth=BORN)
    person(shop, "Alice", "Smith", date_of_birth=BORN)
    assert len(walk(shop, minScore="0.75")) == 1
    assert walk(shop, minScore="0.8") == []


def test_hidden_and_foreign_customers_are_nobody_s_double(shop: Shop, foreign_shop: Shop) -> None:
    alice = person(shop, "Alice", "Smith", date_of_birth=BORN)
    gone = person(shop, "Alice", "Smith", date_of_birth=BORN)
    foreign = person(foreign_shop, "Alice", "Smith", date_of_birth=BORN)
    shop.manager.delete(f"/customers/{gone.pk}")

    assert walk(shop) == []
    assert find(shop, customerId=str(alice.pk))["duplicates"] == []
    answers = [
        shop.manager.get(f"/customers/duplicates?customerId={customer_id}")
        for customer_id in (foreign.pk, gone.pk, uuid.uuid4())
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert len({str({**answer.json(), "requestId": ""}) for answer in answers}) == 1


def test_a_bounded_number_of_queries(shop: Shop, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        for _ in range(2):
            person(shop, "Alice", f"Name{number}", date_of_birth=date(1980, 1, 1 + number))
    find(shop)
    # One slice and one read of candidates per walk.
    with django_assert_max_num_queries(2 * len(duplicates.WALKS)):
        assert len(find(shop, limit=100)["duplicates"]) == 30


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("minScore=2", "minScore"),
        ("minScore=nan", "minScore"),
        ("cursor=abc", "cursor"),
        ("customerId=1", "customerId"),
        ("customerId=0192f0c1-2d3e-7a4b-8c5d-6e7f80912a3b&cursor=abc", "cursor"),
        ("page=1", "page"),
    ],
)
def test_bad_parameters(shop: Shop, query: str, field: str) -> None:
    response = shop.manager.get(f"/customers/duplicates?{query}")
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == field


def test_only_a_manager_may(shop: Shop) -> None:
    assert shop.cashier.get("/customers/duplicates").status_code == 403
