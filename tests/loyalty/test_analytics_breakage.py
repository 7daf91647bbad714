"""What will never be redeemed: the estimator against figures computed by hand, and against its own simulation."""

import random

import pytest

from loyalty.analytics_breakage import Cohort, estimate

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


def test_what_a_simulation_never_redeems_is_within_the_interval_most_of_the_time() -> None:
    """Months differ in how eager members are; what is left open is played to its end."""
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
                gone = sum(chance.random() < eager for _ in range(alive // 10)) * 10
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
    # 95 by name; the future of the open months varies too, which no interval of the past covers wholly.
    assert within >= 60
