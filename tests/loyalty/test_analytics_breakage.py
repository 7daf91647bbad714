"""What will never be redeemed: the estimator against figures computed by hand, and against its own simulation."""

import math
import random
from datetime import date
from typing import Any

import pytest

from loyalty.analytics_breakage import Cohort, estimate, part_of_month

NOW = 24_000


def cohort(opened: int, *, redeemed: dict[int, int], expired: dict[int, int] | None = None) -> Cohort:
    found = Cohort(opened=opened)
    found.redeemed.update(redeemed)
    found.expired.update(expired or {})
    return found


def test_by_hand() -> None:
    """Of 1,000 points 500 go in the first month and half of the rest in the second; at 12 months the last 250 expire."""
    cohorts = {NOW - 24 + n: cohort(1_000, redeemed={0: 500, 1: 250}, expired={12: 250}) for n in range(12)}
    # A month old: 500 redeemed in its first month, which is over, 500 left. Two months old: 250 left.
    cohorts[NOW - 1] = cohort(1_000, redeemed={0: 500})
    cohorts[NOW - 2] = cohort(1_000, redeemed={0: 500, 1: 250})
    found = estimate(cohorts, current_month=NOW)
    assert found.outstanding == 750
    # Half of the 500 and all of the 250.
    assert (found.points, found.low, found.high) == (500, 500, 500)
    assert found.rate_of_new == pytest.approx(0.25)
    # The three oldest cohorts were seen through 24, 23 and 22 months.
    assert (found.cohorts, found.horizon_months) == (14, 22)
    assert found.observed.earned == 12_000
    assert (found.observed.redeemed, found.observed.expired, found.observed.unspent) == (9_000, 3_000, 0)


def test_points_taken_back_are_censored_half_way() -> None:
    cohorts = {NOW - 20 + n: cohort(1_000, redeemed={0: 400}) for n in range(8)}
    for each in cohorts.values():
        each.removed[0] = 200
    found = estimate(cohorts, current_month=NOW)
    # 400 of 1,000 - 200/2.
    assert found.rate_of_new == pytest.approx(1 - 400 / 900)


@pytest.mark.parametrize(
    ("cohorts", "nothing_redeemed"),
    [
        ({}, False),
        ({NOW - n: cohort(1_000, redeemed={0: 500}) for n in range(1, 6)}, False),
        ({NOW - n: cohort(100, redeemed={0: 50}) for n in range(1, 9)}, False),
        ({NOW - n: cohort(1_000, redeemed={}) for n in range(1, 20)}, True),
    ],
    ids=["nothing", "five months", "few points", "nobody redeemed"],
)
def test_too_little_to_tell_from(cohorts: dict[int, Cohort], nothing_redeemed: bool) -> None:
    found = estimate(cohorts, current_month=NOW)
    assert found.nothing_redeemed == nothing_redeemed
    assert (found.points, found.low, found.high, found.rate_of_new) == (None, None, None, None)
    assert found.outstanding == sum(each.outstanding for each in cohorts.values())


def test_what_has_left_in_this_month_does_not_leave_again() -> None:
    cohorts = {NOW - 24 + n: cohort(1_000, redeemed={0: 500, 1: 250}, expired={12: 250}) for n in range(12)}
    # Half of the month is over, and half of those who spend in their second month have done so.
    cohorts[NOW - 1] = cohort(1_000, redeemed={0: 500, 1: 125})
    found = estimate(cohorts, current_month=NOW, elapsed=0.5)
    # A quarter of the 375 is still to be redeemed.
    assert found.points == round(375 * 0.75)
    assert part_of_month(date(2026, 2, 14)) == pytest.approx(13.5 / 28)


# --- Programs whose breakage is known -------------------------------------------------------------------------------


def play(
    chance: random.Random, *, reward: int = 0, unsteady: float = 0.0, members: int = 150
) -> tuple[dict[int, Cohort], int]:
    """Members buy and spend for two years, some of them never; points end after a year. Returns the history, and how many of the
    points that are left are never spent in the year after it.

    Who spends, spends `reward` points, or all. In some months all of them are keener than in others (`unsteady`).
    """
    months, lasts = 24, 12
    cohorts = {month: Cohort() for month in range(NOW - months, NOW)}
    never = 0
    people = [
        (
            min(chance.expovariate(2.0), 1.0),
            chance.lognormvariate(4.0, 0.8),
            chance.choice([0, 0.05, 0.1, 0.2]),
        )
        for _ in range(members)
    ]
    accounts: list[dict[int, int]] = [{} for _ in people]
    for month in range(NOW - months, NOW + lasts + 1):
        keen = chance.lognormvariate(0.0, unsteady)
        for (often, basket, spends), lots in zip(people, accounts, strict=True):
            over = lots.pop(month - lasts, 0)
            if over and month < NOW:
                cohorts[month - lasts].expired[lasts] += over
            elif month - lasts < NOW:
                never += over
            if chance.random() < often:
                lots[month] = 1 + int(basket * chance.uniform(0.5, 1.5))
                if month < NOW:
                    cohorts[month].opened += lots[month]
            balance = sum(lots.values())
            if chance.random() < spends * keen and balance >= reward:
                wanted = reward or balance
                for earned in list(lots):
                    used = min(lots[earned], wanted)
                    wanted -= used
                    lots[earned] -= used
                    if month < NOW:
                        cohorts[earned].redeemed[month - earned] += used
    return cohorts, never


@pytest.mark.parametrize(
    "program", [{}, {"reward": 250}, {"unsteady": 0.3}], ids=["all at once", "rewards", "unsteady months"]
)
def test_the_interval_holds_what_will_be(program: dict[str, Any]) -> None:
    """In 95 of 100 programs, give or take what a hundred show by chance; and it is no wider than that takes."""
    within, widths, errors = 0, 0.0, 0.0
    for seed in range(100):
        cohorts, truth = play(random.Random(seed), **program)
        found = estimate(cohorts, current_month=NOW)
        assert found.points is not None and found.low is not None and found.high is not None
        within += found.low <= truth <= found.high
        widths += ((found.high - found.low) / 2) ** 2
        errors += (found.points - truth) ** 2
    assert within >= 90
    assert math.sqrt(widths / errors) < 3


def test_months_of_earning_that_differ_for_good() -> None:
    """Months of earning differ in how eager those are who earned in them."""
    chance = random.Random(11)
    within = 0
    for _ in range(100):
        cohorts: dict[int, Cohort] = {}
        truth = 0
        for age in range(1, 31):
            eager = chance.uniform(0.05, 0.09)
            each = cohorts[NOW - age] = Cohort(opened=chance.randint(8_000, 12_000))
            alive = each.opened
            for month in range(18):
                gone = sum(chance.random() < eager for _ in range(alive // 40)) * 40
                if month < age:
                    each.redeemed[month] = gone
                alive -= gone
            if age > 18:
                each.expired[18] = alive
            else:
                truth += alive
        found = estimate(cohorts, current_month=NOW)
        assert found.low is not None and found.high is not None
        within += found.low <= truth <= found.high
    assert within >= 90
