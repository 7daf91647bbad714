"""Reviews of tiers beside each other, beside tills, and killed: threads with connections of their own."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import InterfaceError, OperationalError, connection

from customers.models import Customer, Event
from loyalty.models import Enrollment
from loyalty.rules import TierRule
from loyalty.services import create_program, review_tiers
from loyalty.services import tiers as tiers_service
from tests.fixtures import Shop
from tests.loyalty.test_concurrency import at_once
from tests.tills import findings, register, sell

pytestmark = pytest.mark.django_db(transaction=True)

BOUGHT = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
OVER = datetime(2027, 1, 11, tzinfo=UTC)
MEMBERS = 8
TIERS = [TierRule("bronze", "Bronze", 0, Decimal(1)), TierRule("gold", "Gold", 300_00, Decimal(2))]


@pytest.fixture
def members(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[Customer]:
    """Each is Gold until OVER; reviews look three up at a time."""
    create_program(merchant_id=shop.merchant.pk, tiers=TIERS, tier_window="rolling", tier_months=12)
    found = [register(shop, f"Member {number}") for number in range(MEMBERS)]
    with time_machine.travel(BOUGHT, tick=False):
        for number, member in enumerate(found):
            sell(shop.access, member, f"T-{number}", "300", BOUGHT)
    monkeypatch.setattr(tiers_service, "CHUNK_ACCOUNTS", 3)
    return found


def told() -> list[tuple[str, str, datetime]]:
    """Since they became Gold."""
    events = Event.objects.filter(type="tier.changed").exclude(data__to="gold")
    return [(event.data["from"], event.data["to"], event.occurred_at) for event in events]


def test_three_reviews_and_three_tills_at_once(shop: Shop, members: list[Customer]) -> None:
    access = shop.access

    def work(number: int) -> Any:
        if number < 3:
            return review_tiers(merchant_id=shop.merchant.pk)
        for place, member in enumerate(members):
            sell(access, member, f"N-{number}-{place}", "10", OVER + timedelta(minutes=1))
        return 0

    with time_machine.travel(OVER + timedelta(hours=1), tick=False):
        at_once(work)
        assert review_tiers(merchant_id=shop.merchant.pk) == 0
        assert findings(shop) == []
    # Once each, whoever came first, and at the instant itself.
    assert told() == [("gold", "bronze", OVER)] * MEMBERS
    amounts = set(Enrollment.objects.values_list("tier", "qualifying_amount"))
    assert amounts == {("bronze", Decimal("30.00"))}


def test_killed_at_any_moment_it_loses_nothing(shop: Shop, members: list[Customer]) -> None:
    with time_machine.travel(OVER, tick=False):
        for _ in range(MEMBERS):
            # As a killed worker's connection: it is gone in the middle of a member's transaction.
            def killed(number: int) -> None:
                raise KeyboardInterrupt

            def run() -> None:
                try:
                    review_tiers(merchant_id=shop.merchant.pk, progress=killed)
                except (KeyboardInterrupt, OperationalError, InterfaceError):
                    pass
                finally:
                    connection.close()

            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
        assert review_tiers(merchant_id=shop.merchant.pk) == 0
        assert findings(shop) == []
    assert told() == [("gold", "bronze", OVER)] * MEMBERS
