"""Gamma-Gamma: what a purchase day of a customer is worth.

Fader, Hardie (2013), "The Gamma-Gamma Model of Monetary Value". Amounts of one customer are Gamma(p, nu), nu ~ Gamma(q, v) over
customers, independent of how often they come. Known of a customer are x purchase days with the mean amount m.
"""

import math
from dataclasses import dataclass

import numpy as np

from analytics.prediction.arrays import Floats, Integers, Parameters
from analytics.prediction.optimiser import maximise
from analytics.prediction.special import digamma, log_gamma, trigamma

# What other shops come near to: the spread of amounts within and between customers.
POPULATION_P = 6.25
POPULATION_Q = 3.74
# Fewer customers with amounts say too little of the spread.
CUSTOMERS_MIN = 50
# As for BG/NBD, on the logarithms of p, q - 1 and v.
PRIOR_PRECISION = 1e-3
STARTS = ((6.25, 3.74), (2.0, 2.5), (1.0, 10.0), (30.0, 5.0))
# p, q - 1 (so that the population's mean exists) and v in units of the mean amount.
LOWER = np.log([1e-2, 1e-2, 1e-4])
UPPER = np.log([1e4, 1e3, 1e4])


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """Parameters; v in money. The population's mean p v / (q - 1) exists, for q > 1 always."""

    p: float
    q: float
    v: float

    @property
    def mean(self) -> float:
        """The expected amount of a purchase day of somebody unknown."""
        return self.p * self.v / (self.q - 1.0)

    def to_parameters(self) -> Parameters:
        return {"p": self.p, "q": self.q, "v": self.v}

    @classmethod
    def from_parameters(cls, parameters: Parameters) -> "GammaGamma":
        return cls(p=float(parameters["p"]), q=float(parameters["q"]), v=float(parameters["v"]))


@dataclass(frozen=True, slots=True)
class GammaGammaFit:
    """fitted: False when `model` is the population's spread around this merchant's mean amount.

    log_likelihood: of the customers with amounts; 0 without any.
    """

    model: GammaGamma
    fitted: bool
    log_likelihood: float


def population(mean: float) -> GammaGamma:
    """The spread seen in other shops around this merchant's mean amount."""
    return GammaGamma(POPULATION_P, POPULATION_Q, max(mean, 0.0) * (POPULATION_Q - 1.0) / POPULATION_P)


def expected_amount(model: GammaGamma, *, purchase_days: Integers, mean_amount: Floats) -> Floats:
    """E[amount of a purchase day | x, m], shape (n,); equation (5) of the note: p (v + x m) / (p x + q - 1)."""
    x = purchase_days
    return model.p * (model.v + x * np.maximum(mean_amount, 0.0)) / (model.p * x + model.q - 1.0)


def log_likelihood(
    model: GammaGamma, *, purchase_days: Integers, mean_amount: Floats
) -> tuple[float, Floats, Floats]:
    """ln L, its gradient (3,) and Hessian (3, 3) in (p, q, v); x >= 1 and m > 0 of shape (n,). Equation (1a) of the note:

    ln L = lnGamma(px+q) - lnGamma(px) - lnGamma(q) + q ln v + (px-1) ln m + px ln x - (px+q) ln(v + x m).
    """
    p, q, v = model.p, model.q, model.v
    sums = mean_amount * purchase_days
    # What depends on the amounts, summed by x: the Gamma functions are needed once for each x only.
    by_x = np.bincount(purchase_days)
    xs = np.flatnonzero(by_x)
    count = by_x[xs].astype(np.float64)
    at = v + sums
    inverse = 1.0 / at
    log_m, log_at, inverse_1, inverse_2 = (
        np.bincount(purchase_days, weights=part)[xs]
        for part in (np.log(mean_amount), np.log(at), inverse, inverse * inverse)
    )
    n = float(count.sum())
    px = p * xs
    shape = px + q
    q_only = np.array([q])
    value = (
        count @ (log_gamma(shape) - log_gamma(px) + px * np.log(xs))
        + n * (q * math.log(v) - math.lgamma(q))
        + (px - 1.0) @ log_m
        - shape @ log_at
    )
    psi_shape, psi_px = digamma(shape), digamma(px)
    gradient = np.array(
        [
            (count * xs) @ (psi_shape - psi_px + np.log(xs)) + xs @ (log_m - log_at),
            count @ psi_shape - n * digamma(q_only)[0] + n * math.log(v) - log_at.sum(),
            n * q / v - shape @ inverse_1,
        ]
    )
    tri_shape = trigamma(shape)
    pp = (count * xs * xs) @ (tri_shape - trigamma(px))
    pq = (count * xs) @ tri_shape
    pv = -(xs @ inverse_1)
    qq = count @ tri_shape - n * trigamma(q_only)[0]
    qv = n / v - inverse_1.sum()
    vv = shape @ inverse_2 - n * q / v**2
    return float(value), gradient, np.array([[pp, pq, pv], [pq, qq, qv], [pv, qv, vv]])


def fit(
    *, purchase_days: Integers, mean_amount: Floats, prior_precision: float = PRIOR_PRECISION
) -> GammaGammaFit:
    """The most likely parameters for customers with x purchase days of the mean amount m, both of shape (n,).

    Customers without a purchase day or with nothing spent are left out. With fewer than CUSTOMERS_MIN others, or when the
    search finds no maximum, the population's spread around the mean amount. Never raises.
    """
    usable = (purchase_days > 0) & np.isfinite(mean_amount) & (mean_amount > 0)
    x, m = purchase_days[usable], mean_amount[usable]
    if not len(x):
        return GammaGammaFit(population(0.0), False, 0.0)
    scale = float((m * x).sum() / x.sum())
    # One currency is not another's size: the search and the prior work with amounts in units of their mean.
    m = m / scale
    # An amount is scaled, so its density is too.
    log_scale = len(m) * math.log(scale)
    centre = _theta(population(1.0))

    def posterior(theta: Floats) -> tuple[float, Floats, Floats]:
        natural = np.exp(theta)
        value, gradient, hessian = log_likelihood(_model(theta), purchase_days=x, mean_amount=m)
        gradient = gradient * natural
        hessian = hessian * np.outer(natural, natural) + np.diag(gradient)
        off = theta - centre
        return (
            value - 0.5 * prior_precision * float(off @ off),
            gradient - prior_precision * off,
            hessian - prior_precision * np.eye(3),
        )

    model, fitted = population(1.0), False
    if len(x) >= CUSTOMERS_MIN:
        thetas = [_theta(GammaGamma(p, q, (q - 1.0) / p)) for p, q in STARTS]
        start = max(thetas, key=lambda theta: posterior(theta)[0])
        found = maximise(posterior, start, lower=LOWER, upper=UPPER)
        if found.converged:
            model, fitted = _model(found.theta), True
    value = log_likelihood(model, purchase_days=x, mean_amount=m)[0] - log_scale
    return GammaGammaFit(GammaGamma(model.p, model.q, model.v * scale), fitted, value)


def _theta(model: GammaGamma) -> Floats:
    return np.log([model.p, model.q - 1.0, model.v])


def _model(theta: Floats) -> GammaGamma:
    p, q_above_one, v = np.exp(theta).tolist()
    return GammaGamma(p=p, q=1.0 + q_above_one, v=v)
