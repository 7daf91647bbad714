"""Gamma-Gamma: what a purchase day of a customer is worth.

Fader, Hardie (2013), "The Gamma-Gamma Model of Monetary Value". Amounts of one customer are Gamma(p, nu), nu ~ Gamma(q, v) over
customers, independent of how often they come. Known of a customer are x purchase days with the mean amount m.
"""

from dataclasses import dataclass

import numpy as np

from analytics.prediction.arrays import Floats, Integers, Parameters

POPULATION_P = 6.25
POPULATION_Q = 3.74


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


def population(mean: float) -> GammaGamma:
    """The spread seen in other shops around this merchant's mean amount."""
    return GammaGamma(POPULATION_P, POPULATION_Q, max(mean, 0.0) * (POPULATION_Q - 1.0) / POPULATION_P)


def expected_amount(model: GammaGamma, *, purchase_days: Integers, mean_amount: Floats) -> Floats:
    """E[amount of a purchase day | x, m], shape (n,): p (v + x m) / (p x + q - 1)."""
    x = purchase_days
    return model.p * (model.v + x * np.maximum(mean_amount, 0.0)) / (model.p * x + model.q - 1.0)
