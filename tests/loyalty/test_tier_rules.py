"""Tiers over time: the rules against a model that walks through the days, and exact dates by hand."""

from __future__ import annotations

import calendar
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty.rules import (
    Course,
    Ladder,
    Qualification,
    RuleBook,
    Rules,
    Sale,
    TakeBack,
    TierOverride,
    TierRule,
    replay,
)

BRONZE = TierRule("bronze", "Bronze", 0, Decimal(1))
SILVER = TierRule("silver", "Silver", 100_00, Decimal("1.5"))
GOLD = TierRule("gold", "Gold", 300_00, Decimal(2))
STORE = uuid.UUID(int=1)
TICK = timedelta(microseconds=1)


# --- The model ------------------------------------------------------------------------------------------------------


def end_of(day: date, zone: str) -> datetime:
    """The instant at which a day is over."""
    following = day + timedelta(days=1)
    return datetime(following.year, following.month, following.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def local_day(at: datetime, zone: str) -> date:
    return at.astimezone(ZoneInfo(zone)).date()


def plus_months(day: date, months: int) -> date:
    year, month = day.year, day.month
    for _ in range(months):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def plus_days(at: datetime, days: int, zone: str) -> datetime:
    """The midnight so many days after this one."""
    return end_of(local_day(at, zone) + timedelta(days=days - 1), zone)


@dataclass(frozen=True)
class Model:
    """What the documentation says, by walking through everything that happens in its order."""

    ladder: Ladder
    bought: list[tuple[datetime, int]]

    def leaves(self, at: datetime) -> datetime | None:
        rule, day = self.ladder.qualification, local_day(at, self.ladder.qualification.timezone)
        if rule.window == "rolling":
            return end_of(plus_months(day, rule.months), rule.timezone)
        if rule.window == "calendar_year":
            return end_of(date(day.year, 12, 31), rule.timezone)
        return None

    def counts(self, at: datetime) -> int:
        return sum(
            count
            for bought_at, count in self.bought
            if bought_at <= at and ((leaves := self.leaves(bought_at)) is None or leaves > at)
        )

    def reached(self, amount: int) -> TierRule | None:
        found = None
        for tier in self.ladder.tiers:
            if amount >= tier.threshold_cents:
                found = tier
        return found

    def tier(self, at: datetime) -> TierRule | None:
        """Everything that was reached until `at`, with the end of each; the highest that has not ended."""
        rule = self.ladder.qualification
        held: list[tuple[TierRule | None, datetime | None]] = [(self.reached(self.counts(at)), None)]
        for bought_at, _ in self.bought:
            if bought_at > at:
                continue
            reached = self.reached(self.counts(bought_at))
            day = local_day(bought_at, rule.timezone)
            if rule.downgrade == "never":
                held.append((reached, None))
            elif rule.downgrade == "period_end" and rule.window == "rolling":
                end = end_of(plus_months(day, rule.months), rule.timezone)
                held.append((reached, plus_days(end, rule.grace_days, rule.timezone)))
            elif rule.downgrade == "period_end":
                end = end_of(date(day.year + 1, 12, 31), rule.timezone)
                held.append((reached, plus_days(end, rule.grace_days, rule.timezone)))
            elif (leaves := self.leaves(bought_at)) is not None and leaves <= at:
                held.append(
                    (
                        self.reached(self.counts(leaves - TICK)),
                        plus_days(leaves, rule.grace_days, rule.timezone),
                    )
                )
        return max(
            (tier for tier, end in held if end is None or end > at),
            key=lambda tier: -1 if tier is None else tier.threshold_cents,
        )


zones = st.sampled_from(
    [
        "UTC",
        "Europe/London",
        "Pacific/Auckland",
        "America/Los_Angeles",
        "America/Havana",
        "Africa/Cairo",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
    ]
)


@st.composite
def qualifications(draw: st.DrawFn) -> Qualification:
    window = draw(st.sampled_from(["lifetime", "rolling", "rolling", "calendar_year"]))
    if window == "lifetime":
        return Qualification()
    downgrade = draw(st.sampled_from(["immediate", "period_end", "never"]))
    return Qualification(
        "spend",
        window,
        draw(st.integers(1, 14)) if window == "rolling" else 0,
        downgrade,
        0 if downgrade == "never" else draw(st.sampled_from([0, 0, 1, 30, 200])),
        draw(zones),
    )


# Month ends, year ends, and the nights on which clocks are set.
odd_days = [
    date(2027, 12, 31), date(2028, 1, 1), date(2028, 1, 31), date(2028, 2, 28), date(2028, 2, 29), date(2028, 3, 1),
    date(2028, 3, 12), date(2028, 3, 26), date(2028, 4, 28), date(2028, 9, 24), date(2028, 10, 29), date(2028, 11, 5),
    date(2028, 12, 31), date(2029, 1, 1),
]  # fmt: skip


@st.composite
def instants(draw: st.DrawFn) -> datetime:
    day = draw(st.one_of(st.sampled_from(odd_days), st.dates(date(2027, 10, 1), date(2029, 12, 31))))
    minute = draw(st.sampled_from([0, 0, 1, 11 * 60, 12 * 60, 22 * 60, 23 * 60, 1439]))
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minute)


