"""POST /loyalty/dry-runs"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpos.checkout.sales import take_purchase
from customers.models import Customer
from loyalty.dry_runs import dry_run, runs
from loyalty.models import Program, Promotion, PromotionAward
from loyalty.services import update_program
from tests.fixtures import Shop
from tests.loyalty.promoting import promote
from tests.loyalty.test_promotion_sales import ITEMS, promotions, withdraw_all
from tests.tills import bring_back, register, sell

pytestmark = pytest.mark.django_db

TUESDAY = datetime(2026, 3, 3, 10, tzinfo=UTC)
DOUBLED: dict[str, Any] = {
    "name": "Double Tuesdays",
    "kind": "multiplier",
    "multiplier": "2",
    "weekdays": [2],
}
MARCH = {"firstDay": "2026-03-01", "lastDay": "2026-03-14"}


def run(shop: Shop, **body: Any) -> dict[str, Any]:
    response = shop.manager.post("/loyalty/dry-runs", {**MARCH, **body})
    assert response.status_code == 200, response.content
    data: dict[str, Any] = response.json()["data"]
    return data


@pytest.fixture
def valued(shop: Shop, program: Program) -> Program:
    """A point is worth a penny."""
    return update_program(merchant_id=shop.merchant.pk, redeem_value=Decimal("0.01"))


def test_a_promotion_over_real_purchases(shop: Shop, valued: Program, alice: Customer, bob: Customer) -> None:
    sell(shop.access, alice, "A-0", "600.00", datetime(2026, 2, 24, 10, tzinfo=UTC))
    sell(shop.access, alice, "A-1", "40.00", TUESDAY)
    sell(shop.access, alice, "A-2", "30.00", TUESDAY + timedelta(days=1))
    sell(shop.access, bob, "B-1", "20.00", TUESDAY + timedelta(days=7))
    bring_back(shop.access, "A-1", "R-1", "20.00", TUESDAY + timedelta(days=2))
    found = run(shop, promotion=DOUBLED)
    # Alice was silver: 50 points, half of it returned; Bob's 20 are doubled.
    total = found["total"]
    assert total == {
        "purchases": 3,
        "purchasesTouched": 2,
        "customersTouched": 2,
        "pointsBefore": 25 + 37 + 20,
        "pointsAfter": 50 + 37 + 40,
        "pointsChange": 45,
        "pointsMore": 45,
        "pointsLess": 0,
        "cost": "0.45",
    }
    assert found["customers"] == 2
    assert [(week["week"], week["pointsChange"], week["cost"]) for week in found["weeks"]] == [
        ("2026-02-23", 0, "0.00"),
        ("2026-03-02", 25, "0.25"),
        ("2026-03-09", 20, "0.20"),
    ]
    assert [(tier["tier"], tier["pointsChange"]) for tier in found["tiers"]] == [
        ("silver", 25),
        ("bronze", 20),
    ]
    assert [(store["name"], store["pointsChange"]) for store in found["stores"]] == [
        ("Corner Shop High Street", 45)
    ]
    first = found["mostAffected"][0]
    assert (first["transactionId"], first["pointsBefore"], first["pointsAfter"]) == ("A-1", 25, 50)
    assert [(line["message"], line["points"]) for line in first["explanation"]] == [
        ("40.00 GBP at 1 point per GBP", 40),
        ("Silver: times 1.25", 10),
        ("Double Tuesdays: times 2 on 40.00 GBP", 50),
        ("Taken back by returns", -50),
    ]
    assert found["summary"] == "Double points on Tuesdays in all stores"
    assert runs.SAME_BEHAVIOUR in found["assumptions"]


def test_it_writes_nothing(shop: Shop, valued: Program, alice: Customer) -> None:
    sell(shop.access, alice, "A-1", "40.00", TUESDAY)
    with CaptureQueriesContext(connection) as queries:
        run(shop, promotion=DOUBLED)
        run(shop, program={"pointsPerUnit": "3"})
    for query in queries.captured_queries:
        assert not any(word in query["sql"] for word in ("INSERT ", "UPDATE ", "DELETE "))
    assert Promotion.objects.count() == 0


def test_caps_are_counted_in_the_order_of_time(shop: Shop, valued: Program, alice: Customer) -> None:
    for number in range(4):
        sell(shop.access, alice, f"A-{number}", "10.00", TUESDAY - timedelta(hours=number))
    bonus = {"name": "B", "kind": "bonus", "points": 100}
    capped = run(shop, promotion={**bonus, "totalPoints": 250})
    assert [row["transactionId"] for row in capped["mostAffected"]] == ["A-3", "A-2", "A-1"]
    assert capped["total"]["pointsChange"] == 250
    daily = run(shop, promotion={**bonus, "memberTimes": 1, "memberPeriod": "day"})
    assert daily["total"]["pointsChange"] == 100


def test_beside_what_other_promotions_gave(shop: Shop, valued: Program, alice: Customer) -> None:
    promote(shop, "First of all", priority=9, points=7)
    sell(shop.access, alice, "A-1", "10.00", TUESDAY)
    bonus = {"name": "B", "kind": "bonus", "points": 100}
    assert run(shop, promotion=bonus)["total"]["pointsChange"] == 100
    assert run(shop, promotion={**bonus, "exclusive": True})["total"]["pointsChange"] == 0
    instead = run(shop, promotion={**bonus, "exclusive": True, "priority": 10})["total"]
    assert (instead["pointsChange"], instead["pointsAfter"]) == (93, 110)


def test_one_that_there_is_with_other_values(shop: Shop, valued: Program, alice: Customer) -> None:
    there = promote(shop, "Welcome")
    sell(shop.access, alice, "A-1", "10.00", TUESDAY)
    changed = {"id": str(there.pk), "name": "Welcome", "kind": "bonus", "points": 30}
    total = run(shop, promotion=changed)["total"]
    assert (total["pointsBefore"], total["pointsAfter"], total["pointsLess"]) == (110, 40, 70)
    same = run(shop, promotion={**changed, "points": 100})["total"]
    assert (same["pointsChange"], same["purchasesTouched"]) == (0, 0)


def test_a_change_of_the_program(shop: Shop, valued: Program, alice: Customer, bob: Customer) -> None:
    sell(shop.access, alice, "A-0", "480.00", datetime(2026, 2, 24, 10, tzinfo=UTC))
    sell(shop.access, alice, "A-1", "100.00", TUESDAY)
    sell(shop.access, alice, "A-2", "100.00", TUESDAY + timedelta(days=1))
    sell(shop.access, bob, "B-1", "10.00", TUESDAY)
    tiers = [
        {"code": "bronze", "name": "Bronze", "threshold": "0"},
        {"code": "silver", "name": "Silver", "threshold": "400", "multiplier": "1.5"},
    ]
    found = run(shop, program={"tiers": tiers, "redeemValue": "0.02"})
    # Silver at 400 and 1.5 times: 150 instead of 100, 150 instead of 125.
    assert found["total"]["pointsChange"] == 75
    assert found["total"]["cost"] == "1.50"
    assert found["total"]["customersTouched"] == 1
    assert run(shop, program={"pointsPerUnit": "0"})["total"]["pointsLess"] == 235
    windowed = run(shop, program={"tiers": tiers, "tierWindow": "rolling", "tierMonths": 1})
    assert windowed["total"]["pointsChange"] == 75


def test_without_a_value_of_a_point_there_is_no_cost(shop: Shop, program: Program, alice: Customer) -> None:
    sell(shop.access, alice, "A-1", "10.00", TUESDAY)
    found = run(shop, promotion=DOUBLED)
    assert (found["total"]["pointsChange"], found["total"]["cost"], found["pointValue"]) == (10, None, None)
    assert "The program says no value of a point, so there is no cost in money." in found["assumptions"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "promotion"),
        ({"promotion": DOUBLED, "program": {}}, "promotion"),
        ({"promotion": {**DOUBLED, "multiplier": "1"}}, "multiplier"),
        ({"promotion": {**DOUBLED, "weekdays": []}}, "promotion.weekdays"),
        ({"promotion": DOUBLED, "days": 0}, "days"),
        ({"promotion": DOUBLED, "days": 366}, "days"),
        ({"promotion": DOUBLED, "firstDay": "2026-03-02"}, "lastDay"),
        ({"promotion": DOUBLED, "firstDay": "2026-03-02", "lastDay": "2026-03-01"}, "lastDay"),
        ({"promotion": DOUBLED, "firstDay": "2024-03-02", "lastDay": "2026-03-01"}, "lastDay"),
        ({"promotion": DOUBLED, "firstDay": "2090-03-02", "lastDay": "2090-03-03"}, "firstDay"),
        ({"promotion": DOUBLED, "days": 3, **MARCH}, "days"),
        ({"program": {"pointsPerUnit": "-1"}}, "program.pointsPerUnit"),
    ],
)
def test_what_cannot_be_tried(shop: Shop, program: Program, body: dict[str, Any], field: str) -> None:
    response = shop.manager.post("/loyalty/dry-runs", body)
    assert response.status_code == 400
    assert field in [error["field"] for error in response.json()["errors"]], response.content


def test_without_a_program(shop: Shop) -> None:
    refused = shop.manager.post("/loyalty/dry-runs", {"promotion": DOUBLED})
    assert (refused.status_code, refused.json()["code"]) == (404, "program_not_found")


@settings(max_examples=15)
@given(
    values=promotions.filter(lambda values: not values["first_purchase"]),
    sales=st.lists(st.tuples(st.integers(1, 90_00), st.booleans()), min_size=1, max_size=4),
)
def test_it_says_what_the_promotion_then_gives(
    shop: Shop, program: Program, values: dict[str, Any], sales: list[tuple[int, bool]]
) -> None:
    """The same purchases twice: without the promotion and tried, and with it."""

    def buy(person: Customer) -> None:
        for number, (cents, has_items) in enumerate(sales):
            take_purchase(
                access=shop.access,
                sale={
                    "customer_id": person.pk,
                    "transaction_id": f"{person.pk}-{number}",
                    "amount": Decimal(cents) / 100,
                    "occurred_at": TUESDAY + timedelta(hours=7 * number),
                    "items": ITEMS if has_items else [],
                },
            )

    withdraw_all()
    born = date(1990, 3, 4)
    begin, end = TUESDAY - timedelta(days=1), now()

    def tried() -> int:
        kind = "multiplier" if "multiplier" in values else "bonus"
        values_ = {"points": 100, **values} if kind == "bonus" else values
        found = dry_run(
            merchant_id=shop.merchant.pk,
            begin=begin,
            end=end,
            promotion={"name": "X", "kind": kind, **values_},
        )
        return found.total.change

    before = tried()
    buy(register(shop, "Dora", date_of_birth=born))
    if values["total_times"] is None and values["total_points"] is None:
        expected = tried() - before
    else:
        # The caps were used up by those before.
        expected = None
    promote(shop, "X", **values)
    erin = register(shop, "Erin", date_of_birth=born)
    buy(erin)
    given_ = sum(PromotionAward.objects.filter(customer_id=erin.pk).values_list("points", flat=True))
    if expected is not None:
        assert given_ == expected
