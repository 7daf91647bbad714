"""Promotions in tests, through the services."""

from datetime import UTC, datetime
from typing import Any

from loyalty.models import Promotion
from loyalty.services.promotions import create_promotion
from tests.fixtures import Shop

BEGAN = datetime(2020, 1, 1, tzinfo=UTC)


def promote(shop: Shop, name: str = "Welcome", **values: Any) -> Promotion:
    """An active promotion since years: a bonus of 100 points, unless said otherwise."""
    if "multiplier" in values:
        values["kind"] = "multiplier"
    else:
        values = {"kind": "bonus", "points": 100, **values}
    said = {"name": name, "status": "active", "starts_at": BEGAN, **values}
    return create_promotion(merchant_id=shop.merchant.pk, values=said, actor_id=shop.access.user_id)
