"""`points.expiring_soon`: once for each customer and time, some days before."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command

from cloudpos.lifecycle.merging import merge_customers
from customers.event_types import OUR_EVENTS
from customers.models import Customer, Event
from loyalty.models import Program
from loyalty.services import announcing, create_program, update_program
from loyalty.services.announcing import announce_expiring, merchants_at_midnight
from loyalty.tasks import announce_expiring_points
from tests.fixtures import Shop, make_shop
from tests.tills import findings, move, register

pytestmark = pytest.mark.django_db

JANUARY = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
# Three months later, at the end of the day in London.
OVER = datetime(2026, 4, 15, 23, 0, tzinfo=UTC)
SOON = OVER - timedelta(days=14)


@pytest.fixture
def expiring(shop: Shop) -> Program:
    return create_program(
        merchant_id=shop.merchant.pk, expiry="after_earning", expiry_months=3, begins_at=JANUARY
    )


@pytest.fixture
def points(shop: Shop, expiring: Program, alice: Customer, bob: Customer) -> None:
    """Alice's 30 and Bob's 5 are over at OVER, Alice's 7 a day later."""
    with time_machine.travel(JANUARY, tick=False):
        move(shop.access, alice, "earned", 10)
        move(shop.access, alice, "earned", 20)
        move(shop.access, bob, "earned", 5)
    with time_machine.travel(JANUARY + timedelta(days=1), tick=False):
        move(shop.access, alice, "earned", 7)


def told() -> list[tuple[str, Any]]:
    return [
        (event.customer.first_name, event.data)
        for event in Event.objects.filter(type="points.expiring_soon")
        .select_related("customer")
        .order_by("recorded_at", "customer__first_name")
    ]


def by_time(points: int, at: str) -> dict[str, Any]:
    return {"points": points, "expiresAt": at, "reason": "after_earning"}


def by_inactivity(points: int, at: str) -> dict[str, Any]:
    return {"points": points, "expiresAt": at, "reason": "after_inactivity"}


def announce(shop: Shop, at: datetime) -> int:
    with time_machine.travel(at, tick=False):
        return announce_expiring(merchant_id=shop.merchant.pk, at=at)


def test_each_is_told_once(shop: Shop, points: None, alice: Customer) -> None:
    assert "points.expiring_soon" in OUR_EVENTS
    assert announce(shop, SOON - timedelta(seconds=1)) == 0
    assert announce(shop, SOON) == 2
    first = [
        ("Alice", by_time(30, "2026-04-15T23:00:00Z")),
        ("Bob", by_time(5, "2026-04-15T23:00:00Z")),
    ]
    assert told() == first
    event = Event.objects.filter(type="points.expiring_soon", customer_id=alice.pk).get()
    assert (event.occurred_at, event.recorded_at, event.dispatched_at) == (SOON, SOON, None)
    assert announce(shop, SOON) == 0
    # The next day it is the next ones' turn.
    assert announce(shop, SOON + timedelta(days=1)) == 1
    assert told() == [*first, ("Alice", by_time(7, "2026-04-16T23:00:00Z"))]
    assert announce(shop, OVER + timedelta(days=2)) == 0
    assert findings(shop) == []


def test_what_is_spent_or_over_is_not_told(shop: Shop, points: None, alice: Customer) -> None:
    with time_machine.travel(SOON, tick=False):
        move(shop.access, alice, "redeemed", 30)
    assert announce(shop, SOON) == 1
    # A worker that was away for weeks says only what is still to come.
    assert announce(shop, OVER) == 1
    assert told() == [
        ("Bob", by_time(5, "2026-04-15T23:00:00Z")),
        ("Alice", by_time(7, "2026-04-16T23:00:00Z")),
    ]


def test_who_is_gone_is_told_nothing(shop: Shop, points: None, alice: Customer, bob: Customer) -> None:
    with time_machine.travel(JANUARY + timedelta(days=9), tick=False):
        merge_customers(access=shop.access, customer_id=bob.pk, source_id=alice.pk)
    assert announce(shop, SOON) == 1
    assert told() == [("Bob", by_time(35, "2026-04-15T23:00:00Z"))]


def test_points_that_come_later_are_told_at_the_next_midnight(
    shop: Shop, points: None, alice: Customer
) -> None:
    carol = register(shop, "Carol")
    announce(shop, SOON)
    with time_machine.travel(JANUARY, tick=False):
        move(shop.access, carol, "earned", 3)
    assert announce(shop, SOON + timedelta(hours=24)) == 2
    assert told()[-1] == ("Carol", by_time(3, "2026-04-15T23:00:00Z"))


def test_a_program_that_is_off_says_nothing(shop: Shop, expiring: Program, points: None) -> None:
    expiring.is_active = False
    expiring.save(update_fields=["is_active"])
    assert announce(shop, SOON) == 0


