"""What is on receipts, and what the API makes of it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.core.cache import cache

from analytics.rollups.refresh import refresh
from cloudpos import outbox
from tests.fixtures import ApiClient, Shop

MAY = "from=2026-05-01&to=2026-05-31"


def may(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 5, day, hour, tzinfo=UTC)


def item(
    sku: str, quantity: str = "1", price: str = "1.00", name: str = "", category: str = ""
) -> dict[str, Any]:
    return {
        "sku": sku,
        "name": name or sku.title(),
        "category": category,
        "quantity": Decimal(quantity),
        "unit_price": Decimal(price),
    }


def read(client: ApiClient, query: str = MAY) -> dict[str, Any]:
    cache.clear()
    answer = client.get(f"/analytics/products?{query}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()["data"]
    return found


def sum_up(shop: Shop) -> None:
    outbox.relay()
    refresh(merchant_id=shop.merchant.pk)
