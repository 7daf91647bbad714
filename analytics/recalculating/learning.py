"""Training a merchant's models, and deciding which of them are used."""

import uuid
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np

from analytics.cut_points import locked
from analytics.models import ModelRun, PromotedModel
from analytics.prediction import evaluation, training
from analytics.prediction.churn import Method
from analytics.prediction.evaluation import Promotion
from analytics.prediction.features import FEATURE_SCHEMA, PurchaseTable, histories_at
from analytics.prediction.training import Kind, ModelRunResult, Window
from analytics.recalculating.everyone import Everyone
from analytics.recalculating.figures import Models
from analytics.recalculating.sales import Sales, count_buyers
from analytics.segments import Rules

TRAINING_INTERVAL_DAYS = 7
# A model of a dozen parameters learns nothing more from the next million.
CUSTOMERS_LEARNT_FROM_MAX = 100_000
CUSTOMERS_PER_CHUNK = 5_000

UNTIL_TRAINED = "Parameters of other shops, until there is a training."
FIRST = "The first one for this horizon and these features."


def models_in_use(merchant_id: uuid.UUID, rules: Rules, *, as_of: date) -> Models:
    """The promoted models; where there is none that this release can score with, one without a training. Under `locked`."""
    promoted = _promoted(merchant_id)
    churn, value = (
        promoted.get(kind) or _untrained(merchant_id, rules, kind, as_of=as_of)
        for kind in (Kind.CHURN, Kind.LIFETIME_VALUE)
    )
    return Models(churn.pk, churn.parameters, value.pk, value.parameters)


def is_training_due(merchant_id: uuid.UUID, kind: Kind, rules: Rules, *, today: date) -> bool:
    """Whether the latest training of a kind is a week old, of another horizon or of other features, or of nobody."""
    runs = ModelRun.objects.for_merchant(merchant_id).filter(kind=kind.value)
    latest = runs.order_by("-trained_at", "-pk").first()
    return (
        latest is None
        or latest.as_of <= today - timedelta(days=TRAINING_INTERVAL_DAYS)
        or latest.horizon_days != rules.horizon_days
        or latest.feature_schema != FEATURE_SCHEMA
        or (latest.sample_size == 0 and count_buyers(merchant_id) > 0)
    )


def training_table(
    everyone: Everyone, *, buyers: int, progress: Callable[[], None] = lambda: None
) -> PurchaseTable:
    """The purchases of all customers, or of a sample of them that is the same every time. Leaves `everyone` at the beginning.

    `buyers`: about how many customers there are. `progress` is called now and then.
    """
    share = min(1.0, CUSTOMERS_LEARNT_FROM_MAX / max(1, buyers))
    customers = 0
    parts = []
    while True:
        some, sales = everyone.next(CUSTOMERS_PER_CHUNK)
        if not len(some):
            break
        chosen = np.array([_is_in(share, id_) for id_ in some.ids])
        numbers = np.where(chosen, np.cumsum(chosen) - 1, -1)
        parts.append(sales.renumbered(numbers).numbered_from(customers))
        customers += int(chosen.sum())
        progress()
    everyone.rewind()
    return Sales.joined(parts).table(customers)


def _is_in(share: float, id_: uuid.UUID) -> bool:
    """Ids end in random bits, so the share is a sample, and the same every time."""
    return (id_.int & 0xFFFF) < share * 0x10000


def learn(merchant_id: uuid.UUID, kind: Kind, rules: Rules, table: PurchaseTable, *, as_of: date) -> ModelRun:
    """Train a model on what was bought up to the end of a day; promote it when it is not worse."""
    result = training.train(table, as_of=as_of.toordinal(), horizon_days=rules.horizon_days, kind=kind)
    promoted = _promoted(merchant_id).get(kind)
    # A model of other days answers another question than is asked now: there is nothing to compare.
    current = _result_of(promoted) if promoted and promoted.horizon_days == rules.horizon_days else None
    decision = training.decide(result, current, table)
    if current is None:
        decision = Promotion(True, FIRST if decision.promoted else f"{FIRST} {decision.reason}")
    metrics, drift = _look_at(current, result, table)
    with locked(merchant_id):
        return _record(merchant_id, result, decision, current_metrics=metrics, drift=drift)


