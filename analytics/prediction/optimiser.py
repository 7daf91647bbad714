"""Newton's method for a handful of parameters."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analytics.prediction.arrays import Floats

ITERATIONS_MAX = 100
HALVINGS_MAX = 30
# The longest step in any one (logarithmic) parameter.
STEP_MAX = 2.0
# Twice the expected gain of one more step, in units of the log-likelihood: nothing a statistician would see. Of large ones, what
# rounding leaves of them.
GAIN_MIN = 1e-9
GAIN_RELATIVE_MIN = 1e-13

# theta -> value, gradient of shape (k,), Hessian of shape (k, k).
Objective = Callable[[Floats], tuple[float, Floats, Floats]]


@dataclass(frozen=True, slots=True, eq=False)
class Maximum:
    theta: Floats
    value: float
    converged: bool
    iterations: int


def maximise(objective: Objective, start: Floats, *, lower: Floats, upper: Floats) -> Maximum:
    """A local maximum within the box; `converged` is False when it was not reached or a figure was not finite. Never raises.

    Newton's direction with the Hessian's eigenvalues made negative (so it always leads uphill), halved until the objective
    rises enough (Armijo). Parameters that would leave the box stay at its edge.
    """
    with np.errstate(all="ignore"):
        theta = np.clip(start, lower, upper)
        value, gradient, hessian = objective(theta)
        for iteration in range(ITERATIONS_MAX):
            if not (np.isfinite(value) and np.isfinite(gradient).all() and np.isfinite(hessian).all()):
                return Maximum(theta, value, False, iteration)
            free = ~(((theta <= lower) & (gradient < 0)) | ((theta >= upper) & (gradient > 0)))
            step = np.zeros_like(theta)
            step[free] = _uphill(gradient[free], hessian[np.ix_(free, free)])
            gain = float(gradient @ step)
            if gain < GAIN_MIN + GAIN_RELATIVE_MIN * abs(value):
                return Maximum(theta, value, True, iteration)
            step *= min(1.0, STEP_MAX / float(np.abs(step).max()))
            gain = float(gradient @ step)
            length = 1.0
            for _ in range(HALVINGS_MAX):
                trial = np.clip(theta + length * step, lower, upper)
                found = objective(trial)
                if found[0] >= value + 1e-4 * length * gain:
                    break
                length /= 2
            else:
                # As near as rounding lets us come, unless there was still something to gain.
                return Maximum(theta, value, gain < 1e-6 * (1.0 + abs(value)), iteration)
            theta, (value, gradient, hessian) = trial, found
    return Maximum(theta, value, False, ITERATIONS_MAX)


def _uphill(gradient: Floats, hessian: Floats) -> Floats:
    if not len(gradient):
        return gradient
    curvatures, directions = np.linalg.eigh(-hessian)
    floor = 1e-9 * max(float(np.abs(curvatures).max()), 1e-9)
    return directions @ (directions.T @ gradient / np.maximum(np.abs(curvatures), floor))
