"""GET /analytics/segments: what segments are worth, and who moved between them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from analytics import segment_moves
from analytics.models import SegmentMoves
from analytics.moved import DIRECTIONS, customers_moved
from analytics.rollups.spans import nth
from analytics.segment_moves import count_months, months_shown, moves_by_month
from analytics.tasks import refresh_merchant_rollups
from customers.events import emit, event
from customers.models import Customer, Event
from tests.analytics.conftest import buy, new_customer, recalculate
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


def read(shop: Shop) -> dict[str, Any]:
    cache.clear()
    answer = shop.manager.get("/analytics/segments")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()["data"]
    return found


def ago(days: int) -> datetime:
    return now() - timedelta(days=days)


def move(shop: Shop, customer: Customer, origin: str, target: str, at: datetime) -> None:
    with transaction.atomic():
        emit(
            event(
                merchant_id=shop.merchant.pk,
                customer_id=customer.pk,
                type="segment.changed",
                data={"from": origin, "to": target, "reason": "buys_as_usual"},
                occurred_at=at,
            )
        )


def test_value_and_risk(shop: Shop, alice: Customer, bob: Customer) -> None:
    new_customer(shop, "Carol")
    buy(shop, alice, "10.00", ago(3))
    buy(shop, bob, "20.00", ago(300))
    buy(shop, bob, "10.00", ago(200))
    recalculate(shop)
    found = read(shop)
    by_name = {row["name"]: row for row in found["segments"]}
    assert (by_name["new"]["customers"], by_name["new"]["value12Months"]) == (2, "10.00")
    assert (by_name["new"]["averageValue"], by_name["new"]["shareOfValue"]) == ("5.00", 0.25)
    assert 0 < by_name["new"]["churnRisk"] < 1
    (others,) = [row for row in found["segments"] if row["customers"] and row["name"] != "new"]
    assert (others["value12Months"], others["averageValue"], others["shareOfValue"]) == (
        "30.00",
        "30.00",
        0.75,
    )
    (empty, *_) = [row for row in found["segments"] if not row["customers"]]
    assert (empty["value12Months"], empty["averageValue"], empty["churnRisk"]) == ("0.00", "0.00", None)
    assert len(found["rfmGrid"]) == 25
    assert sum(cell["customers"] for cell in found["rfmGrid"]) == 2
    assert sum(float(cell["value12Months"]) for cell in found["rfmGrid"]) == 40
    assert found["notes"] == []


def test_a_merchant_without_figures_is_told_so(shop: Shop) -> None:
    found = read(shop)
    assert [row["value12Months"] for row in found["segments"]] == ["0.00"] * 5
    assert [row["shareOfValue"] for row in found["segments"]] == [None] * 5
    assert len(found["movements"]) == 12
    assert found["notes"] == ["No customer's figures have been worked out yet: values are 0, risks null."]


def test_movements_by_month(shop: Shop, foreign_shop: Shop, alice: Customer, bob: Customer) -> None:
    today = now().astimezone(shop.merchant.tz).date()
    before = nth(today.replace(day=1), "month", -1)
    inside = datetime(before.first.year, before.first.month, 15, 12, tzinfo=UTC)
    for customer in (alice, bob):
        move(shop, customer, "new", "regular", inside)
    move(shop, alice, "regular", "vip", inside)
    move(shop, bob, "regular", "at_risk", now())
    move(foreign_shop, new_customer(foreign_shop, "Mallory"), "new", "vip", inside)
    *_, last, running = read(shop)["movements"]
    assert (last["month"], last["isRunning"], running["isRunning"]) == (before.first.isoformat(), False, True)
    assert last["moves"] == [
        {"from": "new", "to": "regular", "customers": 2},
        {"from": "regular", "to": "vip", "customers": 1},
    ]
    in_out = {row["name"]: (row["joined"], row["left"]) for row in last["segments"]}
    assert in_out == {"new": (0, 2), "regular": (2, 1), "vip": (1, 0), "at_risk": (0, 0), "churned": (0, 0)}
    assert running["moves"] == [{"from": "regular", "to": "at_risk", "customers": 1}]


def test_a_month_that_is_over_is_counted_once(shop: Shop, alice: Customer) -> None:
    zone = shop.merchant.tz
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    asked: dict[str, Any] = {"merchant_id": shop.merchant.pk, "zone": zone, "today": at.date()}
    # London is not at summer time yet: the month ends at midnight.
    move(shop, alice, "new", "regular", datetime(2026, 2, 28, 23, 59, tzinfo=UTC))
    move(shop, alice, "regular", "vip", datetime(2026, 3, 1, 0, 0, tzinfo=UTC))
    before = moves_by_month(**asked)
    assert count_months(merchant_id=shop.merchant.pk, zone=zone, at=at) == 11
    assert count_months(merchant_id=shop.merchant.pk, zone=zone, at=at) == 0
    assert SegmentMoves.objects.filter(n__gt=0).count() == 1
    assert moves_by_month(**asked) == before
    assert [len(moves) for moves in before.values()] == [0] * 10 + [1, 1]


def test_whose_history_was_imported_has_not_moved(shop: Shop, alice: Customer, bob: Customer) -> None:
    """They are placed in a segment when they are first looked at; what changes from then on is a move."""
    buy(shop, alice, "10.00", ago(300))
    buy(shop, bob, "10.00", ago(1))
    recalculate(shop)
    assert [row["moves"] for row in read(shop)["movements"]] == [[]] * 12
    placed = Event.objects.get(type="segment.changed")
    assert (placed.customer_id, placed.data["from"], placed.data["isFirst"]) == (alice.pk, "new", True)
    # Alice buys again, and is regular.
    buy(shop, alice, "10.00", ago(0))
    recalculate(shop)
    moved = Event.objects.exclude(pk=placed.pk).get(type="segment.changed")
    assert (moved.customer_id, "isFirst" in moved.data) == (alice.pk, False)
    running = read(shop)["movements"][-1]
    assert running["moves"] == [{"from": moved.data["from"], "to": moved.data["to"], "customers": 1}]
    for segment in running["segments"]:
        for direction in DIRECTIONS:
            found = customers_moved(
                merchant_id=shop.merchant.pk,
                zone=shop.merchant.tz,
                month=date.fromisoformat(running["month"]),
                segment=segment["name"],
                direction=direction,
                limit=10,
            )
            assert found.total == segment[direction]


def test_months_that_were_not_counted_yet_are_counted_at_once(shop: Shop, alice: Customer) -> None:
    asked: dict[str, Any] = {
        "merchant_id": shop.merchant.pk,
        "zone": shop.merchant.tz,
        "today": datetime(2026, 3, 2, tzinfo=UTC).date(),
    }
    move(shop, alice, "new", "regular", datetime(2026, 2, 28, 23, 59, tzinfo=UTC))
    with CaptureQueriesContext(connection) as queries:
        moves_by_month(**asked)
    assert len(queries) == 2


def test_a_month_is_not_counted_before_it_is_over(shop: Shop, alice: Customer) -> None:
    """What is written in its last second commits after it."""
    zone = shop.merchant.tz
    count_months(merchant_id=shop.merchant.pk, zone=zone, at=datetime(2026, 3, 1, 0, 0, 5, tzinfo=UTC))
    move(shop, alice, "new", "regular", datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC))
    found = moves_by_month(
        merchant_id=shop.merchant.pk, zone=zone, today=datetime(2026, 3, 1, tzinfo=UTC).date()
    )
    assert [len(moves) for moves in found.values()] == [0] * 10 + [1, 0]


def test_the_sweep_counts_months(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    refresh_merchant_rollups(str(shop.merchant.pk))
    assert SegmentMoves.objects.count() >= segment_moves.MONTHS_SHOWN - 2


def test_twelve_months_over_a_year_end() -> None:
    found = months_shown(datetime(2026, 2, 28, tzinfo=UTC).date())
    assert [month.isoformat() for month in (found[0], found[-1])] == ["2025-03-01", "2026-02-01"]


def test_as_csv(shop: Shop) -> None:
    new_customer(shop, "Alice")
    answer = shop.manager.get("/analytics/segments?format=csv")
    assert answer.content.decode().splitlines() == [
        "segment,customers,share,value12Months,shareOfValue,averageValue,churnRisk",
        "new,1,1.0,0.00,,0.00,",
        "regular,0,0.0,0.00,,0.00,",
        "vip,0,0.0,0.00,,0.00,",
        "at_risk,0,0.0,0.00,,0.00,",
        "churned,0,0.0,0.00,,0.00,",
    ]
