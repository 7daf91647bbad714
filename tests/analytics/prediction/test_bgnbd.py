from datetime import date

import numpy as np
import pytest

from analytics.prediction import bgnbd, bgnbd_fit
from analytics.prediction.bgnbd import BgNbd, RepeatCounts
from analytics.prediction.features import histories_at
from tests.analytics.prediction.merchants import TODAY, merchant
from tests.data import purchases

CALIBRATION_END = date(1997, 9, 30).toordinal()
MODELS = [
    bgnbd.POPULATION,
    BgNbd(r=0.2426, alpha=4.4136, a=0.7929, b=2.4259),
    BgNbd(r=2.0, alpha=1.0, a=1.0, b=0.7),
    BgNbd(r=0.1, alpha=40.0, a=3.0, b=0.2),
]


def counts(*rows: tuple[int, float, float]) -> RepeatCounts:
    x, t_x, T = zip(*rows, strict=True)
    return RepeatCounts(np.array(x), np.array(t_x, dtype=float), np.array(T, dtype=float))


SOME = counts(
    (0, 0, 0), (0, 0, 30), (1, 2, 3), (2, 30.43, 38.86), (7, 20, 90), (40, 100, 101), (300, 90, 200)
)


def test_cdnow_sample_gives_the_published_parameters() -> None:
    _, histories = histories_at(purchases.cdnow_sample(), as_of=CALIBRATION_END)
    fitted = bgnbd_fit.fit(histories, prior_precision=0.0)
    model = fitted.model
    assert fitted.fitted
    assert [model.r, model.alpha, model.a, model.b] == pytest.approx(
        [0.2426, 4.4136, 0.7929, 2.4259], rel=1e-3
    )
    assert fitted.log_likelihood == pytest.approx(-9582.43, abs=0.005)


def test_the_prior_is_not_seen_in_the_published_parameters() -> None:
    _, histories = histories_at(purchases.cdnow_sample(), as_of=CALIBRATION_END)
    model = bgnbd_fit.fit(histories).model
    assert [model.r, model.alpha, model.a, model.b] == pytest.approx(
        [0.2426, 4.4136, 0.7929, 2.4259], rel=1e-3
    )


def test_purchases_of_the_next_39_weeks() -> None:
    table = purchases.cdnow_sample()
    customers, histories = histories_at(table, as_of=CALIBRATION_END)
    model = bgnbd_fit.fit(histories).model
    expected = bgnbd.expected_purchases(model, RepeatCounts.of(histories), days=273)
    actual = np.bincount(table.customer[table.day > CALIBRATION_END], minlength=table.customers)[customers]
    assert np.sqrt(np.mean((expected - actual) ** 2)) == pytest.approx(1.608, abs=5e-4)
    assert expected.sum() / actual.sum() == pytest.approx(0.88, abs=5e-3)


def test_all_of_cdnow() -> None:
    _, histories = histories_at(purchases.cdnow(), as_of=CALIBRATION_END)
    assert bgnbd_fit.fit(histories).log_likelihood == pytest.approx(-95368.44, abs=0.005)


