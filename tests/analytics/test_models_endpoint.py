"""GET /analytics/models."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from analytics.models import ModelRun, PromotedModel
from analytics.recalculating import learning
from cloudpos.checkout.bulk import load_history
from customers.services.bulk import load_customers
from tests.analytics.conftest import recalculate
from tests.fixtures import ApiClient, Shop

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)


def models_of(shop: Shop) -> dict[str, Any]:
    # With a token of now, whenever that is.
    manager = ApiClient(user_id=shop.manager.user_id, store_id=shop.store.pk)
    answer = manager.get("/analytics/models")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()["data"]
    return found


def load(shop: Shop, customers: int) -> None:
    """Two years of people: a third comes every month, a third came every month for a while, a third came once."""
    load_customers(access=shop.access, rows=({"first_name": f"C{n}"} for n in range(customers)))
    from customers.models import Customer

    ids = Customer.objects.for_merchant(shop.merchant).order_by("pk").values_list("pk", flat=True)
    sales = []
    for n, customer_id in enumerate(ids):
        start = NOW - timedelta(days=700 - n * 400 // customers)
        last = {0: 730, 1: 90 + n % 200, 2: 0}[n % 3]
        for time, day in enumerate(range(0, last + 1, 25 + n % 11)):
            if start + timedelta(days=day) < NOW:
                sales.append((customer_id, f"T{n}-{time}", start + timedelta(days=day), 5 + n % 40))
    load_history(
        access=shop.access,
        sales=(
            {
                "customer_id": customer_id,
                "store_id": shop.store.pk,
                "transaction_id": number,
                "amount": amount,
                "items": [],
                "occurred_at": at,
            }
            for customer_id, number, at, amount in sales
        ),
    )


def test_before_anything_was_predicted(shop: Shop) -> None:
    assert models_of(shop) == {
        "explanation": "Nothing has been predicted yet: the first models come with the first purchase, or the first night.",
        "inUse": [],
        "runs": [],
    }


def test_an_empty_merchant_has_models_of_other_shops(shop: Shop) -> None:
    recalculate(shop)
    found = models_of(shop)
    assert [(each["kind"], each["method"], each["sampleSize"]) for each in found["inUse"]] == [
        ("churn", "fixed", 0),
        ("lifetime_value", "fixed", 0),
    ]
    for each in found["inUse"]:
        assert each["backTest"]["metrics"] == each["backTest"]["naiveRule"] == {}
        assert each["backTest"]["explanation"].startswith("There is no closed window")
        assert (each["calibration"], each["drift"]) == ([], [])


@time_machine.travel(NOW, tick=False)
def test_models_with_their_back_tests(shop: Shop) -> None:
    load(shop, 240)
    recalculate(shop)
    found = models_of(shop)
    churn, value = found["inUse"]
    assert (churn["method"], churn["sampleSize"], churn["horizonDays"]) == ("blend", 240, 90)
    assert (churn["backTest"]["from"], churn["backTest"]["to"]) == ("2026-04-02", "2026-06-30")
    assert churn["backTest"]["customers"] == 240
    for metrics in (churn["backTest"]["metrics"], churn["backTest"]["naiveRule"]):
        assert 0.5 < metrics["auc"] <= 1 and 0 < metrics["brier"] < 0.25
    assert sum(each["customers"] for each in churn["calibration"]) == 240
    assert churn["parametersInWords"] and churn["naiveRuleInWords"]
    assert churn["suggestedHorizonDays"] >= 25
    assert (value["kind"], value["method"]) == ("lifetime_value", "fitted")
    assert value["backTest"]["metrics"]["totalRatio"] > 0
    assert [run["isInUse"] for run in found["runs"]] == [True, True]
    assert {run["id"] for run in found["runs"]} == {churn["id"], value["id"]}


@time_machine.travel(NOW, tick=False)
def test_a_model_that_is_worse_is_kept_but_not_used(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    load(shop, 60)
    recalculate(shop)
    used = set(PromotedModel.objects.values_list("run_id", flat=True))
    monkeypatch.setattr(
        learning.training, "decide", lambda *_: learning.Promotion(False, "AUC 0.5; that of the rule is 0.8.")
    )
    with time_machine.travel(NOW + timedelta(days=7), tick=False):
        recalculate(shop)
    assert ModelRun.objects.count() == 4
    assert set(PromotedModel.objects.values_list("run_id", flat=True)) == used
    runs = models_of(shop)["runs"]
    assert [(run["isInUse"], run["verdict"]) for run in runs[:2]] == [
        (False, "AUC 0.5; that of the rule is 0.8.")
    ] * 2
    # How the one in use does in the same window is beside it.
    assert all(run["modelBefore"] for run in runs[:2])
    assert {each["id"] for each in models_of(shop)["inUse"]} == {str(pk) for pk in used}


@time_machine.travel(NOW, tick=False)
def test_drift_is_said_in_words(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    load(shop, 60)
    recalculate(shop)
    monkeypatch.setattr(
        learning.evaluation,
        "drift",
        lambda **_: [learning.evaluation.Drift.MEAN, learning.evaluation.Drift.SCORES],
    )
    with time_machine.travel(NOW + timedelta(days=7), tick=False):
        recalculate(shop)
    churn = models_of(shop)["inUse"][0]
    first, second = churn["drift"]
    assert "were predicted to stay away" in first and "%" in first
    assert "(PSI " in second
    assert churn["checkedOn"] == "2026-07-07"


def test_cashiers_and_unknown_parameters_are_refused(shop: Shop) -> None:
    assert shop.cashier.get("/analytics/models").status_code == 403
    assert shop.manager.get("/analytics/models?kind=churn").status_code == 400


def test_runs_of_others_are_not_shown(shop: Shop, foreign_shop: Shop) -> None:
    recalculate(foreign_shop)
    assert models_of(shop)["inUse"] == []
