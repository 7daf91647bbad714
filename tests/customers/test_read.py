"""GET /customers/{customerId}"""

from typing import Any

import pytest

from customers.models import Customer
from customers.services import hide_customer, lock_customer, update_customer
from tests.customers.conftest import ABSENT, Make, statements
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


def without_id(response: Any) -> dict[str, Any]:
    return {**response.json(), "requestId": ""}


def merge(shop: Shop, source: Customer, target: Customer) -> None:
    row = lock_customer(merchant_id=shop.merchant.pk, customer_id=source.pk)
    hide_customer(row, merged_into=target)


def test_one_query(shop: Shop, alice: Customer) -> None:
    shop.cashier.get(f"/customers/{alice.pk}")
    with statements(exactly=1):
        response = shop.cashier.get(f"/customers/{alice.pk}")
    assert response.status_code == 200
    data = response.json()["data"]
    assert (data["id"], data["firstName"], len(data["addresses"])) == (str(alice.pk), "Alice", 1)


def test_etag(shop: Shop, alice: Customer) -> None:
    response = shop.cashier.get(f"/customers/{alice.pk}")
    assert response.headers["ETag"] == '"1"'
    again = shop.cashier.get(f"/customers/{alice.pk}", headers={"If-None-Match": '"1"'})
    assert (again.status_code, again.content) == (304, b"")
    update_customer(access=shop.access, customer_id=alice.pk, data={"first_name": "Alicia"})
    fresh = shop.cashier.get(f"/customers/{alice.pk}", headers={"If-None-Match": '"1"'})
    assert (fresh.status_code, fresh.headers["ETag"]) == (200, '"2"')


def test_absent_foreign_and_deleted_are_the_same(shop: Shop, mallory: Customer, bob: Customer) -> None:
    shop.manager.delete(f"/customers/{bob.pk}")
    absent = shop.cashier.get(f"/customers/{ABSENT}")
    assert absent.status_code == 404
    assert without_id(absent) == {
        "success": False,
        "message": "There is no such customer",
        "errors": [],
        "code": "customer_not_found",
        "requestId": "",
    }
    for customer in (mallory, bob):
        assert without_id(shop.cashier.get(f"/customers/{customer.pk}")) == without_id(absent)


@pytest.mark.parametrize(
    "path", ["/customers/alice", "/customers/1", "/customers/0192f0c1-2d3e-7a4b-8c5d-6e7f80912a3b/"]
)
def test_what_is_no_id(shop: Shop, path: str) -> None:
    assert shop.cashier.get(path).status_code == 404


def test_a_merged_customers_id_answers_with_the_others(shop: Shop, make: Make) -> None:
    first, second, third = make("First"), make("Second"), make("Third")
    merge(shop, first, second)
    merge(shop, second, third)
    response = shop.cashier.get(f"/customers/{first.pk}")
    assert response.json()["data"] == shop.cashier.get(f"/customers/{third.pk}").json()["data"]
    number = shop.cashier.get("/customers/lookup", {"number": first.customer_number}).json()["data"]
    assert number["id"] == str(third.pk)


def test_a_merge_into_a_deleted_customer_leads_nowhere(shop: Shop, alice: Customer, bob: Customer) -> None:
    merge(shop, alice, bob)
    shop.manager.delete(f"/customers/{bob.pk}")
    assert shop.cashier.get(f"/customers/{alice.pk}").status_code == 404


def test_average_order_value_is_rounded_half_up(shop: Shop, make: Make) -> None:
    from decimal import Decimal

    from customers.services import write_standing

    alice = make("Alice")
    write_standing(alice, total_spent=Decimal("10.01"), visit_count=2)
    data = shop.cashier.get(f"/customers/{alice.pk}").json()["data"]
    assert (data["averageOrderValue"], alice.average_order_value) == ("5.01", Decimal("5.01"))
    assert (data["totalSpent"], data["visitCount"], data["version"]) == ("10.01", 2, 2)
