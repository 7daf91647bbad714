"""What promotions add to the points of a sale: a pure function of the occasion, with a reason for each that adds nothing.

It is asked once, when a sale is first recorded (or quoted, or tried out): what it says is stored as facts, and no rule
derives it again.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal

from loyalty.rules import hours
from loyalty.rules.arithmetic import (
    MULTIPLIER_SCALE,
    POINTS_PER_ENTRY_MAX,
    divide,
    from_cents,
    plain,
)
from loyalty.rules.basis import Line
from loyalty.rules.fold import Sale, earned_by, eligible_cents
from loyalty.rules.program import Rules
from loyalty.rules.tiers import TierRule

MULTIPLIER = "multiplier"
BONUS = "bonus"

# Why a promotion adds nothing, in words for a cashier.
REASONS: Mapping[str, str] = {
    "not_started": "it has not begun",
    "over": "it is over",
    "other_day": "not on this day of the week",
    "other_hours": "not at this hour",
    "other_store": "not in this store",
    "other_tier": "not for members of this tier",
    "other_segment": "not for this customer",
    "no_such_item": "the purchase has none of its articles, or too few",
    "spend_too_low": "the purchase is too small",
    "not_first_purchase": "only for the first purchase",
    "no_birthday": "only around the customer's birthday",
    "other_visit": "only for every so many purchases",
    "nothing_earns": "nothing of the purchase earns points for it",
    "member_cap": "the customer has had all that it gives to one",
    "total_cap": "all that it gives has been given",
    "sale_cap": "a purchase earns no more points than this one does",
    "excluded": "another promotion is applied instead",
}


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that a promotion gives: to one customer (each day of the store's zone, with `each_day`), and to all."""

    member_times: int | None = None
    member_points: int | None = None
    each_day: bool = False
    total_times: int | None = None
    total_points: int | None = None

    @property
    def of_customer(self) -> bool:
        return self.member_times is not None or self.member_points is not None

    @property
    def of_all(self) -> bool:
        return self.total_times is not None or self.total_points is not None


NO_CAPS = Caps()


@dataclass(frozen=True, slots=True)
class Used:
    """What a promotion has given so far: to this customer (today, when its cap is for each day), and to all."""

    member_times: int = 0
    member_points: int = 0
    total_times: int = 0
    total_points: int = 0


UNUSED = Used()


@dataclass(frozen=True, slots=True)
class PromotionRule:
    """A promotion as the rules see it. An empty condition is none.

    `multiplier` adds (multiplier - 1) x the base points; `points` is a fixed bonus: one of the two. `weekdays` are 1
    (Monday) to 7. `opens` and `closes` are times of day; a night that ends after midnight belongs to the day on which
    it begins. `categories` and `skus` are in lower case, `items_named` says them as they were
    written. `birthday_days`: so many days before and after the day too.
    `every_visit`: each n-th. `created` orders promotions of the same priority.
    """

    id: uuid.UUID
    name: str
    multiplier: Decimal | None = None
    points: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    weekdays: frozenset[int] = frozenset()
    opens: time | None = None
    closes: time | None = None
    stores: frozenset[uuid.UUID] = frozenset()
    tiers: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    min_quantity: Decimal | None = None
    min_spend_cents: int | None = None
    first_purchase: bool = False
    birthday_days: int | None = None
    every_visit: int | None = None
    caps: Caps = NO_CAPS
    priority: int = 0
    exclusive: bool = False
    created: datetime | None = None
    items_named: tuple[str, ...] = ()
    # Of a multiplier, what it adds, in MULTIPLIER_SCALE parts.
    scaled_times: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        times = 0 if self.multiplier is None else int((self.multiplier - 1) * MULTIPLIER_SCALE)
        object.__setattr__(self, "scaled_times", times)

    @property
    def kind(self) -> str:
        return BONUS if self.multiplier is None else MULTIPLIER

    @property
    def by_line(self) -> bool:
        """Whether it takes the lines of a sale to know."""
        return bool(self.categories or self.skus)

    @property
    def precedence(self) -> tuple[int, float, uuid.UUID]:
        """Ascending: the higher priority first, then what was created first."""
        return (-self.priority, self.created.timestamp() if self.created is not None else 0.0, self.id)

    def covers(self, line: Line) -> bool:
        return line.category.casefold() in self.categories or line.sku.casefold() in self.skus


