"""Control group and variants, by a hash."""

import uuid
from collections import Counter

from marketing.campaigns.groups import CONTROL, group_of

CAMPAIGN = uuid.UUID(int=7)
PEOPLE = [uuid.UUID(int=n) for n in range(20_000)]


def groups(control_percent: int, weights: list[tuple[str, int]], campaign: uuid.UUID = CAMPAIGN) -> list[str]:
    return [
        group_of(campaign_id=campaign, customer_id=person, control_percent=control_percent, weights=weights)
        for person in PEOPLE
    ]


def test_shares_are_those_asked_for() -> None:
    found = Counter(groups(10, [("A", 3), ("B", 1)]))
    # 5 standard deviations of a binomial of 20,000.
    assert abs(found[CONTROL] - 2_000) < 5 * 43
    assert abs(found["A"] - 13_500) < 5 * 67
    assert abs(found["B"] - 4_500) < 5 * 60


def test_the_same_each_time_and_another_for_each_campaign() -> None:
    weights = [("A", 1), ("B", 1)]
    assert groups(10, weights) == groups(10, weights)
    other = groups(10, weights, uuid.UUID(int=8))
    same = sum(one == two for one, two in zip(groups(10, weights), other, strict=True))
    assert 0.35 < same / len(PEOPLE) < 0.48  # 0.1 x 0.1 + 2 x 0.45 x 0.45 = 0.415 by chance


def test_a_larger_control_group_only_takes_people_out_of_the_variants() -> None:
    weights = [("A", 1), ("B", 1)]
    for small, large in zip(groups(10, weights), groups(30, weights), strict=True):
        assert large in (small, CONTROL)


def test_no_control_group() -> None:
    assert CONTROL not in groups(0, [("A", 1)])
