"""One training of one kind of model, from purchases to a row of plain JSON, and the scoring that uses such a row."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from analytics.prediction import churn, churn_training, evaluation, lifetime_value
from analytics.prediction.arrays import Floats, Parameters
from analytics.prediction.churn import Method
from analytics.prediction.evaluation import Metrics, Promotion
from analytics.prediction.features import (
    FEATURE_SCHEMA,
    CustomerHistories,
    PurchaseTable,
    histories_at,
    horizon_suggestion,
)

# Customers who bought in so many days are the active base, whose figures stand beside those of all.
ACTIVE_DAYS = 180


class Kind(StrEnum):
    CHURN = "churn"
    LIFETIME_VALUE = "lifetime_value"


class FeatureSchemaMismatch(ValueError):
    """The parameters belong to other features than this code computes: train anew."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a model was tried on: trained with days up to `cut_off`, compared with what happened in (cut_off, until].

    customers: with a purchase by `cut_off`.
    """

    cut_off: int
    until: int
    customers: int


@dataclass(frozen=True, slots=True)
class Trial:
    """Metrics of all customers and of the active base in a window, and of the churn probabilities their calibration."""

    metrics: Metrics
    active_metrics: Metrics
    calibration: list[Metrics]


@dataclass(frozen=True, slots=True)
class ModelRunResult:
    """What is worth keeping of a training. `as_json` and `from_json` are inverse.

    as_of: the last day learnt from (ordinal); horizon_days: N; customers: with a purchase by then;
    parameters: what scoring needs; window: the latest closed one, None when there was no purchase before it;
    metrics, rule_metrics: of a model trained the same way up to the window's cut-off, and of the naive rule, on that window,
    empty without one (names: `evaluation.classification`, `evaluation.amounts`); active_metrics: the same for the customers
    who had bought in the last 180 days; calibration: bins {"mean": predicted, "observed": share, "customers": n};
    score_shares: shares of this run's churn probabilities by tenths, for drift;
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
    metrics: Metrics
    rule_metrics: Metrics
    active_metrics: Metrics
    calibration: list[Metrics]
    score_shares: list[float]
    horizon_suggestion_days: int | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"kind": self.kind.value, "method": self.method.value}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "ModelRunResult":
        window = row["window"]
        read = {
            "kind": Kind(row["kind"]),
            "method": Method(row["method"]),
            "window": None if window is None else Window(**window),
        }
        return cls(**(row | read))


def train(history: PurchaseTable, *, as_of: int, horizon_days: int, kind: Kind) -> ModelRunResult:
    """Learn from the purchases up to the end of day `as_of`; later ones change nothing. Never raises on data.

    horizon_days: N of churn, at least 1; the length of the window on which the model is tried, for both kinds.
    """
    known = history.until(as_of)
    parameters = _learn(known, as_of=as_of, horizon_days=horizon_days, kind=kind)
    _, histories = histories_at(known, as_of=as_of)
    cut_off = as_of - horizon_days
    then, past = histories_at(known, as_of=cut_off)
    window = Window(cut_off=cut_off, until=as_of, customers=len(then)) if len(then) else None
    trial, rule = Trial({}, {}, []), Metrics()
    if window is not None:
        # A model of its own that has seen nothing of the window.
        earlier = _learn(known.until(cut_off), as_of=cut_off, horizon_days=horizon_days, kind=kind)
        trial = evaluate(earlier, known, window=window)
        rule = _rule(known, window=window, kind=kind)
    shares: list[float] = []
    if kind is Kind.CHURN:
        shares = evaluation.score_shares(score_churn(histories, parameters).probability)
    return ModelRunResult(
        kind=kind,
        method=Method(parameters["method"]),
        as_of=as_of,
        horizon_days=horizon_days,
        customers=len(histories),
        feature_schema=FEATURE_SCHEMA,
        parameters=parameters,
        window=window,
        metrics=trial.metrics,
        rule_metrics=rule,
        active_metrics=trial.active_metrics,
        calibration=trial.calibration,
        score_shares=shares,
        horizon_suggestion_days=horizon_suggestion(known),
    )


