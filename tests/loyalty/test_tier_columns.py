"""What an account's own columns say of its tier at a sale, and where they do not say enough."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from customers.models import Customer
from loyalty.models import Enrollment, LedgerEntry
from loyalty.rules import TierRule
from loyalty.services import create_program, refresh_tiers, update_program
from loyalty.services.overrides import give_tier
from loyalty.tasks import review_due_tiers
from tests.fixtures import Shop
from tests.loyalty.test_tiers_over_time import TIERS, account_of, changes, sell_at, tier_now
from tests.tills import findings, sell

pytestmark = pytest.mark.django_db

JANUARY = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
# Its end a year later, in London.
OVER = datetime(2027, 1, 11, tzinfo=UTC)


def rolling(shop: Shop, **fields: Any) -> None:
    said = {"tiers": TIERS, "tier_window": "rolling", "tier_months": 12, **fields}
    create_program(merchant_id=shop.merchant.pk, **said)


def with_silver_at(pounds: int) -> list[TierRule]:
    return [
        TierRule("bronze", "Bronze", 0, Decimal(1)),
        TierRule("silver", "Silver", pounds * 100, Decimal(2)),
    ]


def points_of(number: str) -> int:
    return LedgerEntry.objects.get(purchase__transaction_id=number).points


def sound_at(shop: Shop, at: datetime) -> bool:
    with time_machine.travel(at, tick=False):
        return findings(shop) == []


@pytest.mark.parametrize(
    ("downgrade", "grace_days", "ends"),
    [
        ("immediate", 0, OVER),
        ("immediate", 10, OVER + timedelta(days=10)),
        # The later purchase reached it.
        ("period_end", 0, OVER + timedelta(days=5)),
        ("period_end", 10, OVER + timedelta(days=15)),
    ],
)
def test_a_tier_that_was_reached_by_the_columns_ends_in_time(
    shop: Shop, alice: Customer, downgrade: str, grace_days: int, ends: datetime
) -> None:
    rolling(shop, tier_downgrade=downgrade, tier_grace_days=grace_days)
    sell_at(shop, alice, "T-1", "50", JANUARY)
    reached = JANUARY + timedelta(days=5)
    assert sell_at(shop, alice, "T-2", "60", reached)["tier"] == "silver"
    assert sound_at(shop, reached)
    for at, tier in ((ends - timedelta(seconds=1), "silver"), (ends, "bronze")):
        with time_machine.travel(at, tick=False):
            review_due_tiers()
        assert tier_now(alice) == (tier, tier)
    assert changes(alice)[-1] == ("silver", "bronze", "no_longer_reached", ends)
    assert sound_at(shop, ends)


def test_a_tier_that_holds_back_is_not_passed(shop: Shop, alice: Customer) -> None:
    rolling(shop)
    sell_at(shop, alice, "T-1", "50", JANUARY)
    with time_machine.travel(JANUARY + timedelta(days=1), tick=False):
        give_tier(
            access=shop.access,
            customer_id=alice.pk,
            tier="bronze",
            mode="exactly",
            until=OVER,
            reason="Reseller",
        )
    bought = JANUARY + timedelta(days=2)
    assert sell_at(shop, alice, "T-2", "60", bought)["tier"] == "bronze"
    assert sound_at(shop, bought)


def test_a_sale_of_before_the_rules_changed(shop: Shop, alice: Customer) -> None:
    """Both from a till that was offline: the second earns by the tier of its own time."""
    rolling(shop, tiers=with_silver_at(500))
    changed = JANUARY + timedelta(days=20)
    with time_machine.travel(changed, tick=False):
        update_program(merchant_id=shop.merchant.pk, tiers=with_silver_at(100))
    with time_machine.travel(changed + timedelta(days=1), tick=False):
        sell(shop.access, alice, "T-1", "200", JANUARY)
        assert sell(shop.access, alice, "T-2", "100", JANUARY + timedelta(days=1)).receipt["tier"] == "silver"
        assert findings(shop) == []
    assert points_of("T-2") == 100


def test_a_till_whose_clock_is_ahead_sells_by_the_tier_of_its_time(shop: Shop, alice: Customer) -> None:
    rolling(shop, tier_grace_days=10)
    sell_at(shop, alice, "T-1", "300", JANUARY)
    sell_at(shop, alice, "T-2", "10", OVER + timedelta(days=4))
    ends = OVER + timedelta(days=10)
    assert account_of(alice).tier_until == ends
    with time_machine.travel(ends - timedelta(minutes=2), tick=False):
        sell(shop.access, alice, "T-3", "10", ends + timedelta(minutes=1))
    assert points_of("T-3") == 10
    assert sound_at(shop, ends + timedelta(minutes=2))


def test_a_sale_that_has_left_the_window_when_it_arrives(shop: Shop, alice: Customer) -> None:
    """After one that counted for nothing, so that nothing else has left it."""
    rolling(shop, tier_metric="points", rounding="down")
    late = OVER + timedelta(days=400)
    with time_machine.travel(late, tick=False):
        sell(shop.access, alice, "T-1", "0.40", JANUARY)
        assert sell(shop.access, alice, "T-2", "150", JANUARY + timedelta(days=1)).receipt["tier"] == "bronze"
        assert findings(shop) == []
    assert (account_of(alice).qualifying_amount, tier_now(alice)) == (0, ("bronze", "bronze"))


def test_changed_rules_count_from_when_they_changed(shop: Shop, alice: Customer) -> None:
    """Also for a tier that was over before, and not reviewed."""
    rolling(shop)
    sell_at(shop, alice, "T-1", "300", JANUARY)
    sell_at(shop, alice, "T-2", "150", JANUARY + timedelta(days=30))
    changed = OVER + timedelta(days=5)
    with time_machine.travel(changed, tick=False):
        program_id = Enrollment.objects.get().program_id
        update_program(merchant_id=shop.merchant.pk, tiers=with_silver_at(200))
        assert refresh_tiers(program_id=program_id) == 1
        assert findings(shop) == []
    assert changes(alice)[1:] == [("gold", "bronze", "rules_changed", changed)]


def test_a_sale_after_the_rules_changed_says_that_they_did(shop: Shop, alice: Customer) -> None:
    """Where all purchases count, nobody reads a history: the sale finds the new thresholds reached."""
    create_program(merchant_id=shop.merchant.pk, tiers=with_silver_at(500))
    sell_at(shop, alice, "T-1", "200", JANUARY)
    changed = JANUARY + timedelta(days=1)
    with time_machine.travel(changed, tick=False):
        update_program(merchant_id=shop.merchant.pk, tiers=with_silver_at(100))
    sell_at(shop, alice, "T-2", "1", changed)
    assert changes(alice)[1:] == [("bronze", "silver", "rules_changed", changed)]
    assert sound_at(shop, changed)
