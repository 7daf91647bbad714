"""How good and how fast the predictions are, against published and own references, on public data.

    python -m benchmarks.predictions [--write]

No database and no settings. Accuracy is computed from tests/data; times are the least of several runs of one process on data
drawn from the models themselves. `--write` puts the tables into benchmarks/README.md.

That no model has seen its window can be read in `analytics.prediction.training.train`: what is tried is learnt from
`history.until(cut_off)`, and its training rows (`churn_training.training_rows`) have outcomes that were known by the cut-off.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date

import numpy as np

from analytics.prediction import bgnbd, bgnbd_fit, churn, gamma_gamma, lifetime_value, logistic, training
from analytics.prediction.evaluation import amounts
from analytics.prediction.features import (
    FEATURES,
    CustomerHistories,
    PurchaseTable,
    feature_matrix,
    histories_at,
    purchase_table,
)
from analytics.prediction.training import Kind
from benchmarks import report
from tests.data import purchases

BEGIN = "<!-- measured: written by python -m benchmarks.predictions --write -->"
# The papers: 39 weeks to fit, 39 weeks to hold out.
CALIBRATION_END = date(1997, 9, 30).toordinal()
HOLDOUT_DAYS = 273
RUNS = 5

Row = list[str]


def repeat_spend(table: PurchaseTable, *, as_of: int) -> tuple[np.ndarray, np.ndarray]:
    """Repeat purchase days of each customer and their mean amount, as the Gamma-Gamma note counts: without the first day."""
    known = table.until(as_of)
    first = np.append(True, known.customer[1:] != known.customer[:-1])
    who = known.customer[~first]
    x = np.bincount(who, minlength=table.customers)
    total = np.bincount(who, weights=known.amount[~first], minlength=table.customers)
    return x, total / np.maximum(x, 1)


def references() -> Iterator[Row]:
    """Figures that have a published value, fitted without the prior."""
    table = purchases.cdnow_sample()
    customers, histories = histories_at(table, as_of=CALIBRATION_END)
    fitted = bgnbd_fit.fit(histories, prior_precision=0.0)
    model = fitted.model
    expected = bgnbd.expected_purchases(model, bgnbd.RepeatCounts.of(histories), days=HOLDOUT_DAYS)
    later = table.customer[table.day > CALIBRATION_END]
    actual = np.bincount(later, minlength=table.customers)[customers].astype(np.float64)
    held_out = amounts(expected, actual)
    x, mean = repeat_spend(table, as_of=CALIBRATION_END)
    spend = gamma_gamma.fit(purchase_days=x, mean_amount=mean, prior_precision=0.0)
    _, everybody = histories_at(purchases.cdnow(), as_of=CALIBRATION_END)
    for what, reference, ours, digits in (
        ("BG/NBD r", 0.2426, model.r, 4),
        ("BG/NBD alpha, weeks", 4.4136, model.alpha, 4),
        ("BG/NBD a", 0.7929, model.a, 4),
        ("BG/NBD b", 2.4259, model.b, 4),
        ("BG/NBD log-likelihood", -9582.43, fitted.log_likelihood, 2),
        ("Purchases held out, RMSE", 1.608, held_out["rmse"], 3),
        ("Purchases held out, predicted / actual", 0.88, held_out["total_ratio"], 2),
        ("Gamma-Gamma p", 6.2496, spend.model.p, 4),
        ("Gamma-Gamma q", 3.7442, spend.model.q, 4),
        ("Gamma-Gamma v, dollars", 15.4436, spend.model.v, 4),
        ("Gamma-Gamma log-likelihood", -4055.92, spend.log_likelihood, 2),
        ("BG/NBD log-likelihood, all 23,570", -95368.44, bgnbd_fit.fit(everybody).log_likelihood, 2),
    ):
        yield [what, f"{reference:.{digits}f}", f"{ours:.{digits}f}", f"{ours / reference:.4f}"]


DATA_SETS: tuple[tuple[str, Callable[[], PurchaseTable], int, float, float], ...] = (
    ("CDNOW", purchases.cdnow, purchases.CDNOW_UNTIL, 0.838, 0.089),
    ("Online Retail II", purchases.online_retail, purchases.ONLINE_RETAIL_UNTIL, 0.805, 0.189),
)


def churn_rows() -> Iterator[Row]:
    for name, load, until, auc_bar, brier_bar in DATA_SETS:
        run = training.train(load(), as_of=until, horizon_days=90, kind=Kind.CHURN)
        assert run.window is not None
        cut_off = date.fromordinal(run.window.cut_off).isoformat()
        for who, found, bars in (
            (f"all {run.window.customers:,}", run.metrics, (f"{auc_bar:.3f}", f"{brier_bar:.3f}")),
            ("active", run.active_metrics, ("", "")),
            ("naive rule, all", run.rule_metrics, ("", "")),
        ):
            yield [
                f"{name}, {cut_off}",
                who,
                bars[0],
                f"{found['auc']:.4f}",
                bars[1],
                f"{found['brier']:.4f}",
                f"{found['mean_predicted']:.3f}",
                f"{found['mean_observed']:.3f}",
            ]


def value_rows() -> Iterator[Row]:
    for name, load, until, _, _ in DATA_SETS:
        for days in lifetime_value.HORIZONS_DAYS:
            table = load()
            run = training.train(table, as_of=until, horizon_days=days, kind=Kind.LIFETIME_VALUE)
            # A year and a window do not fit twice into these data; the parameters are fitted to what there is.
            window = training.Window(until - days, until, 0)
            model = lifetime_value.learn(table, as_of=until - days, horizon_days=1)
            parameters = {
                "kind": "lifetime_value",
                "feature_schema": run.feature_schema,
                **model.to_parameters(),
            }
            found = training.evaluate(parameters, table, window=window).metrics
            rule = run.rule_metrics
            yield [
                name,
                f"{days} d",
                f"{found['purchases_ratio']:.2f}",
                f"{found['total_ratio']:.2f}",
                f"{rule['total_ratio']:.2f}",
                f"{found['mae']:.2f}",
                f"{rule['mae']:.2f}",
                f"{found['top_decile_share']:.2f}",
                f"{rule['top_decile_share']:.2f}",
                f"{found['interval_coverage']:.3f}",
                f"{found['above_interval']:.3f}",
            ]


def simulated(customers: int, *, seed: int = 1) -> CustomerHistories:
    """Customers of BG/NBD who came over three years; only what its likelihood and the features look at is true to life."""
    random = np.random.default_rng(seed)
    model = bgnbd.BgNbd(r=0.25, alpha=5.0, a=0.7, b=2.4)
    tenure = random.integers(1, 3 * 365, customers)
    rate = random.gamma(model.r, 1.0 / model.alpha, customers)
    leaves_after = random.geometric(np.clip(random.beta(model.a, model.b, customers), 1e-6, 1.0))
    bought = random.poisson(rate * tenure / 7)
    x = np.minimum(np.minimum(bought, leaves_after), tenure)
    # The x-th of `bought` uniform times.
    share = random.beta(np.maximum(x, 1), np.maximum(bought - x, 0) + 1)
    t_x = np.where(x > 0, np.clip(np.ceil(share * tenure), x, tenure), 0).astype(np.int64)
    as_of = 730_000
    spend = random.gamma(2.0, 15.0, customers) * (x + 1)
    lately = random.binomial(x + 1, 0.3)
    return CustomerHistories(
        as_of=as_of,
        first_day=as_of - tenure,
        last_day=as_of - tenure + t_x,
        purchase_days=x + 1,
        purchases_30d=lately // 4,
        purchases_90d=lately // 2,
        purchases_180d=lately,
        purchases_365d=x + 1,
        gap_sd=np.where(x > 1, t_x / np.maximum(x, 1) / 2, 0.0),
        total=spend,
        last_amount=spend / (x + 1),
        spend_90d=spend / 4,
        quantity=x + 1.0,
    )


def least_seconds(work: Callable[[], object], runs: int = RUNS) -> tuple[float, float]:
    """Of the wall and of this process on all cores."""
    wall, processor = [], []
    for _ in range(runs):
        started, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
    return min(wall), min(processor)


def speed_rows() -> Iterator[Row]:
    _, cdnow = histories_at(purchases.cdnow(), as_of=CALIBRATION_END)
    million, some = simulated(1_000_000), simulated(100_000)
    run = training.train(purchases.cdnow(), as_of=purchases.CDNOW_UNTIL, horizon_days=90, kind=Kind.CHURN)
    value = training.train(
        purchases.cdnow(), as_of=purchases.CDNOW_UNTIL, horizon_days=90, kind=Kind.LIFETIME_VALUE
    )
    model = churn.ChurnModel.from_parameters(run.parameters)
    assert model.regression is not None
    matrix = feature_matrix(some, gap_prior_days=model.gap_prior_days)
    random = np.random.default_rng(2)
    odds = model.regression.intercept + model.regression.contributions(matrix).sum(axis=1)
    outcome = random.random(len(matrix)) < 1 / (1 + np.exp(-odds))
    owner = np.repeat(np.arange(len(some)), some.purchase_days)
    days = some.first_day[owner] + random.integers(0, np.maximum(some.tenure[owner], 1) + 1)
    spent = random.gamma(2.0, 15.0, len(owner))
    everything = purchase_table(
        customer=owner, day=days, amount=spent, quantity=np.ones(len(owner)), customers=len(some)
    )
    for what, bar, work in (
        ("Fit BG/NBD, 23,570 customers", 0.05, lambda: bgnbd_fit.fit(cdnow)),
        ("Fit BG/NBD, 1,000,000 customers", 2.0, lambda: bgnbd_fit.fit(million)),
        (f"Fit logistic regression, 100,000 x {len(FEATURES)}", 0.3, lambda: logistic.fit(matrix, outcome)),
        (
            "Score churn with reasons, 100,000 customers",
            0.1,
            lambda: training.score_churn(some, run.parameters),
        ),
        (
            "Features, 100,000 customers from their purchase days",
            0.5,
            lambda: feature_matrix(histories_at(everything, as_of=some.as_of)[1], gap_prior_days=90.0),
        ),
        (
            "Lifetime values, three horizons with intervals, 100,000 customers",
            None,
            lambda: training.score_lifetime_value(some, value.parameters),
        ),
        (
            "Whole churn training with its trial, CDNOW",
            None,
            lambda: training.train(
                purchases.cdnow(), as_of=purchases.CDNOW_UNTIL, horizon_days=90, kind=Kind.CHURN
            ),
        ),
    ):
        taken, processor = least_seconds(work)
        yield [
            what,
            f"{bar * 1000:.0f}" if bar else "",
            f"{taken * 1000:.1f}",
            f"{taken / bar:.2f}" if bar else "",
            f"{processor * 1000:.1f}",
        ]


def tables() -> str:
    parts: Sequence[tuple[str, Sequence[str], list[Row]]] = (
        ("CDNOW, 39/39 weeks", ["", "Published", "Ours", "Ratio"], list(references())),
        (
            "Churn within 90 days: trained before the cut-off, tried on everyone who had bought by then",
            ["Data, cut-off", "Customers", "AUC bar", "AUC", "Brier bar", "Brier", "Predicted", "Observed"],
            list(churn_rows()),
        ),
        (
            "Value in the last days of the data, all customers; *rule*: everybody goes on spending as so far",
            [
                "Data",
                "Days",
                "Purchases, predicted / actual",
                "Spend",
                "Rule",
                "MAE",
                "Rule",
                "Top tenth's share",
                "Rule",
                "Within the 80 % interval",
                "Above it",
            ],
            list(value_rows()),
        ),
        ("Milliseconds, least of five runs", ["", "Bar", "Ours", "Ratio", "CPU"], list(speed_rows())),
    )
    machine = (
        f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} cores ({platform.machine()}), "
        f"load average {os.getloadavg()[0]:.1f}."
    )
    return "\n\n".join(
        [machine, *(f"{title}:\n\n{report.table(rows, headings)}" for title, headings, rows in parts)]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    arguments = parser.parse_args()
    text = tables()
    print(text)
    if arguments.write:
        report.write(text, begin=BEGIN)


if __name__ == "__main__":
    main()
