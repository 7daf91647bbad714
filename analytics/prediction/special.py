"""Special functions that numpy lacks, for positive arguments, elementwise."""

import math

import numpy as np

from analytics.prediction.arrays import Floats, Integers

# The asymptotic series of digamma and trigamma are exact to 1e-13 from here.
_ASYMPTOTIC_FROM = 10


def log_gamma(z: Floats) -> Floats:
    """ln Gamma(z), z > 0; for short arrays."""
    return np.array([math.lgamma(value) for value in z.tolist()])


def digamma(z: Floats) -> Floats:
    """d ln Gamma / dz; Abramowitz, Stegun (1964) 6.3.5 and 6.3.18."""
    shifted = np.asarray(z, dtype=np.float64)
    below = np.zeros_like(shifted)
    for _ in range(_ASYMPTOTIC_FROM):
        below = below + 1.0 / shifted
        shifted = shifted + 1.0
    w = 1.0 / (shifted * shifted)
    series = w * (1 / 12 - w * (1 / 120 - w * (1 / 252 - w * (1 / 240 - w * (1 / 132)))))
    return np.log(shifted) - 0.5 / shifted - series - below


def trigamma(z: Floats) -> Floats:
    """d2 ln Gamma / dz2; Abramowitz, Stegun (1964) 6.4.6 and 6.4.12."""
    shifted = np.asarray(z, dtype=np.float64)
    below = np.zeros_like(shifted)
    for _ in range(_ASYMPTOTIC_FROM):
        below = below + 1.0 / (shifted * shifted)
        shifted = shifted + 1.0
    w = 1.0 / (shifted * shifted)
    series = w * (1 / 6 - w * (1 / 30 - w * (1 / 42 - w * (1 / 30 - w * (5 / 66)))))
    return 1.0 / shifted + 0.5 * w + series / shifted + below


def log_rising(c: float, x: Integers) -> tuple[Floats, Floats, Floats]:
    """ln Gamma(c + x) - ln Gamma(c) for integers x >= 0, with its first and second derivative in c.

    Sums over k < x of log(c + k), 1 / (c + k) and -1 / (c + k)^2.
    """
    size = int(x.max()) + 1 if len(x) else 1
    steps = c + np.arange(size - 1)
    inverse = 1.0 / steps

    def upto(terms: Floats) -> Floats:
        sums = np.zeros(size)
        np.cumsum(terms, out=sums[1:])
        return sums[x]

    return upto(np.log(steps)), upto(inverse), upto(-inverse * inverse)


def logistic(log_odds: Floats) -> Floats:
    """1 / (1 + exp(-log_odds)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * log_odds))


def log_odds(probability: Floats, *, margin: float = 1e-9) -> Floats:
    """log(p / (1 - p)) of probabilities kept `margin` away from 0 and 1."""
    kept = np.clip(probability, margin, 1.0 - margin)
    return np.log(kept) - np.log1p(-kept)


def normal_quantile(probability: Floats) -> Floats:
    """The standard normal's quantile, to 5e-4: Abramowitz, Stegun (1964) 26.2.23. Nothing nearer than 1e-12 to 0 or 1."""
    p = np.clip(probability, 1e-12, 1.0 - 1e-12)
    t = np.sqrt(-2.0 * np.log(np.minimum(p, 1.0 - p)))
    tail = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (
        1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    )
    return np.where(p < 0.5, -tail, tail)
