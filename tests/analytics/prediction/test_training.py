import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.prediction import churn_training, features, training
from analytics.prediction.churn import Method
from analytics.prediction.features import CustomerHistories, PurchaseTable, histories_at, purchase_table
from analytics.prediction.training import FeatureSchemaMismatch, Kind, ModelRunResult
from tests.analytics.prediction.merchants import TODAY, merchant, purchases_of

NOBODY = purchase_table(customer=[], day=[], amount=[], quantity=[], customers=0)


def numbers_in(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers_in(inner)
    elif isinstance(value, float):
        yield value


def check(table: PurchaseTable, *, as_of: int = TODAY, horizon_days: int = 90) -> None:
    """Nothing fails, nothing is NaN or infinite, everything survives JSON, and probabilities are probabilities."""
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        for kind in Kind:
            run = training.train(table, as_of=as_of, horizon_days=horizon_days, kind=kind)
            row = run.as_json()
            assert all(math.isfinite(number) for number in numbers_in(row))
            assert ModelRunResult.from_json(json.loads(json.dumps(row, allow_nan=False))) == run
            training.decide(run, run, table)
            for day in (as_of, as_of + 400):
                _, histories = histories_at(table, as_of=day)
                check_scores(histories, json.loads(json.dumps(run.parameters)), kind)


def check_scores(histories: CustomerHistories, parameters: dict, kind: Kind) -> None:
    n = len(histories)
    if kind is Kind.CHURN:
        scores = training.score_churn(histories, parameters)
        assert scores.probability.shape == (n,)
        assert ((scores.probability > 0) & (scores.probability < 1)).all()
        assert np.isfinite(scores.contributions).all()
        return
    values = training.score_lifetime_value(histories, parameters)
    for column in (values.purchases, values.value, values.low, values.high):
        assert column.shape == (n, 3)
        assert np.isfinite(column).all()
        assert (column >= 0).all()
    assert (values.low <= values.high).all()
    assert ((values.alive >= 0) & (values.alive <= 1)).all()
    assert np.isfinite(values.amount).all()


@pytest.mark.parametrize(
    "table",
    [
        NOBODY,
        purchase_table(customer=[], day=[], amount=[], quantity=[], customers=5),
        purchases_of(TODAY),
        purchases_of(TODAY - 3, TODAY - 1),
        purchases_of(TODAY - 3650, TODAY),
        purchases_of(*range(TODAY - 3650, TODAY)),
        purchases_of(TODAY - 10, amount=0.0),
        purchases_of(TODAY + 10),
        merchant(customers=400, purchases_each=1.0),
        merchant(customers=400, amount=9.99),
        merchant(customers=400, amount=0.0),
        merchant(customers=400, amount=1e12),
        merchant(customers=400, amount=1e-6),
        merchant(customers=400, amount=-5.0),
        merchant(customers=400, days=3),
        merchant(customers=400, days=1),
        merchant(customers=400, days=3650, purchases_each=10.0),
        merchant(customers=400, days=200, purchases_each=1_000.0),
        merchant(customers=400, days=400, purchases_each=1.05),
    ],
    ids=[
        "nobody",
        "nobody who bought",
        "once, today",
        "three days",
        "twice in ten years",
        "daily for ten years",
        "an amount of 0",
        "tomorrow",
        "all one-time buyers",
        "one price",
        "all gifts",
        "great amounts",
        "small amounts",
        "all taken back",
        "three days of history",
        "one day of history",
        "ten years",
        "everybody daily",
        "hardly anybody again",
    ],
)
@pytest.mark.parametrize("horizon_days", [90, 1, 730])
def test_never_fails(table: PurchaseTable, horizon_days: int) -> None:
    check(table, horizon_days=horizon_days)


@settings(max_examples=40)
@given(
    customers=st.integers(1, 260),
    purchases_each=st.floats(1.0, 60.0),
    days=st.integers(1, 2_000),
    amount=st.none() | st.floats(0.0, 1e9),
    seed=st.integers(0, 2**32 - 1),
    horizon_days=st.integers(1, 400),
    ago=st.integers(-30, 500),
)
def test_never_fails_for_any_merchant(
    customers: int,
    purchases_each: float,
    days: int,
    amount: float | None,
    seed: int,
    horizon_days: int,
    ago: int,
) -> None:
    table = merchant(customers=customers, purchases_each=purchases_each, days=days, amount=amount, seed=seed)
    check(table, as_of=TODAY - ago, horizon_days=horizon_days)


@settings(max_examples=60)
@given(data=st.data(), n=st.integers(0, 5))
def test_columns_that_contradict_one_another_are_scored(data: st.DataObject, n: int) -> None:
    """What a database delivers while purchases are written may not fit together."""

    def integers(low: int, high: int) -> np.ndarray:
        return np.array(data.draw(st.lists(st.integers(low, high), min_size=n, max_size=n)), dtype=np.int64)

    def floats() -> np.ndarray:
        any_float = st.floats(allow_nan=True, allow_infinity=True)
        return np.array(data.draw(st.lists(any_float, min_size=n, max_size=n)), dtype=np.float64)

    counts = {f"purchases_{days}d": integers(0, 400) for days in (30, 90, 180, 365)}
    histories = CustomerHistories(
        as_of=TODAY,
        first_day=integers(TODAY - 4_000, TODAY + 5),
        last_day=integers(TODAY - 4_000, TODAY + 5),
        purchase_days=integers(0, 5_000),
        gap_sd=floats(),
        total=floats(),
        last_amount=floats(),
        spend_90d=floats(),
        quantity=floats(),
        **counts,
    )
    for kind in Kind:
        check_scores(histories, PARAMETERS[kind], kind)


PARAMETERS = {
    kind: training.train(
        merchant(customers=300, purchases_each=8.0, seed=4), as_of=TODAY, horizon_days=90, kind=kind
    ).parameters
    for kind in Kind
}


def test_parameters_of_other_features_are_refused() -> None:
    _, histories = histories_at(purchases_of(TODAY), as_of=TODAY)
    with pytest.raises(FeatureSchemaMismatch):
        training.score_churn(histories, PARAMETERS[Kind.CHURN] | {"feature_schema": "older"})
    with pytest.raises(FeatureSchemaMismatch):
        training.score_lifetime_value(
            histories, PARAMETERS[Kind.LIFETIME_VALUE] | {"feature_schema": "older"}
        )


def test_a_run() -> None:
    table = merchant(customers=400, purchases_each=8.0, seed=4)
    run = training.train(table, as_of=TODAY, horizon_days=90, kind=Kind.CHURN)
    assert (run.kind, run.method, run.as_of, run.horizon_days) == (Kind.CHURN, Method.BLEND, TODAY, 90)
    assert run.customers == 400
    assert run.feature_schema == features.FEATURE_SCHEMA
    assert run.window == training.Window(TODAY - 90, TODAY, len(histories_at(table, as_of=TODAY - 90)[0]))
    assert sum(run.score_shares) == pytest.approx(1.0)
    assert run.horizon_suggestion_days == features.horizon_suggestion(table)
    assert (
        set(run.metrics)
        == {"customers", "auc", "brier", "mean_predicted", "mean_observed"}
        == set(run.rule_metrics)
    )


def test_without_a_purchase_before_it_there_is_no_window() -> None:
    run = training.train(merchant(customers=30, days=60), as_of=TODAY, horizon_days=90, kind=Kind.CHURN)
    assert run.window is None
    assert (run.metrics, run.rule_metrics, run.active_metrics, run.calibration) == ({}, {}, {}, [])
    assert training.decide(run, None, NOBODY).promoted


def test_large_merchants_learn_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    table = merchant(customers=900, purchases_each=8.0, seed=4)
    sizes = []
    fit = churn_training.logistic.fit

    def spy(matrix: np.ndarray, churned: np.ndarray) -> object:
        sizes.append(len(matrix))
        return fit(matrix, churned)

    monkeypatch.setattr(churn_training.logistic, "fit", spy)
    churn_training.learn(table, as_of=TODAY, horizon_days=90)
    monkeypatch.setattr(churn_training, "REGRESSION_CUSTOMERS_MAX", 300)
    churn_training.learn(table, as_of=TODAY, horizon_days=90)
    assert sizes[1] < sizes[0] / 2.5


TABLE = merchant(customers=400, purchases_each=8.0, seed=4)


def run_with(
    *, as_of: int, metrics: dict[str, float] | None = None, horizon_days: int = 90, schema: str | None = None
) -> ModelRunResult:
    row = training.train(TABLE, as_of=as_of, horizon_days=horizon_days, kind=Kind.CHURN).as_json()
    row["metrics"] |= metrics or {}
    row["feature_schema"] = schema or row["feature_schema"]
    return ModelRunResult.from_json(row)


def test_a_current_model_that_has_not_seen_the_window_meets_the_trial() -> None:
    older = run_with(as_of=TODAY - 90)
    assert not training.decide(run_with(as_of=TODAY, metrics={"auc": 0.0}), older, TABLE).promoted
    # The rule aside: the trial is what counts.
    perfect = run_with(as_of=TODAY, metrics={"auc": 1.0, "brier": 0.0})
    assert training.decide(perfect, older, TABLE).promoted


def test_a_current_model_that_has_seen_the_window_meets_one_that_has_too() -> None:
    newer = run_with(as_of=TODAY - 1)
    # A trial as good as that of `perfect` above says nothing here: the candidate's own parameters are compared.
    candidate = run_with(as_of=TODAY, metrics={"auc": 1.0, "brier": 0.0})
    worse = ModelRunResult.from_json(
        candidate.as_json() | {"parameters": candidate.parameters | {"logistic": None}}
    )
    assert training.decide(candidate, candidate, TABLE).promoted
    found = training.decide(worse, newer, TABLE)
    assert not found.promoted
    assert "current model" in found.reason


@pytest.mark.parametrize(
    "other", [{"horizon_days": 60}, {"schema": "older"}], ids=["another N", "other features"]
)
def test_what_cannot_be_compared_is_not(other: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    current = run_with(as_of=TODAY - 90, **other)
    better = run_with(as_of=TODAY, metrics={"auc": 0.9, "brier": 0.0})
    worse = run_with(as_of=TODAY, metrics={"auc": 0.0})
    monkeypatch.delattr(training, "evaluate")
    assert training.decide(better, current, TABLE).promoted
    assert not training.decide(worse, current, TABLE).promoted
