"""The values of campaign variables for a batch of customers, and the catalogue for editors."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils.timezone import now
from pytest_django import DjangoAssertNumQueries

from customers.models import Customer
from loyalty.models import Enrollment, Lot
from loyalty.services import create_program
from marketing.content.variables import VARIABLES, empty_values, example_values, nested, read_variables
from marketing.models import MessagingSettings
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(shop: Shop) -> Customer:
    create_program(merchant_id=shop.merchant.pk, name="Club")
    made = shop.manager.post(
        "/customers",
        {
            "firstName": "Alice",
            "lastName": "Jones",
            "dateOfBirth": "1990-04-23",
            "language": "en-GB",
            "homeStoreId": str(shop.store.pk),
        },
    )
    assert made.status_code == 201, made.content
    customer: Customer = Customer.objects.get(pk=made.json()["data"]["id"])
    return customer


def buy(
    shop: Shop, customer: Customer, number: str, *items: dict[str, Any], at: datetime | None = None
) -> None:
    amount = sum(float(item["unitPrice"]) * item["quantity"] for item in items)
    sale = {
        "customerId": str(customer.pk),
        "transactionId": number,
        "amount": f"{amount:.2f}",
        "items": list(items),
        "occurredAt": (at or now()).isoformat(),
    }
    assert shop.cashier.post("/purchases", sale).status_code == 201


def test_everything_of_a_customer(shop: Shop, alice: Customer) -> None:
    tea = {"sku": "T", "name": "Tea", "category": "Tea", "quantity": 2, "unitPrice": "5.00"}
    pot = {"sku": "P", "name": "Pot", "category": "Pots", "quantity": 1, "unitPrice": "9.00"}
    buy(shop, alice, "S-1", tea, pot, at=now() - timedelta(days=3))
    MessagingSettings.objects.create(
        merchant=shop.merchant, sender_name="The corner", postal_address="1 High Street"
    )
    lot = Lot.objects.for_merchant(shop.merchant).get()
    Lot.objects.for_merchant(shop.merchant).filter(pk=lot.pk).update(
        expires_at=now() + timedelta(days=5), while_active=False
    )
    (found,) = read_variables(merchant_id=shop.merchant.pk, customer_ids=[alice.pk]).values()
    alice.refresh_from_db()
    london = shop.merchant.tz
    assert found.pop("preferences_url").startswith("http://127.0.0.1:3002/preferences/")
    assert found == {
        "customer": {
            "first_name": "Alice",
            "last_name": "Jones",
            "company_name": "",
            "name": "Alice Jones",
            "number": alice.customer_number,
            "language": "en-GB",
            "birthday": date(1990, 4, 23),
            "tier": "Bronze",
            "points": 19,
            "points_expiring": 19,
            "points_expiring_on": (now() + timedelta(days=5)).astimezone(london).date(),
            "visits": 1,
        },
        "last_visit": (now() - timedelta(days=3)).astimezone(london).date(),
        "days_since_visit": 3,
        "favourite_category": "Tea",
        "store": {"name": "Corner Shop High Street", "city": ""},
        "merchant": {
            "name": "The corner",
            "postal_address": "1 High Street",
            "currency": "GBP",
            "foot_texts": {},
        },
        "today": now().astimezone(london).date(),
    }


def test_a_customer_of_whom_nothing_is_known(shop: Shop) -> None:
    made = shop.manager.post("/customers", {"companyName": "Bob Ltd", "type": "business"}).json()["data"]
    (found,) = read_variables(merchant_id=shop.merchant.pk, customer_ids=[made["id"]]).values()
    assert found["customer"]["name"] == "Bob Ltd"
    assert (found["last_visit"], found["days_since_visit"]) == (None, None)
    assert (found["customer"]["points"], found["customer"]["tier"], found["customer"]["language"]) == (
        0,
        "",
        "en",
    )
    assert found["merchant"]["name"] == "Corner Shop"


def test_six_queries_whatever_their_number(
    shop: Shop, alice: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ids = [alice.pk]
    for name in ("Bob", "Carol", "Dave"):
        ids.append(
            Customer.objects.get(
                pk=shop.manager.post("/customers", {"firstName": name}).json()["data"]["id"]
            ).pk
        )
    with django_assert_num_queries(6):
        assert read_variables(merchant_id=shop.merchant.pk, customer_ids=ids).keys() == set(ids)
    # What the text does not use is not looked up.
    with django_assert_num_queries(3):
        read_variables(merchant_id=shop.merchant.pk, customer_ids=ids, names={"customer.first_name"})


def test_nobody_elses_and_nobody_who_is_gone(shop: Shop, foreign_shop: Shop, alice: Customer) -> None:
    assert read_variables(merchant_id=foreign_shop.merchant.pk, customer_ids=[alice.pk]) == {}
    shop.manager.delete(f"/customers/{alice.pk}")
    assert read_variables(merchant_id=shop.merchant.pk, customer_ids=[alice.pk]) == {}


def test_points_that_last_while_the_member_is_active_expire_with_the_activity(
    shop: Shop, alice: Customer
) -> None:
    buy(shop, alice, "S-1", {"sku": "T", "name": "Tea", "quantity": 1, "unitPrice": "10.00"})
    soon = datetime.now(UTC) + timedelta(days=2)
    Lot.objects.for_merchant(shop.merchant).update(expires_at=None, while_active=True)
    Enrollment.objects.for_merchant(shop.merchant).update(inactive_at=soon)
    (found,) = read_variables(merchant_id=shop.merchant.pk, customer_ids=[alice.pk]).values()
    assert found["customer"]["points_expiring"] == 10
    assert found["customer"]["points_expiring_on"] == soon.astimezone(shop.merchant.tz).date()


def test_the_catalogue_is_what_is_read(shop: Shop, alice: Customer) -> None:
    (found,) = read_variables(merchant_id=shop.merchant.pk, customer_ids=[alice.pk]).values()
    of_the_message = {
        "unsubscribe_url",
        "incentive_points",
        "reward.code",
        "reward.name",
        "reward.expires_on",
    }
    given = {
        f"{root}.{name}" if name else root
        for root, value in found.items()
        for name in (value if isinstance(value, dict) else [""])
    }
    # For the foot alone.
    assert (given - {"merchant.foot_texts"}) | of_the_message == set(VARIABLES)
    assert nested({"a.b": 1, "a.c": 2, "d": 3}) == {"a": {"b": 1, "c": 2}, "d": 3}
    assert example_values().keys() == empty_values().keys()


def test_editors_read_the_catalogue(shop: Shop) -> None:
    data = shop.manager.get("/campaigns/variables").json()["data"]
    assert data["variables"][0] == {
        "name": "customer.first_name",
        "type": "text",
        "description": "First name",
        "example": "Alice",
    }
    assert {each["name"] for each in data["variables"]} == set(VARIABLES)
    assert "default" in data["filters"] and "for" in data["tags"] and "include" not in data["tags"]
    assert shop.cashier.get("/campaigns/variables").status_code == 403
