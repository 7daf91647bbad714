"""One training of one kind of model, from purchases to a row of plain JSON, and the scoring that uses such a row."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from analytics.prediction import bgnbd, churn, gamma_gamma, lifetime_value
from analytics.prediction.arrays import Parameters
from analytics.prediction.features import FEATURE_SCHEMA, CustomerHistories, PurchaseTable, histories_at


class Kind(StrEnum):
    CHURN = "churn"
    LIFETIME_VALUE = "lifetime_value"


class Method(StrEnum):
    # Parameters of other shops: too little history, or nothing could be fitted.
    FIXED = "fixed"
    # BG/NBD (and for the value Gamma-Gamma) fitted to this merchant.
    FITTED = "fitted"
    # Churn only: the mean of the log-odds of BG/NBD and of a logistic regression.
    BLEND = "blend"


class FeatureSchemaMismatch(ValueError):
    """The parameters belong to other features than this code computes: train anew."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a model was tried on: trained with days up to `cut_off`, compared with what happened in (cut_off, until]."""

    cut_off: int
    until: int
    customers: int


@dataclass(frozen=True, slots=True)
class ModelRunResult:
    """What is worth keeping of a training. `as_json` and `from_json` are inverse.

    as_of: the last day learnt from (ordinal); horizon_days: N; customers: with a purchase by then;
    parameters: what scoring needs; window: the latest closed one, None when the history is too short for one;
    metrics, rule_metrics: of a model trained the same way up to the window's cut-off, and of the naive rule, on that window,
    empty without one; active_metrics: the same for the customers who had bought in the last 180 days;
    calibration: bins {"mean": predicted, "observed": share, "customers": n};
    score_shares: shares of this run's scores by tenths, for drift;
    horizon_suggestion_days: the p85 of the days between two purchases, None before anybody came twice.
    """

    kind: Kind
    method: Method
    as_of: int
    horizon_days: int
    customers: int
    feature_schema: str
    parameters: Parameters
    window: Window | None
    metrics: dict[str, float]
    rule_metrics: dict[str, float]
    active_metrics: dict[str, float]
    calibration: list[dict[str, float]]
    score_shares: list[float]
    horizon_suggestion_days: int | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "ModelRunResult":
        window = row["window"]
        return cls(
            **{
                **row,
                "kind": Kind(row["kind"]),
                "method": Method(row["method"]),
                "window": None if window is None else Window(**window),
            }
        )


def train(history: PurchaseTable, *, as_of: int, horizon_days: int, kind: Kind) -> ModelRunResult:
    """Learn from the purchases up to the end of day `as_of`; later ones change nothing. Never raises on data.

    horizon_days: N of churn; the length of the window on which the model is tried, for both kinds.
    """
    known = history.until(as_of)
    customers, histories = histories_at(known, as_of=as_of)
    parameters: Parameters = {
        "kind": kind.value,
        "method": Method.FIXED.value,
        "feature_schema": FEATURE_SCHEMA,
        "horizon_days": horizon_days,
        "bgnbd": bgnbd.POPULATION.to_parameters(),
    }
    if kind is Kind.LIFETIME_VALUE:
        days = int(histories.purchase_days.sum())
        mean = float(histories.total.sum()) / days if days else 0.0
        parameters["gamma_gamma"] = gamma_gamma.population(mean).to_parameters()
    return ModelRunResult(
        kind=kind,
        method=Method.FIXED,
        as_of=as_of,
        horizon_days=horizon_days,
        customers=len(customers),
        feature_schema=FEATURE_SCHEMA,
        parameters=parameters,
        window=None,
        metrics={},
        rule_metrics={},
        active_metrics={},
        calibration=[],
        score_shares=[],
        horizon_suggestion_days=None,
    )


def score_churn(histories: CustomerHistories, parameters: Parameters) -> churn.ChurnScores:
    """Churn of each customer as of `histories.as_of`; row by row, so chunks of customers may be scored apart.

    parameters: of a ModelRunResult of kind CHURN. Raises FeatureSchemaMismatch.
    """
    _check(parameters)
    model = bgnbd.BgNbd.from_parameters(parameters["bgnbd"])
    return churn.score_fixed(model, histories, horizon_days=int(parameters["horizon_days"]))


def score_lifetime_value(
    histories: CustomerHistories, parameters: Parameters
) -> lifetime_value.LifetimeValues:
    """Expected purchases and spend of each customer after `histories.as_of`; row by row.

    parameters: of a ModelRunResult of kind LIFETIME_VALUE. Raises FeatureSchemaMismatch.
    """
    _check(parameters)
    return lifetime_value.lifetime_values(
        bgnbd.BgNbd.from_parameters(parameters["bgnbd"]),
        gamma_gamma.GammaGamma.from_parameters(parameters["gamma_gamma"]),
        histories,
    )


def _check(parameters: Parameters) -> None:
    if parameters["feature_schema"] != FEATURE_SCHEMA:
        raise FeatureSchemaMismatch(
            f"Parameters of feature schema {parameters['feature_schema']}, code of {FEATURE_SCHEMA}."
        )
