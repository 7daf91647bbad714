"""How many of the points outstanding will never be spent, estimated from what became of earlier ones. No database.

A life table by age in months (actuarial estimator: Cutler and Ederer 1958) with two ways to leave, redemption and expiry
(cumulative incidence: Aalen and Johansen 1978). Points taken back with returned goods are censored half-way through
their month. A month counts for points of an age only when it is over. Beyond the oldest age seen in COHORTS_PER_AGE_MIN
cohorts nothing more is taken to be redeemed, so what is still unspent there counts as breakage. How far that may be off is
in loyalty.analytics_interval.
"""

from __future__ import annotations

import math
from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from loyalty.analytics_interval import LifeTable, Open, half_width

COHORTS_MIN = 6
COHORTS_PER_AGE_MIN = 3
POINTS_MIN = 1_000
# Cohorts at least so old show, without a model, how much was never redeemed.
OBSERVED_MONTHS_MIN = 12


@dataclass(slots=True)
class Cohort:
    """Points earned in one month, and what left them by age in whole months."""

    opened: int = 0
    redeemed: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    expired: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    removed: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def outstanding(self) -> int:
        return self.opened - sum(sum(gone.values()) for gone in (self.redeemed, self.expired, self.removed))


@dataclass(frozen=True, slots=True)
class Observed:
    """What became of all points at least OBSERVED_MONTHS_MIN months old; without those taken back."""

    earned: int
    redeemed: int
    expired: int
    unspent: int


@dataclass(frozen=True, slots=True)
class Breakage:
    """`points` of `outstanding` are expected never to be spent; None when there is too little to tell from.

    `rate_of_new` is the same share for points earned from now on. What will in truth never be spent of `outstanding` is
    between `low` and `high` in 95 cases of 100.
    """

    outstanding: int
    cohorts: int
    sample_points: int
    horizon_months: int
    observed: Observed
    points: int | None = None
    low: int | None = None
    high: int | None = None
    rate_of_new: float | None = None

    @property
    def nothing_redeemed(self) -> bool:
        """Whether there is no estimate although there are points enough to tell from: nobody has spent any yet."""
        enough = self.sample_points >= POINTS_MIN and min(self.cohorts, self.horizon_months) >= COHORTS_MIN
        return enough and self.points is None


def cohorts_of(flows: Iterable[tuple[date, date, int, int, int, int]]) -> dict[int, Cohort]:
    """By month of earning, from (earned in, month, opened, redeemed, expired, removed)."""
    cohorts: dict[int, Cohort] = defaultdict(Cohort)
    for earned_in, month, opened, redeemed, expired, removed in flows:
        cohort = cohorts[month_number(earned_in)]
        # A till whose clock was behind may redeem before it earned.
        age = max(month_number(month) - month_number(earned_in), 0)
        cohort.opened += opened
        cohort.redeemed[age] += redeemed
        cohort.expired[age] += expired
        cohort.removed[age] += removed
    return cohorts


def month_number(day: date) -> int:
    return day.year * 12 + day.month - 1


def part_of_month(day: date) -> float:
    """How much of its month is over in the middle of a day."""
    return (day.day - 0.5) / monthrange(day.year, day.month)[1]


def estimate(cohorts: Mapping[int, Cohort], *, current_month: int, elapsed: float = 0.0) -> Breakage:
    """`cohorts` by `month_number`; `current_month` is not over and counts for the points outstanding alone.

    `elapsed` is the part of it that is over, 0 to 1: so much of what leaves in a month has left already.
    """
    outstanding = sum(cohort.outstanding for cohort in cohorts.values())
    closed = {
        month: cohort for month, cohort in cohorts.items() if month < current_month and cohort.opened > 0
    }
    rows = {month: _exposure(cohort, current_month - month) for month, cohort in sorted(closed.items())}
    horizon = _horizon([len(each) for each in rows.values()])
    sample = sum(cohort.opened for cohort in closed.values())
    observed = _observed(closed, current_month)
    found = Breakage(outstanding, len(closed), sample, horizon, observed)
    redeemed = sum(row[1] for each in rows.values() for row in each)
    if len(closed) < COHORTS_MIN or horizon < COHORTS_MIN or sample < POINTS_MIN or redeemed <= 0:
        return found
    table = LifeTable(rows, horizon)
    unspent = [
        Open(month, max(current_month - month, 0), cohort.outstanding)
        for month, cohort in cohorts.items()
        if cohort.outstanding
    ]
    points = math.fsum(each.points * (1.0 - table.redeemed_from(each.age, elapsed)) for each in unspent)
    error = half_width(table, rows, unspent, elapsed=elapsed)
    return replace(
        found,
        points=round(points),
        low=max(round(points - error), 0),
        high=min(round(points + error), outstanding),
        rate_of_new=1 - table.ultimate[0],
    )


def _exposure(cohort: Cohort, months_over: int) -> list[tuple[int, int, int, int]]:
    """(points at risk at the beginning, redeemed, expired, removed) of each age whose month is over."""
    rows = []
    at_risk = cohort.opened
    for age in range(months_over):
        left = (cohort.redeemed.get(age, 0), cohort.expired.get(age, 0), cohort.removed.get(age, 0))
        rows.append((at_risk, *left))
        at_risk -= sum(left)
    return rows


def _horizon(lengths: Sequence[int]) -> int:
    """How many ages are seen in COHORTS_PER_AGE_MIN cohorts."""
    return (
        sorted(lengths, reverse=True)[COHORTS_PER_AGE_MIN - 1] if len(lengths) >= COHORTS_PER_AGE_MIN else 0
    )


def _observed(closed: Mapping[int, Cohort], current_month: int) -> Observed:
    old = [cohort for month, cohort in closed.items() if current_month - month >= OBSERVED_MONTHS_MIN]
    redeemed = sum(sum(cohort.redeemed.values()) for cohort in old)
    expired = sum(sum(cohort.expired.values()) for cohort in old)
    unspent = sum(cohort.outstanding for cohort in old)
    return Observed(redeemed + expired + unspent, redeemed, expired, unspent)