@dataclass(frozen=True, slots=True)
class Occasion:
    """All that the conditions of promotions look at.

    `tier` is the one before the sale, `rules` are those of its instant, `local` is that instant by the store's clock.
    `visit` counts the customer's purchases on record, this one included.
    """

    sale: Sale
    rules: Rules
    tier: TierRule | None
    local: datetime
    segment: str
    birthday: date | None
    visit: int


@dataclass(frozen=True, slots=True)
class Award:
    """What a promotion gives; when it gives nothing, `reason` is one of REASONS."""

    promotion: PromotionRule
    points: int
    reason: str = ""
    # Of the sale's amount, what a multiplier multiplies.
    cents: int = 0
    is_rest: bool = False

    @property
    def applies(self) -> bool:
        return not self.reason


def award(
    occasion: Occasion, promotions: Iterable[PromotionRule], usage: Mapping[uuid.UUID, Used]
) -> list[Award]:
    """What each promotion gives for a sale, in the order of their precedence.

    Each whose conditions hold and whose caps leave something is applied, unless an exclusive one was applied before it,
    or it is exclusive itself and something was. A cap of points gives what is left. `usage` is asked for those with caps.
    """
    found: list[Award] = []
    applied: list[PromotionRule] = []
    # A return takes back in one entry what its sale earned.
    room = POINTS_PER_ENTRY_MAX - earned_by(occasion.rules, occasion.sale, occasion.tier)
    for promotion in sorted(promotions, key=lambda one: one.precedence):
        given = _offer(occasion, promotion, usage.get(promotion.id, UNUSED), room)
        if given.applies and is_excluded(promotion, applied):
            given = Award(promotion, 0, "excluded")
        if given.applies:
            applied.append(promotion)
            room -= given.points
        found.append(given)
    return found


def is_excluded(promotion: PromotionRule, applied: Collection[PromotionRule]) -> bool:
    """Whether a promotion may not be applied beside those that were applied before it."""
    return bool(applied) and (promotion.exclusive or any(other.exclusive for other in applied))


def fitting(occasion: Occasion, promotions: Iterable[PromotionRule]) -> list[PromotionRule]:
    """Those whose conditions hold: the only ones whose usage `award` needs."""
    return [
        promotion
        for promotion in promotions
        if not _hindrance(occasion, promotion) and not _basket(occasion, promotion)[0]
    ]


def _offer(occasion: Occasion, promotion: PromotionRule, used: Used, room: int) -> Award:
    """What it gives by itself: `room` points at most."""
    reason = _hindrance(occasion, promotion)
    if reason:
        return Award(promotion, 0, reason)
    reason, cents = _basket(occasion, promotion)
    if reason:
        return Award(promotion, 0, reason)
    points = _points(occasion, promotion, cents)
    if points <= 0:
        return Award(promotion, 0, "nothing_earns")
    caps = promotion.caps
    left = points
    if caps.member_times is not None and used.member_times >= caps.member_times:
        return Award(promotion, 0, "member_cap")
    if caps.member_points is not None:
        left = min(left, caps.member_points - used.member_points)
    if left <= 0:
        return Award(promotion, 0, "member_cap")
    if caps.total_times is not None and used.total_times >= caps.total_times:
        return Award(promotion, 0, "total_cap")
    if caps.total_points is not None:
        left = min(left, caps.total_points - used.total_points)
    if left <= 0:
        return Award(promotion, 0, "total_cap")
    left = min(left, room)
    if left <= 0:
        return Award(promotion, 0, "sale_cap")
    return Award(promotion, left, cents=cents, is_rest=left < points)


