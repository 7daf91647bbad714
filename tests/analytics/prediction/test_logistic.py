import numpy as np
import pytest

from analytics.prediction import logistic
from analytics.prediction.special import logistic as sigmoid


def rows(n: int, *, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    matrix = random.normal(5.0, [1.0, 10.0, 0.1], (n, 3))
    odds = (matrix - 5.0) @ [1.5, -0.1, 0.0] - 0.7
    return matrix, random.random(n) < sigmoid(odds)


def test_the_true_weights_are_found() -> None:
    model = logistic.fit(*rows(50_000), penalty=1.0)
    assert model is not None
    assert model.weights / model.scales == pytest.approx([1.5, -0.1, 0.0], abs=0.15)


@pytest.mark.parametrize("penalty", [0.1, 30.0])
@pytest.mark.parametrize("n", [60, 30_000])
def test_no_other_weights_have_a_smaller_loss(n: int, penalty: float) -> None:
    matrix, outcome = rows(n)
    model = logistic.fit(matrix, outcome, penalty=penalty)
    assert model is not None

    def loss(intercept: float, weights: np.ndarray) -> float:
        odds = intercept + (matrix - model.means) / model.scales @ weights
        return float((np.logaddexp(0, odds) - outcome * odds).sum() + penalty / 2 * weights @ weights)

    least = loss(model.intercept, model.weights)
    random = np.random.default_rng(2)
    for size in (1e-1, 1e-2):
        for _ in range(10):
            off = size * random.normal(size=4)
            assert loss(model.intercept + off[0], model.weights + off[1:]) > least


@pytest.mark.parametrize(
    "outcome",
    [np.ones(40, dtype=bool), np.zeros(40, dtype=bool), np.arange(40) >= 20],
    ids=["all", "none", "separable"],
)
def test_outcomes_without_a_maximum_of_their_own(outcome: np.ndarray) -> None:
    matrix = np.stack([np.arange(40.0), np.full(40, 7.0)], axis=1)
    model = logistic.fit(matrix, outcome)
    assert model is not None
    assert np.isfinite([model.intercept, *model.weights]).all()
    assert model.weights[1] == 0.0


def test_contributions_add_up_to_the_log_odds() -> None:
    matrix, outcome = rows(500)
    model = logistic.fit(matrix, outcome)
    assert model is not None
    odds = model.intercept + model.contributions(matrix).sum(axis=1)
    assert sigmoid(odds).mean() == pytest.approx(outcome.mean(), abs=1e-4)


def test_figures_far_from_training_are_drawn_in() -> None:
    model = logistic.fit(*rows(500))
    assert model is not None
    far, edge = (model.contributions(np.full((1, 3), figure)) for figure in (1e300, 1e3))
    assert far.tolist() == edge.tolist()
