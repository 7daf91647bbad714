"""A program's rules, and how they changed over time."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from loyalty.rules.arithmetic import (
    MULTIPLIER_SCALE,
    POINT_SCALE,
    POINTS_PER_ENTRY_MAX,
    RATE_SCALE,
    divide,
    from_cents,
    to_cents,
)
from loyalty.rules.basis import EVERYTHING, Basis
from loyalty.rules.expiry import AFTER_EARNING, AFTER_INACTIVITY, Expiry, Pending
from loyalty.rules.qualifying import HUNDREDTHS, LIFETIME_SPEND, Qualification
from loyalty.rules.tiers import Ladder, TierRule

# More than a till can charge.
CENTS_MAX = 10**15

TIMES_SCALE = POINT_SCALE * MULTIPLIER_SCALE

PROPORTIONAL = "proportional"
KEEP = "keep"
WITHIN_BALANCE = "within_balance"
UNLIMITED = "unlimited"


@dataclass(frozen=True, slots=True)
class Rules:
    """How a program earns during one stretch of time, and how long that lasts. `tiers` ascend by threshold.

    `expiry` is None when points never expire. `grace_days`: how long points last that a cancelled redemption gives back
    after their own time. `store_ids`: the stores that take part, all when empty. `returns`: `proportional`, a return takes
    back what the goods had earned, or `keep`. `shortfall`: a return that takes more than there is stays `within_balance`,
    or is `unlimited`: the rest is owed.
    """

    points_per_unit: Decimal
    rounding: str
    tiers: tuple[TierRule, ...] = ()
    expiry: Expiry | None = None
    grace_days: int = 0
    basis: Basis = EVERYTHING
    qualification: Qualification = LIFETIME_SPEND
    store_ids: frozenset[uuid.UUID] = frozenset()
    pending: Pending | None = None
    returns: str = PROPORTIONAL
    shortfall: str = WITHIN_BALANCE
    # Worked out once: a fold asks for them with every purchase.
    ladder: Ladder = field(init=False, repr=False, compare=False)
    _rate: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ladder", Ladder(self.tiers, self.qualification))
        object.__setattr__(self, "_rate", int(self.points_per_unit * RATE_SCALE))

    def expires_at(self, earned_at: datetime) -> datetime | None:
        """When points earned at this instant are over by themselves; None: never."""
        if self.expiry is None or self.expiry.after != AFTER_EARNING:
            return None
        return self.expiry.ends_at(earned_at)

    @property
    def lasts_while_active(self) -> bool:
        """Whether points are over when their owner has been inactive for long enough."""
        return self.expiry is not None and self.expiry.after == AFTER_INACTIVITY

    @property
    def allows_debt(self) -> bool:
        return self.shortfall == UNLIMITED

    def takes_part(self, store_id: uuid.UUID | None) -> bool:
        """Whether a store is one of the program's; the back office, which is at none, is."""
        return not self.store_ids or store_id is None or store_id in self.store_ids

    def points_for(self, cents: int, tier: TierRule | None, scaled_times: int = MULTIPLIER_SCALE) -> int:
        """round(rate x amount x multiplier x times), rounded once, POINTS_PER_ENTRY_MAX at most."""
        multiplier = tier.scaled_multiplier if tier is not None else MULTIPLIER_SCALE
        scaled = cents * self._rate * multiplier * scaled_times
        return min(divide(scaled, TIMES_SCALE, self.rounding), POINTS_PER_ENTRY_MAX)

    def cents_for(self, points: int, tier: TierRule | None) -> int | None:
        """The least amount that earns at least so many points; None when no amount does."""
        low, high = 0, 1
        while self.points_for(high, tier) < points:
            high *= 2
            if high > CENTS_MAX:
                return None
        while low < high:
            middle = (low + high) // 2
            if self.points_for(middle, tier) >= points:
                high = middle
            else:
                low = middle + 1
        return low

    def as_json(self) -> dict[str, Any]:
        expiry = self.expiry
        return {
            "pointsPerUnit": str(self.points_per_unit),
            "rounding": self.rounding,
            "expiry": None
            if expiry is None
            else {
                "months": expiry.months,
                "monthEnd": expiry.month_end,
                "timezone": expiry.timezone,
                "after": expiry.after,
            },
            "graceDays": self.grace_days,
            "basis": self.basis.as_json(),
            "storeIds": sorted(str(store_id) for store_id in self.store_ids),
            "pending": {"days": self.pending.days, "timezone": self.pending.timezone}
            if self.pending
            else None,
            "returns": self.returns,
            "shortfall": self.shortfall,
            "qualification": self.qualification.as_json(),
            "tiers": [
                {
                    "code": tier.code,
                    "name": tier.name,
                    "threshold": str(from_cents(tier.threshold_cents)),
                    "multiplier": str(tier.multiplier),
                    "benefits": list(tier.benefits),
                }
                for tier in self.tiers
            ],
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Rules:
        tiers = [
            TierRule(
                row["code"],
                row["name"],
                to_cents(Decimal(row["threshold"])),
                Decimal(row["multiplier"]),
                tuple(row.get("benefits", ())),
            )
            for row in stored["tiers"]
        ]
        tiers.sort(key=lambda tier: tier.threshold_cents)
        # Older versions say nothing of what there was not yet.
        expiry, basis, qualification, pending = (
            stored.get("expiry"),
            stored.get("basis"),
            stored.get("qualification"),
            stored.get("pending"),
        )
        return cls(
            Decimal(stored["pointsPerUnit"]),
            stored["rounding"],
            tuple(tiers),
            Expiry(
                expiry["months"], expiry["monthEnd"], expiry["timezone"], expiry.get("after", AFTER_EARNING)
            )
            if expiry
            else None,
            stored.get("graceDays", 0),
            Basis.from_json(basis) if basis else EVERYTHING,
            Qualification.from_json(qualification) if qualification else LIFETIME_SPEND,
            frozenset(uuid.UUID(store_id) for store_id in stored.get("storeIds", ())),
            Pending(pending["days"], pending["timezone"]) if pending else None,
            stored.get("returns", PROPORTIONAL),
            stored.get("shortfall", WITHIN_BALANCE),
        )


@dataclass(frozen=True, slots=True)
class NextTier:
    """A tier to be reached: the money that is missing (None: no amount earns it), and the points where points count."""

    tier: TierRule
    spend_cents: int | None
    points: int | None = None


def next_tier(rules: Rules, tier: TierRule | None, amount: int) -> NextTier | None:
    """The step above `tier` and what is missing to it when `amount` counts; None at the top."""
    following = rules.ladder.above(tier, amount)
    if following is None:
        return None
    missing = following.threshold_cents - amount
    if rules.qualification.metric == "spend":
        return NextTier(following, missing)
    points = -(-missing // HUNDREDTHS)
    return NextTier(following, rules.cents_for(points, tier), points)


@dataclass(frozen=True, slots=True)
class RuleBook:
    """A program's rules over time: (from when, rules), ascending; the first may begin at None: since ever.

    A purchase earns by the rules of its own moment, so a changed program leaves what was earned before unchanged,
    also when an earlier purchase arrives afterwards.
    """

    versions: tuple[tuple[datetime | None, Rules], ...]
    # Whether a tier follows from the net spend of all purchases alone, now and ever before.
    is_lifetime: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        lifetime = all(
            rules.qualification.is_lifetime and rules.qualification.metric == "spend"
            for _, rules in self.versions
        )
        object.__setattr__(self, "is_lifetime", lifetime)

    @property
    def current(self) -> Rules:
        return self.versions[-1][1]

    @property
    def needs_lines(self) -> bool:
        """Whether it takes the lines of a sale to know what it earns."""
        return any(rules.basis.by_line for _, rules in self.versions)

    def decides_tiers_like(self, revision: int) -> bool:
        """Whether tiers that were worked out by the rules of a revision are those of the newest."""
        if revision == len(self.versions):
            return True
        known = 1 <= revision <= len(self.versions)
        return known and self.current.ladder.decides_like(self.versions[revision - 1][1].ladder)

    def at(self, moment: datetime) -> Rules | None:
        """The rules in force; None before the program began."""
        found = None
        for begins_at, rules in self.versions:
            if begins_at is not None and begins_at > moment:
                break
            found = rules
        return found

    def expires_at(self, earned_at: datetime) -> datetime | None:
        """When points earned at this instant are over by themselves, by the rules of that instant; None: never."""
        return (self.at(earned_at) or self.current).expires_at(earned_at)

    def available_at(self, earned_at: datetime) -> datetime | None:
        """From when on points of a purchase of this instant can be spent; None: at once."""
        pending = (self.at(earned_at) or self.current).pending
        return pending.ends_at(earned_at) if pending is not None else None

    @property
    def has_pending(self) -> bool:
        """Whether there may be points that cannot be spent yet."""
        return any(rules.pending is not None for _, rules in self.versions)

    def inactive_at(self, active_at: datetime) -> datetime | None:
        """When points that last while their owner is active are over after an activity; None: they never were to be.

        By the newest rules of that moment that say so: points keep that they end with inactivity when a later version
        knows no such end.
        """
        found = None
        for begins_at, rules in self.versions:
            if begins_at is not None and begins_at > active_at:
                break
            if rules.lasts_while_active:
                found = rules.expiry
        return found.ends_at(active_at) if found is not None else None
