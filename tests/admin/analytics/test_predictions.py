"""The page that says how right the models were."""

import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now

from analytics.models import ModelRun, PromotedModel
from cloudpos.admin.analytics.calibration import LEFT, SIDE, TOP, calibration_plot
from cloudpos.tenancy.models import Merchant
from tests.fixtures import Shop

QUERIES = 7
TESTED = {
    "window_cut_off": date(2026, 5, 1),
    "window_until": date(2026, 7, 30),
    "window_size": 1_200,
    "metrics": {"auc": 0.8123, "brier": 0.1821, "mean_predicted": 0.58, "mean_observed": 0.561},
    "active_metrics": {"auc": 0.741, "brier": 0.21},
    "rule_metrics": {"auc": 0.7524, "brier": 0.24},
    "calibration": [
        {"mean": 0.25, "observed": 0.5, "customers": 400.0},
        {"mean": 1.0, "observed": 0.0, "customers": 100.0},
    ],
}
BGNBD = {"r": 0.5, "alpha_weeks": 5.0, "a": 0.1, "b": 0.9}


def make_run(merchant: Merchant, *, kind: str = "churn", **more: Any) -> ModelRun:
    run: ModelRun = ModelRun.objects.create(
        **{
            "merchant": merchant,
            "kind": kind,
            "method": "fitted",
            "as_of": date(2026, 7, 30),
            "horizon_days": 90,
            "sample_size": 1_500,
            "feature_schema": "abc",
            "parameters": {"bgnbd": BGNBD},
            "verdict": "The first of its kind.",
            **more,
        }
    )
    return run


def promote(run: ModelRun) -> None:
    PromotedModel.objects.update_or_create(
        merchant=run.merchant, kind=run.kind, defaults={"run": run, "promoted_at": now()}
    )


def text_of(client: Client) -> str:
    answer = client.get(reverse("predictions_page"))
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def test_before_anything_was_predicted(manager: Client, shop: Shop) -> None:
    assert "Nothing has been predicted yet" in text_of(manager)


def test_a_model_beside_the_naive_rule(manager: Client, shop: Shop) -> None:
    promote(make_run(shop.merchant, **TESTED))
    shown = text_of(manager)
    assert "Who will not come back Healthy" in shown
    assert "Back-test on 1,200 customers, 1 May 2026 to 30 Jul 2026" in shown
    assert "1 is perfect. 0.812 0.741 0.752 –" in shown
    assert "The share that did leave. 56.1% – – –" in shown
    assert "after 90 days for certain" in shown


def test_parameters_in_words(manager: Client, shop: Shop) -> None:
    promote(
        make_run(
            shop.merchant,
            kind="lifetime_value",
            parameters={"bgnbd": BGNBD, "gamma_gamma": {"p": 2.0, "q": 3.0, "v": 50.0}},
            horizon_suggestion_days=64,
        )
    )
    shown = text_of(manager)
    assert "Learnt from 1,500 customers who had bought by 30 Jul 2026." in shown
    assert "buy about every 70 days on average; after each purchase about 10.0% leave" in shown
    assert "brings £50.00 on average" in shown
    assert "85% are at most 64 days long" in shown


def test_parameters_that_are_not_there_say_nothing(manager: Client, shop: Shop) -> None:
    promote(make_run(shop.merchant, parameters={}))
    shown = text_of(manager)
    assert "Learnt from 1,500 customers" in shown and "While they stay" not in shown
    assert "Not tested yet" in shown


def test_too_little_to_learn_from(manager: Client, shop: Shop) -> None:
    promote(make_run(shop.merchant, method="fixed", sample_size=12))
    assert "With 12 customers there was too little to learn from" in text_of(manager)


@pytest.mark.parametrize(
    ("kind", "metrics", "rule", "told"),
    [
        (
            "churn",
            {"mean_predicted": 0.67, "mean_observed": 0.57},
            {},
            "67% were predicted to leave; 57% did.",
        ),
        ("churn", {"auc": 0.7}, {"auc": 0.75}, "The naive rule ranked the customers better."),
        ("lifetime_value", {"total_ratio": 0.72}, {}, "72% of what was spent had been predicted."),
        ("lifetime_value", {"mae": 20.0}, {"mae": 10.0}, "The naive rule foretold the customers better."),
    ],
)
def test_a_model_that_did_badly_is_not_called_healthy(
    manager: Client, shop: Shop, kind: str, metrics: dict[str, float], rule: dict[str, float], told: str
) -> None:
    promote(make_run(shop.merchant, kind=kind, **{**TESTED, "metrics": metrics, "rule_metrics": rule}))
    shown = text_of(manager)
    assert "Take with care" in shown and told in shown and "Healthy" not in shown


def test_drift_is_seen(manager: Client, shop: Shop) -> None:
    """It was found by a training after the one in use."""
    promote(make_run(shop.merchant, **TESTED, trained_at=now() - timedelta(days=1)))
    make_run(
        shop.merchant,
        **TESTED,
        drift=["58% were predicted to leave, 65% did."],
        verdict="AUC 0.79; that of the current model is 0.81.",
    )
    shown = text_of(manager)
    assert "Who will not come back Drifting" in shown
    assert "58% were predicted to leave, 65% did." in shown
    assert "was not taken: AUC 0.79" in shown


def test_the_drift_of_a_model_that_was_replaced_is_over(manager: Client, shop: Shop) -> None:
    promote(make_run(shop.merchant, **TESTED, drift=["58% were predicted to leave, 65% did."]))
    shown = text_of(manager)
    assert "Who will not come back Healthy" in shown and "65% did" not in shown


def test_the_part_says_how_they_are(manager: Client, shop: Shop) -> None:
    promote(make_run(shop.merchant, **TESTED))
    part = manager.get(reverse("predictions_page") + "?part=1").content.decode()
    assert "Who will not come back" in part and "Healthy" in part
    assert "<table" not in part and "<html" not in part


def test_a_plot_is_where_it_should_be(shop: Shop) -> None:
    plot = calibration_plot(make_run(shop.merchant, **TESTED))
    assert plot is not None
    first, last = plot.dots
    assert (first.x, first.y) == (LEFT + SIDE / 4, TOP + SIDE / 2)
    assert (last.x, last.y) == (LEFT + SIDE, TOP + SIDE)
    assert first.radius == 7.0 and last.radius == 5.0
    assert first.told == "Predicted 25.0%, observed 50.0%, 400 customers"


def test_a_plot_has_its_numbers_in_a_table(manager: Client, shop: Shop) -> None:
    promote(make_run(shop.merchant, **TESTED))
    page = manager.get(reverse("predictions_page")).content.decode()
    assert page.count("cp-plot__dot") == 2
    assert '<th scope="row">25.0%</th><td class="cp-number">50.0%</td><td class="cp-number">400</td>' in page
    assert " style=" not in page[page.index("cp-plot") : page.index("</figure>")]


def test_how_much_is_asked_of_the_database(manager: Client, shop: Shop) -> None:
    for kind in ("churn", "lifetime_value"):
        promote(make_run(shop.merchant, kind=kind, **TESTED))
        for _ in range(15):
            make_run(shop.merchant, kind=kind, **TESTED)
    with CaptureQueriesContext(connection) as queries:
        manager.get(reverse("predictions_page"))
    assert len(queries) == QUERIES
