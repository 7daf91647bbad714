"""What customers will buy and spend: BG/NBD times Gamma-Gamma."""

from dataclasses import dataclass

import numpy as np

from analytics.prediction import bgnbd, gamma_gamma
from analytics.prediction.arrays import Floats
from analytics.prediction.features import CustomerHistories

HORIZONS_DAYS = (90, 180, 365)
INTERVAL = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class LifetimeValues:
    """One row per customer. Columns of shape (n, horizons) follow `horizons_days`; money in the merchant's currency.

    purchases: expected purchase days; value: expected spend; low, high: an 80 % interval of the spend;
    alive: P(alive); amount: expected spend of a purchase day, both of shape (n,).
    """

    horizons_days: tuple[int, ...]
    alive: Floats
    amount: Floats
    purchases: Floats
    value: Floats
    low: Floats
    high: Floats


def lifetime_values(
    frequency: bgnbd.BgNbd,
    spend: gamma_gamma.GammaGamma,
    histories: CustomerHistories,
    *,
    horizons_days: tuple[int, ...] = HORIZONS_DAYS,
) -> LifetimeValues:
    """Expected purchases and spend in the days after `histories.as_of`, horizon by horizon."""
    counts = bgnbd.RepeatCounts.of(histories)
    days = np.maximum(histories.purchase_days, 1)
    amount = gamma_gamma.expected_amount(spend, purchase_days=days, mean_amount=histories.total / days)
    purchases = np.stack(
        [bgnbd.expected_purchases(frequency, counts, days=horizon) for horizon in horizons_days], axis=1
    )
    value = purchases * amount[:, np.newaxis]
    return LifetimeValues(
        horizons_days=horizons_days,
        alive=bgnbd.probability_alive(frequency, counts),
        amount=amount,
        purchases=purchases,
        value=value,
        low=np.zeros_like(value),
        high=value.copy(),
    )
