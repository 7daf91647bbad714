"""A message of a campaign that was sent to alice."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from customers.models import Customer
from customers.services import create_customer
from marketing.models import Campaign, CampaignMessage, CampaignRun
from tests.fixtures import Shop

SENT_AT = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
MakeMessage = Callable[..., CampaignMessage]


@pytest.fixture
def alice(shop: Shop) -> Customer:
    return create_customer(
        access=shop.access,
        data={"first_name": "Alice", "email": "alice@mail.example", "phone": "+441614960111"},
    )


@pytest.fixture
def make_message(shop: Shop, alice: Customer) -> MakeMessage:
    def make(channel: str = "email", **more: Any) -> CampaignMessage:
        campaign = Campaign.objects.create(
            merchant=shop.merchant, name="Spring", channel=channel, consent_channel=channel
        )
        run = CampaignRun.objects.create(merchant=shop.merchant, campaign=campaign, number=1, due_at=SENT_AT)
        said: dict[str, Any] = {
            "customer": alice, "variant": "A", "state": "sent", "due_at": SENT_AT, "sent_at": SENT_AT, **more
        }  # fmt: skip
        message: CampaignMessage = CampaignMessage.objects.create(
            merchant=shop.merchant, campaign=campaign, run=run, **said
        )
        return message

    return make


@pytest.fixture
def message(make_message: MakeMessage) -> CampaignMessage:
    return make_message()
