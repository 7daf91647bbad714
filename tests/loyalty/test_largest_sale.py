"""A sale earns no more points than the one entry of its return can take back."""

from datetime import timedelta
from decimal import Decimal

import pytest

from customers.models import Customer
from loyalty.models import LedgerEntry
from loyalty.rules import POINTS_PER_ENTRY_MAX, TierRule
from loyalty.services import create_program
from tests.fixtures import Shop
from tests.loyalty.promoting import promote
from tests.tills import books, bring_back, findings, minutes, sell

pytestmark = pytest.mark.django_db

# At 1 point, 10,000 short of it.
AMOUNT = "999990000.00"


@pytest.fixture(autouse=True)
def program(shop: Shop) -> None:
    tiers = [
        TierRule("bronze", "Bronze", 0, Decimal(1)),
        TierRule("gold", "Gold", 100_00, Decimal(2)),
    ]
    create_program(merchant_id=shop.merchant.pk, tiers=tiers)


def entries() -> list[tuple[str, int]]:
    return list(LedgerEntry.objects.order_by("version").values_list("type", "points"))


def test_promotions_share_what_is_left(shop: Shop, alice: Customer) -> None:
    promote(shop, "First", points=7_000, priority=2)
    promote(shop, "Second", points=7_000, priority=1)
    promote(shop, "Third", points=7_000)
    receipt = sell(shop.access, alice, "T-1", AMOUNT, minutes(0)).receipt
    assert receipt["pointsEarned"] == POINTS_PER_ENTRY_MAX
    assert [(line["message"], line["points"]) for line in receipt["explanation"]][1:] == [
        ("First: a bonus", 7_000),
        ("Second: a bonus, as far as its limit allows", 3_000),
    ]
    back = bring_back(shop.access, "T-1", "R-1").receipt
    assert (back["pointsTaken"], back["balance"]) == (POINTS_PER_ENTRY_MAX, 0)
    assert entries() == [
        ("earned", POINTS_PER_ENTRY_MAX - 10_000),
        ("bonus", 7_000),
        ("bonus", 3_000),
        ("reversed", -POINTS_PER_ENTRY_MAX),
    ]
    assert findings(shop) == []


def test_a_late_sale_that_doubles_it_leaves_room_for_its_promotion(shop: Shop, alice: Customer) -> None:
    promote(shop, points=7_000, starts_at=minutes(0))
    sell(shop.access, alice, "T-1", AMOUNT, minutes(0))
    # Gold by then: twice the points, as far as there is room beside the bonus.
    sell(shop.access, alice, "T-0", "100.00", minutes(0) - timedelta(days=1))
    assert books(alice)["points"] == {"T-0": 100, "T-1": POINTS_PER_ENTRY_MAX}
    assert bring_back(shop.access, "T-1", "R-1").receipt["pointsTaken"] == POINTS_PER_ENTRY_MAX
    assert findings(shop) == []