def evaluate(parameters: Parameters, history: PurchaseTable, *, window: Window) -> Trial:
    """Metrics of a model on the customers with a purchase by the window's cut-off.

    Out of sample only if the model was trained by the cut-off. Raises FeatureSchemaMismatch.
    """
    customers, histories = histories_at(history, as_of=window.cut_off)
    active = histories.recency <= ACTIVE_DAYS
    if Kind(parameters["kind"]) is Kind.CHURN:
        outcome = churn_training.stayed_away(
            history, customers, cut_off=window.cut_off, horizon_days=window.until - window.cut_off
        )
        probability = score_churn(histories, parameters).probability
        return Trial(
            evaluation.classification(probability, outcome),
            evaluation.classification(probability[active], outcome[active]),
            evaluation.calibration(probability, outcome),
        )
    _check(parameters)
    values = lifetime_value.score(
        lifetime_value.LifetimeValueModel.from_parameters(parameters),
        histories,
        horizons_days=(window.until - window.cut_off,),
    )
    actual, days = _spent(history, window=window)
    actual, days = actual[customers], days[customers]
    metrics = evaluation.amounts(values.value[:, 0], actual)
    if metrics:
        inside = (actual >= values.low[:, 0]) & (actual <= values.high[:, 0])
        metrics["interval_coverage"] = float(inside.mean())
        metrics["above_interval"] = float((actual > values.high[:, 0]).mean())
        metrics["purchases_rmse"] = float(np.sqrt(np.mean((values.purchases[:, 0] - days) ** 2)))
        if days.sum() > 0:
            metrics["purchases_ratio"] = float(values.purchases[:, 0].sum() / days.sum())
    return Trial(metrics, evaluation.amounts(values.value[active, 0], actual[active]), [])


def decide(candidate: ModelRunResult, current: ModelRunResult | None, history: PurchaseTable) -> Promotion:
    """Whether `candidate` may replace `current`: compared on the candidate's window, with each other and with the naive rule.

    A current model trained by the window's cut-off is compared with the candidate's trial, neither having seen the window. One
    trained later has seen a part of it; it is compared with the candidate's own parameters, which have seen it too.
    A current model of another N or of other features cannot be compared.
    """
    window = candidate.window
    comparable = (
        current is not None
        and window is not None
        and current.horizon_days == candidate.horizon_days
        and current.feature_schema == FEATURE_SCHEMA
    )
    against_rule = evaluation.promotable(candidate.metrics, None, candidate.rule_metrics)
    if not against_rule.promoted or not comparable or current is None or window is None:
        return against_rule
    metrics = candidate.metrics
    if current.as_of > window.cut_off:
        metrics = evaluate(candidate.parameters, history, window=window).metrics
    theirs = evaluate(current.parameters, history, window=window).metrics
    return evaluation.promotable(metrics, theirs, {})


def score_churn(histories: CustomerHistories, parameters: Parameters) -> churn.ChurnScores:
    """Churn of each customer as of `histories.as_of`; row by row, so chunks of customers may be scored apart.

    parameters: of a ModelRunResult of kind CHURN. Raises FeatureSchemaMismatch.
    """
    _check(parameters)
    return churn.score(churn.ChurnModel.from_parameters(parameters), histories)


def score_lifetime_value(
    histories: CustomerHistories, parameters: Parameters
) -> lifetime_value.LifetimeValues:
    """Expected purchases and spend of each customer after `histories.as_of`; row by row.

    parameters: of a ModelRunResult of kind LIFETIME_VALUE. Raises FeatureSchemaMismatch.
    """
    _check(parameters)
    return lifetime_value.score(lifetime_value.LifetimeValueModel.from_parameters(parameters), histories)


def _learn(history: PurchaseTable, *, as_of: int, horizon_days: int, kind: Kind) -> Parameters:
    learn = churn_training.learn if kind is Kind.CHURN else lifetime_value.learn
    model = learn(history, as_of=as_of, horizon_days=horizon_days)
    return {"kind": kind.value, "feature_schema": FEATURE_SCHEMA, **model.to_parameters()}


def _rule(history: PurchaseTable, *, window: Window, kind: Kind) -> Metrics:
    """Churn: who has been silent the longest, and for more than N days. Value: everybody goes on spending as so far."""
    customers, histories = histories_at(history, as_of=window.cut_off)
    days = window.until - window.cut_off
    if kind is Kind.CHURN:
        outcome = churn_training.stayed_away(history, customers, cut_off=window.cut_off, horizon_days=days)
        return evaluation.naive_churn(histories.recency, outcome, horizon_days=days)
    predicted = histories.total / np.maximum(histories.tenure, days) * days
    return evaluation.amounts(predicted, _spent(history, window=window)[0][customers])


def _spent(history: PurchaseTable, *, window: Window) -> tuple[Floats, Floats]:
    """Money and purchase days in the window, both of shape (customers of the table,)."""
    inside = (history.day > window.cut_off) & (history.day <= window.until)
    who = history.customer[inside]
    money = np.bincount(who, weights=history.amount[inside], minlength=history.customers)
    days = np.bincount(who, minlength=history.customers)
    return money.astype(np.float64, copy=False), days.astype(np.float64)


def _check(parameters: Parameters) -> None:
    if parameters["feature_schema"] != FEATURE_SCHEMA:
        raise FeatureSchemaMismatch(
            f"Parameters of feature schema {parameters['feature_schema']}, code of {FEATURE_SCHEMA}."
        )
