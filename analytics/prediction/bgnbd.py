"""BG/NBD: how often customers come, and whether they still do.

Fader, Hardie, Lee (2005), "'Counting Your Customers' the Easy Way: An Alternative to the Pareto/NBD Model", Marketing
Science 24 (2). While alive a customer buys at rate lambda ~ Gamma(r, alpha); after each purchase they leave with
probability p ~ Beta(a, b).
What is known of a customer is (x, t_x, T): repeat purchase days, weeks from the first purchase to the last, and weeks from the
first until now.
"""

from dataclasses import dataclass

import numpy as np

from analytics.prediction.arrays import DAYS_PER_WEEK, Floats, Integers, Parameters
from analytics.prediction.features import CustomerHistories
from analytics.prediction.special import logistic

SERIES_TERMS_MAX = 2_000
SERIES_TOLERANCE = 1e-10
# Rows whose series are summed together: small enough for the processor's cache.
SERIES_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class BgNbd:
    """Parameters; alpha in weeks."""

    r: float
    alpha: float
    a: float
    b: float

    def to_parameters(self) -> Parameters:
        return {"r": self.r, "alpha_weeks": self.alpha, "a": self.a, "b": self.b}

    @classmethod
    def from_parameters(cls, parameters: Parameters) -> "BgNbd":
        return cls(
            r=float(parameters["r"]),
            alpha=float(parameters["alpha_weeks"]),
            a=float(parameters["a"]),
            b=float(parameters["b"]),
        )


# What shops of many kinds come near to; for merchants with too little history for parameters of their own.
POPULATION = BgNbd(r=0.4, alpha=7.0, a=0.4, b=2.3)


@dataclass(frozen=True, slots=True, eq=False)
class RepeatCounts:
    """(x, t_x, T) in purchase days and weeks; each of shape (n,), 0 <= t_x <= T, t_x = 0 where x = 0."""

    x: Integers
    t_x: Floats
    T: Floats

    @classmethod
    def of(cls, histories: CustomerHistories) -> "RepeatCounts":
        return cls(
            x=histories.repeats,
            t_x=histories.last_in_tenure / DAYS_PER_WEEK,
            T=histories.tenure / DAYS_PER_WEEK,
        )


def probability_alive(model: BgNbd, counts: RepeatCounts) -> Floats:
    """P(alive at T | x, t_x, T), shape (n,); 1 for one-time buyers.

    1 / (1 + [x > 0] a / (b + x - 1) ((alpha + T) / (alpha + t_x))^(r + x)).
    """
    return logistic(-_log_odds_gone(model, counts))


def probability_none_alive(model: BgNbd, counts: RepeatCounts, *, days: float) -> Floats:
    """P(no purchase in (T, T + days] | alive at T): ((alpha + T) / (alpha + T + N))^(r + x)."""
    return np.exp(-(model.r + counts.x) * np.log1p(days / DAYS_PER_WEEK / (model.alpha + counts.T)))


def probability_none(model: BgNbd, counts: RepeatCounts, *, days: float) -> Floats:
    """P(no purchase in (T, T + days]), shape (n,): 1 - P(alive) (1 - ((alpha + T) / (alpha + T + N))^(r + x)).

    Who has left buys no more, and who has not leaves only at a purchase; so this is exact, and unlike 1 - P(alive) says something
    of one-time buyers.
    """
    return 1.0 - probability_alive(model, counts) * (1.0 - probability_none_alive(model, counts, days=days))


def expected_purchases(model: BgNbd, counts: RepeatCounts, *, days: float) -> Floats:
    """E[purchase days in (T, T + days] | x, t_x, T], shape (n,): P(alive) times `expected_purchases_alive`."""
    return probability_alive(model, counts) * expected_purchases_alive(model, counts, days=days)


def expected_purchases_alive(model: BgNbd, counts: RepeatCounts, *, days: float) -> Floats:
    """E[purchase days in (T, T + days] | alive at T], shape (n,); equation (10) of the paper without its denominator.

    (a + b + x - 1) / (a - 1) [1 - ((alpha + T) / (alpha + T + t))^(r + x) 2F1(r + x, b + x; a + b + x - 1; z)],
    z = t / (alpha + T + t). By Euler's transformation the bracket is
    1 - (1 - z)^(a - 1) 2F1(a + b - 1 - r, a - 1; a + b + x - 1; z), two of whose parameters do not grow with x.
    Of that series every term but the first has the factor a - 1, which therefore cancels: nothing is singular at a = 1.
    """
    t = days / DAYS_PER_WEEK
    z = t / (model.alpha + counts.T + t)
    c = model.a + model.b + counts.x - 1.0
    log_rest = np.log1p(-z)
    exponent = model.a - 1.0
    if abs(exponent) > 1e-12:
        first = -np.expm1(exponent * log_rest) / exponent
    else:
        first = -log_rest
    series = _series(model.a + model.b - 1.0 - model.r, model.a, c, z)
    expected = c * first - np.exp(exponent * log_rest) * series
    # Never more than somebody who cannot leave would buy, nor less than the chance of a first purchase: rounding aside.
    most = (model.r + counts.x) * t / (model.alpha + counts.T)
    return np.clip(expected, 0.0, most)


def _series(shifted: float, a: float, c: Floats, z: Floats) -> Floats:
    """c times the sum over k >= 1 of (shifted)_k (a)_(k-1) / ((c)_k k!) z^k, which is (2F1(shifted, a - 1; c; z) - 1) / (a - 1).

    The factor c cancels against the first of (c)_k, so that c = 0 is a value like any other; c > -1. Shape (n,).
    """
    total = np.empty(len(z))
    order = np.argsort(-z, kind="stable")
    for start in range(0, len(order), SERIES_ROWS):
        rows = order[start : start + SERIES_ROWS]
        zs, cs = z[rows], c[rows]
        term = shifted * zs
        part = term.copy()
        for k in range(1, SERIES_TERMS_MAX):
            # Rows are sorted by falling z: the first ones need the most terms.
            ratio = (shifted + k) * (a + k - 1.0) / ((cs + k) * (k + 1.0)) * zs
            term = term * ratio
            part[: len(term)] += term
            going = np.flatnonzero(np.abs(term) > SERIES_TOLERANCE * (1.0 - zs))
            if not len(going):
                break
            keep = int(going[-1]) + 1
            if keep < len(term):
                term, zs, cs = term[:keep], zs[:keep], cs[:keep]
        total[rows] = part
    return total


def _log_odds_gone(model: BgNbd, counts: RepeatCounts) -> Floats:
    x = counts.x
    repeated = x > 0
    log_odds = (
        np.log(model.a)
        - np.log(model.b + np.where(repeated, x - 1.0, 0.0))
        + (model.r + x) * (np.log(model.alpha + counts.T) - np.log(model.alpha + counts.t_x))
    )
    return np.where(repeated, log_odds, -np.inf)
