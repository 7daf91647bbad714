"""POST /loyalty/program/preview: what a change would do, before anybody makes it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Customer
from loyalty.models import LedgerEntry, Lot, Program, ProgramVersion, Tier
from loyalty.reading_preview import preview
from loyalty.rules import TierRule
from loyalty.services import create_program, update_program
from tests.fixtures import Shop
from tests.tills import bring_back, move, sell

pytestmark = pytest.mark.django_db

JUNE = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
def lasting(shop: Shop) -> Program:
    """Points last three months and buy a penny each."""
    return create_program(
        merchant_id=shop.merchant.pk, expiry="after_earning", expiry_months=3, redeem_value=Decimal("0.01")
    )


@pytest.fixture
def lives(shop: Shop, lasting: Program, alice: Customer, bob: Customer) -> None:
    with time_machine.travel(JUNE, tick=False):
        sell(shop.access, alice, "A-1", "600.00", datetime(2026, 4, 20, 12, tzinfo=UTC))
        sell(shop.access, alice, "A-2", "100.00", datetime(2026, 6, 1, 12, tzinfo=UTC))
        sell(shop.access, bob, "B-1", "300.00", datetime(2026, 6, 2, 12, tzinfo=UTC))
        bring_back(shop.access, "B-1", "R-1", "100.00", datetime(2026, 6, 3, 12, tzinfo=UTC))


def seen(shop: Shop, **changes: Any) -> dict[str, Any]:
    with time_machine.travel(JUNE, tick=False):
        return preview(merchant_id=shop.merchant.pk, **changes)


def worth(points: int, money: str | None = None) -> dict[str, Any]:
    return {"points": points, "money": f"{Decimal(points) / 100:.2f}" if money is None else money}


def test_what_changes_and_from_when(shop: Shop, lives: None) -> None:
    found = seen(shop, pending_days=14, categories_out=["Gift cards"], redeem_value=None)
    assert found["effectiveFrom"] == JUNE
    assert found["changes"] == [
        {
            "field": "redeemValue",
            "before": "0.01",
            "after": "none",
            "takesEffect": "Counts at once, for all points.",
        },
        {
            "field": "categoriesOut",
            "before": "none",
            "after": "Gift cards",
            "takesEffect": "Counts for purchases from then on: what was earned before stays.",
        },
        {
            "field": "pendingDays",
            "before": "0",
            "after": "14",
            "takesEffect": "Counts for points earned from then on: those that exist keep their times.",
        },
    ]
    assert found["existing"]["total"] == {"points": 925, "money": None}
    assert any("no value of a point" in said for said in found["assumptions"])


def test_points_that_exist_keep_their_months(shop: Shop, lives: None) -> None:
    months = {row["month"]: row for row in seen(shop, expiry_months=12)["months"]}
    assert {month: row["existing"] for month, row in months.items() if row["existing"]["points"]} == {
        "2026-07": worth(600),
        "2026-09": worth(325),
    }
    # 600 + 125 + 200 in ninety days: 312 a month.
    assert [month for month, row in months.items() if row["before"]["points"]] == [
        f"2026-{month:02}" for month in range(9, 13)
    ] + [f"2027-{month:02}" for month in range(1, 9)]
    assert months["2026-10"]["before"] == worth(312)
    assert months["2026-10"]["after"] == worth(0)
    assert [month for month, row in months.items() if row["after"]["points"]][0] == "2027-06"
    assert sum(row["after"]["points"] for row in months.values()) == 12 * 312


def test_another_rate_and_waiting_points(shop: Shop, lives: None) -> None:
    found = seen(shop, points_per_unit=Decimal(2), pending_days=30)
    assert (found["pointsPerMonth"], found["pointsPerMonthAfter"]) == (312, 624)
    assert found["pendingAfter"] == 615
    assert found["existing"]["pending"]["points"] == 0


def test_another_basis_is_tried_on_purchases(
    shop: Shop, lives: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alice's 100.00 as silver, and Bob's 300.00 less what he brought back."""
    found = seen(shop, rounding="up", points_per_unit=Decimal("0.5"))
    assert found["earning"] == {"days": 30, "purchases": 2, "pointsBefore": 325, "pointsAfter": 163}
    assert found["pointsPerMonthAfter"] == 312 * 163 // 325
    assert seen(shop, pending_days=1)["earning"] is None
    monkeypatch.setattr("loyalty.reading_preview.TRIED_PURCHASES_MAX", 1)
    found = seen(shop, points_per_unit=Decimal("0.5"))
    assert (found["earning"], found["pointsPerMonthAfter"]) == (None, 156)
    assert any("Make a dry run" in said for said in found["assumptions"])


