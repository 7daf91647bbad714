"""What a promotion gives, to the point: each condition, caps, stacking."""

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules import Basis, Line, Rules, Sale, TierRule
from loyalty.rules.promotions import (
    REASONS,
    Award,
    Caps,
    Occasion,
    PromotionRule,
    Used,
    award,
    fitting,
    near_birthday,
    said,
)
from loyalty.rules.wording import sentence

LONDON = ZoneInfo("Europe/London")
HIGH_STREET, STATION = uuid.UUID(int=1), uuid.UUID(int=2)
RULES = Rules(Decimal(1), "down")
GOLD = TierRule("gold", "Gold", 2_000_00, Decimal("1.5"))
# A Tuesday, 17:30 by the clock in London.
TUESDAY = datetime(2026, 7, 14, 16, 30, tzinfo=UTC)


def occasion(
    cents: int = 40_00,
    at: datetime = TUESDAY,
    *,
    rules: Rules = RULES,
    lines: tuple[Line, ...] = (),
    zone: ZoneInfo = LONDON,
    **facts: Any,
) -> Occasion:
    sale = Sale(uuid.uuid4(), cents, at, ("T-1", facts.pop("store", HIGH_STREET)), lines=lines)
    known: dict[str, Any] = {"tier": None, "segment": "regular", "birthday": None, "visit": 3, **facts}
    return Occasion(sale=sale, rules=rules, local=at.astimezone(zone), **known)


def promotion(name: str = "Summer", **values: Any) -> PromotionRule:
    if "multiplier" not in values and "points" not in values:
        values["points"] = 100
    return PromotionRule(id=values.pop("id", None) or uuid.uuid4(), name=name, **values)


def only(found: list[Award]) -> Award:
    (one,) = found
    return one


def outcome(rule: PromotionRule, happens: Occasion, used: Used | None = None) -> tuple[int, str]:
    given_ = only(award(happens, [rule], {rule.id: used} if used else {}))
    return given_.points, given_.reason


@pytest.mark.parametrize(
    ("cents", "multiplier", "tier", "rounding", "points"),
    [
        (40_00, "2", None, "down", 40),
        (40_00, "3", None, "down", 80),
        (3_99, "2", None, "down", 3),
        # Half of 3.99, not half of the 3 points that they earn.
        (3_99, "1.5", None, "down", 1),
        (5_99, "1.5", None, "half_up", 3),
        (5_01, "1.2", None, "up", 2),
        (40_00, "2", GOLD, "down", 60),
        (1_01, "1.001", None, "down", 0),
    ],
)
def test_a_multiplier_adds_to_the_base_points(
    cents: int, multiplier: str, tier: TierRule | None, rounding: str, points: int
) -> None:
    rules = Rules(Decimal(1), rounding)
    rule = promotion(multiplier=Decimal(multiplier))
    found = outcome(rule, occasion(cents, rules=rules, tier=tier))
    assert found == (points, "" if points else "nothing_earns")


TEA = Line("TEA", "Drinks", 10_00, Decimal(2))
CUP = Line("CUP", "Kitchen", 20_00, Decimal(1))
CARD = Line("CARD", "Gift cards", 10_00, Decimal(1))


