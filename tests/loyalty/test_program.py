"""GET and PUT /loyalty/program, and what a change does to those who are in it."""

from decimal import Decimal
from typing import Any

import pytest

from customers.models import Customer, Event
from loyalty.models import LedgerEntry, Program, ProgramVersion, Tier
from loyalty.rules import TierRule
from loyalty.services import (
    ProgramExists,
    create_program,
    programs_with_stale_tiers,
    refresh_tiers,
    update_program,
)
from loyalty.tasks import refresh_stale_tiers
from tests.fixtures import Shop
from tests.tills import books, bring_back, findings, minutes, move, sell

pytestmark = pytest.mark.django_db


def put(shop: Shop, **fields: Any) -> Any:
    sent = {
        "name": "Club",
        "pointsPerUnit": "2",
        "rounding": "half_up",
        "tiers": [
            {"code": "basic", "name": "Basic", "threshold": "0"},
            {"code": "plus", "name": "Plus", "threshold": "100.00", "multiplier": "1.5"},
        ],
        **fields,
    }
    return shop.manager.put("/loyalty/program", sent, content_type="application/json")


def errors(response: Any) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in response.json()["errors"]]


def test_there_is_none_at_first(shop: Shop) -> None:
    response = shop.cashier.get("/loyalty/program")
    assert (response.status_code, response.json()["code"]) == (404, "program_not_found")


def test_the_default_program(shop: Shop, program: Program) -> None:
    response = shop.cashier.get("/loyalty/program")
    assert response.json()["data"] == {
        "id": str(program.pk),
        "name": "Loyalty",
        "pointName": "point",
        "pointsName": "points",
        "pointsPerUnit": "1",
        "rounding": "down",
        "expiry": "none",
        "expiryMonths": None,
        "expiryMonthEnd": False,
        "graceDays": 0,
        "redeemValue": None,
        "redeemPointsMin": 1,
        "earnsOnTax": True,
        "earnsOnDiscount": False,
        "categoriesIn": [],
        "categoriesOut": [],
        "skusIn": [],
        "skusOut": [],
        "storeIds": [],
        "pendingDays": 0,
        "returns": "proportional",
        "shortfall": "within_balance",
        "tierMetric": "spend",
        "tierWindow": "lifetime",
        "tierMonths": None,
        "tierDowngrade": "immediate",
        "tierGraceDays": 0,
        "tiers": [
            {"code": "bronze", "name": "Bronze", "threshold": "0.00", "multiplier": "1", "benefits": []},
            {"code": "silver", "name": "Silver", "threshold": "500.00", "multiplier": "1.25", "benefits": []},
            {"code": "gold", "name": "Gold", "threshold": "2000.00", "multiplier": "1.5", "benefits": []},
            {
                "code": "platinum",
                "name": "Platinum",
                "threshold": "5000.00",
                "multiplier": "2",
                "benefits": [],
            },
        ],
        "isActive": True,
        "revision": 1,
        "createdAt": program.created_at.isoformat().replace("+00:00", "Z"),
    }


def test_there_is_one_at_a_time(shop: Shop, program: Program) -> None:
    with pytest.raises(ProgramExists):
        create_program(merchant_id=shop.merchant.pk)


def test_a_manager_starts_it(shop: Shop) -> None:
    response = put(shop)
    assert response.status_code == 201
    data = response.json()["data"]
    assert (data["name"], data["pointsPerUnit"], data["rounding"], data["revision"]) == (
        "Club",
        "2",
        "half_up",
        1,
    )
    assert [tier["multiplier"] for tier in data["tiers"]] == ["1", "1.5"]
    assert put(shop).status_code == 200
    # What changes nothing is no new version.
    assert ProgramVersion.objects.count() == 1