def _points(occasion: Occasion, promotion: PromotionRule, cents: int) -> int:
    if promotion.multiplier is None:
        return promotion.points
    return occasion.rules.points_for(cents, occasion.tier, promotion.scaled_times)


def covered_cents(occasion: Occasion, promotion: PromotionRule) -> int:
    """What earns of the sale, and with articles named, the part of it that is theirs, rounded half up."""
    sale = occasion.sale
    whole = eligible_cents(occasion.rules, sale)
    if not promotion.by_line or whole <= 0:
        return max(whole, 0)
    earning = [line for line in sale.lines if occasion.rules.basis.admits(line)]
    total = sum(line.cents for line in earning)
    if total <= 0:
        return 0
    covered = sum(line.cents for line in earning if promotion.covers(line))
    return divide(whole * max(covered, 0), total, "half_up")


# --- Conditions -------------------------------------------------------------------------------------------------


def _hindrance(occasion: Occasion, promotion: PromotionRule) -> str:
    """The first condition beside those of the basket that does not hold, as one of REASONS; "" when all do."""
    at = occasion.sale.at
    if promotion.starts_at is not None and at < promotion.starts_at:
        return "not_started"
    if promotion.ends_at is not None and at >= promotion.ends_at:
        return "over"
    reason = hours.hindrance(promotion.weekdays, promotion.opens, promotion.closes, occasion.local)
    if reason:
        return reason
    if promotion.stores and occasion.sale.reference[1] not in promotion.stores:
        return "other_store"
    if promotion.tiers and (occasion.tier is None or occasion.tier.code not in promotion.tiers):
        return "other_tier"
    if promotion.segments and occasion.segment not in promotion.segments:
        return "other_segment"
    if promotion.first_purchase and occasion.visit != 1:
        return "not_first_purchase"
    if promotion.every_visit is not None and occasion.visit % promotion.every_visit:
        return "other_visit"
    if promotion.birthday_days is not None and not near_birthday(
        occasion.birthday, occasion.local.date(), promotion.birthday_days
    ):
        return "no_birthday"
    return ""


def _basket(occasion: Occasion, promotion: PromotionRule) -> tuple[str, int]:
    """(the condition of the basket that does not hold, the part of the sale that the promotion is for)"""
    if promotion.by_line:
        covered = [line for line in occasion.sale.lines if promotion.covers(line)]
        if not covered:
            return "no_such_item", 0
        if promotion.min_quantity is not None:
            bought = sum((line.quantity for line in covered), Decimal(0))
            if bought < promotion.min_quantity:
                return "no_such_item", 0
    cents = covered_cents(occasion, promotion)
    if cents <= 0:
        return "nothing_earns", 0
    if promotion.min_spend_cents is not None and cents < promotion.min_spend_cents:
        return "spend_too_low", 0
    return "", cents


def near_birthday(birthday: date | None, day: date, days: int) -> bool:
    """Whether `day` is the birthday or at most `days` before or after it; who was born on 29 February has it on the
    28th in common years."""
    if birthday is None:
        return False
    return any(
        abs((_in_year(birthday, year) - day).days) <= days
        for year in (day.year - 1, day.year, day.year + 1)
        if 1 <= year <= 9999
    )


def _in_year(birthday: date, year: int) -> date:
    try:
        return birthday.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


# --- In words ---------------------------------------------------------------------------------------------------


def said(given: Award, *, currency: str) -> str:
    """Why a promotion gives its points, for the receipt."""
    promotion = given.promotion
    if promotion.multiplier is None:
        text = f"{promotion.name}: a bonus"
    else:
        text = (
            f"{promotion.name}: times {plain(promotion.multiplier)} on {from_cents(given.cents)} {currency}"
        )
    return f"{text}, as far as its limit allows" if given.is_rest else text


def why_not(given: Award) -> str:
    """Why a promotion gives nothing, for the cashier."""
    return f"{given.promotion.name}: {REASONS[given.reason]}"
