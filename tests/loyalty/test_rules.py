"""The earning rules and the fold of a history, without a database."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules import (
    POINTS_PER_ENTRY_MAX,
    RuleBook,
    Rules,
    Sale,
    SalePoints,
    TakeBack,
    TierRule,
    check_tiers,
    explain,
    from_cents,
    replay,
    taken_back,
    to_cents,
)

STORE = uuid.UUID(int=1)
MORNING = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BRONZE = TierRule("bronze", "Bronze", 0, Decimal("1"))
SILVER = TierRule("silver", "Silver", 500_00, Decimal("1.25"))
GOLD = TierRule("gold", "Gold", 2000_00, Decimal("1.5"))
ONE_POINT = Rules(Decimal("1"), "down", (BRONZE, SILVER, GOLD))
BOOK = RuleBook(((None, ONE_POINT),))


def sale(number: int, cents: int, minute: int) -> Sale:
    return Sale(uuid.UUID(int=number), cents, MORNING + timedelta(minutes=minute), (f"T-{number}", STORE))


def back(number: int, of: Sale, cents: int, minute: int) -> TakeBack:
    at = MORNING + timedelta(minutes=minute)
    return TakeBack(uuid.UUID(int=1000 + number), of.id, cents, at, (f"R-{number}", STORE))


def test_the_tier_is_the_highest_whose_threshold_is_reached() -> None:
    assert [
        tier and tier.code
        for tier in map(ONE_POINT.ladder.reached, (0, 499_99, 500_00, 1999_99, 2000_00, 10**12))
    ] == [
        "bronze",
        "bronze",
        "silver",
        "silver",
        "gold",
        "gold",
    ]
    assert Rules(Decimal(1), "down", (SILVER,)).ladder.reached(499_99) is None
    assert ONE_POINT.ladder.above(BRONZE, 499_99) == SILVER
    assert ONE_POINT.ladder.above(GOLD, 2000_00) is None


@pytest.mark.parametrize(
    ("rounding", "cents", "points"),
    [
        ("down", 1_99, 1),
        ("down", 2_00, 2),
        ("half_up", 1_49, 1),
        ("half_up", 1_50, 2),
        ("up", 1_01, 2),
        ("up", 1_00, 1),
    ],
)
def test_rounding_is_named(rounding: str, cents: int, points: int) -> None:
    assert Rules(Decimal("1"), rounding).points_for(cents, None) == points


@given(
    cents=st.integers(0, 10**12 - 1),
    rate=st.decimals(0, 10_000, places=4),
    multiplier=st.decimals(Decimal("0.001"), 100, places=3),
    rounding=st.sampled_from([("down", ROUND_FLOOR), ("half_up", ROUND_HALF_UP), ("up", ROUND_CEILING)]),
)
def test_points_are_the_exact_product_rounded_once(
    cents: int, rate: Decimal, multiplier: Decimal, rounding: tuple[str, str]
) -> None:
    name, mode = rounding
    tier = TierRule("any", "Any", 0, multiplier)
    with localcontext() as context:
        context.prec = 60
        exact = (Decimal(cents) / 100 * rate * multiplier).quantize(Decimal(1), mode)
    assert Rules(rate, name, (tier,)).points_for(cents, tier) == min(int(exact), POINTS_PER_ENTRY_MAX)


@given(gross=st.integers(0, 10**9), sold=st.integers(1, 10**7), data=st.data())
def test_many_small_returns_take_what_one_large_one_takes(gross: int, sold: int, data: st.DataObject) -> None:
    parts = []
    left = sold
    while left and len(parts) < 10:
        part = data.draw(st.integers(1, left))
        parts.append(part)
        left -= part
    taken, returned = 0, 0
    for part in parts:
        step = taken_back(gross, sold, returned + part) - taken_back(gross, sold, returned)
        assert step >= 0
        taken += step
        returned += part
    assert taken == taken_back(gross, sold, returned) <= gross
    assert (taken == gross) or returned < sold


def test_ten_returns_of_one_take_what_one_of_ten_takes() -> None:
    bought = sale(1, 25_50, 0)
    many = replay([bought], [back(n, bought, 1_00, n) for n in range(1, 11)], BOOK)
    once = replay([bought], [back(1, bought, 10_00, 1)], BOOK)
    assert (many.balance, once.balance) == (16, 16)
    assert many.points[bought.id].taken != once.points[bought.id].taken
    assert sum(many.points[bought.id].taken.values()) == sum(once.points[bought.id].taken.values()) == 9


def test_a_sale_earns_with_the_tier_before_it() -> None:
    outcome = replay([sale(1, 499_99, 0), sale(2, 100_00, 1), sale(3, 100_00, 2)], [], BOOK)
    assert [points.gross for points in outcome.points.values()] == [499, 100, 125]
    assert (outcome.spend_cents, outcome.visits) == (699_99, 3)


def test_a_return_lowers_the_tier_of_what_follows() -> None:
    first, second = sale(1, 600_00, 0), sale(2, 100_00, 5)
    assert replay([first, second], [], BOOK).points[second.id].gross == 125
    assert replay([first, second], [back(1, first, 200_00, 3)], BOOK).points[second.id].gross == 100
    # After it: too late to matter.
    assert replay([first, second], [back(1, first, 200_00, 6)], BOOK).points[second.id].gross == 125


def test_a_return_dated_before_its_sale_counts_at_the_sale() -> None:
    first, second = sale(1, 600_00, 2), sale(2, 100_00, 5)
    early = replay([first, second], [back(1, first, 600_00, 0)], BOOK)
    assert early.points[first.id].net == 0
    assert early.points[second.id].gross == 100
    assert early.spend_cents == 100_00


def test_one_instant_is_ordered_by_kind_then_transaction() -> None:
    a, b = sale(1, 500_00, 0), sale(2, 100_00, 0)
    assert [points.gross for points in replay([b, a], [], BOOK).points.values()] == [500, 125]
    # The return of `a` at that instant comes after both sales.
    assert replay([b, a], [back(1, a, 500_00, 0)], BOOK).points[b.id].gross == 125


def test_a_purchase_keeps_the_rules_of_its_own_time() -> None:
    doubled = Rules(Decimal("2"), "down", (BRONZE,))
    book = RuleBook(((MORNING, ONE_POINT), (MORNING + timedelta(minutes=10), doubled)))
    outcome = replay([sale(1, 10_00, -1), sale(2, 10_00, 0), sale(3, 10_00, 9), sale(4, 10_00, 10)], [], book)
    assert [points.gross for points in outcome.points.values()] == [0, 10, 10, 20]
    assert book.at(MORNING - timedelta(seconds=1)) is None
    assert book.current == doubled


def test_an_opening_spend_stands_for_the_earlier_history() -> None:
    early, late = sale(1, 600_00, 0), sale(2, 100_00, 5)
    whole = replay([early, late], [], BOOK)
    part = replay([late], [back(1, early, 10_00, 9)], BOOK, opening_cents=600_00)
    assert part.points[late.id].gross == whole.points[late.id].gross == 125
    assert part.spend_cents == 690_00


def test_nothing_bought_is_nothing() -> None:
    outcome = replay([], [], BOOK)
    assert (outcome.balance, outcome.spend_cents, outcome.last_at, outcome.visits) == (0, 0, None, 0)
    free = sale(1, 0, 0)
    assert replay([free], [], BOOK).points[free.id].net == 0


def test_the_lines_of_an_explanation_add_up() -> None:
    bought = sale(1, 25_50, 0)
    lines = explain(ONE_POINT, bought, SalePoints(bought, 31, SILVER), currency="GBP")
    assert lines == [
        {"code": "base", "message": "25.50 GBP at 1 point per GBP", "points": 25},
        {"code": "tier", "message": "Silver: times 1.25", "points": 6},
    ]
    assert explain(None, bought, SalePoints(bought, 0, None), currency="GBP")[0]["code"] == "not_started"


@given(st.integers(0, 10**14))
def test_cents_go_there_and_back(cents: int) -> None:
    assert to_cents(from_cents(cents)) == cents


def test_fractions_of_a_cent_are_refused() -> None:
    with pytest.raises(ValueError, match="hundredths"):
        to_cents(Decimal("1.005"))


def test_rules_survive_storage() -> None:
    rules = Rules(Decimal("0.5000"), "half_up", (GOLD, BRONZE, SILVER))
    stored: dict[str, Any] = rules.as_json()
    assert Rules.from_json(stored) == Rules(Decimal("0.5"), "half_up", (BRONZE, SILVER, GOLD))


def test_tiers_need_codes_and_thresholds_of_their_own() -> None:
    check_tiers([BRONZE, SILVER])
    with pytest.raises(ValueError, match="code"):
        check_tiers([BRONZE, TierRule("bronze", "Other", 1, Decimal(1))])
    with pytest.raises(ValueError, match="threshold"):
        check_tiers([BRONZE, TierRule("other", "Other", 0, Decimal(1))])
