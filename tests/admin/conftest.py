"""People signed in to the admin, and a merchant with a little history, made the way tills and managers make it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils.timezone import now

from cloudpos.checkout.returns import return_purchase
from cloudpos.checkout.sales import take_purchase
from cloudpos.models import EventTask
from cloudpos.tenancy.models import User
from customers.models import Customer, Event
from customers.services import create_customer, lock_customer, record_consent
from loyalty.services import create_program
from loyalty.services.holds import hold_points
from loyalty.services.promotions import create_promotion
from loyalty.services.redemptions import redeem_reward
from loyalty.services.rewards import create_reward
from loyalty.services.vouchers import give_voucher
from marketing.webhooks.services import create_webhook, send_test_event
from tests.fixtures import Shop, make_shop

PASSWORD = "a long enough password"


def staff_client(user: User) -> Client:
    """A browser in which `user` is signed in to the admin."""
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    client = Client(raise_request_exception=True)
    client.force_login(user)
    return client


def person(shop: Shop, role: str) -> User:
    return User.objects.get(pk=getattr(shop, role).user_id)


@dataclass(frozen=True)
class Regulars:
    """Alice buys often, Bob once; Carol never."""

    alice: Customer
    bob: Customer
    carol: Customer


def sell(shop: Shop, customer: Customer, amount: str, *, id: str, at: datetime | None = None) -> None:
    take_purchase(
        access=shop.access,
        sale={
            "customer_id": customer.pk,
            "transaction_id": id,
            "amount": Decimal(amount),
            "occurred_at": at,
            "items": [
                {"name": "Oolong tea", "sku": "TEA-1", "quantity": Decimal(1), "unit_price": Decimal(amount)}
            ],
        },
    )


def make_regulars(shop: Shop) -> Regulars:
    """Three customers of `shop` with purchases, points, consent, a return and a webhook."""
    mark = shop.merchant.slug
    people: dict[str, Any] = {}
    for first, last in (("Alice", "Ashford"), ("Bob", "Brown"), ("Carol", "Costa")):
        people[first.lower()] = create_customer(
            access=shop.access,
            data={
                "first_name": first,
                "last_name": last,
                "email": f"{first.lower()}@{mark}.test",
                "notes": f"note of {mark}",
                "tags": [f"tag-{mark}"],
                "addresses": [{"street1": f"1 {mark} Lane", "city": "Leeds", "country": "GB"}],
            },
        )
    create_program(merchant_id=shop.merchant.pk, name=f"Club of {mark}")
    regulars = Regulars(**people)
    sell(shop, regulars.alice, "600.00", id=f"{mark}-1", at=now() - timedelta(days=20))
    sell(shop, regulars.alice, "40.00", id=f"{mark}-2", at=now() - timedelta(days=3))
    sell(shop, regulars.bob, "12.50", id=f"{mark}-3", at=now() - timedelta(days=1))
    return_purchase(
        access=shop.access,
        purchase_transaction_id=f"{mark}-2",
        back={"amount": Decimal("10.00"), "transaction_id": f"{mark}-R", "reason": f"broken at {mark}"},
    )
    record_consent(
        access=shop.access,
        customer_id=regulars.alice.pk,
        data={"channel": "email", "purpose": "marketing", "state": "granted", "source": f"till of {mark}"},
    )
    gift = create_reward(
        merchant_id=shop.merchant.pk,
        values={"name": f"gift of {mark}", "kind": "free_item", "sku": f"gift-{mark}", "points": 2},
    )
    redeem_reward(
        access=shop.access, customer_id=regulars.bob.pk, reward_id=gift.pk, transaction_id=f"{mark}-G"
    )
    with transaction.atomic():
        give_voucher(
            customer=lock_customer(merchant_id=shop.merchant.pk, customer_id=regulars.alice.pk),
            reward_id=gift.pk,
            cause=f"campaign of {mark}",
            expires_at=now() + timedelta(days=30),
            at=now(),
        )
    create_promotion(
        merchant_id=shop.merchant.pk, values={"name": f"promotion of {mark}", "kind": "bonus", "points": 5}
    )
    hold_points(access=shop.access, customer_id=regulars.bob.pk, points=1, transaction_id=f"{mark}-H")
    made = create_webhook(
        merchant_id=shop.merchant.pk,
        url=f"https://{mark}.test/hook",
        event_types=["*"],
        description=f"hook {mark}",
    )
    send_test_event(access=shop.access, webhook_id=made.webhook.pk)
    EventTask.objects.create(
        merchant=shop.merchant,
        event=Event.objects.for_merchant(shop.merchant).filter(type="purchase.recorded").earliest("pk"),
        handler="analytics.tasks.refresh_customers_of",
        attempts=12,
        next_attempt_at=None,
        error=f"Error of {mark}",
    )
    return regulars


@pytest.fixture(scope="module")
def kept_regulars(kept: None) -> tuple[Shop, Regulars]:
    """For modules whose tests nearly all look at them: there `shop` and `regulars` are these, made once."""
    shop = make_shop("Corner Shop")
    found = make_regulars(shop)
    connection.check_constraints()
    return shop, found


def _kept(request: pytest.FixtureRequest) -> tuple[Shop, Regulars] | None:
    return request.getfixturevalue("kept_regulars") if "kept_regulars" in request.fixturenames else None


@pytest.fixture
def shop(db: None, request: pytest.FixtureRequest) -> Shop:
    """The merchant under test."""
    kept = _kept(request)
    if kept is None:
        return make_shop("Corner Shop")
    kept[0].merchant.refresh_from_db()
    return kept[0]


@pytest.fixture
def regulars(shop: Shop, request: pytest.FixtureRequest) -> Regulars:
    kept = _kept(request)
    found = kept[1] if kept else make_regulars(shop)
    for customer in (found.alice, found.bob, found.carol):
        customer.refresh_from_db()
    return found


@pytest.fixture
def manager(shop: Shop) -> Client:
    return staff_client(person(shop, "manager"))


@pytest.fixture
def owner(shop: Shop) -> Client:
    return staff_client(person(shop, "owner"))


@pytest.fixture
def superuser(db: None) -> Client:
    user = User.objects.create_superuser("root@platform.test", PASSWORD, name="Root")
    client = Client()
    client.force_login(user)
    return client
