"""What a promotion has given, less what returns really took back of it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from customers.models import Customer
from loyalty.models import LedgerEntry
from loyalty.services import create_program
from loyalty.services.promotions import figures_of
from tests.fixtures import Shop
from tests.loyalty.promoting import promote
from tests.tills import bring_back, findings, sell

pytestmark = pytest.mark.django_db

MARCH = datetime(2026, 3, 3, 10, tzinfo=UTC)
ITEMS = [
    {"sku": "TEA", "category": "Drinks", "quantity": Decimal(1), "unit_price": Decimal("10.00")},
    {"sku": "CARD", "category": "Gift cards", "quantity": Decimal(1), "unit_price": Decimal("20.00")},
]


@pytest.mark.parametrize(
    ("policy", "back", "returned"),
    [
        ({}, {"amount": "15.00"}, 50),
        # What the goods had earned stays, whatever comes back.
        ({"returns": "keep"}, {}, 0),
        # Gift cards earn nothing, so bringing them back takes nothing; the tea is all that earned.
        ({"categories_out": ["Gift cards"]}, {"items": [{"line": 2, "quantity": Decimal(1)}]}, 0),
        ({"categories_out": ["Gift cards"]}, {"items": [{"line": 1, "quantity": Decimal(1)}]}, 100),
        ({}, {}, 100),
    ],
)
def test_what_returns_took(
    shop: Shop, alice: Customer, policy: dict[str, Any], back: dict[str, Any], returned: int
) -> None:
    create_program(merchant_id=shop.merchant.pk, **policy)
    promotion = promote(shop)
    sell(shop.access, alice, "T-1", "30.00", MARCH, items=ITEMS)
    sell(shop.access, alice, "T-2", "30.00", MARCH)
    bring_back(shop.access, "T-1", "R-1", **back)
    found = figures_of(merchant_id=shop.merchant.pk, promotion_ids=[promotion.pk])[promotion.pk]
    assert (found.times, found.points, found.returned) == (2, 200, returned)
    taken = -sum(LedgerEntry.objects.filter(type="reversed").values_list("points", flat=True))
    assert (taken > 0) == (returned > 0)
    assert findings(shop) == []
