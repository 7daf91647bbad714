"""Learning who will not come back: the ladder from other shops' parameters to a model of one's own."""

from dataclasses import dataclass

import numpy as np

from analytics.prediction import bgnbd, bgnbd_fit, logistic
from analytics.prediction.arrays import Booleans, Floats, Integers
from analytics.prediction.churn import ChurnModel, Method, frequency_log_odds
from analytics.prediction.features import (
    CustomerHistories,
    PurchaseTable,
    feature_matrix,
    histories_at,
    population_gap_days,
)

FITTED_FROM_CUSTOMERS = 50
BLEND_FROM_CUSTOMERS = 200
BLEND_CLASS_MIN = 50
SNAPSHOTS_MAX = 4
SNAPSHOT_STEP_DAYS = 91
# Customers a regression learns from; of more, every k-th is taken. Four snapshots of them are 200,000 rows.
REGRESSION_CUSTOMERS_MAX = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRows:
    """What was known of customers at cut-offs and whether they stayed away; matrix (n, features), churned (n,)."""

    cut_offs: tuple[int, ...]
    matrix: Floats
    churned: Booleans


def stayed_away(table: PurchaseTable, customers: Integers, *, cut_off: int, horizon_days: int) -> Booleans:
    """Which of `customers` (indices) have no purchase in (cut_off, cut_off + horizon_days], shape (len(customers),)."""
    window = (table.day > cut_off) & (table.day <= cut_off + horizon_days)
    came = np.zeros(table.customers, dtype=np.bool_)
    came[table.customer[window]] = True
    return ~came[customers]


def training_rows(
    table: PurchaseTable, *, as_of: int, horizon_days: int, gap_prior_days: float
) -> TrainingRows:
    """Up to four snapshots a quarter apart, the latest N days before `as_of`, so that every outcome is known by then.

    A snapshot needs N days of history before it. All customers who had bought by a snapshot's cut-off are in it.
    """
    first = table.first_day
    cut_offs: list[int] = []
    matrices: list[Floats] = []
    outcomes: list[Booleans] = []
    for number in range(SNAPSHOTS_MAX if first is not None else 0):
        cut_off = as_of - horizon_days - number * SNAPSHOT_STEP_DAYS
        if first is None or cut_off - first < horizon_days:
            break
        customers, histories = histories_at(table, as_of=cut_off)
        cut_offs.append(cut_off)
        matrices.append(feature_matrix(histories, gap_prior_days=gap_prior_days))
        outcomes.append(stayed_away(table, customers, cut_off=cut_off, horizon_days=horizon_days))
    if not cut_offs:
        return TrainingRows((), np.empty((0, 0)), np.empty(0, dtype=np.bool_))
    return TrainingRows(tuple(cut_offs), np.concatenate(matrices), np.concatenate(outcomes))


def learn(table: PurchaseTable, *, as_of: int, horizon_days: int) -> ChurnModel:
    """The highest rung the purchases up to `as_of` carry; later ones change nothing. Never raises.

    Under 50 customers or 2 N days of history: parameters of other shops. From 50: BG/NBD fitted. From 200 with at least 50
    training rows of each outcome: the mean of the log-odds of BG/NBD and of a logistic regression.
    """
    _, histories = histories_at(table, as_of=as_of)
    first = table.first_day
    gap_prior_days = population_gap_days(histories)
    frequency, method = bgnbd.POPULATION, Method.FIXED
    if first is not None and len(histories) >= FITTED_FROM_CUSTOMERS and as_of - first >= 2 * horizon_days:
        fitted = bgnbd_fit.fit(histories)
        if fitted.fitted:
            frequency, method = fitted.model, Method.FITTED
    regression = None
    if method is Method.FITTED and len(histories) >= BLEND_FROM_CUSTOMERS:
        regression = _regression(table, as_of=as_of, horizon_days=horizon_days, gap_prior_days=gap_prior_days)
    silence_mean, frequency_mean = _means(frequency, histories, horizon_days=horizon_days)
    return ChurnModel(
        method=method if regression is None else Method.BLEND,
        horizon_days=horizon_days,
        frequency=frequency,
        silence_mean=silence_mean,
        frequency_mean=frequency_mean,
        gap_prior_days=gap_prior_days,
        regression=regression,
    )


def _regression(
    table: PurchaseTable, *, as_of: int, horizon_days: int, gap_prior_days: float
) -> logistic.LogisticRegression | None:
    every = -(-table.customers // REGRESSION_CUSTOMERS_MAX)
    rows = training_rows(
        table.every(every), as_of=as_of, horizon_days=horizon_days, gap_prior_days=gap_prior_days
    )
    churned = int(rows.churned.sum())
    if min(churned, len(rows.churned) - churned) < BLEND_CLASS_MIN:
        return None
    return logistic.fit(rows.matrix, rows.churned)


def _means(frequency: bgnbd.BgNbd, histories: CustomerHistories, *, horizon_days: int) -> tuple[float, float]:
    if not len(histories):
        return 0.0, 0.0
    silence, then = frequency_log_odds(frequency, histories, horizon_days=horizon_days)
    return float(silence.mean()), float(then.mean())
