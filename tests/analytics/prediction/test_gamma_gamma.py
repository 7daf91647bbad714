from datetime import date

import numpy as np
import pytest

from analytics.prediction import gamma_gamma
from analytics.prediction.gamma_gamma import GammaGamma
from benchmarks.predictions import repeat_spend
from tests.data import purchases

CALIBRATION_END = date(1997, 9, 30).toordinal()


def test_cdnow_sample_gives_the_published_parameters() -> None:
    x, mean = repeat_spend(purchases.cdnow_sample(), as_of=CALIBRATION_END)
    for precision in (0.0, gamma_gamma.PRIOR_PRECISION):
        fitted = gamma_gamma.fit(purchase_days=x, mean_amount=mean, prior_precision=precision)
        model = fitted.model
        assert fitted.fitted
        assert [model.p, model.q, model.v] == pytest.approx([6.2496, 3.7442, 15.4436], rel=1e-3)
        assert fitted.log_likelihood == pytest.approx(-4055.92, abs=0.005)


@pytest.mark.parametrize("model", [GammaGamma(6.25, 3.74, 15.44), GammaGamma(0.8, 1.5, 200.0)])
def test_gradient_and_hessian_are_the_slopes_of_the_likelihood(model: GammaGamma) -> None:
    random = np.random.default_rng(3)
    x, mean = random.integers(1, 30, 400), random.gamma(2.0, 20.0, 400)
    point = np.array([model.p, model.q, model.v])
    _, gradient, hessian = gamma_gamma.log_likelihood(model, purchase_days=x, mean_amount=mean)
    for place in range(3):
        step = np.zeros(3)
        step[place] = 1e-5 * point[place]
        above, below = (
            gamma_gamma.log_likelihood(GammaGamma(*(point + sign * step)), purchase_days=x, mean_amount=mean)
            for sign in (1, -1)
        )
        assert (above[0] - below[0]) / (2 * step[place]) == pytest.approx(gradient[place], rel=1e-6, abs=1e-4)
        assert (above[1] - below[1]) / (2 * step[place]) == pytest.approx(hessian[place], rel=1e-5, abs=1e-3)


def test_an_expected_amount_lies_between_the_customers_and_the_populations() -> None:
    model = GammaGamma(6.25, 3.74, 15.44)
    x = np.array([0, 1, 5, 1_000])
    expected = gamma_gamma.expected_amount(model, purchase_days=x, mean_amount=np.full(4, 80.0))
    assert expected[0] == pytest.approx(model.mean)
    assert (np.diff(expected) > 0).all()
    assert 79.9 < expected[3] < 80.0


def test_another_currency_is_another_scale_only() -> None:
    x, mean = repeat_spend(purchases.cdnow_sample(), as_of=CALIBRATION_END)
    dollars = gamma_gamma.fit(purchase_days=x, mean_amount=mean)
    yen = gamma_gamma.fit(purchase_days=x, mean_amount=mean * 150)
    assert yen.model.p == pytest.approx(dollars.model.p)
    assert yen.model.v == pytest.approx(150 * dollars.model.v)


@pytest.mark.parametrize(
    ("x", "mean", "average"),
    [
        ([], [], 0.0),
        ([3], [20.0], 20.0),
        ([1] * 80, [0.0] * 80, 0.0),
        ([2, 1], [10.0, 40.0], 20.0),
    ],
    ids=["nobody", "one", "nothing spent", "two"],
)
def test_too_little_spend_takes_the_spread_of_other_shops(
    x: list[int], mean: list[float], average: float
) -> None:
    fitted = gamma_gamma.fit(purchase_days=np.array(x, dtype=int), mean_amount=np.array(mean, dtype=float))
    assert not fitted.fitted
    assert fitted.model == gamma_gamma.population(average)
    assert fitted.model.mean == pytest.approx(average)


def test_constant_amounts_are_expected_again() -> None:
    x = np.arange(1, 201)
    fitted = gamma_gamma.fit(purchase_days=x, mean_amount=np.full(200, 9.99))
    expected = gamma_gamma.expected_amount(fitted.model, purchase_days=x, mean_amount=np.full(200, 9.99))
    assert expected == pytest.approx(9.99, rel=1e-2)
