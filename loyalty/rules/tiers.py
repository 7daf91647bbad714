"""Which tier a customer has at a time: a pure function of their history, that says why and until when.

What counts is the net spend (or the points) of the purchases inside a window. A purchase counts from its instant until
it leaves the window; a return lowers what its purchase counts for, then and before, so that nobody keeps a tier for
goods brought back. With Q(u) the sum of what counts at u, and everything as known at t,

    tier(t) = the highest of  reached(Q(t))
                        and   reached(Q(s)) of each purchase s <= t whose reach still holds at t.

So a customer goes up at once. How long the reach of a purchase holds is the downgrade policy.
"""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from loyalty.rules.calendar import day_after_months, days_later, new_year

METRICS = ("spend", "points")
WINDOWS = ("lifetime", "rolling", "calendar_year")
DOWNGRADES = ("immediate", "period_end", "never")
HUNDREDTHS = 100


@dataclass(frozen=True, slots=True)
class TierRule:
    """A step of the ladder, reached when what qualifies reaches `threshold_cents`.

    Hundredths of what qualifies: of the currency unit, or of a point.
    """

    code: str
    name: str
    threshold_cents: int
    multiplier: Decimal


@dataclass(frozen=True, slots=True)
class Qualification:
    """What counts towards tiers, for how long, and what happens when it no longer suffices.

    `metric`: net `spend`, or `points` that purchases earned. `window`: `lifetime`; `rolling`, to the end of the day
    `months` later; `calendar_year`, to the end of the year. `downgrade`: `immediate`, as soon as the sum falls;
    `period_end`, a tier is kept for as long again as the window is (`months` after the last purchase that reached it; to
    the end of the next year); `never`. `grace_days` come on top. Days are those of `timezone`.
    """

    metric: str = "spend"
    window: str = "lifetime"
    months: int = 0
    downgrade: str = "immediate"
    grace_days: int = 0
    timezone: str = "UTC"

    @property
    def is_lifetime(self) -> bool:
        """Whether the sum of all purchases alone decides: there is no window to leave."""
        return self.window == "lifetime"

    def leaves_at(self, at: datetime) -> datetime | None:
        """The first instant at which a purchase of `at` no longer counts; None: it always does."""
        if self.window == "rolling":
            return _after_months(self.timezone, at, self.months)
        if self.window == "calendar_year":
            return new_year(at, ZoneInfo(self.timezone))
        return None

    def holds_until(self, at: datetime) -> datetime | None:
        """The first instant at which what a purchase of `at` reached no longer holds by itself; None: it always does."""
        if self.downgrade == "never":
            return None
        zone = ZoneInfo(self.timezone)
        if self.downgrade == "immediate":
            return days_later(at, self.grace_days, zone) if self.grace_days else at
        if self.window == "rolling":
            end = _after_months(self.timezone, at, self.months)
        else:
            end = new_year(at, zone, years=2)
        return days_later(end, self.grace_days, zone) if self.grace_days else end

    def as_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "window": self.window,
            "months": self.months,
            "downgrade": self.downgrade,
            "graceDays": self.grace_days,
            "timezone": self.timezone,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Qualification:
        return cls(
            stored["metric"], stored["window"], stored["months"], stored["downgrade"], stored["graceDays"],
            stored["timezone"],
        )  # fmt: skip


@lru_cache(maxsize=65_536)
def _after_months(timezone: str, at: datetime, months: int) -> datetime:
    return day_after_months(at, months, ZoneInfo(timezone))


LIFETIME_SPEND = Qualification()


@dataclass(frozen=True, slots=True)
class TierOverride:
    """A tier given by hand: `at_least` lifts those below it, `exactly` also holds back those above.

    It holds from `begins_at` to `until` (None: without end), or to `ended_at` when it was taken back. `order` is the
    order of recording: of two that hold at once, the later counts.
    """

    code: str
    mode: str
    begins_at: datetime
    until: datetime | None = None
    ended_at: datetime | None = None
    order: int = 0

    def ends_at(self) -> datetime | None:
        ends = [end for end in (self.until, self.ended_at) if end is not None]
        return min(ends) if ends else None

    def holds(self, at: datetime) -> bool:
        end = self.ends_at()
        return self.begins_at <= at and (end is None or at < end)