def test_in_chunks(shop: Shop, points: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "CHUNK", 1)
    reasons = [
        (reason, soon.replace("LIMIT 5000", "LIMIT 1"), mark) for reason, soon, mark in announcing._REASONS
    ]
    monkeypatch.setattr(announcing, "_REASONS", reasons)
    change_to_inactivity(shop)
    with time_machine.travel(JANUARY + timedelta(days=1), tick=False):
        for name in ("Carol", "Dave"):
            move(shop.access, register(shop, name), "earned", 3)
    steps: list[int] = []
    at = SOON + timedelta(days=1)
    assert announce_expiring(merchant_id=shop.merchant.pk, at=at, progress=steps.append) == 5
    assert steps == [1, 1, 1, 0, 1, 1, 0]
    assert len(told()) == 5


def change_to_inactivity(shop: Shop) -> None:
    with time_machine.travel(JANUARY + timedelta(days=1), tick=False):
        update_program(merchant_id=shop.merchant.pk, expiry="after_inactivity")


class TestInactivity:
    """Points that last while their owner is active: over at OVER, when nothing happens after JANUARY."""

    @pytest.fixture
    def lasting(self, shop: Shop, alice: Customer, bob: Customer) -> None:
        create_program(
            merchant_id=shop.merchant.pk, expiry="after_inactivity", expiry_months=3, begins_at=JANUARY
        )
        with time_machine.travel(JANUARY, tick=False):
            move(shop.access, alice, "earned", 10)
            move(shop.access, alice, "earned", 20)
            move(shop.access, bob, "earned", 5)

    def test_each_is_told_once(self, shop: Shop, lasting: None) -> None:
        assert announce(shop, SOON - timedelta(seconds=1)) == 0
        assert announce(shop, SOON) == 2
        assert announce(shop, SOON + timedelta(days=1)) == 0
        assert told() == [
            ("Alice", by_inactivity(30, "2026-04-15T23:00:00Z")),
            ("Bob", by_inactivity(5, "2026-04-15T23:00:00Z")),
        ]
        assert announce(shop, OVER) == 0

    def test_who_is_active_after_that_is_told_again_in_time(
        self, shop: Shop, lasting: None, alice: Customer, bob: Customer
    ) -> None:
        announce(shop, SOON)
        with time_machine.travel(SOON + timedelta(days=1), tick=False):
            move(shop.access, alice, "redeemed", 4)
            # Nothing of hers is left to end.
            move(shop.access, bob, "redeemed", 5)
        # 3 April in London and three months: to the end of 3 July.
        again = datetime(2026, 7, 3, 23, tzinfo=UTC)
        assert announce(shop, again - timedelta(days=14, seconds=1)) == 0
        assert announce(shop, again - timedelta(days=14)) == 1
        assert told()[-1] == ("Alice", by_inactivity(26, "2026-07-03T23:00:00Z"))

    def test_points_of_both_kinds_that_end_together(self, shop: Shop, points: None, alice: Customer) -> None:
        """Hers of a day end by themselves, and by inactivity those that she earned after the rules had changed."""
        change_to_inactivity(shop)
        with time_machine.travel(JANUARY + timedelta(days=1), tick=False):
            move(shop.access, alice, "earned", 2)
        assert announce(shop, SOON + timedelta(days=1)) == 4
        of_that_day = [data for name, data in told() if data["expiresAt"] == "2026-04-16T23:00:00Z"]
        assert of_that_day == [by_time(7, "2026-04-16T23:00:00Z"), by_inactivity(2, "2026-04-16T23:00:00Z")]


def test_never_when_switched_off(shop: Shop, points: None, settings: Any) -> None:
    settings.POINTS_EXPIRING_SOON_DAYS = 0
    assert announce(shop, SOON) == 0


@pytest.mark.parametrize(
    ("zone", "hour"), [("UTC", 0), ("Asia/Kolkata", 19), ("Asia/Kathmandu", 19), ("America/New_York", 4)]
)
def test_each_merchant_is_asked_once_a_day_at_its_own_midnight(db: None, zone: str, hour: int) -> None:
    shop = make_shop("Somewhere", timezone=zone)
    day = datetime(2026, 7, 1, 0, 5, tzinfo=UTC)
    asked = [n for n in range(24) if merchants_at_midnight(at=day + timedelta(hours=n)) == [shop.merchant.pk]]
    assert asked == [hour]


def test_beat_and_command(shop: Shop, foreign_shop: Shop, points: None) -> None:
    # 00:05 in London.
    with time_machine.travel(SOON + timedelta(minutes=5), tick=False):
        assert announce_expiring_points() == 2
    with time_machine.travel(SOON + timedelta(days=1, hours=9), tick=False):
        assert announce_expiring_points() == 0
        out = StringIO()
        call_command("announce_expiring_points", "--merchant", "far-away-traders", stdout=out)
        assert "0 events" in out.getvalue()
        call_command("announce_expiring_points", stdout=out)
        assert "1 events for points that end within 14 days" in out.getvalue()
        with pytest.raises(CommandError, match="no merchant"):
            call_command("announce_expiring_points", "--merchant", "nobody")
