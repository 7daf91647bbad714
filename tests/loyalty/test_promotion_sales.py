"""Promotions at the till: receipts, entries, late sales, returns, merges, caps."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpos.checkout.bulk import load_history
from cloudpos.checkout.sales import quote_purchase, take_purchase
from cloudpos.lifecycle.merging import merge_customers
from cloudpos.tenancy.models import Store
from customers.models import Customer
from loyalty.models import Enrollment, LedgerEntry, Lot, Program, Promotion, PromotionAward
from loyalty.rules import TierRule
from loyalty.services import create_program
from loyalty.services.promotions import figures_of, update_promotion
from tests.fixtures import Shop, make_shop
from tests.loyalty.promoting import promote
from tests.tills import bring_back, findings, register, sell

pytestmark = pytest.mark.django_db

# A Tuesday, 10:00 in London.
TUESDAY = datetime(2026, 3, 3, 10, tzinfo=UTC)
ITEMS = [
    {"sku": "TEA", "category": "Drinks", "quantity": Decimal(2), "unit_price": Decimal("5.00")},
    {"sku": "CUP", "category": "Kitchen", "quantity": Decimal(1), "unit_price": Decimal("20.00")},
]


def explained(receipt: dict[str, Any]) -> list[tuple[str, int]]:
    return [(line["message"], line["points"]) for line in receipt["explanation"]]


def test_a_receipt_has_a_line_for_each_promotion(shop: Shop, program: Program, alice: Customer) -> None:
    promote(shop, "Double Tuesdays", multiplier=Decimal(2), weekdays=[2], priority=5)
    promote(shop, "Tea time", points=30, categories=["drinks"], min_quantity=Decimal(2))
    promote(shop, "Wednesdays", weekdays=[3])
    receipt = sell(shop.access, alice, "T-1", "30.00", TUESDAY, items=ITEMS).receipt
    assert receipt["pointsEarned"] == 90
    assert explained(receipt) == [
        ("30.00 GBP at 1 point per GBP", 30),
        ("Double Tuesdays: times 2 on 30.00 GBP", 30),
        ("Tea time: a bonus", 30),
    ]
    entries = LedgerEntry.objects.order_by("version").values_list("type", "points", "description")
    assert list(entries) == [
        ("earned", 30, "Purchase T-1"),
        ("bonus", 30, "Double Tuesdays: purchase T-1"),
        ("bonus", 30, "Tea time: purchase T-1"),
    ]
    assert [lot.points for lot in Lot.objects.order_by("pk")] == [30, 30, 30]
    awards = PromotionAward.objects.order_by("pk").values_list("promotion__name", "points", "entry__points")
    assert list(awards) == [("Double Tuesdays", 30, 30), ("Tea time", 30, 30)]
    assert findings(shop) == []


@pytest.mark.parametrize(
    ("values", "sale", "points"),
    [
        ({"multiplier": Decimal("1.5")}, {"amount": "9.99"}, 13),
        ({"multiplier": Decimal(3), "categories": ["Drinks"]}, {"items": ITEMS}, 50),
        ({"opens": time(10), "closes": time(11)}, {}, 130),
        ({"opens": time(11), "closes": time(12)}, {}, 30),
        ({"opens": time(22), "closes": time(10, 30)}, {}, 130),
        ({"weekdays": [2]}, {}, 130),
        ({"weekdays": [1]}, {}, 30),
        ({"segments": ["new"]}, {}, 130),
        ({"segments": ["vip"]}, {}, 30),
        ({"tiers": ["bronze"]}, {}, 130),
        ({"tiers": ["gold"]}, {}, 30),
        ({"min_spend": Decimal("30.00")}, {}, 130),
        ({"min_spend": Decimal("30.01")}, {}, 30),
        ({"first_purchase": True}, {}, 130),
        ({"every_visit": 2}, {}, 30),
        ({"birthday_days": 0}, {}, 130),
        ({"starts_at": TUESDAY, "ends_at": TUESDAY + timedelta(seconds=1)}, {}, 130),
        ({"starts_at": TUESDAY + timedelta(seconds=1)}, {}, 30),
        ({"ends_at": TUESDAY}, {}, 30),
        ({"skus": ["cup"]}, {"items": ITEMS}, 130),
        ({"skus": ["cup"]}, {}, 30),
        ({"member_points": 70}, {}, 100),
        ({"total_points": 40}, {}, 70),
    ],
)
def test_a_condition_at_the_till(
    shop: Shop, program: Program, values: dict[str, Any], sale: dict[str, Any], points: int
) -> None:
    carol = register(shop, "Carol", date_of_birth=date(1990, 3, 3))
    promote(shop, **values)
    said = {
        "customer_id": carol.pk,
        "transaction_id": "T-1",
        "amount": "30.00",
        "occurred_at": TUESDAY,
        **sale,
    }
    said["amount"] = Decimal(said["amount"])
    quote = quote_purchase(access=shop.access, sale=said)
    receipt = take_purchase(access=shop.access, sale=said).receipt
    assert receipt["pointsEarned"] == quote["pointsEarned"] == points
    assert receipt["explanation"] == quote["explanation"]
    assert sum(line["points"] for line in receipt["explanation"]) == points
    assert findings(shop) == []


def test_the_hours_are_those_of_the_store(shop: Shop, program: Program, alice: Customer) -> None:
    auckland = Store.objects.create(
        merchant=shop.merchant, name="Far", code="FAR", timezone="Pacific/Auckland"
    )
    there = replace(shop.access, store_id=auckland.pk, timezone="Pacific/Auckland")
    # 10:00 on Tuesday in London is 23:00 there.
    promote(shop, weekdays=[2], opens=time(22), closes=time(2))
    assert sell(there, alice, "T-1", "10.00", TUESDAY).receipt["pointsEarned"] == 110
    assert sell(shop.access, alice, "T-2", "10.00", TUESDAY).receipt["pointsEarned"] == 10
    bob = register(shop, "Bob")
    rows = [
        {
            "customer_id": bob.pk,
            "store_id": store,
            "transaction_id": f"L-{number}",
            "amount": Decimal("10.00"),
            "occurred_at": TUESDAY,
        }
        for number, store in enumerate((auckland.pk, shop.store.pk))
    ]
    load_history(access=shop.access, sales=rows)
    assert Enrollment.objects.get(customer_id=bob.pk).balance == 120
    assert findings(shop) == []


def statements(queries: CaptureQueriesContext) -> int:
    return sum("SAVEPOINT" not in query["sql"] for query in queries.captured_queries)


@pytest.mark.parametrize(
    ("values", "extra"),
    [
        (None, 0),
        ({}, 0),
        ({"weekdays": [1], "member_times": 1, "total_times": 1}, 0),
        ({"member_times": 5}, 1),
        ({"total_times": 5}, 1),
        ({"member_times": 5, "member_period": "day", "total_points": 500}, 2),
    ],
)
def test_what_a_promotion_asks_of_the_database(
    shop: Shop, program: Program, alice: Customer, values: dict[str, Any] | None, extra: int
) -> None:
    if values is not None:
        promote(shop, **values)
    sell(shop.access, alice, "T-1", "10.00", TUESDAY)
    with CaptureQueriesContext(connection) as queries:
        sell(shop.access, alice, "T-2", "10.00", TUESDAY + timedelta(minutes=1))
    assert statements(queries) == 3 + extra


# --- Late and returned --------------------------------------------------------------------------------------------


def test_a_late_sale_is_judged_by_the_promotions_of_its_own_time(
    shop: Shop, program: Program, alice: Customer
) -> None:
    promotion = promote(shop, "Gold week", tiers=["silver"], multiplier=Decimal(2))
    sell(shop.access, alice, "T-1", "500.00", TUESDAY)
    sell(shop.access, alice, "T-3", "2000.00", TUESDAY + timedelta(hours=2))
    update_promotion(merchant_id=shop.merchant.pk, promotion_id=promotion.pk, changes={"status": "ended"})
    # Gold by now, but silver at noon: 10 x 1.25, doubled. And it has ended since.
    late = sell(shop.access, alice, "T-2", "10.00", TUESDAY + timedelta(hours=1)).receipt
    assert explained(late)[:3] == [
        ("10.00 GBP at 1 point per GBP", 10),
        ("Silver: times 1.25", 2),
        ("Gold week: times 2 on 10.00 GBP", 12),
    ]
    after = sell(shop.access, alice, "T-4", "10.00", now() - timedelta(seconds=1)).receipt
    assert "Gold week" not in str(after["explanation"])
    assert findings(shop) == []


def test_a_late_sale_takes_nothing_away_that_a_receipt_has_promised(
    shop: Shop, program: Program, alice: Customer
) -> None:
    promote(shop, "First", first_purchase=True)
    first = sell(shop.access, alice, "T-2", "20.00", TUESDAY).receipt
    earlier = sell(shop.access, alice, "T-1", "600.00", TUESDAY - timedelta(days=1)).receipt
    # No second first purchase; and the first keeps its bonus beside its new silver points.
    assert (first["pointsEarned"], earlier["pointsEarned"]) == (120, 600)
    assert Enrollment.objects.get().balance == 600 + 25 + 100
    assert findings(shop) == []


def test_a_paused_promotion_gives_nothing_whenever_the_sale_was(
    shop: Shop, program: Program, alice: Customer
) -> None:
    promotion = promote(shop)
    pause = {"merchant_id": shop.merchant.pk, "promotion_id": promotion.pk}
    update_promotion(**pause, changes={"status": "paused"})
    assert sell(shop.access, alice, "T-1", "10.00", TUESDAY).receipt["pointsEarned"] == 10
    update_promotion(**pause, changes={"status": "active"})
    assert sell(shop.access, alice, "T-2", "10.00", TUESDAY).receipt["pointsEarned"] == 110


def test_a_repeated_sale_is_given_nothing_again(shop: Shop, program: Program, alice: Customer) -> None:
    promotion = promote(shop, total_times=5)
    first = sell(shop.access, alice, "T-1", "10.00", TUESDAY)
    again = sell(shop.access, alice, "T-1", "10.00", TUESDAY)
    assert (first.is_new, again.is_new) == (True, False)
    assert first.receipt == again.receipt
    promotion.refresh_from_db()
    assert (promotion.used_times, promotion.used_points) == (1, 100)
    assert PromotionAward.objects.count() == 1


def test_returns_take_back_base_and_awards_in_proportion(
    shop: Shop, program: Program, alice: Customer
) -> None:
    promotion = promote(shop, multiplier=Decimal(2), total_times=1)
    sell(shop.access, alice, "T-1", "30.00", TUESDAY)
    for number in range(3):
        bring_back(shop.access, "T-1", f"R-{number}", "7.00", TUESDAY + timedelta(days=1 + number))
    # 60 points, 21 of 30 back.
    assert Enrollment.objects.get().balance == 18
    found = figures_of(merchant_id=shop.merchant.pk, promotion_ids=[promotion.pk])[promotion.pk]
    assert (found.times, found.points, found.returned, found.customers) == (1, 30, 21, 1)
    bring_back(shop.access, "T-1", "R-9", None, TUESDAY + timedelta(days=5))
    assert Enrollment.objects.get().balance == 0
    # What came back gives no cap back.
    assert sell(shop.access, alice, "T-2", "30.00", TUESDAY + timedelta(days=6)).receipt["pointsEarned"] == 30
    assert findings(shop) == []


def test_damage_is_found(shop: Shop, program: Program, alice: Customer) -> None:
    promote(shop, total_points=500)
    sell(shop.access, alice, "T-1", "10.00", TUESDAY)
    assert findings(shop) == []
    Promotion.objects.update(used_points=99)
    assert [found[:3] for found in findings(shop)] == ["22:"]
    Promotion.objects.update(used_points=7)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE loyalty_awards DISABLE TRIGGER loyalty_awards_immutable")
        cursor.execute("UPDATE loyalty_awards SET points = 7")
        cursor.execute("ALTER TABLE loyalty_awards ENABLE TRIGGER loyalty_awards_immutable")
    assert "award" in str([found for found in findings(shop) if found.startswith("22:")])


def test_caps_of_a_member_follow_a_merge(
    shop: Shop, program: Program, alice: Customer, bob: Customer
) -> None:
    promote(shop, member_times=2)
    sell(shop.access, alice, "T-1", "10.00", TUESDAY)
    sell(shop.access, bob, "T-2", "10.00", TUESDAY + timedelta(hours=1))
    merge_customers(access=shop.access, customer_id=alice.pk, source_id=bob.pk)
    assert Enrollment.objects.get(customer_id=alice.pk).balance == 220
    third = sell(shop.access, alice, "T-3", "10.00", TUESDAY + timedelta(hours=2)).receipt
    assert third["pointsEarned"] == 10
    assert findings(shop) == []


def test_a_daily_cap_is_for_a_day_of_the_store(shop: Shop, program: Program, alice: Customer) -> None:
    promote(shop, member_times=1, member_period="day")
    # Summer: midnight in London is 23:00 in UTC.
    evening = datetime(2026, 7, 14, 22, 30, tzinfo=UTC)
    earned = [
        sell(shop.access, alice, f"T-{number}", "1.00", evening + timedelta(minutes=minutes)).receipt
        for number, minutes in enumerate((0, 20, 40, 50))
    ]
    assert [receipt["pointsEarned"] for receipt in earned] == [101, 1, 101, 1]


# --- Bulk ---------------------------------------------------------------------------------------------------------


def test_a_bulk_load_gives_what_tills_would_have(shop: Shop, program: Program) -> None:
    promote(shop, "Tea", categories=["Drinks"], member_times=2)
    promote(shop, "Few", total_points=550, multiplier=Decimal(2))
    people = [register(shop, f"Person {number}") for number in range(4)]

    def rows(customers: list[Customer], word: str) -> list[dict[str, Any]]:
        return [
            {
                "customer_id": customer.pk,
                "store_id": shop.store.pk,
                "transaction_id": f"{word}-{customer.pk}-{number}",
                "amount": Decimal("60.00"),
                "occurred_at": TUESDAY + timedelta(hours=number),
                "items": ITEMS,
            }
            for customer in customers
            for number in range(3)
        ]

    load_history(access=shop.access, sales=rows(people[:2], "A"))
    for row in rows(people[2:3], "B"):
        take_purchase(access=replace(shop.access, store_id=row.pop("store_id")), sale=row)
    # One who has an account, and one who has none.
    more = rows(people[2:], "C")
    load_history(access=shop.access, sales=more)
    by_name = {
        name: list(PromotionAward.objects.filter(promotion__name=name).values_list("points", flat=True))
        for name in ("Tea", "Few")
    }
    assert (len(by_name["Tea"]), sum(by_name["Few"])) == (8, 550)
    few = Promotion.objects.get(name="Few")
    assert (few.used_times, few.used_points) == (len(by_name["Few"]), 550)
    assert findings(shop) == []


# --- Quote, order -------------------------------------------------------------------------------------------------


def withdraw_all() -> None:
    """No promotion of an earlier example."""
    Promotion.objects.update(status="paused")
    Program.objects.update(promotions_revision=F("promotions_revision") + 1)


@pytest.fixture
def flat_program(shop: Shop) -> Program:
    return create_program(merchant_id=shop.merchant.pk, tiers=[TierRule("basic", "Basic", 0, Decimal(1))])


promotions = st.fixed_dictionaries(
    {
        "weekdays": st.lists(st.integers(1, 7), unique=True),
        "min_spend": st.none() | st.decimals("0.01", "60.00", places=2),
        "first_purchase": st.booleans(),
        "birthday_days": st.none() | st.integers(0, 3),
        "categories": st.sampled_from([[], ["Drinks"], ["Kitchen", "Toys"]]),
        "tiers": st.sampled_from([[], ["bronze"], ["silver", "gold"]]),
        "member_times": st.none() | st.integers(1, 3),
        "member_points": st.none() | st.integers(1, 150),
        "member_period": st.sampled_from(["total", "day"]),
        "total_times": st.none() | st.integers(1, 4),
        "total_points": st.none() | st.integers(1, 200),
        "priority": st.integers(-1, 1),
        "exclusive": st.booleans(),
    },
    optional={"multiplier": st.decimals("1.001", "5", places=3)},
)


@settings(max_examples=15)
@given(
    chosen=st.lists(promotions, max_size=3),
    sales=st.lists(
        st.tuples(st.integers(1, 90_00), st.integers(-30, 30), st.booleans()), min_size=1, max_size=4
    ),
)
def test_a_quote_is_what_the_purchase_then_gives(
    shop: Shop, program: Program, chosen: list[dict[str, Any]], sales: list[tuple[int, int, bool]]
) -> None:
    withdraw_all()
    word = uuid.uuid4().hex[:8]
    dora = register(shop, "Dora", date_of_birth=date(1990, 3, 4))
    for values in chosen:
        promote(shop, word, **values)
    for number, (cents, hours, has_items) in enumerate(sales):
        said = {
            "customer_id": dora.pk,
            "transaction_id": f"{word}-{number}",
            "amount": Decimal(cents) / 100,
            "occurred_at": TUESDAY + timedelta(hours=hours),
            "items": ITEMS if has_items else [],
        }
        quote = quote_purchase(access=shop.access, sale=said)
        receipt = take_purchase(access=shop.access, sale=said).receipt
        for part in ("pointsEarned", "balance", "tier", "explanation"):
            assert quote[part] == receipt[part]
    assert findings(shop) == []


@settings(max_examples=10)
@given(
    sales=st.lists(st.tuples(st.integers(1, 90_00), st.integers(0, 50)), min_size=2, max_size=5),
    backs=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 40_00)), max_size=3),
    seed=st.integers(0, 2**32),
)
def test_any_order_ends_in_the_same_books(
    shop: Shop, flat_program: Program, sales: list[tuple[int, int]], backs: list[tuple[int, int]], seed: int
) -> None:
    """Without caps, tiers and conditions on what came before, which look at what is known at the moment."""
    withdraw_all()
    promote(shop, "Tuesdays", weekdays=[2], multiplier=Decimal("1.5"), priority=1)
    promote(shop, "Much", min_spend=Decimal("40.00"))
    promote(shop, "Wednesdays", weekdays=[3], exclusive=True, points=7)

    def book(order: list[int]) -> tuple[int, list[tuple[str, int]]]:
        word = uuid.uuid4().hex[:8]
        person = register(shop, word)
        for number in order:
            cents, hours = sales[number]
            sell(
                shop.access, person, f"{word}-{number}", str(Decimal(cents) / 100), TUESDAY + timedelta(hours=hours)
            )  # fmt: skip
        left = {number: cents for number, (cents, _) in enumerate(sales)}
        for place, (number, cents) in enumerate(backs):
            taken = min(cents, left.get(number, 0))
            if taken:
                left[number] -= taken
                bring_back(
                    shop.access, f"{word}-{number}", f"{word}-r{place}", str(Decimal(taken) / 100),
                    TUESDAY + timedelta(hours=60),
                )  # fmt: skip
        awards = PromotionAward.objects.filter(customer_id=person.pk).values_list(
            "promotion__name", "purchase__transaction_id", "points"
        )
        given_ = sorted((f"{name} {number.removeprefix(word)}", points) for name, number, points in awards)
        return Enrollment.objects.get(customer_id=person.pk).balance, given_

    places = list(range(len(sales)))
    assert book(places) == book(Random(seed).sample(places, len(places)))
    assert findings(shop) == []


# --- At once ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("values", "times", "points"),
    [({"total_times": 7}, 7, 700), ({"total_points": 750}, 8, 750)],
)
def test_a_total_cap_holds_at_many_tills_at_once(values: dict[str, Any], times: int, points: int) -> None:
    shop = make_shop("Busy Shop")
    create_program(merchant_id=shop.merchant.pk)
    promotion = promote(shop, **values)
    people = [register(shop, f"Person {number}") for number in range(20)]

    def buy(number: int) -> int:
        try:
            earned: int = sell(shop.access, people[number], f"T-{number}", "10.00", TUESDAY).receipt[
                "pointsEarned"
            ]
            return earned
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        earned = list(pool.map(buy, range(20)))
    promotion.refresh_from_db()
    assert (promotion.used_times, promotion.used_points) == (times, points)
    assert sum(earned) == 20 * 10 + points
    assert sum(PromotionAward.objects.values_list("points", flat=True)) == points
    assert findings(shop) == []


@pytest.mark.django_db(transaction=True)
def test_a_member_s_cap_holds_at_many_tills_at_once() -> None:
    shop = make_shop("Busy Shop")
    create_program(merchant_id=shop.merchant.pk)
    promote(shop, member_times=3)
    alice = register(shop, "Alice")

    def buy(number: int) -> int:
        try:
            at = TUESDAY + timedelta(minutes=number)
            earned: int = sell(shop.access, alice, f"T-{number}", "10.00", at).receipt["pointsEarned"]
            return earned
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        earned = list(pool.map(buy, range(10)))
    assert sorted(earned) == [10] * 7 + [110] * 3
    assert findings(shop) == []