@pytest.mark.parametrize(
    ("values", "happens", "expected"),
    [
        ({}, {}, (100, "")),
        ({"starts_at": TUESDAY}, {}, (100, "")),
        ({"starts_at": TUESDAY + timedelta(microseconds=1)}, {}, (0, "not_started")),
        ({"ends_at": TUESDAY + timedelta(microseconds=1)}, {}, (100, "")),
        ({"ends_at": TUESDAY}, {}, (0, "over")),
        ({"weekdays": frozenset({2})}, {}, (100, "")),
        ({"weekdays": frozenset({1, 3})}, {}, (0, "other_day")),
        # 23:30 on Tuesday in UTC is Wednesday in London's summer.
        ({"weekdays": frozenset({2})}, {"at": TUESDAY.replace(hour=23)}, (0, "other_day")),
        ({"weekdays": frozenset({2})}, {"at": TUESDAY.replace(hour=23), "zone": ZoneInfo("UTC")}, (100, "")),
        ({"opens": time(17), "closes": time(18)}, {}, (100, "")),
        ({"opens": time(17, 30), "closes": time(18)}, {}, (100, "")),
        ({"opens": time(16), "closes": time(17, 30)}, {}, (0, "other_hours")),
        ({"stores": frozenset({HIGH_STREET})}, {}, (100, "")),
        ({"stores": frozenset({STATION})}, {}, (0, "other_store")),
        ({"tiers": frozenset({"gold"})}, {"tier": GOLD}, (100, "")),
        ({"tiers": frozenset({"silver"})}, {"tier": GOLD}, (0, "other_tier")),
        ({"tiers": frozenset({"gold"})}, {"tier": None}, (0, "other_tier")),
        ({"segments": frozenset({"vip"})}, {"segment": "vip"}, (100, "")),
        ({"segments": frozenset({"vip"})}, {}, (0, "other_segment")),
        ({"first_purchase": True}, {"visit": 1}, (100, "")),
        ({"first_purchase": True}, {"visit": 2}, (0, "not_first_purchase")),
        ({"every_visit": 5}, {"visit": 5}, (100, "")),
        ({"every_visit": 5}, {"visit": 10}, (100, "")),
        ({"every_visit": 5}, {"visit": 6}, (0, "other_visit")),
        ({"birthday_days": 0}, {"birthday": date(1990, 7, 14)}, (100, "")),
        ({"birthday_days": 0}, {"birthday": date(1990, 7, 15)}, (0, "no_birthday")),
        ({"birthday_days": 3}, {"birthday": date(1990, 7, 17)}, (100, "")),
        ({"birthday_days": 3}, {"birthday": date(1990, 7, 18)}, (0, "no_birthday")),
        ({"birthday_days": 3}, {}, (0, "no_birthday")),
        ({"min_spend_cents": 40_00}, {}, (100, "")),
        ({"min_spend_cents": 40_01}, {}, (0, "spend_too_low")),
        ({"categories": frozenset({"drinks"})}, {"lines": (TEA, CUP)}, (100, "")),
        ({"skus": frozenset({"cup"})}, {"lines": (TEA, CUP)}, (100, "")),
        ({"skus": frozenset({"cup"})}, {"lines": (TEA,)}, (0, "no_such_item")),
        ({"skus": frozenset({"cup"})}, {}, (0, "no_such_item")),
        ({"skus": frozenset({"tea"}), "min_quantity": Decimal(2)}, {"lines": (TEA, CUP)}, (100, "")),
        ({"skus": frozenset({"tea"}), "min_quantity": Decimal(3)}, {"lines": (TEA, CUP)}, (0, "no_such_item")),
        ({"skus": frozenset({"tea"}), "min_spend_cents": 20_00}, {"lines": (TEA, CUP)}, (0, "spend_too_low")),
        ({}, {"cents": 0}, (0, "nothing_earns")),
    ],
)  # fmt: skip
def test_a_condition(values: dict[str, Any], happens: dict[str, Any], expected: tuple[int, str]) -> None:
    assert outcome(promotion(**values), occasion(**happens)) == expected
    assert expected[1] == "" or expected[1] in REASONS