def _look_at(
    current: ModelRunResult | None, result: ModelRunResult, table: PurchaseTable
) -> tuple[dict[str, float], list[str]]:
    """How the model in use did in the latest closed window, and what of it has drifted."""
    if current is None or result.window is None:
        return {}, []
    now = training.evaluate(current.parameters, table, window=result.window).metrics
    if current.kind is not Kind.CHURN:
        return now, []
    _, histories = histories_at(table, as_of=result.as_of)
    shares = evaluation.score_shares(training.score_churn(histories, current.parameters).probability)
    drift = evaluation.drift(
        reference=current.metrics, now=now, reference_shares=current.score_shares, shares=shares
    )
    stability = evaluation.population_stability(current.score_shares, shares)
    return now, [_drift_in_words(found, current, now, stability) for found in drift]


def _drift_in_words(
    found: evaluation.Drift, current: ModelRunResult, now: dict[str, float], stability: float
) -> str:
    match found:
        case evaluation.Drift.MEAN:
            return f"{now['mean_predicted']:.0%} were predicted to stay away, {now['mean_observed']:.0%} did."
        case evaluation.Drift.AUC:
            return f"It ranks customers worse than when it was trained: AUC {now['auc']:.3f}, then {current.metrics['auc']:.3f}."
        case _:
            return f"The customers are others than those it was trained on: scores spread differently (PSI {stability:.2f})."


def _untrained(merchant_id: uuid.UUID, rules: Rules, kind: Kind, *, as_of: date) -> ModelRun:
    result = training.train(
        Sales.joined([]).table(0), as_of=as_of.toordinal(), horizon_days=rules.horizon_days, kind=kind
    )
    return _record(merchant_id, result, Promotion(True, UNTIL_TRAINED))


def _promoted(merchant_id: uuid.UUID) -> dict[Kind, ModelRun]:
    """The runs in use, of those that this release can use."""
    found = PromotedModel.objects.for_merchant(merchant_id).select_related("run")
    return {Kind(each.kind): each.run for each in found if each.run.feature_schema == FEATURE_SCHEMA}


def _record(
    merchant_id: uuid.UUID,
    result: ModelRunResult,
    decision: Promotion,
    *,
    current_metrics: dict[str, float] | None = None,
    drift: list[str] | None = None,
) -> ModelRun:
    """Keep a training for ever; and use it, when that is decided. Under `locked`."""
    window = result.window
    run: ModelRun = ModelRun.objects.create(
        merchant_id=merchant_id,
        kind=result.kind.value,
        method=result.method.value,
        as_of=date.fromordinal(result.as_of),
        horizon_days=result.horizon_days,
        sample_size=result.customers,
        feature_schema=result.feature_schema,
        parameters=result.parameters,
        window_cut_off=None if window is None else date.fromordinal(window.cut_off),
        window_until=None if window is None else date.fromordinal(window.until),
        window_size=0 if window is None else window.customers,
        metrics=result.metrics,
        active_metrics=result.active_metrics,
        rule_metrics=result.rule_metrics,
        current_metrics=current_metrics or {},
        calibration=result.calibration,
        score_shares=result.score_shares,
        horizon_suggestion_days=result.horizon_suggestion_days,
        drift=drift or [],
        verdict=decision.reason,
    )
    if decision.promoted:
        PromotedModel.objects.update_or_create(
            merchant_id=merchant_id,
            kind=result.kind.value,
            defaults={"run": run, "promoted_at": run.trained_at},
        )
    return run


def _result_of(run: ModelRun) -> ModelRunResult:
    window = None
    if run.window_cut_off is not None and run.window_until is not None:
        window = Window(run.window_cut_off.toordinal(), run.window_until.toordinal(), run.window_size)
    return ModelRunResult(
        kind=Kind(run.kind),
        method=Method(run.method),
        as_of=run.as_of.toordinal(),
        horizon_days=run.horizon_days,
        customers=run.sample_size,
        feature_schema=run.feature_schema,
        parameters=run.parameters,
        window=window,
        metrics=run.metrics,
        rule_metrics=run.rule_metrics,
        active_metrics=run.active_metrics,
        calibration=run.calibration,
        score_shares=run.score_shares,
        horizon_suggestion_days=run.horizon_suggestion_days,
    )