def test_what_has_no_month(shop: Shop, lives: None, alice: Customer) -> None:
    with time_machine.travel(JUNE, tick=False):
        update_program(merchant_id=shop.merchant.pk, expiry="after_inactivity", pending_days=7)
        sell(shop.access, alice, "A-3", "10.00")
        update_program(merchant_id=shop.merchant.pk, expiry="none", pending_days=0)
    with time_machine.travel(JUNE + timedelta(minutes=1), tick=False):
        move(shop.access, alice, "earned", 7)
    existing = seen(shop, pending_days=1)["existing"]
    # 10.00 as silver.
    assert {name: value["points"] for name, value in existing.items()} == {
        "total": 925 + 12 + 7,
        "neverExpiring": 7,
        "whileActive": 12,
        "pending": 12,
        "owed": 0,
    }


def test_who_changes_tier(shop: Shop, lives: None) -> None:
    ladder = [TierRule("bronze", "Bronze", 0, Decimal(1)), TierRule("gold", "Gold", 150_00, Decimal(2))]
    assert seen(shop, tiers=ladder)["tiers"] == {
        "members": 2,
        "looked": 2,
        "changing": 2,
        "moves": [
            {"from": "bronze", "to": "gold", "members": 1},
            {"from": "silver", "to": "gold", "members": 1},
        ],
    }
    assert seen(shop, pending_days=1)["tiers"]["moves"] == []
    assert [move["to"] for move in seen(shop, tiers=[])["tiers"]["moves"]] == [None, None]


def test_nothing_is_written(shop: Shop, lives: None) -> None:
    def rows() -> list[Any]:
        return [
            list(model.objects.order_by("pk").values())
            for model in (Program, ProgramVersion, Tier, Lot, LedgerEntry)
        ]

    before = rows()
    with CaptureQueriesContext(connection) as queries:
        seen(shop, points_per_unit=Decimal(3), tiers=[], expiry="none")
    assert rows() == before
    written = ("INSERT", "UPDATE", "DELETE", "COPY")
    assert not [q["sql"] for q in queries if q["sql"].lstrip().startswith(written)]


def test_the_api(shop: Shop, lives: None) -> None:
    response = shop.manager.post("/loyalty/program/preview", {"pendingDays": 14})
    assert response.status_code == 200
    data = response.json()["data"]
    assert [change["field"] for change in data["changes"]] == ["pendingDays"]
    assert ProgramVersion.objects.count() == 1
    for changed, code in (
        ({"pendingDays": -1}, "min_value"),
        ({"expiry": "after_earning", "expiryMonths": None}, "invalid_expiry"),
        ({"categoriesIn": ["a"], "categoriesOut": ["A"]}, "invalid_policy"),
        ({"tiers": [{"code": "a", "name": "A", "threshold": 0}] * 2}, "invalid_tiers"),
        ({"currency": "GBP"}, "unknown_field"),
    ):
        response = shop.manager.post("/loyalty/program/preview", changed)
        assert (response.status_code, response.json()["errors"][0]["code"]) == (400, code), changed


def test_without_a_program_there_is_nothing_to_change(shop: Shop) -> None:
    response = shop.manager.post("/loyalty/program/preview", {"pendingDays": 14})
    assert (response.status_code, response.json()["code"]) == (404, "program_not_found")


def test_windows_of_time_are_folded(shop: Shop, lives: None, alice: Customer) -> None:
    """Within a month Alice bought for 100.00 only; Bob's 200.00 stay bronze."""
    found = seen(shop, tier_window="rolling", tier_months=1)["tiers"]
    assert (found["looked"], found["moves"]) == (2, [{"from": "silver", "to": "bronze", "members": 1}])
