"""Which tier a customer has at a time: a pure function of their history, that says why and until when.

What counts is the net spend (or the points) of the purchases inside a window. A purchase counts from its instant until
it leaves the window; a return lowers what its purchase counts for, then and before, so that nobody keeps a tier for
goods brought back. With Q(u) the sum of what counts at u, and everything as known at t,

    tier(t) = the highest of  reached(Q(t))
                        and   reached(Q(s)) of each instant s <= t whose reach still holds at t.

So a customer goes up at once. The downgrade policy says which instants have a reach and how long it holds:

    immediate    each instant at which purchases leave, with what counted just before it: for the days of grace
    period_end   each purchase: for another period, and the days of grace
    never        each purchase: for ever
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from loyalty.rules.arithmetic import MULTIPLIER_SCALE
from loyalty.rules.qualifying import LIFETIME_SPEND, Course, Qualification


@dataclass(frozen=True, slots=True)
class TierRule:
    """A step of the ladder, reached when what qualifies reaches `threshold_cents`.

    Hundredths of what qualifies: of the currency unit, or of a point.
    """

    code: str
    name: str
    threshold_cents: int
    multiplier: Decimal
    benefits: tuple[str, ...] = ()
    scaled_multiplier: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scaled_multiplier", int(self.multiplier * MULTIPLIER_SCALE))


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


@dataclass(frozen=True, slots=True)
class TierStanding:
    """Which tier, and why: `amount` counts now; `reached_at` is the purchase whose reach holds (None: what counts now
    suffices by itself, or `override` gives the tier). `until` is the first instant at which the tier changes with no
    further purchase, `amount_until` that at which the amount does; None: never. `keep` is what has to be added until then
    for it not to fall; None: it does not fall, or nothing keeps it.
    """

    tier: TierRule | None
    amount: int
    reached_at: datetime | None = None
    until: datetime | None = None
    amount_until: datetime | None = None
    override: TierOverride | None = None
    keep: int | None = None


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

    def above(self, tier: TierRule | None, amount: int) -> TierRule | None:
        """The next tier to be reached: above the one that the customer has, by more than what counts; None at the top."""
        return next((one for one in self.tiers[self.rank(tier) :] if one.threshold_cents > amount), None)

    def decides_like(self, other: Ladder) -> bool:
        """Whether every history has the same tier by either: names, multipliers and benefits may differ."""
        return self.qualification == other.qualification and (
            [(tier.code, tier.threshold_cents) for tier in self.tiers]
            == [(tier.code, tier.threshold_cents) for tier in other.tiers]
        )

    def amount(self, course: Course, at: datetime) -> int:
        """What counts at an instant not before the last purchase."""
        if self.qualification.is_lifetime:
            return course.total
        window = course.window(self.qualification)
        return window.sums[-1] - window.sums[bisect_right(window.leaves, at)]

    def tier(self, course: Course, at: datetime, overrides: Sequence[TierOverride] = ()) -> TierRule | None:
        """The tier at an instant not before the last purchase."""
        earned, _ = self._earned(course, at)
        return self._overridden(earned, at, overrides)[0]

    def standing(self, course: Course, at: datetime, overrides: Sequence[TierOverride] = ()) -> TierStanding:
        """The tier with its reason and its end, at an instant not before the last purchase."""
        earned, reached_at = self._earned(course, at)
        tier, override = self._overridden(earned, at, overrides)
        until = self._until(course, at, tier, overrides)
        return TierStanding(
            tier,
            self.amount(course, at),
            reached_at if override is None else None,
            until,
            self._amount_until(course, at),
            override,
            self._keep(course, tier, until, overrides) if until is not None else None,
        )

    # --- What was earned --------------------------------------------------------------------------------------

    def _earned(self, course: Course, at: datetime) -> tuple[TierRule | None, datetime | None]:
        """The tier without overrides, and the purchase whose reach holds if what counts now does not suffice."""
        best = self.reached(self.amount(course, at))
        if self.qualification.is_lifetime or not self.tiers or best == self.tiers[-1]:
            return best, None
        reaches = self._reaches(course, at)
        held = self.reached(max((amount for _, amount in reaches), default=0))
        if held is None or self.rank(held) <= self.rank(best):
            return best, None
        return held, max(when for when, amount in reaches if amount >= held.threshold_cents)

    def _reaches(self, course: Course, at: datetime) -> list[tuple[datetime, int]]:
        """(purchase, what counted) of each reach that holds at `at`: see the top of this module."""
        rule, window = self.qualification, course.window(self.qualification)
        if rule.downgrade == "never":
            return list(zip(course.at, window.reaches, strict=True))
        if rule.downgrade == "period_end":
            first = bisect_right(window.holds, at)
            return list(zip(course.at[first:], window.reaches[first:], strict=True))
        found: list[tuple[datetime, int]] = []
        place = bisect_right(window.leaves, at)
        while rule.grace_days and place and rule.with_grace(left_at := window.leaves[place - 1]) > at:
            place = bisect_left(window.leaves, left_at)
            before = bisect_left(course.at, left_at)
            found.append((course.at[before - 1], window.sums[before] - window.sums[place]))
        return found

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
        given = [
            end for one in overrides for end in (one.begins_at, one.ends_at()) if end is not None and end > at
        ]
        for first in sorted({*given}):
            found = self._first_fall(course, [turn for turn in turns if turn < first], tier, overrides)
            if found is not None:
                return found
            if self.tier(course, first, overrides) != tier:
                return first
            turns = [turn for turn in turns if turn > first]
        return self._first_fall(course, turns, tier, overrides)

    def _first_fall(
        self, course: Course, turns: list[datetime], tier: TierRule | None, overrides: Sequence[TierOverride]
    ) -> datetime | None:
        """The first of these turns at which the tier is another one.

        No override begins or ends among them and nothing is added, so the tier only falls: it is found by halves.
        """
        low, high = 0, len(turns)
        while low < high:
            middle = (low + high) // 2
            if self.tier(course, turns[middle], overrides) == tier:
                low = middle + 1
            else:
                high = middle
        return turns[low] if low < len(turns) else None

    def _turns(self, course: Course, at: datetime) -> list[datetime]:
        """The instants after `at` at which something leaves the window or ceases to hold, ascending."""
        rule = self.qualification
        if rule.is_lifetime:
            return []
        window = course.window(rule)
        turns = {turn for turn in (*window.leaves, *window.holds) if turn > at}
        if rule.downgrade == "immediate" and rule.grace_days:
            for leaves in set(window.leaves):
                late = rule.with_grace(leaves)
                if late > at:
                    turns.add(late)
        return sorted(turns)

    def _amount_until(self, course: Course, at: datetime) -> datetime | None:
        if self.qualification.is_lifetime:
            return None
        leaves = course.window(self.qualification).leaves
        for place in range(bisect_right(leaves, at), len(leaves)):
            if course.counts[place]:
                return leaves[place]
        return None

    def _keep(
        self, course: Course, tier: TierRule | None, until: datetime, overrides: Sequence[TierOverride]
    ) -> int | None:
        """What has to be added before `until` for the tier not to fall then."""
        rule = self.qualification
        if tier is None or self.rank(self.tier(course, until, overrides)) >= self.rank(tier):
            return None
        given = any(until in (one.begins_at, one.ends_at()) for one in overrides)
        if rule.downgrade == "immediate" and not rule.grace_days and not given:
            if rule.window == "calendar_year":
                # Whatever is bought before the new year leaves with it.
                return None
            return max(tier.threshold_cents - self.amount(course, until), 1)
        # A purchase in the last moment is enough.
        before = until if rule.is_lifetime else until - timedelta(microseconds=1)
        if course.at and before < course.at[-1]:
            before = course.at[-1]
        return max(tier.threshold_cents - self.amount(course, before), 1)


def check_tiers(tiers: Sequence[TierRule]) -> None:
    """Raises ValueError unless codes and thresholds are each used once."""
    if len({tier.code for tier in tiers}) != len(tiers):
        raise ValueError("two tiers have the same code")
    if len({tier.threshold_cents for tier in tiers}) != len(tiers):
        raise ValueError("two tiers have the same threshold")