@st.composite
def courses(draw: st.DrawFn) -> tuple[Course, list[tuple[datetime, int]]]:
    """Purchases with returns, also wholly; several at one instant; some of nothing."""
    at = sorted(draw(st.lists(instants(), min_size=0, max_size=8)))
    course, bought = Course(), []
    for number, when in enumerate(at):
        count = draw(st.one_of(st.sampled_from([0, 1, 99_99, 100_00, 300_00]), st.integers(0, 350_00)))
        course.add(uuid.UUID(int=number), when, count)
        bought.append((when, count))
    for number in draw(st.lists(st.integers(0, 7), max_size=3)):
        if number < len(bought):
            when, count = bought[number]
            back = draw(st.one_of(st.just(count), st.integers(0, count)))
            # In the middle of being asked, too.
            course.window(Qualification("spend", "rolling", 3)).follow(course.at, course.counts)
            course.lower(uuid.UUID(int=number), back)
            bought[number] = (when, count - back)
    return course, bought


ladders = st.sampled_from([(BRONZE, SILVER, GOLD), (SILVER, GOLD), (GOLD,), ()])


@settings(max_examples=150)
@given(rule=qualifications(), tiers=ladders, history=courses(), data=st.data())
def test_the_tier_is_that_of_the_model(
    rule: Qualification,
    tiers: tuple[TierRule, ...],
    history: tuple[Course, list[tuple[datetime, int]]],
    data: st.DataObject,
) -> None:
    course, bought = history
    model = Model(Ladder(tiers, rule), bought)
    last = bought[-1][0] if bought else datetime(2028, 1, 1, tzinfo=UTC)
    turns = {last, last + timedelta(days=data.draw(st.integers(0, 1500)))}
    for when, _ in bought:
        leaves = model.leaves(when)
        if leaves is not None:
            turns |= {leaves - TICK, leaves, plus_days(leaves, rule.grace_days, rule.timezone) - TICK}
            turns |= {plus_days(leaves, rule.grace_days, rule.timezone)}
    for at in sorted(turn for turn in turns if turn >= last):
        assert model.ladder.amount(course, at) == model.counts(at), at
        assert model.ladder.tier(course, at) == model.tier(at), at


