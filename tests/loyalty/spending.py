"""Holding, redeeming and the catalogue in tests, through the services."""

import uuid
from datetime import timedelta
from typing import Any

from django.db.models import F
from django.utils.timezone import now

from cloudpos.tenancy.access import Access
from customers.models import Customer
from loyalty.models import Hold, Reward
from loyalty.services.holds import hold_points
from loyalty.services.rewards import create_reward
from tests.fixtures import Shop

COFFEE = {"name": "Free coffee", "kind": "free_item", "sku": "COFFEE", "points": 50}


def hold(
    access: Access, customer: Customer, transaction_id: str, points: int | None = None, **more: Any
) -> Hold:
    """Reserve points."""
    return hold_points(
        access=access, customer_id=customer.pk, transaction_id=transaction_id, points=points, **more
    ).hold


def run_out(*hold_ids: uuid.UUID) -> None:
    """As if the time of these holds had passed, and no sweep had come by."""
    found = Hold.objects.filter(pk__in=hold_ids)
    over = now() - timedelta(seconds=1)
    assert found.update(created_at=F("created_at") - timedelta(days=2), expires_at=over) == len(hold_ids)


def offer(shop: Shop, **values: Any) -> Reward:
    """A reward of 50 points, unless said otherwise."""
    return create_reward(merchant_id=shop.merchant.pk, values={**COFFEE, **values})