def test_a_cashier_does_not(shop: Shop) -> None:
    response = shop.cashier.put("/loyalty/program", {}, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (403, "role_too_low")


@pytest.mark.parametrize(
    ("changed", "field", "code"),
    [
        ({"name": ""}, "name", "blank"),
        ({"pointsPerUnit": "-1"}, "pointsPerUnit", "min_value"),
        ({"pointsPerUnit": "10001"}, "pointsPerUnit", "max_value"),
        ({"pointsPerUnit": "0.00001"}, "pointsPerUnit", "places"),
        ({"rounding": "sideways"}, "rounding", "invalid_choice"),
        ({"tiers": None}, "tiers", "null"),
        ({"tiers": [{"code": "a b", "name": "A", "threshold": 0}]}, "tiers.0.code", "invalid"),
        (
            {"tiers": [{"code": "a", "name": "A", "threshold": 0, "multiplier": 0}]},
            "tiers.0.multiplier",
            "min_value",
        ),
        ({"tiers": [{"code": "a", "name": "A", "threshold": -1}]}, "tiers.0.threshold", "min_value"),
        (
            {
                "tiers": [
                    {"code": "a", "name": "A", "threshold": 0},
                    {"code": "b", "name": "B", "threshold": "0.00"},
                ]
            },
            "tiers",
            "invalid_tiers",
        ),
        (
            {
                "tiers": [
                    {"code": "a", "name": "A", "threshold": 0},
                    {"code": "a", "name": "B", "threshold": 1},
                ]
            },
            "tiers",
            "invalid_tiers",
        ),
        (
            {"tiers": [{"code": f"t{n}", "name": "T", "threshold": n} for n in range(21)]},
            "tiers",
            "max_length",
        ),
        ({"currency": "GBP"}, "currency", "unknown_field"),
    ],
)
def test_what_is_wrong_is_named(shop: Shop, changed: dict[str, Any], field: str, code: str) -> None:
    response = put(shop, **changed)
    assert response.status_code == 400
    assert (field, code) in errors(response)
    assert Program.objects.count() == 0


def test_a_change_counts_from_now_on(shop: Shop, program: Program, alice: Customer) -> None:
    sell(shop.access, alice, "T-1", "100", minutes(0))
    before = list(LedgerEntry.objects.values())
    put(shop)
    assert list(LedgerEntry.objects.values()) == before
    sell(shop.access, alice, "T-2", "100")
    # From before the change, and late: by the rules of its time.
    sell(shop.access, alice, "T-3", "100", minutes(5))
    # And the old sale still gives back what it gave.
    bring_back(shop.access, "T-1", "R-1", "50", minutes(10))
    assert books(alice)["points"] == {"T-1": 50, "T-2": 300, "T-3": 100}
    assert findings(shop) == []


def test_a_till_a_little_ahead_of_time_keeps_what_it_was_told(
    shop: Shop, program: Program, alice: Customer
) -> None:
    from datetime import timedelta

    from django.utils.timezone import now

    sell(shop.access, alice, "T-1", "100", now() + timedelta(minutes=4))
    put(shop)
    sell(shop.access, alice, "T-0", "1", minutes(0))
    assert books(alice)["points"] == {"T-1": 100, "T-0": 1}
    assert findings(shop) == []


def test_new_thresholds_reach_members_in_the_background(
    shop: Shop, program: Program, alice: Customer, bob: Customer
) -> None:
    sell(shop.access, alice, "T-1", "150", minutes(0))
    sell(shop.access, bob, "T-2", "50", minutes(0))
    assert programs_with_stale_tiers() == []
    put(shop)
    assert programs_with_stale_tiers() == [program.pk]
    before = Event.objects.count()
    assert refresh_stale_tiers() == 2
    alice.refresh_from_db()
    bob.refresh_from_db()
    assert (alice.tier, bob.tier) == ("plus", "basic")
    assert [event.data for event in Event.objects.order_by("id")[before:]] == [
        {"from": "bronze", "to": "plus", "reason": "rules_changed", "until": None},
        {"from": "bronze", "to": "basic", "reason": "rules_changed", "until": None},
    ]
    assert programs_with_stale_tiers() == []
    assert refresh_tiers(program_id=program.pk) == 0
    assert findings(shop) == []


def test_another_rate_leaves_the_tiers(shop: Shop, program: Program) -> None:
    update_program(merchant_id=shop.merchant.pk, points_per_unit=Decimal(3))
    assert programs_with_stale_tiers() == []
    assert Tier.objects.count() == 4


def test_a_program_that_begins_later_leaves_out_what_was_bought_before(shop: Shop, alice: Customer) -> None:
    sell(shop.access, alice, "T-1", "150", minutes(0))
    put(shop)
    receipt = sell(shop.access, alice, "T-2", "100").receipt
    # It counts towards the tier: 100 x 2 x 1.5.
    assert (receipt["pointsEarned"], receipt["tier"]) == (300, "plus")
    assert books(alice)["points"] == {"T-1": 0, "T-2": 300}
    assert findings(shop) == []


def test_a_program_since_ever_enrolls_with_the_past(shop: Shop, alice: Customer) -> None:
    sell(shop.access, alice, "T-1", "150", minutes(0))
    create_program(merchant_id=shop.merchant.pk, tiers=[TierRule("basic", "Basic", 0, Decimal(1))])
    move(shop.access, alice, "redeemed", 100)
    found = books(alice)
    assert (found["balance"], found["points"]) == (50, {"T-1": 150})
    assert findings(shop) == []


def test_a_pause_is_made_up_for_by_the_next_purchase(shop: Shop, program: Program, alice: Customer) -> None:
    sell(shop.access, alice, "T-1", "10", minutes(0))
    Program.objects.update(is_active=False)
    assert sell(shop.access, alice, "T-2", "500", minutes(1)).receipt["pointsEarned"] == 0
    Program.objects.update(is_active=True)
    receipt = sell(shop.access, alice, "T-3", "100", minutes(2)).receipt
    assert (receipt["pointsEarned"], receipt["balance"], receipt["tier"]) == (125, 635, "silver")
    assert findings(shop) == []


@pytest.mark.parametrize(
    ("changed", "field", "code"),
    [
        ({"tierWindow": "rolling"}, "tierMonths", "invalid_qualification"),
        ({"tierWindow": "rolling", "tierMonths": None}, "tierMonths", "invalid_qualification"),
        ({"tierWindow": "calendar_year", "tierMonths": 12}, "tierMonths", "invalid_qualification"),
        ({"tierMonths": 12}, "tierMonths", "invalid_qualification"),
        ({"tierDowngrade": "period_end"}, "tierDowngrade", "invalid_qualification"),
        ({"tierGraceDays": 3}, "tierGraceDays", "invalid_qualification"),
        (
            {"tierWindow": "calendar_year", "tierDowngrade": "never", "tierGraceDays": 3},
            "tierGraceDays",
            "invalid_qualification",
        ),
        ({"tierWindow": "rolling", "tierMonths": 121}, "tierMonths", "max_value"),
        ({"tierWindow": "rolling", "tierMonths": 0}, "tierMonths", "min_value"),
        ({"tierWindow": "weekly"}, "tierWindow", "invalid_choice"),
        ({"tierMetric": "visits"}, "tierMetric", "invalid_choice"),
        ({"tierGraceDays": 366}, "tierGraceDays", "max_value"),
    ],
)
def test_what_tiers_cannot_be_reached_by(shop: Shop, changed: dict[str, Any], field: str, code: str) -> None:
    response = put(shop, **changed)
    assert (response.status_code, errors(response)) == (400, [(field, code)])
    assert not Program.objects.exists()


def test_another_window_leaves_behind_what_only_the_one_before_had(shop: Shop) -> None:
    kept = {"tierWindow": "rolling", "tierMonths": 12, "tierDowngrade": "period_end", "tierGraceDays": 14}
    names = ("tierWindow", "tierMonths", "tierDowngrade", "tierGraceDays")
    data = put(shop, **kept, tierMetric="points").json()["data"]
    assert ({name: data[name] for name in names}, data["tierMetric"]) == (kept, "points")
    # Not said: unchanged.
    assert put(shop).json()["data"]["tierMonths"] == 12
    data = put(shop, tierWindow="lifetime").json()["data"]
    assert tuple(data[name] for name in names) == ("lifetime", None, "immediate", 0)
    assert ProgramVersion.objects.count() == 2