@dataclass(slots=True)
class Course:
    """What a customer's purchases count for, in the order of their instants; `total` is the sum of all of them."""

    at: list[datetime] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    total: int = 0
    _place: dict[uuid.UUID, int] = field(default_factory=dict)

    def add(self, sale_id: uuid.UUID, at: datetime, count: int) -> None:
        """A purchase, no earlier than those before it."""
        self._place[sale_id] = len(self.at)
        self.at.append(at)
        self.counts.append(count)
        self.total += count

    def lower(self, sale_id: uuid.UUID, by: int) -> None:
        """A return of a purchase that is here, or of one before all of these."""
        place = self._place.get(sale_id)
        if place is not None:
            self.counts[place] -= by
        self.total -= by


@dataclass(frozen=True, slots=True)
class TierStanding:
    """Which tier, and why: `amount` counts now; `reached_at` is the purchase whose reach holds (None: what counts now
    suffices by itself, or `override` gives the tier). `until` is the first instant at which the tier changes with no
    further purchase, `amount_until` that at which the amount does; None: never.
    """

    tier: TierRule | None
    amount: int
    reached_at: datetime | None = None
    until: datetime | None = None
    amount_until: datetime | None = None
    override: TierOverride | None = None


@dataclass(frozen=True, slots=True)
class Ladder:
    """The tiers, ascending by threshold, and how one qualifies."""

    tiers: tuple[TierRule, ...] = ()
    qualification: Qualification = LIFETIME_SPEND

    def rank(self, tier: TierRule | None) -> int:
        """0 below the first, then 1, 2, 3 ..."""
        return 0 if tier is None else self.tiers.index(tier) + 1

    def reached(self, amount: int) -> TierRule | None:
        """The highest tier whose threshold this amount reaches; None below the first."""
        place = bisect_right(self.tiers, amount, key=lambda tier: tier.threshold_cents)
        return self.tiers[place - 1] if place else None

    def following(self, tier: TierRule | None) -> TierRule | None:
        """The tier above; None at the top."""
        rank = self.rank(tier)
        return self.tiers[rank] if rank < len(self.tiers) else None

    def by_code(self, code: str) -> TierRule | None:
        return next((tier for tier in self.tiers if tier.code == code), None)

    def amount(self, course: Course, at: datetime) -> int:
        """What counts at an instant not before the last purchase."""
        if self.qualification.is_lifetime:
            return course.total
        total = 0
        for place in range(len(course.at) - 1, -1, -1):
            leaves = self.qualification.leaves_at(course.at[place])
            if leaves is not None and leaves <= at:
                # Whatever came before has left too.
                break
            total += course.counts[place]
        return total

    def tier(self, course: Course, at: datetime, overrides: Sequence[TierOverride] = ()) -> TierRule | None:
        """The tier at an instant not before the last purchase."""
        earned, _ = self._earned(course, at)
        return self._overridden(earned, at, overrides)[0]

    def standing(self, course: Course, at: datetime, overrides: Sequence[TierOverride] = ()) -> TierStanding:
        """The tier with its reason and its end, at an instant not before the last purchase."""
        earned, reached_at = self._earned(course, at)
        tier, override = self._overridden(earned, at, overrides)
        return TierStanding(
            tier,
            self.amount(course, at),
            reached_at if override is None else None,
            self._until(course, at, tier, overrides),
            self._amount_until(course, at),
            override,
        )

    # --- What was earned --------------------------------------------------------------------------------------

    def _earned(self, course: Course, at: datetime) -> tuple[TierRule | None, datetime | None]:
        """The tier without overrides, and the purchase whose reach holds if what counts now does not suffice."""
        best, reached_at = self.reached(self.amount(course, at)), None
        if self.qualification.is_lifetime or not self.tiers or best == self.tiers[-1]:
            return best, None
        top = best.threshold_cents if best is not None else -1
        for when, amount in self._reaches(course, at):
            tier = self.reached(amount)
            if tier is not None and tier.threshold_cents >= top and tier != best:
                best, top, reached_at = tier, tier.threshold_cents, when
            elif reached_at is not None and tier == best:
                reached_at = when
        return best, reached_at

    def _reaches(self, course: Course, at: datetime) -> list[tuple[datetime, int]]:
        """(instant, what counted then) of each purchase whose reach holds at `at`, ascending."""
        rule = self.qualification
        found = []
        if rule.downgrade == "immediate" and rule.grace_days:
            # A fall counts only so many days later: what counted then.
            then = days_later(at, -rule.grace_days, ZoneInfo(rule.timezone))
            before = bisect_right(course.at, then)
            found.append((then, self._amount_of(course, before, then)))
        first, total = 0, 0
        for place, when in enumerate(course.at):
            total += course.counts[place]
            while first < place:
                leaves = rule.leaves_at(course.at[first])
                if leaves is None or leaves > when:
                    break
                total -= course.counts[first]
                first += 1
            holds = rule.holds_until(when)
            if holds is None or holds > at:
                found.append((when, total))
        return found

    def _amount_of(self, course: Course, places: int, at: datetime) -> int:
        """What the first `places` purchases count for at `at`."""
        leaves = self.qualification.leaves_at
        return sum(
            count
            for when, count in zip(course.at[:places], course.counts, strict=False)
            if (end := leaves(when)) is None or end > at
        )

    def _overridden(
        self, earned: TierRule | None, at: datetime, overrides: Sequence[TierOverride]
    ) -> tuple[TierRule | None, TierOverride | None]:
        """The tier that an override gives, with it; one that only confirms what is earned gives nothing."""
        given = max((one for one in overrides if one.holds(at)), key=lambda one: one.order, default=None)
        # A tier that is no longer on the ladder gives nothing.
        tier = self.by_code(given.code) if given is not None else None
        if given is None or tier is None:
            return earned, None
        if given.mode == "at_least" and self.rank(earned) >= self.rank(tier):
            return earned, None
        return tier, given

    # --- Until when -------------------------------------------------------------------------------------------

    def _until(
        self, course: Course, at: datetime, tier: TierRule | None, overrides: Sequence[TierOverride]
    ) -> datetime | None:
        """The first instant after `at` at which the tier is another one."""
        turns = self._turns(course, at)
        given = {
            end for one in overrides for end in (one.begins_at, one.ends_at()) if end is not None and end > at
        }
        if not given:
            # Nothing is added, so the tier only falls: look for the first fall by halves.
            low, high = 0, len(turns)
            while low < high:
                middle = (low + high) // 2
                if self._earned(course, turns[middle])[0] == tier:
                    low = middle + 1
                else:
                    high = middle
            return turns[low] if low < len(turns) else None
        for turn in sorted({*turns, *given}):
            if self._overridden(self._earned(course, turn)[0], turn, overrides)[0] != tier:
                return turn
        return None

    def _turns(self, course: Course, at: datetime) -> list[datetime]:
        """The instants after `at` at which something leaves the window or ceases to hold, ascending."""
        rule = self.qualification
        if rule.is_lifetime:
            return []
        zone = ZoneInfo(rule.timezone)
        turns: set[datetime] = set()
        for when in course.at:
            leaves, holds = rule.leaves_at(when), rule.holds_until(when)
            turns.update(turn for turn in (leaves, holds) if turn is not None and turn > at)
            if leaves is not None and rule.downgrade == "immediate" and rule.grace_days:
                late = days_later(leaves, rule.grace_days, zone)
                if late > at:
                    turns.add(late)
        return sorted(turns)

    def _amount_until(self, course: Course, at: datetime) -> datetime | None:
        for when in course.at:
            leaves = self.qualification.leaves_at(when)
            if leaves is None:
                return None
            if leaves > at:
                return leaves
        return None


def check_tiers(tiers: Sequence[TierRule]) -> None:
    """Raises ValueError unless codes and thresholds are each used once."""
    if len({tier.code for tier in tiers}) != len(tiers):
        raise ValueError("two tiers have the same code")
    if len({tier.threshold_cents for tier in tiers}) != len(tiers):
        raise ValueError("two tiers have the same threshold")