@pytest.mark.parametrize(
    ("local", "applies"),
    [
        ("2026-07-17T21:59", False),
        ("2026-07-17T22:00", True),
        ("2026-07-18T01:59", True),
        ("2026-07-18T02:00", False),
        # Friday before dawn belongs to Thursday's night.
        ("2026-07-17T01:00", False),
        ("2026-07-18T22:30", False),
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(local: str, applies: bool) -> None:
    fridays = promotion(weekdays=frozenset({5}), opens=time(22), closes=time(2))
    at = datetime.fromisoformat(local).replace(tzinfo=LONDON).astimezone(UTC)
    assert (outcome(fridays, occasion(at=at))[1] == "") is applies


@pytest.mark.parametrize(
    ("born", "day", "days", "near"),
    [
        (date(2000, 2, 29), date(2026, 2, 28), 0, True),
        (date(2000, 2, 29), date(2026, 3, 1), 0, False),
        (date(2000, 2, 29), date(2028, 2, 29), 0, True),
        (date(2000, 2, 29), date(2028, 2, 28), 0, False),
        (date(2000, 12, 31), date(2027, 1, 2), 2, True),
        (date(2000, 1, 1), date(2026, 12, 30), 2, True),
        (date(2000, 1, 1), date(2026, 12, 29), 2, False),
        (date(1, 1, 1), date(1, 1, 1), 5, True),
    ],
)
def test_a_birthday(born: date, day: date, days: int, near: bool) -> None:
    assert near_birthday(born, day, days) is near


def test_a_multiplier_of_some_items_multiplies_their_part() -> None:
    rule = promotion(multiplier=Decimal(3), categories=frozenset({"drinks"}))
    given_ = only(award(occasion(30_00, lines=(TEA, CUP)), [rule], {}))
    assert (given_.points, given_.cents) == (20, 10_00)
    assert said(given_, currency="GBP") == "Summer: times 3 on 10.00 GBP"


def test_what_the_program_leaves_out_earns_no_promotion_either() -> None:
    rules = replace(RULES, basis=Basis(categories_out=frozenset({"gift cards"})))
    doubled = promotion(multiplier=Decimal(2))
    assert outcome(doubled, occasion(40_00, rules=rules, lines=(TEA, CUP, CARD))) == (30, "")
    cards = promotion(categories=frozenset({"gift cards"}))
    assert outcome(cards, occasion(10_00, rules=rules, lines=(CARD,))) == (0, "nothing_earns")


@pytest.mark.parametrize(
    ("caps", "used", "expected"),
    [
        (Caps(member_times=2), Used(member_times=1), (100, "")),
        (Caps(member_times=2), Used(member_times=2), (0, "member_cap")),
        (Caps(member_points=150), Used(member_points=100), (50, "")),
        (Caps(member_points=150), Used(member_points=150), (0, "member_cap")),
        (Caps(total_times=2), Used(total_times=2), (0, "total_cap")),
        (Caps(total_points=1_000), Used(total_points=999), (1, "")),
        (Caps(total_points=1_000), Used(total_points=1_000), (0, "total_cap")),
        (Caps(member_points=70, total_points=1_000), Used(total_points=950), (50, "")),
    ],
)
def test_a_cap_gives_what_is_left(caps: Caps, used: Used, expected: tuple[int, str]) -> None:
    assert outcome(promotion(caps=caps), occasion(), used) == expected


def names(found: list[Award]) -> list[str]:
    return [given_.promotion.name for given_ in found if given_.applies]


EARLY, LATE = TUESDAY - timedelta(days=9), TUESDAY - timedelta(days=2)


@pytest.mark.parametrize(
    ("rules", "applied"),
    [
        ([("a", 0, False), ("b", 5, False)], ["b", "a"]),
        ([("a", 0, True), ("b", 5, False)], ["b"]),
        ([("a", 0, False), ("b", 5, True)], ["b"]),
        ([("a", 1, True), ("b", 1, True)], ["a"]),
        ([("a", 9, False), ("b", 5, True), ("c", 1, False)], ["a", "c"]),
    ],
)
def test_stacking(rules: list[tuple[str, int, bool]], applied: list[str]) -> None:
    listed = [
        promotion(name, priority=priority, exclusive=exclusive, created=EARLY + timedelta(days=number))
        for number, (name, priority, exclusive) in enumerate(rules)
    ]
    assert names(award(occasion(), listed, {})) == applied
    assert names(award(occasion(), listed[::-1], {})) == applied


def test_an_exclusive_one_that_gives_nothing_excludes_nothing() -> None:
    spent = promotion("spent", exclusive=True, priority=9, caps=Caps(total_times=1))
    other = promotion("other")
    found = award(occasion(), [spent, other], {spent.id: Used(total_times=1)})
    assert [(each.promotion.name, each.reason) for each in found] == [("spent", "total_cap"), ("other", "")]


@st.composite
def rules_of_promotions(draw: st.DrawFn) -> PromotionRule:
    caps = Caps(
        draw(st.none() | st.integers(1, 3)),
        draw(st.none() | st.integers(1, 300)),
        draw(st.booleans()),
        draw(st.none() | st.integers(1, 3)),
        draw(st.none() | st.integers(1, 300)),
    )
    how: dict[str, Any] = (
        {"multiplier": draw(st.decimals("1.001", 100, places=3))}
        if draw(st.booleans())
        else {"points": draw(st.integers(1, 500))}
    )
    return promotion(
        **how,
        weekdays=draw(st.frozensets(st.integers(1, 7))),
        min_spend_cents=draw(st.none() | st.integers(1, 80_00)),
        caps=caps,
        priority=draw(st.integers(-2, 2)),
        exclusive=draw(st.booleans()),
        created=EARLY,
    )


@given(
    listed=st.lists(rules_of_promotions(), max_size=5),
    cents=st.integers(0, 200_00),
    used=st.builds(Used, st.integers(0, 3), st.integers(0, 300), st.integers(0, 3), st.integers(0, 300)),
)
def test_no_promotion_gives_more_than_it_may(listed: list[PromotionRule], cents: int, used: Used) -> None:
    happens = occasion(cents)
    found = award(happens, listed, {rule.id: used for rule in listed})
    assert {each.promotion.id for each in found} == {rule.id for rule in listed}
    applied = [each for each in found if each.applies]
    fits = {rule.id for rule in fitting(happens, listed)}
    for each in found:
        assert (each.points > 0) == each.applies
        assert each.promotion.id in fits or not each.applies
        caps = each.promotion.caps
        if not each.applies:
            continue
        assert caps.member_times is None or used.member_times < caps.member_times
        assert caps.member_points is None or used.member_points + each.points <= caps.member_points
        assert caps.total_times is None or used.total_times < caps.total_times
        assert caps.total_points is None or used.total_points + each.points <= caps.total_points
    assert len(applied) <= 1 or not any(each.promotion.exclusive for each in applied)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {"multiplier": Decimal(2), "weekdays": frozenset({2}), "ends_at": datetime(2026, 12, 25, tzinfo=LONDON)},
            "Double points on Tuesdays in all stores, until 24 Dec 2026",
        ),
        (
            {"points": 500, "birthday_days": 3, "tiers": frozenset({"gold"})},
            "500 extra points within 3 days of the customer's birthday for Gold members in all stores",
        ),
        (
            {
                "multiplier": Decimal("1.5"), "categories": frozenset({"tea"}), "stores": frozenset({STATION}),
                "opens": time(16), "closes": time(18), "weekdays": frozenset({1, 2, 3, 4, 5}),
            },
            "1.5 times the points for tea from Monday to Friday between 16:00 and 18:00 in Station",
        ),
        (
            {
                "points": 50, "every_visit": 22, "min_spend_cents": 20_00,
                "caps": Caps(member_times=1, each_day=True, total_points=100_000),
            },
            "50 extra points from 20.00 GBP on every 22nd purchase in all stores; at most once for each customer and"
            " day; at most 100,000 points in all",
        ),
    ],
)  # fmt: skip
def test_in_one_sentence(values: dict[str, Any], text: str) -> None:
    found = sentence(
        promotion(**values),
        zone=LONDON,
        currency="GBP",
        stores={HIGH_STREET: "High Street", STATION: "Station"},
        tiers={"gold": "Gold"},
    )
    assert found == text
