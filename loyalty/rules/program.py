"""A program's rules, and how they changed over time."""

from __future__ import annotations

from dataclasses import dataclass
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
from loyalty.rules.expiry import Expiry
from loyalty.rules.tiers import LIFETIME_SPEND, Ladder, Qualification, TierRule


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
    basis: Basis = EVERYTHING
    qualification: Qualification = LIFETIME_SPEND

    @property
    def ladder(self) -> Ladder:
        return Ladder(self.tiers, self.qualification)

    def expires_at(self, earned_at: datetime) -> datetime | None:
        """When points earned at this instant are over; None: never."""
        return self.expiry.ends_at(earned_at) if self.expiry is not None else None

    def tier_for(self, spend_cents: int) -> TierRule | None:
        """The highest tier whose threshold this net spend reaches; None below the first."""
        return self.ladder.reached(spend_cents)

    def next_tier(self, spend_cents: int) -> TierRule | None:
        """The lowest tier not yet reached; None at the top."""
        return self.ladder.following(self.ladder.reached(spend_cents))

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
            "basis": self.basis.as_json(),
            "qualification": self.qualification.as_json(),
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
        # Older versions say nothing of what there was not yet.
        expiry, basis, qualification = (
            stored.get("expiry"),
            stored.get("basis"),
            stored.get("qualification"),
        )
        return cls(
            Decimal(stored["pointsPerUnit"]),
            stored["rounding"],
            tuple(tiers),
            Expiry(expiry["months"], expiry["monthEnd"], expiry["timezone"]) if expiry else None,
            stored.get("graceDays", 0),
            Basis.from_json(basis) if basis else EVERYTHING,
            Qualification.from_json(qualification) if qualification else LIFETIME_SPEND,
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

    @property
    def needs_lines(self) -> bool:
        """Whether it takes the lines of a sale to know what it earns."""
        return any(rules.basis.by_line for _, rules in self.versions)

    @property
    def is_lifetime(self) -> bool:
        """Whether a tier follows from the net spend of all purchases alone, now and ever before."""
        return all(
            rules.qualification.is_lifetime and rules.qualification.metric == "spend"
            for _, rules in self.versions
        )

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