def test_searching_a_part_first_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    _, histories = histories_at(purchases.cdnow(), as_of=CALIBRATION_END)
    at_once = bgnbd_fit.fit(histories).model
    monkeypatch.setattr(bgnbd_fit, "SEARCHED_FIRST_CUSTOMERS", 3_000)
    in_steps = bgnbd_fit.fit(histories).model
    assert in_steps.to_parameters() == pytest.approx(at_once.to_parameters(), rel=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_gradient_and_hessian_are_the_slopes_of_the_likelihood(model: BgNbd) -> None:
    _, histories = histories_at(merchant(customers=300), as_of=TODAY)
    compressed = bgnbd_fit.compress(histories)
    point = np.array([model.r, model.alpha, model.a, model.b])
    _, gradient, hessian = bgnbd_fit.log_likelihood(model, compressed)
    for place in range(4):
        step = np.zeros(4)
        step[place] = 1e-5 * point[place]
        above = bgnbd_fit.log_likelihood(BgNbd(*(point + step)), compressed)
        below = bgnbd_fit.log_likelihood(BgNbd(*(point - step)), compressed)
        slope = (above[0] - below[0]) / (2 * step[place])
        assert slope == pytest.approx(gradient[place], rel=1e-6, abs=1e-4)
        assert (above[1] - below[1]) / (2 * step[place]) == pytest.approx(hessian[place], rel=1e-5, abs=1e-3)


def test_the_likelihood_of_equal_customers_is_counted_once_each() -> None:
    _, histories = histories_at(merchant(customers=80), as_of=TODAY)
    by_hand = 0.0
    r, alpha, a, b = 0.4, 7.0, 0.4, 2.3
    from math import lgamma, log

    for x, t_x, T in zip(
        histories.repeats.tolist(),
        (histories.last_in_tenure / 7).tolist(),
        (histories.tenure / 7).tolist(),
        strict=True,
    ):
        # Equation (6) as printed.
        alive = log(alpha) * r + lgamma(r + x) - lgamma(r) - (r + x) * log(alpha + T)
        alive += lgamma(b + x) - lgamma(b) + lgamma(a + b) - lgamma(a + b + x)
        total = np.exp(alive)
        if x:
            gone = log(alpha) * r + lgamma(r + x) - lgamma(r) - (r + x) * log(alpha + t_x)
            gone += (
                lgamma(a + 1) - lgamma(a) + lgamma(b + x - 1) - lgamma(b) + lgamma(a + b) - lgamma(a + b + x)
            )
            total += np.exp(gone)
        by_hand += log(total)
    value, _, _ = bgnbd_fit.log_likelihood(BgNbd(r, alpha, a, b), bgnbd_fit.compress(histories))
    assert value == pytest.approx(by_hand, rel=1e-12)


def integrated(model: BgNbd, x: int, T: float, *, weeks: float) -> float:
    """Expected purchases of one who is alive, over a grid of (lambda, p): E[(1 - exp(-lambda p t)) / p]."""
    shape, rate = model.r + x, model.alpha + T
    # p = u^(1/a) takes the pole of the Beta density at 0 away; the mean over lambda is known.
    u = (np.arange(200_000) + 0.5) / 200_000
    p = u ** (1 / model.a)
    weight = (1 - p) ** (model.b + x - 1)
    purchases_given_p = -np.expm1(-shape * np.log1p(p * weeks / rate)) / p
    return float((purchases_given_p * weight).sum() / weight.sum())


@pytest.mark.parametrize("days", [7, 90, 365])
def test_expected_purchases_are_the_mean_over_rates_and_dropout(days: int) -> None:
    for model in MODELS[:2]:
        expected = bgnbd.expected_purchases_alive(model, SOME, days=days)
        by_hand = [
            integrated(model, x, T, weeks=days / 7)
            for x, T in zip(SOME.x.tolist(), SOME.T.tolist(), strict=True)
        ]
        assert expected == pytest.approx(by_hand, rel=2e-3)


def test_the_published_example() -> None:
    # Fader, Hardie, Lee (2005b), "Implementing the BG/NBD Model in Excel": customer 1, the next 39 weeks.
    model = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)
    assert bgnbd.expected_purchases(model, counts((2, 30.43, 38.86)), days=273)[0] == pytest.approx(
        1.226, abs=5e-4
    )


@pytest.mark.parametrize(
    "at", [BgNbd(0.4, 7.0, 1.0, 2.3), BgNbd(0.4, 7.0, 0.4, 0.6)], ids=["a = 1", "a + b = 1"]
)
def test_nothing_is_singular(at: BgNbd) -> None:
    nearby = BgNbd(at.r, at.alpha, at.a + 1e-7, at.b)
    here, there = (bgnbd.expected_purchases(model, SOME, days=365) for model in (at, nearby))
    assert np.isfinite(here).all()
    assert here == pytest.approx(there, rel=1e-5)


def test_one_time_buyers_are_alive_and_yet_may_not_come() -> None:
    one_time = counts((0, 0, 0), (0, 0, 52), (0, 0, 500))
    assert bgnbd.probability_alive(bgnbd.POPULATION, one_time).tolist() == [1.0, 1.0, 1.0]
    none = bgnbd.probability_none(bgnbd.POPULATION, one_time, days=90)
    assert none[0] < none[1] < none[2] < 1
    # ((alpha + T) / (alpha + T + N))^r by hand.
    assert none[1] == pytest.approx((59 / (59 + 90 / 7)) ** 0.4)


@pytest.mark.parametrize("model", MODELS)
def test_probabilities_are_probabilities(model: BgNbd) -> None:
    for days in (1, 90, 3650):
        for found in (
            bgnbd.probability_alive(model, SOME),
            bgnbd.probability_none(model, SOME, days=days),
            bgnbd.probability_none_alive(model, SOME, days=days),
        ):
            assert ((found >= 0) & (found <= 1)).all()


def test_too_few_repeat_buyers_take_the_parameters_of_other_shops() -> None:
    _, histories = histories_at(merchant(customers=500, purchases_each=1.0), as_of=TODAY)
    fitted = bgnbd_fit.fit(histories)
    assert fitted.model == bgnbd.POPULATION
    assert not fitted.fitted


def test_a_search_that_fails_takes_the_parameters_of_other_shops(monkeypatch: pytest.MonkeyPatch) -> None:
    _, histories = histories_at(merchant(customers=500), as_of=TODAY)
    assert bgnbd_fit.fit(histories).fitted
    monkeypatch.setattr("analytics.prediction.optimiser.ITERATIONS_MAX", 1)
    assert bgnbd_fit.fit(histories).model == bgnbd.POPULATION
