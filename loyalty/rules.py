"""What purchases earn and which tier they reach: pure functions of a customer's history and the program's rules.

All arithmetic is on whole numbers, so it is exact: money in hundredths of the currency unit ("cents" here, whatever
the currency calls them), rates and multipliers scaled by powers of ten.
"""

from __future__ import annotations

import calendar
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

POINTS_PER_ENTRY_MAX = 1_000_000_000
CENTS = 100
RATE_SCALE = 10_000
MULTIPLIER_SCALE = 1_000
POINT_SCALE = CENTS * RATE_SCALE * MULTIPLIER_SCALE

ROUNDINGS = ("down", "half_up", "up")


def to_cents(amount: Decimal) -> int:
    """Hundredths of the currency unit. Raises ValueError when `amount` has more than two decimal places."""
    scaled = amount * CENTS
    cents = int(scaled)
    if cents != scaled:
        raise ValueError(f"{amount} is not a whole number of hundredths")
    return cents


def from_cents(cents: int) -> Decimal:
    """The amount with two decimal places."""
    return Decimal(cents).scaleb(-2)


def divide(numerator: int, denominator: int, rounding: str) -> int:
    """The quotient of two non-negative whole numbers, rounded `down`, `half_up` or `up`."""
    if rounding == "down":
        return numerator // denominator
    if rounding == "up":
        return -(-numerator // denominator)
    if rounding == "half_up":
        return (2 * numerator + denominator) // (2 * denominator)
    raise ValueError(f"{rounding!r} is not one of {', '.join(ROUNDINGS)}")


@dataclass(frozen=True, slots=True)
class TierRule:
    """A step of the ladder, reached when net spend reaches `threshold_cents`."""

    code: str
    name: str
    threshold_cents: int
    multiplier: Decimal


@dataclass(frozen=True, slots=True)
class Expiry:
    """Points last `months` from when they were earned, to the end of that day or, with `month_end`, of that month.

    Days and months are those of `timezone`, the merchant's when the rules were made: so a stored rule never changes.
    """

    months: int
    month_end: bool
    timezone: str

    def ends_at(self, earned_at: datetime) -> datetime:
        """The first instant at which the points are over: a midnight of the zone, in UTC.

        A month without the day of earning counts to its last one: 31 January and a month is 28 February.
        """
        zone = ZoneInfo(self.timezone)
        earned = earned_at.astimezone(zone)
        months = earned.year * 12 + earned.month - 1 + self.months
        year, month = divmod(months, 12)
        last = calendar.monthrange(year, month + 1)[1]
        day = last if self.month_end else min(earned.day, last)
        after = date(year, month + 1, day) + timedelta(days=1)
        return datetime(after.year, after.month, after.day, tzinfo=zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a program earns during one stretch of time, and how long that lasts. `tiers` ascend by threshold.

    `expiry` is None when points never expire. `grace_days`: how long points last that a cancelled redemption gives back
    after their own time.
    """

    points_per_unit: Decimal
    rounding: str
    tiers: tuple[TierRule, ...] = ()
    expiry: Expiry | None = None
    grace_days: int = 0

    def expires_at(self, earned_at: datetime) -> datetime | None:
        """When points earned at this instant are over; None: never."""
        return self.expiry.ends_at(earned_at) if self.expiry is not None else None

    def tier_for(self, spend_cents: int) -> TierRule | None:
        """The highest tier whose threshold this net spend reaches; None below the first."""
        reached = None
        for tier in self.tiers:
            if tier.threshold_cents > spend_cents:
                break
            reached = tier
        return reached

    def next_tier(self, spend_cents: int) -> TierRule | None:
        """The lowest tier not yet reached; None at the top."""
        for tier in self.tiers:
            if tier.threshold_cents > spend_cents:
                return tier
        return None

    def points_for(self, cents: int, tier: TierRule | None) -> int:
        """round(rate x amount x multiplier), rounded once, POINTS_PER_ENTRY_MAX at most."""
        multiplier = tier.multiplier if tier is not None else Decimal(1)
        scaled = cents * int(self.points_per_unit * RATE_SCALE) * int(multiplier * MULTIPLIER_SCALE)
        return min(divide(scaled, POINT_SCALE, self.rounding), POINTS_PER_ENTRY_MAX)

    def as_json(self) -> dict[str, Any]:
        expiry = self.expiry
        return {
            "pointsPerUnit": str(self.points_per_unit),
            "rounding": self.rounding,
            "expiry": None
            if expiry is None
            else {"months": expiry.months, "monthEnd": expiry.month_end, "timezone": expiry.timezone},
            "graceDays": self.grace_days,
            "tiers": [
                {
                    "code": tier.code,
                    "name": tier.name,
                    "threshold": str(from_cents(tier.threshold_cents)),
                    "multiplier": str(tier.multiplier),
                }
                for tier in self.tiers
            ],
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Rules:
        tiers = [
            TierRule(
                row["code"], row["name"], to_cents(Decimal(row["threshold"])), Decimal(row["multiplier"])
            )
            for row in stored["tiers"]
        ]
        tiers.sort(key=lambda tier: tier.threshold_cents)
        # Versions of before there was an expiry say nothing of it.
        expiry = stored.get("expiry")
        return cls(
            Decimal(stored["pointsPerUnit"]),
            stored["rounding"],
            tuple(tiers),
            Expiry(expiry["months"], expiry["monthEnd"], expiry["timezone"]) if expiry else None,
            stored.get("graceDays", 0),
        )


@dataclass(frozen=True, slots=True)
class RuleBook:
    """A program's rules over time: (from when, rules), ascending; the first may begin at None: since ever.

    A purchase earns by the rules of its own moment, so a changed program leaves what was earned before unchanged,
    also when an earlier purchase arrives afterwards.
    """

    versions: tuple[tuple[datetime | None, Rules], ...]

    @property
    def current(self) -> Rules:
        return self.versions[-1][1]

    def at(self, moment: datetime) -> Rules | None:
        """The rules in force; None before the program began."""
        found = None
        for begins_at, rules in self.versions:
            if begins_at is not None and begins_at > moment:
                break
            found = rules
        return found

    def expires_at(self, earned_at: datetime) -> datetime | None:
        """When points earned at this instant are over, by the rules of that instant; None: never."""
        return (self.at(earned_at) or self.current).expires_at(earned_at)


@dataclass(frozen=True, slots=True)
class Sale:
    """A purchase as the rules see it. `reference` orders sales of one instant: (transaction id, store id)."""

    id: uuid.UUID
    cents: int
    at: datetime
    reference: tuple[str, uuid.UUID]


@dataclass(frozen=True, slots=True)
class TakeBack:
    """A return as the rules see it."""

    id: uuid.UUID
    sale_id: uuid.UUID
    cents: int
    at: datetime
    reference: tuple[str, uuid.UUID]


@dataclass(slots=True)
class SalePoints:
    """What one sale earned and what its returns took back of it, by return, in order."""

    sale: Sale
    gross: int
    tier: TierRule | None
    returned_cents: int = 0
    taken: dict[uuid.UUID, int] = field(default_factory=dict)

    @property
    def net(self) -> int:
        return self.gross - taken_back(self.gross, self.sale.cents, self.returned_cents)


@dataclass(slots=True)
class Outcome:
    """The state after a history. `points` is in the order of the fold."""

    points: dict[uuid.UUID, SalePoints]
    spend_cents: int
    last_at: datetime | None
    visits: int

    @property
    def balance(self) -> int:
        return sum(points.net for points in self.points.values())


def taken_back(gross: int, sale_cents: int, returned_cents: int) -> int:
    """The points that returns of `returned_cents` in all take from a sale that earned `gross`.

    In proportion, rounded down in the customer's favour, and a function of the sum: ten returns of 1.00 take what one
    of 10.00 takes, and returning everything takes exactly `gross`.
    """
    if returned_cents <= 0:
        return 0
    if returned_cents >= sale_cents:
        return gross
    return gross * returned_cents // sale_cents


def replay(
    sales: Iterable[Sale], returns: Iterable[TakeBack], book: RuleBook, *, opening_cents: int = 0
) -> Outcome:
    """Fold a history, given in any order, into what each sale earned and where the customer stands.

    Sales and returns are taken in the order of (instant, sales first, transaction id, store id). A sale earns with the
    multiplier of the tier that the net spend before it reaches. A return lowers the net spend, and takes points back
    from its own sale; one whose till's clock puts it before its sale counts at the sale's instant. Returns of sales that
    are not in `sales` (earlier ones, when `opening_cents` stands for them) lower the spend only.
    """
    sold = {sale.id: sale for sale in sales}
    steps: list[tuple[datetime, int, tuple[str, uuid.UUID], Sale | TakeBack]] = [
        (sale.at, 0, sale.reference, sale) for sale in sold.values()
    ]
    for back in returns:
        origin = sold.get(back.sale_id)
        at = max(back.at, origin.at) if origin is not None else back.at
        steps.append((at, 1, back.reference, back))
    steps.sort(key=lambda step: step[:3])

    points: dict[uuid.UUID, SalePoints] = {}
    spend = opening_cents
    for at, _, _, step in steps:
        if isinstance(step, Sale):
            rules = book.at(at)
            tier = rules.tier_for(spend) if rules is not None else None
            gross = rules.points_for(step.cents, tier) if rules is not None else 0
            points[step.id] = SalePoints(step, gross, tier)
            spend += step.cents
        else:
            spend -= step.cents
            earned = points.get(step.sale_id)
            if earned is not None:
                before = taken_back(earned.gross, earned.sale.cents, earned.returned_cents)
                earned.returned_cents += step.cents
                after = taken_back(earned.gross, earned.sale.cents, earned.returned_cents)
                earned.taken[step.id] = after - before
    return Outcome(points, spend, steps[-1][0] if steps else None, len(sold))


def explain(rules: Rules | None, sale: Sale, earned: SalePoints, *, currency: str) -> list[dict[str, Any]]:
    """Lines that say why a sale earns its points; their points add up to `earned.gross`."""
    if rules is None:
        return [_line("not_started", "The loyalty program had not begun at the time of this purchase", 0)]
    base = rules.points_for(sale.cents, None)
    amount = f"{from_cents(sale.cents)} {currency}"
    rate = plain(rules.points_per_unit)
    lines = [_line("base", f"{amount} at {rate} {_points(rules.points_per_unit)} per {currency}", base)]
    if earned.tier is not None and earned.tier.multiplier != 1:
        multiplier = plain(earned.tier.multiplier)
        lines.append(_line("tier", f"{earned.tier.name}: times {multiplier}", earned.gross - base))
    return lines


def _line(code: str, message: str, points: int) -> dict[str, Any]:
    return {"code": code, "points": points, "message": message}


def _points(number: Decimal) -> str:
    return "point" if number == 1 else "points"


def plain(number: Decimal) -> str:
    """1.2500 as 1.25, 100.00 as 100."""
    return f"{number.normalize():f}"


def check_tiers(tiers: Sequence[TierRule]) -> None:
    """Raises ValueError unless codes and thresholds are each used once."""
    if len({tier.code for tier in tiers}) != len(tiers):
        raise ValueError("two tiers have the same code")
    if len({tier.threshold_cents for tier in tiers}) != len(tiers):
        raise ValueError("two tiers have the same threshold")


__all__ = [
    "Expiry",
    "Outcome",
    "RuleBook",
    "Rules",
    "Sale",
    "SalePoints",
    "TakeBack",
    "TierRule",
    "explain",
    "from_cents",
    "replay",
    "taken_back",
    "to_cents",
]