@settings(max_examples=60)
@given(rule=qualifications(), history=courses(), data=st.data())
def test_until_is_the_first_change(
    rule: Qualification, history: tuple[Course, list[tuple[datetime, int]]], data: st.DataObject
) -> None:
    course, bought = history
    last = bought[-1][0] if bought else datetime(2028, 1, 1, tzinfo=UTC)
    given_by_hand = []
    for order in range(data.draw(st.integers(0, 2))):
        begins = last + timedelta(days=data.draw(st.integers(-20, 200)), hours=5)
        until = data.draw(st.sampled_from([None, begins + timedelta(days=40), begins + timedelta(days=400)]))
        ended = data.draw(st.sampled_from([None, None, begins + timedelta(days=10)]))
        code = data.draw(st.sampled_from(["bronze", "silver", "gold", "gone"]))
        mode = data.draw(st.sampled_from(["at_least", "exactly"]))
        given_by_hand.append(TierOverride(code, mode, begins, until, ended, order))
    model = Model(Ladder((BRONZE, SILVER, GOLD), rule), bought)

    def tier(at: datetime) -> TierRule | None:
        earned = model.tier(at)
        holding = [
            one
            for one in given_by_hand
            if one.begins_at <= at
            and (one.until is None or at < one.until)
            and (one.ended_at is None or at < one.ended_at)
        ]
        if not holding or holding[-1].code == "gone":
            return earned
        by_hand = {"bronze": BRONZE, "silver": SILVER, "gold": GOLD}[holding[-1].code]
        if (
            holding[-1].mode == "at_least"
            and earned is not None
            and earned.threshold_cents > by_hand.threshold_cents
        ):
            return earned
        return by_hand

    at = last + timedelta(days=data.draw(st.integers(0, 300)))
    standing = model.ladder.standing(course, at, given_by_hand)
    assert standing.tier == tier(at)
    assert standing.amount == model.counts(at)
    # Midnights and the ends of what was given: nothing happens in between.
    moments = {at + timedelta(days=days) for days in range(0, 1900, 7)}
    for when, _ in bought:
        if (leaves := model.leaves(when)) is not None:
            ends = {leaves, plus_days(leaves, rule.grace_days, rule.timezone)}
            day = local_day(when, rule.timezone)
            if rule.window == "calendar_year":
                ends.add(
                    plus_days(
                        end_of(date(day.year + 1, 12, 31), rule.timezone), rule.grace_days, rule.timezone
                    )
                )
            moments |= ends | {end - TICK for end in ends}
    for one in given_by_hand:
        moments |= {end for end in (one.begins_at, one.until, one.ended_at) if end is not None}
    later = sorted(moment for moment in moments if moment > at)
    assert standing.until == next((moment for moment in later if tier(moment) != standing.tier), None)
    assert standing.amount_until == next(
        (moment for moment in later if model.counts(moment) != standing.amount), None
    )
    if standing.keep is not None and not given_by_hand and standing.until is not None:
        # Just enough, just in time; a cent less is not.
        for amount, kept in ((standing.keep, True), (standing.keep - 1, False)):
            if amount:
                when = standing.until - TICK
                if rule.downgrade == "immediate" and not rule.grace_days:
                    when = max(at, last)
                more = Model(model.ladder, [*bought, (when, amount)])
                after = more.tier(standing.until)
                assert ((after is not None and standing.tier is not None)
                    and after.threshold_cents >= standing.tier.threshold_cents) is kept  # fmt: skip


def test_a_fold_earns_with_the_tier_of_each_instant() -> None:
    """Twelve months rolling: Gold on 10 January 2025 is over when 10 January 2026 is."""
    rule = Qualification("spend", "rolling", 12, timezone="Europe/London")
    book = RuleBook(((None, Rules(Decimal(1), "down", (BRONZE, SILVER, GOLD), qualification=rule)),))

    def sale(number: int, cents: int, at: str) -> Sale:
        return Sale(uuid.UUID(int=number), cents, datetime.fromisoformat(at), (f"T-{number}", STORE))

    sales = [
        sale(1, 300_00, "2025-01-10T12:00+00:00"),
        sale(2, 10_00, "2025-06-01T12:00+00:00"),
        sale(3, 10_00, "2026-01-10T23:59+00:00"),
        sale(4, 10_00, "2026-01-11T00:00+00:00"),
    ]
    found = replay(sales, [], book)
    assert [points.gross for points in found.points.values()] == [300, 20, 20, 10]
    # Goods brought back are nothing to keep a tier for: from then on, also in what is folded after it.
    back = TakeBack(uuid.UUID(int=9), sales[0].id, 250_00, datetime(2025, 12, 1, tzinfo=UTC), ("R-1", STORE))
    found = replay(sales, [back], book)
    assert [points.gross for points in found.points.values()] == [300, 20, 10, 10]


@pytest.mark.parametrize(
    ("rule", "ends"),
    [
        # Reached at noon of 31 January 2027 in Auckland, which is 23:00 UTC of the day before.
        (Qualification("spend", "rolling", 1, timezone="Pacific/Auckland"), "2027-02-28T11:00"),
        (Qualification("spend", "rolling", 6, timezone="Pacific/Auckland"), "2027-07-31T12:00"),
        (Qualification("spend", "rolling", 12, "immediate", 30, "Pacific/Auckland"), "2028-03-01T11:00"),
        (Qualification("spend", "rolling", 12, "period_end", 0, "Pacific/Auckland"), "2028-01-31T11:00"),
        (Qualification("spend", "rolling", 12, "period_end", 90, "Pacific/Auckland"), "2028-04-30T12:00"),
        (Qualification("spend", "rolling", 12, "never", 0, "Pacific/Auckland"), None),
        (Qualification("spend", "calendar_year", 0, "immediate", 0, "Pacific/Auckland"), "2027-12-31T11:00"),
        (Qualification("spend", "calendar_year", 0, "immediate", 14, "Pacific/Auckland"), "2028-01-14T11:00"),
        (Qualification("spend", "calendar_year", 0, "period_end", 0, "Pacific/Auckland"), "2028-12-31T11:00"),
        (
            Qualification("spend", "calendar_year", 0, "period_end", 180, "Pacific/Auckland"),
            "2029-06-29T12:00",
        ),
        (Qualification("spend", "calendar_year", 0, "never", 0, "Pacific/Auckland"), None),
        (Qualification(), None),
        # Clocks go back on 24 October 2027 in Paris, and forward over midnight in Cairo on 30 April.
        (Qualification("spend", "rolling", 9, timezone="Europe/Paris"), "2027-10-31T23:00"),
        (Qualification("spend", "rolling", 8, timezone="Europe/Paris"), "2027-09-30T22:00"),
        (Qualification("spend", "rolling", 3, timezone="Africa/Cairo"), "2027-04-30T21:00"),
    ],
)
def test_when_gold_ends(rule: Qualification, ends: str | None) -> None:
    course = Course()
    course.add(uuid.UUID(int=1), datetime(2027, 1, 30, 23, 0, tzinfo=UTC), 300_00)
    standing = Ladder((BRONZE, SILVER, GOLD), rule).standing(course, course.at[0])
    assert standing.tier == GOLD
    assert standing.until == (datetime.fromisoformat(ends).replace(tzinfo=UTC) if ends else None)


