"""A merchant with a loyalty program, and customers who shop, made through the services."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.utils.timezone import now

from customers.models import Customer, Event
from customers.services import create_customer, record_consent
from loyalty.services import create_program
from marketing.models import Webhook, WebhookAttempt, WebhookDelivery
from tests.fixtures import Shop

Sell = Callable[..., dict[str, Any]]
Person = Callable[..., Customer]

MONDAY = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)

# Words that occur nowhere else: each stands for one place where a person leaves traces.
SECRETS = {
    "first name": "Zenobia",
    "last name": "Quackenbush",
    "company": "Blorptronics",
    "tax number": "TAX8817263",
    "email": "zq.private@example.com",
    "phone": "2071838750",
    "birth date": "1971-03-14",
    "notes": "allergicwalnut",
    "tag": "snorkelfan",
    "metadata": "favouriteshade",
    "street": "Xylophone Lane",
    "consent address": "203.0.113.77",
    "event data": "lookedatmattress",
    "event id": "evtzenobia77",
    "return reason": "gavetobirthdaysister",
    "points description": "sorryforspill",
    "merged name": "Zenniferous",
    "merged email": "other.private@example.com",
}


@pytest.fixture
def program(shop: Shop) -> Any:
    return create_program(merchant_id=shop.merchant.pk)


@pytest.fixture
def person(shop: Shop) -> Person:
    """person("Alice", "Smith", email=...): a new customer of the shop."""

    def make(first_name: str, last_name: str = "", at: Shop = shop, **data: Any) -> Customer:
        return create_customer(
            access=at.access, data={"first_name": first_name, "last_name": last_name, **data}
        )

    return make


@pytest.fixture
def sell(shop: Shop) -> Sell:
    """sell(customer, "10.00", "T-1"): a purchase through the API; its receipt."""

    def take(customer: Customer | uuid.UUID, amount: str, transaction_id: str, **body: Any) -> dict[str, Any]:
        customer_id = customer if isinstance(customer, uuid.UUID) else customer.pk
        response = shop.cashier.post(
            "/purchases",
            {
                "customerId": str(customer_id),
                "amount": amount,
                "transactionId": transaction_id,
                "occurredAt": MONDAY.isoformat(),
                **body,
            },
        )
        assert response.status_code == 201, response.content
        receipt: dict[str, Any] = response.json()["data"]
        return receipt

    return take


@pytest.fixture
def take_back(shop: Shop) -> Sell:
    """take_back("T-1", "R-1", amount="2.00"): a return through the API; its receipt."""

    def take(transaction_id: str, return_id: str, **body: Any) -> dict[str, Any]:
        body.setdefault("occurredAt", MONDAY.isoformat())
        response = shop.cashier.post(
            f"/purchases/{transaction_id}/returns", {"transactionId": return_id, **body}
        )
        assert response.status_code == 201, response.content
        receipt: dict[str, Any] = response.json()["data"]
        return receipt

    return take


@pytest.fixture
def zenobia(shop: Shop, program: Any, person: Person, sell: Sell, take_back: Sell) -> Customer:
    """A customer who has left traces wherever one can, with a double that was merged into her."""
    keyed = {"Idempotency-Key": "key-1"}
    answer = shop.cashier.post(
        "/customers",
        {
            "firstName": SECRETS["first name"],
            "lastName": SECRETS["last name"],
            "companyName": SECRETS["company"],
            "taxId": SECRETS["tax number"],
            "email": SECRETS["email"],
            "phone": f"+44{SECRETS['phone']}",
            "dateOfBirth": SECRETS["birth date"],
            "notes": SECRETS["notes"],
            "tags": [SECRETS["tag"]],
            "metadata": {"colour": SECRETS["metadata"]},
            "address": {"street1": SECRETS["street"], "city": "Leeds", "country": "GB"},
            "preferences": {"email": {"marketing": True}, "language": "en"},
        },
        headers=keyed,
    )
    assert answer.status_code == 201, answer.content
    customer = Customer.objects.get(pk=answer.json()["data"]["id"])
    record_consent(
        access=shop.access,
        customer_id=customer.pk,
        data={"channel": "sms", "purpose": "marketing", "state": "granted", "source": "till"},
        ip=SECRETS["consent address"],
    )
    Webhook.objects.create(
        merchant=shop.merchant, url="https://example.com/hook", event_types=["*"], secret_encrypted=b"x"
    )
    happened = shop.cashier.post(
        f"/customers/{customer.pk}/events",
        {"type": "page.viewed", "eventId": SECRETS["event id"], "data": {"what": SECRETS["event data"]}},
        headers={"Idempotency-Key": "key-2"},
    )
    assert happened.status_code == 201, happened.content
    delivery = WebhookDelivery.objects.create(
        merchant=shop.merchant,
        webhook=Webhook.objects.get(),
        event=Event.objects.get(type="page.viewed"),
        body=SECRETS["event data"].encode(),
        response_body=SECRETS["event id"],
    )
    WebhookAttempt.objects.create(
        merchant=shop.merchant,
        delivery=delivery,
        webhook_id=delivery.webhook_id,
        number=1,
        started_at=now(),
        duration_ms=5,
        response_body=SECRETS["event id"],
    )
    double = person(SECRETS["merged name"], email=SECRETS["merged email"])
    sell(customer, "100.00", "T-1", items=[{"name": "Lamp", "quantity": 1, "unitPrice": "100.00"}])
    sell(double, "50.00", "T-2")
    take_back("T-1", "R-1", amount="10.00", reason=SECRETS["return reason"])
    points = shop.cashier.post(
        "/customers/loyalty/points",
        {
            "customerId": str(customer.pk),
            "type": "redeemed",
            "points": 5,
            "transactionId": "P-1",
            "description": SECRETS["points description"],
        },
        headers={"Idempotency-Key": "key-3"},
    )
    assert points.status_code in (200, 201), points.content
    LogEntry.objects.create(
        user_id=shop.manager.user_id,
        content_type=ContentType.objects.get_for_model(Customer),
        object_id=str(customer.pk),
        object_repr=f"{SECRETS['first name']} {SECRETS['last name']}",
        action_flag=CHANGE,
        change_message=SECRETS["notes"],
    )
    merged = shop.manager.post(
        f"/customers/{customer.pk}/merge", {"sourceId": str(double.pk), "takeFromSource": ["email"]}
    )
    assert merged.status_code == 200, merged.content
    return customer
