"""The statistics of a campaign's results: against published figures, figures worked out by hand, and chance itself."""

import math
import random
from collections.abc import Callable, Sequence

import pytest

from marketing.campaigns.uplift import (
    GROUP_MIN,
    Estimate,
    Group,
    compare,
    mean_difference,
    rate_difference,
    t_quantile,
    wilson,
)


def group(spends: Sequence[float]) -> Group:
    return Group(
        len(spends),
        sum(spend > 0 for spend in spends),
        math.fsum(spends),
        math.fsum(spend * spend for spend in spends),
    )


def buyers(converted: int, customers: int) -> Group:
    return Group(customers, converted, float(converted), float(converted))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe 1998, Statist. Med. 17:857, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_as_published(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    # Newcombe 1998, Statist. Med. 17:873, table II, method 10.
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_newcombes_interval_as_published(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    found = rate_difference(buyers(*one), buyers(*other))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    # The other way round it is the same, mirrored.
    mirrored = rate_difference(buyers(*other), buyers(*one))
    assert (mirrored.low, mirrored.high) == pytest.approx((-high, -low), abs=5e-5)


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (10, 2.2281), (30, 2.0423), (120, 1.9799), (1e7, 1.95996)],
)  # fmt: skip
def test_students_t_as_in_the_tables(freedom: float, expected: float) -> None:
    assert t_quantile(freedom) == pytest.approx(expected, rel=2e-4)


def test_welchs_interval_by_hand() -> None:
    """Means 4 and 2.5, variances 4 and 5/3, of 3 and 4: t = 1.5 / sqrt(4/3 + 5/12), with 1.75^2 / (16/18 + 25/432) degrees."""
    found = mean_difference(group([2, 4, 6]), group([1, 2, 3, 4]))
    freedom = 1.75**2 / ((4 / 3) ** 2 / 2 + (5 / 12) ** 2 / 3)
    assert freedom == pytest.approx(3.2347, abs=1e-4)
    half = t_quantile(freedom) * math.sqrt(1.75)
    assert (found.value, found.low, found.high) == pytest.approx((1.5, 1.5 - half, 1.5 + half))
    # Between the tables' 3 and 4 degrees.
    assert 2.7764 < t_quantile(freedom) < 3.1824


def test_groups_that_nobody_can_say_anything_about() -> None:
    nobody = Group(0, 0, 0.0, 0.0)
    assert compare(nobody, buyers(1, 10)) is None
    assert compare(buyers(1, 10), nobody) is None
    silent = compare(Group(100, 0, 0.0, 0.0), Group(100, 0, 0.0, 0.0))
    assert silent is not None
    assert (silent.mean, silent.relative) == (Estimate(0.0, 0.0, 0.0), None)
    assert silent.rate.low < 0 < silent.rate.high
    assert silent.notes == ("Fewer than 10 customers bought: too few to tell.",)
    one = compare(group([5.0]), group([1.0, 2.0]))
    assert one is not None and math.isfinite(one.mean.low)


def test_what_it_makes_for_all_and_in_words() -> None:
    found = compare(Group(9_000, 540, 16_200.0, 700_000.0), Group(1_000, 40, 1_200.0, 50_000.0))
    assert found is not None
    assert found.rate.value == pytest.approx(0.02)
    assert found.relative == pytest.approx(0.5)
    assert found.conversions.value == pytest.approx(180)
    assert found.conversions.low == pytest.approx(9_000 * found.rate.low)
    assert found.revenue.value == pytest.approx(9_000 * (1.8 - 1.2))
    assert found.words == (
        "More customers bought than without the campaign. Customers spent more than without the campaign."
    )
    assert found.notes == ()


@pytest.mark.parametrize(
    ("treated", "base", "words"),
    [
        (buyers(50, 1_000), buyers(5, 100), "Not distinguishable from nothing: as much may be chance."),
        (buyers(20, 1_000), buyers(10, 100), "Fewer customers bought than without the campaign."),
    ],
)
def test_chance_is_called_chance(treated: Group, base: Group, words: str) -> None:
    found = compare(treated, base)
    assert found is not None and found.words.startswith(words)
    assert found.rate.is_distinguishable == words.startswith("Fewer")


def test_between_texts_nobody_speaks_of_a_campaign() -> None:
    found = compare(buyers(200, 1_000), buyers(100, 1_000), of_variants=True)
    assert found is not None and found.words.startswith("More customers bought than with the other text.")


def test_small_groups_are_noted() -> None:
    found = compare(buyers(20, GROUP_MIN - 1), buyers(10, 1_000))
    assert found is not None
    assert found.notes == (f"One of the groups has fewer than {GROUP_MIN} customers: too few to tell.",)


# --- Chance itself -------------------------------------------------------------------------------------------------


def coverage(simulate: Callable[[random.Random], tuple[Estimate, float]], times: int) -> float:
    dice = random.Random(20_261_130)
    held = 0
    for _ in range(times):
        found, truth = simulate(dice)
        held += found.low <= truth <= found.high
    return held / times


@pytest.mark.parametrize(
    ("n", "m", "p", "q"),
    [(900, 100, 0.06, 0.04), (900, 100, 0.05, 0.05), (450, 50, 0.02, 0.02), (200, 200, 0.5, 0.4)],
)
def test_ninety_five_of_a_hundred_intervals_of_rates_hold_the_truth(
    n: int, m: int, p: float, q: float
) -> None:
    def simulate(dice: random.Random) -> tuple[Estimate, float]:
        one, other = (buyers(sum(dice.random() < r for _ in range(k)), k) for k, r in ((n, p), (m, q)))
        return rate_difference(one, other), p - q

    # At 600 campaigns chance alone moves it by 0.018 (two standard errors).
    assert 0.93 <= coverage(simulate, 600) <= 0.99


def test_ninety_five_of_a_hundred_intervals_of_spending_hold_the_truth() -> None:
    """One in five buys, for a log-normal amount: mean 0.2 * exp(3 + 0.5)."""

    def simulate(dice: random.Random) -> tuple[Estimate, float]:
        groups = [
            group([math.exp(dice.gauss(mu, 1)) if dice.random() < 0.2 else 0.0 for _ in range(size)])
            for size, mu in ((900, 3.1), (300, 3.0))
        ]
        return mean_difference(*groups), 0.2 * (math.exp(3.6) - math.exp(3.5))

    assert 0.925 <= coverage(simulate, 400) <= 0.985


def test_without_an_effect_one_in_twenty_is_distinguishable_and_not_more() -> None:
    dice = random.Random(1)
    false_alarms = 0
    for _ in range(600):
        one, other = (buyers(sum(dice.random() < 0.05 for _ in range(k)), k) for k in (900, 100))
        found = compare(one, other)
        assert found is not None
        false_alarms += found.rate.is_distinguishable
    assert false_alarms / 600 <= 0.07
