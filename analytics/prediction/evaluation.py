"""How good predictions were, whether a new model may replace the current one, and whether the current one drifts."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from analytics.prediction.arrays import Booleans, Floats, Integers

Metrics = dict[str, float]

CALIBRATION_BINS = 10
SCORE_BINS = 10
DRIFT_MEAN_MAX = 0.05
DRIFT_AUC_DROP_MAX = 0.03
DRIFT_PSI_MAX = 0.2
# Shares of empty bins, so that their logarithm exists.
SHARE_MIN = 1e-4


def auc(score: Floats, outcome: Booleans) -> float | None:
    """The chance that one who had the outcome has the higher score, ties half; None without both outcomes. Shape (n,) both."""
    positives = int(outcome.sum())
    negatives = len(outcome) - positives
    if not positives or not negatives:
        return None
    values, place = np.unique(score, return_inverse=True)
    counts = np.bincount(place, minlength=len(values))
    ranks = np.cumsum(counts) - (counts - 1) / 2
    above = float(ranks[place[outcome]].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def brier(probability: Floats, outcome: Booleans) -> float:
    """The mean squared difference of probability and outcome, n >= 1."""
    return float(np.mean((probability - outcome) ** 2))


def classification(probability: Floats, outcome: Booleans, *, ranking: Floats | None = None) -> Metrics:
    """Metrics of predicted probabilities, empty without customers.

    "customers", "brier", "mean_predicted", "mean_observed", and "auc" where it is defined.
    ranking: what the AUC is of, when that is not the probability.
    """
    if not len(outcome):
        return {}
    found: Metrics = {
        "customers": float(len(outcome)),
        "brier": brier(probability, outcome),
        "mean_predicted": float(probability.mean()),
        "mean_observed": float(outcome.mean()),
    }
    area = auc(probability if ranking is None else ranking, outcome)
    return found if area is None else {**found, "auc": area}


def naive_churn(recency_days: Floats | Integers, outcome: Booleans, *, horizon_days: int) -> Metrics:
    """Metrics of the shopkeeper's rule: who has been away longest is likeliest to be lost, for more than N days is."""
    away = (recency_days > horizon_days).astype(np.float64)
    return classification(away, outcome, ranking=recency_days.astype(np.float64))


def calibration(probability: Floats, outcome: Booleans) -> list[Metrics]:
    """Tenths of the customers by rising probability: "mean" predicted, "observed" share, "customers"."""
    order = np.argsort(probability, kind="stable")
    return [
        {
            "mean": float(probability[part].mean()),
            "observed": float(outcome[part].mean()),
            "customers": float(len(part)),
        }
        for part in np.array_split(order, CALIBRATION_BINS)
        if len(part)
    ]


def amounts(predicted: Floats, actual: Floats) -> Metrics:
    """Metrics of predicted amounts of shape (n,), money or purchase days; empty without customers.

    "rmse", "mae"; "total_ratio": predicted / actual total, and "top_decile_share": the share of the actual total spent by the
    tenth with the highest predictions, both only where something was spent.
    """
    n = len(actual)
    if not n:
        return {}
    found: Metrics = {
        "customers": float(n),
        "rmse": float(np.sqrt(np.mean((predicted - actual) ** 2))),
        "mae": float(np.mean(np.abs(predicted - actual))),
        "total_predicted": float(predicted.sum()),
        "total_actual": float(actual.sum()),
    }
    total = found["total_actual"]
    if total > 0:
        top = np.argsort(-predicted, kind="stable")[: -(-n // 10)]
        found["total_ratio"] = found["total_predicted"] / total
        found["top_decile_share"] = float(actual[top].sum()) / total
    return found


def score_shares(probability: Floats) -> list[float]:
    """The shares of customers whose probability is in [0, .1), [.1, .2) ... [.9, 1]; empty without customers."""
    if not len(probability):
        return []
    counts, _ = np.histogram(probability, bins=SCORE_BINS, range=(0.0, 1.0))
    shares: list[float] = (counts / len(probability)).tolist()
    return shares


def population_stability(reference: Sequence[float], now: Sequence[float]) -> float:
    """The population stability index of two lists of shares: sum (now - reference) ln(now / reference); 0 if one is empty."""
    if not len(reference) or not len(now):
        return 0.0
    q, p = (np.maximum(np.asarray(shares, dtype=np.float64), SHARE_MIN) for shares in (reference, now))
    return float(((p - q) * np.log(p / q)).sum())


@dataclass(frozen=True, slots=True)
class Promotion:
    """Whether a candidate becomes the current model, and why in one sentence."""

    promoted: bool
    reason: str


def promotable(candidate: Metrics, current: Metrics | None, rule: Metrics) -> Promotion:
    """Compare metrics of the same customers in the same window.

    AUC and Brier score must not be worse than the naive rule's nor than the current model's; for amounts the mean absolute error
    must not be worse than the current model's. What one of them lacks (no closed window, one outcome only) is not compared.
    """
    for name, other, keys in (
        ("the naive rule", rule, (("auc", 1), ("brier", -1))),
        ("the current model", current or {}, (("auc", 1), ("brier", -1), ("mae", -1))),
    ):
        for key, direction in keys:
            if key in candidate and key in other and direction * (candidate[key] - other[key]) < 0:
                return Promotion(
                    False, f"{_LABELS[key]} {candidate[key]:.4g}; that of {name} is {other[key]:.4g}."
                )
    return Promotion(True, "Not worse than the naive rule nor the current model.")


_LABELS = {"auc": "AUC", "brier": "Brier score", "mae": "Mean absolute error"}


class Drift(StrEnum):
    MEAN = "mean"
    AUC = "auc"
    SCORES = "scores"


def drift(
    *,
    reference: Metrics,
    now: Metrics,
    reference_shares: Sequence[float] = (),
    shares: Sequence[float] = (),
) -> list[Drift]:
    """What of the current model has drifted.

    reference: its metrics when it was trained; now: those on the latest closed window; shares: of its scores, then and now.
    MEAN: predicted and observed churn differ by more than .05; AUC: fell by more than .03; SCORES: PSI above .2.
    """
    found: list[Drift] = []
    if now and abs(now["mean_predicted"] - now["mean_observed"]) > DRIFT_MEAN_MAX:
        found.append(Drift.MEAN)
    if "auc" in reference and "auc" in now and reference["auc"] - now["auc"] > DRIFT_AUC_DROP_MAX:
        found.append(Drift.AUC)
    if population_stability(reference_shares, shares) > DRIFT_PSI_MAX:
        found.append(Drift.SCORES)
    return found
