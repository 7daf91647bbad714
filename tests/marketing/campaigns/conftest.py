"""Campaigns and the people whom they reach."""

import uuid
from typing import Any

import pytest
from django.utils.timezone import now

from customers.models import Customer
from customers.services import create_customer, record_consent
from marketing.campaigns import sending, services
from marketing.models import Campaign, CampaignMessage
from tests.fixtures import Shop

HTML = "<p>Hello {{ customer.first_name }}, <a href='https://shop.example/offer'>look</a></p>"
EMAIL = [{"content": {"subject": "News for {{ customer.first_name }}", "html": HTML}}]


def person(shop: Shop, name: str, *, consent: bool = True, **more: Any) -> Customer:
    customer = create_customer(
        access=shop.access,
        data={"first_name": name, "email": f"{name.lower()}@mail.example", **more},
    )
    if consent:
        say(shop, customer, "granted")
    return customer


def say(shop: Shop, customer: Customer, state: str, channel: str = "email") -> None:
    data = {"channel": channel, "purpose": "marketing", "state": state, "source": "till"}
    record_consent(access=shop.access, customer_id=customer.pk, data=data)


def write(shop: Shop, **fields: Any) -> Campaign:
    """A draft to everybody, without a control group."""
    given = {"name": "Spring", "variants": EMAIL, "control_percent": 0, **fields}
    return services.create_campaign(access=shop.access, **given)


def launch(shop: Shop, **fields: Any) -> Campaign:
    campaign = write(shop, **fields)
    return services.schedule_campaign(access=shop.access, campaign_id=campaign.pk)


def states(campaign: Campaign) -> dict[str, str]:
    """By first name: the state, with the reason where there is one."""
    rows = CampaignMessage.objects.filter(campaign=campaign).select_related("customer").order_by("pk")
    return {
        row.customer.first_name: f"{row.state}: {row.reason}" if row.reason else row.state for row in rows
    }


def messages_of(campaign_id: uuid.UUID) -> list[CampaignMessage]:
    return list(CampaignMessage.objects.filter(campaign_id=campaign_id).order_by("due_at", "pk"))


def send(**kwargs: Any) -> int:
    return sending.work(clock=kwargs.pop("clock", now), **kwargs)


@pytest.fixture
def alice(shop: Shop) -> Customer:
    return person(shop, "Alice")


@pytest.fixture
def bob(shop: Shop) -> Customer:
    return person(shop, "Bob")
