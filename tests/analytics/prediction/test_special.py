import math

import numpy as np
import pytest

from analytics.prediction import special


def test_digamma_and_trigamma() -> None:
    euler = 0.5772156649015329
    assert special.digamma(np.array([1.0, 0.5, 2.0])) == pytest.approx(
        [-euler, -euler - 2 * math.log(2), 1 - euler], abs=1e-12
    )
    assert special.trigamma(np.array([1.0, 0.5])) == pytest.approx(
        [math.pi**2 / 6, math.pi**2 / 2], abs=1e-12
    )
    z = np.array([1e-2, 0.3, 4.0, 1e3])
    steps = z * 1e-5
    slope = [(math.lgamma(a + h) - math.lgamma(a - h)) / (2 * h) for a, h in zip(z, steps, strict=True)]
    assert special.digamma(z) == pytest.approx(slope, rel=1e-6)


def test_rising_logarithms() -> None:
    x = np.array([0, 1, 7, 300])
    value, first, second = special.log_rising(0.25, x)
    assert value == pytest.approx([math.lgamma(0.25 + k) - math.lgamma(0.25) for k in x], abs=1e-10)
    assert first == pytest.approx(special.digamma(0.25 + x) - special.digamma(np.array([0.25])), abs=1e-10)
    assert second == pytest.approx(special.trigamma(0.25 + x) - special.trigamma(np.array([0.25])), abs=1e-10)


def test_normal_quantiles() -> None:
    assert special.normal_quantile(np.array([0.1, 0.5, 0.975])) == pytest.approx(
        [-1.2816, 0.0, 1.95996], abs=5e-4
    )
    assert np.isfinite(special.normal_quantile(np.array([-1.0, 0.0, 1.0, 2.0]))).all()


def test_log_odds_and_back() -> None:
    assert special.logistic(special.log_odds(np.array([0.1, 0.5, 0.99]))) == pytest.approx([0.1, 0.5, 0.99])
    assert special.logistic(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]
    assert np.isfinite(special.log_odds(np.array([0.0, 1.0]))).all()