def test_days_of_grace_end_at_a_midnight() -> None:
    """27 April 2029 begins at 1:00 in Cairo, where clocks go forward over midnight; 28 April does not."""
    rule = Qualification("spend", "rolling", 13, "immediate", 1, "Africa/Cairo")
    left = rule.leaves_at(datetime(2028, 3, 26, 12, tzinfo=UTC))
    assert left == datetime(2029, 4, 26, 22, tzinfo=UTC)
    assert rule.with_grace(left) == datetime(2029, 4, 27, 21, tzinfo=UTC)


def test_what_must_be_spent_to_keep_a_tier() -> None:
    course = Course()
    course.add(uuid.UUID(int=1), datetime(2027, 2, 10, 12, tzinfo=UTC), 200_00)
    course.add(uuid.UUID(int=2), datetime(2027, 9, 10, 12, tzinfo=UTC), 120_00)
    at = datetime(2027, 10, 1, tzinfo=UTC)

    def keep(*rule: object) -> tuple[str, int | None] | None:
        standing = Ladder((BRONZE, SILVER, GOLD), Qualification("spend", *rule)).standing(course, at)  # type: ignore[arg-type]
        return None if standing.until is None else (f"{standing.until:%Y-%m-%d}", standing.keep)

    assert keep("rolling", 12) == ("2028-02-11", 180_00)
    # In the last days of grace there are still the 120.00 of September.
    assert keep("rolling", 12, "immediate", 30) == ("2028-03-12", 180_00)
    # Until then those of September count, and the purchase that reaches it again comes before.
    assert keep("rolling", 12, "period_end") == ("2028-09-11", 180_00)
    assert keep("calendar_year", 0, "period_end") == ("2029-01-01", 300_00)
    assert keep("calendar_year", 0, "immediate", 31) == ("2028-02-01", 300_00)
    # Whatever is bought until the new year is over with it.
    assert keep("calendar_year") == ("2028-01-01", None)
    assert keep("rolling", 12, "never") is None


@pytest.mark.parametrize(
    ("rule", "at", "first"),
    [
        (Qualification("spend", "rolling", 12), "2026-01-10T12:00", date(2025, 1, 10)),
        # The 28th to 31st of January all count to the 28th of February.
        (Qualification("spend", "rolling", 1), "2027-02-28T23:59", date(2027, 1, 28)),
        (Qualification("spend", "rolling", 1), "2027-03-31T12:00", date(2027, 3, 1)),
        (
            Qualification("spend", "rolling", 1, timezone="Pacific/Auckland"),
            "2027-03-30T12:00",
            date(2027, 3, 1),
        ),
        (
            Qualification("spend", "calendar_year", timezone="Pacific/Auckland"),
            "2026-12-31T11:00",
            date(2027, 1, 1),
        ),
        (Qualification(), "2026-12-31T11:00", None),
    ],
)
def test_the_first_day_that_counts(rule: Qualification, at: str, first: date | None) -> None:
    instant = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert rule.counts_from(instant) == first
    if first is not None and rule.window == "rolling":
        zone = ZoneInfo(rule.timezone)
        day = datetime(first.year, first.month, first.day, tzinfo=zone)
        leaves, earlier = rule.leaves_at(day), rule.leaves_at(day - timedelta(seconds=1))
        assert leaves is not None and earlier is not None
        assert earlier <= instant < leaves
