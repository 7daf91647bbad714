"""Logistic regression with an L2 penalty, by Newton's method (iteratively reweighted least squares)."""

from dataclasses import dataclass

import numpy as np

from analytics.prediction.arrays import Booleans, Floats, Parameters
from analytics.prediction.special import logistic

# Of half the sum of squared weights (not of the intercept) on standardised columns, against the sum of the rows' losses: weights
# are expected within +-0.2 or so. How it was chosen: ADR 0022.
PENALTY = 30.0
# The search begins with one row in ten of large tables, whose weights are near those of all.
WARM_START_FROM_ROWS = 20_000
INTERCEPT_PENALTY = 1e-6
ITERATIONS_MAX = 50
LENGTH_MIN = 1e-6
# Twice the expected gain of one more step, per row.
GAIN_MIN = 1e-9
# A column that does not vary says nothing; its weight would be noise over zero.
SCALE_MIN = 1e-9
# Standardised figures further out are drawn in: nobody in training was there.
STANDARDISED_MAX = 8.0
# Rows worked on together: small enough for the processor's cache, and for the linear algebra library not to start threads, which
# wait for one another where cores are shared (six times the time under load).
ROWS = 512


@dataclass(frozen=True, slots=True, eq=False)
class LogisticRegression:
    """log-odds = intercept + sum over columns of weights * (column - means) / scales; arrays of shape (columns,)."""

    intercept: float
    weights: Floats
    means: Floats
    scales: Floats

    def to_parameters(self) -> Parameters:
        return {
            "intercept": self.intercept,
            "weights": self.weights.tolist(),
            "means": self.means.tolist(),
            "scales": self.scales.tolist(),
        }

    @classmethod
    def from_parameters(cls, parameters: Parameters) -> "LogisticRegression":
        return cls(
            intercept=float(parameters["intercept"]),
            weights=np.array(parameters["weights"], dtype=np.float64),
            means=np.array(parameters["means"], dtype=np.float64),
            scales=np.array(parameters["scales"], dtype=np.float64),
        )

    def contributions(self, matrix: Floats) -> Floats:
        """What each column adds to the log-odds of a row compared with the average row of training, shape (n, columns)."""
        return _standardised(matrix, self.means, self.scales) * self.weights


def fit(matrix: Floats, outcome: Booleans, *, penalty: float = PENALTY) -> LogisticRegression | None:
    """The weights that maximise sum log p(outcome) - penalty / 2 * |weights|^2; None when the search failed. Never raises.

    matrix: shape (n, columns), not standardised, n >= 1; outcome: shape (n,).

    With p = logistic(X w) one step solves (X' W X + penalty I) d = X' (y - p) - penalty w, W = diag(p (1 - p)).
    """
    means, scales = matrix.mean(axis=0), matrix.std(axis=0)
    scales = np.where(scales > SCALE_MIN, scales, 1.0)
    design = np.ones((len(matrix), matrix.shape[1] + 1))
    design[:, 1:] = _standardised(matrix, means, scales)
    y = outcome.astype(np.float64)
    churned = float(y.sum())
    weights = np.zeros(design.shape[1])
    # Half an observation more of each outcome, so that there is a start when there is but one.
    weights[0] = np.log((churned + 0.5) / (len(y) - churned + 0.5))
    if len(y) >= WARM_START_FROM_ROWS:
        nearby = _search(design[::10], y[::10], weights, penalty / 10)
        weights = weights if nearby is None else nearby
    found = _search(design, y, weights, penalty)
    return None if found is None else LogisticRegression(float(found[0]), found[1:], means, scales)


def _search(design: Floats, y: Floats, weights: Floats, penalty: float) -> Floats | None:
    ridge = np.full(len(weights), penalty)
    # The intercept is free, but for outcomes that do not differ.
    ridge[0] = INTERCEPT_PENALTY
    with np.errstate(all="ignore"):
        loss, gradient, curvature = _loss(design, y, weights, ridge)
        for _ in range(ITERATIONS_MAX):
            step = np.linalg.solve(curvature, gradient)
            gain = float(gradient @ step)
            if not np.isfinite(gain):
                return None
            if gain < GAIN_MIN * len(y):
                return weights
            length = 1.0
            while length > LENGTH_MIN:
                trial = _loss(design, y, weights + length * step, ridge)
                if trial[0] < loss:
                    break
                length /= 2
            else:
                return None
            weights = weights + length * step
            loss, gradient, curvature = trial
    return None


def _loss(design: Floats, y: Floats, weights: Floats, ridge: Floats) -> tuple[float, Floats, Floats]:
    """The penalised loss, its negative gradient (columns,) and its Hessian (columns, columns)."""
    loss = 0.5 * float(ridge @ weights**2)
    gradient = -ridge * weights
    curvature = np.diag(ridge)
    for start in range(0, len(design), ROWS):
        rows, outcome = design[start : start + ROWS], y[start : start + ROWS]
        score = rows @ weights
        p = logistic(score)
        # log(1 + e^s) = max(s, 0) - log(max(p, 1 - p))
        loss += float((np.maximum(score, 0.0) - np.log(np.maximum(p, 1.0 - p)) - outcome * score).sum())
        gradient = gradient + (outcome - p) @ rows
        curvature = curvature + (rows * (p * (1.0 - p))[:, np.newaxis]).T @ rows
    return loss, gradient, curvature


def _standardised(matrix: Floats, means: Floats, scales: Floats) -> Floats:
    return np.clip((matrix - means) / scales, -STANDARDISED_MAX, STANDARDISED_MAX)
