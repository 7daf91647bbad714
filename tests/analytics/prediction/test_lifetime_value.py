import numpy as np
import pytest

from analytics.prediction import bgnbd, gamma_gamma, lifetime_value, training
from analytics.prediction.churn import Method
from analytics.prediction.features import histories_at
from analytics.prediction.lifetime_value import LifetimeValueModel
from analytics.prediction.training import Kind, Window
from tests.analytics.prediction.merchants import TODAY, merchant, purchases_of
from tests.data import purchases

MODEL = LifetimeValueModel(
    method=Method.FITTED,
    frequency=bgnbd.BgNbd(r=0.6, alpha=6.0, a=0.3, b=2.5),
    amount_method=Method.FITTED,
    amount=gamma_gamma.GammaGamma(p=4.0, q=4.0, v=30.0),
)


def test_value_is_purchases_times_amount() -> None:
    _, histories = histories_at(merchant(customers=50), as_of=TODAY)
    found = lifetime_value.score(MODEL, histories)
    assert found.horizons_days == (90, 180, 365)
    assert found.value == pytest.approx(found.purchases * found.amount[:, np.newaxis])
    assert (np.diff(found.purchases, axis=1) >= 0).all()
    assert (found.low <= found.high).all()
    assert (np.diff(found.high, axis=1) >= -1e-9).all()
    assert found.purchase_days.tolist() == histories.purchase_days.tolist()


@pytest.mark.parametrize("bought", [1, 2, 6, 25], ids=lambda days: f"{days} days")
def test_the_interval_against_simulated_customers(bought: int) -> None:
    """Of customers drawn from the models, nine in ten spend at most `high`, and nine in ten at least `low`."""
    gap = 21
    table = purchases_of(*range(TODAY - 14 - gap * (bought - 1), TODAY - 13, gap), amount=40.0)
    _, histories = histories_at(table, as_of=TODAY)
    found = lifetime_value.score(MODEL, histories, horizons_days=(365,))
    random = np.random.default_rng(7)
    n, weeks = 40_000, 365 / 7
    x, T = bought - 1, float(histories.tenure[0]) / 7
    alive = random.random(n) < found.alive[0]
    rate = random.gamma(MODEL.frequency.r + x, 1 / (MODEL.frequency.alpha + T), n)
    leaves = random.beta(MODEL.frequency.a, MODEL.frequency.b + x, n)
    number = np.minimum(random.poisson(rate * weeks), random.geometric(np.maximum(leaves, 1e-9)))
    number = np.where(alive, number, 0)
    nu = random.gamma(MODEL.amount.p * bought + MODEL.amount.q, 1 / (MODEL.amount.v + bought * 40.0), n)
    spend = np.where(number > 0, random.gamma(MODEL.amount.p * np.maximum(number, 1)) / nu, 0.0)
    assert found.purchases[0, 0] == pytest.approx(number.mean(), rel=0.03)
    assert found.value[0, 0] == pytest.approx(spend.mean(), rel=0.03)
    assert (spend > found.high[0, 0]).mean() == pytest.approx(0.1, abs=0.02)
    below = (spend < found.low[0, 0]).mean()
    assert below == pytest.approx(0.1, abs=0.03) or (found.low[0, 0] == 0 and (spend == 0).mean() >= 0.1)


@pytest.mark.parametrize(
    ("load", "until"),
    [(purchases.cdnow, purchases.CDNOW_UNTIL), (purchases.online_retail, purchases.ONLINE_RETAIL_UNTIL)],
    ids=["CDNOW", "Online Retail II"],
)
@pytest.mark.parametrize("days", [90, 180])
def test_the_interval_on_public_data(load, until: int, days: int) -> None:
    run = training.train(load(), as_of=until, horizon_days=days, kind=Kind.LIFETIME_VALUE)
    assert run.method is Method.FITTED
    assert 0.8 <= run.metrics["interval_coverage"] <= 0.95
    assert run.metrics["above_interval"] <= 0.15
    assert run.metrics["mae"] < run.rule_metrics["mae"]
    assert run.metrics["top_decile_share"] > run.rule_metrics["top_decile_share"]


def test_small_merchants_take_the_parameters_of_other_shops() -> None:
    model = lifetime_value.learn(merchant(customers=49, amount=20.0), as_of=TODAY, horizon_days=90)
    assert (model.method, model.amount_method) == (Method.FIXED, Method.FIXED)
    assert model.frequency == bgnbd.POPULATION
    assert model.amount.mean == pytest.approx(20.0)
    model = lifetime_value.learn(merchant(customers=60, days=100), as_of=TODAY, horizon_days=90)
    assert (model.method, model.amount_method) == (Method.FIXED, Method.FITTED)


def test_who_spends_nothing_is_worth_nothing() -> None:
    _, histories = histories_at(purchases_of(TODAY - 60, TODAY - 30, amount=0.0), as_of=TODAY)
    model = lifetime_value.learn(merchant(customers=60, amount=0.0), as_of=TODAY, horizon_days=90)
    found = lifetime_value.score(model, histories)
    assert found.value.tolist() == [[0.0] * 3]
    assert found.high.tolist() == [[0.0] * 3]


def test_metrics_are_of_the_window() -> None:
    table = purchases_of(TODAY - 400, TODAY - 300, TODAY - 10, TODAY - 5, amount=30.0)
    window = Window(cut_off=TODAY - 90, until=TODAY - 6, customers=1)
    run = training.train(table, as_of=TODAY - 90, horizon_days=90, kind=Kind.LIFETIME_VALUE)
    found = training.evaluate(run.parameters, table, window=window)
    assert found.metrics["total_actual"] == 30.0
    assert found.active_metrics == {}
