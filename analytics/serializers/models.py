"""How models and their back-tests look outside."""

from datetime import timedelta
from typing import Any

from analytics.models import ModelRun
from analytics.serializers.fields import COUNT, DAY, TEXT
from cloudpos.api.naming import camel
from cloudpos.api.rendering import Schema
from cloudpos.api.schema import Fields

METRICS: Schema = {"type": "object", "additionalProperties": {"type": "number"}}
METRIC_DIGITS = 4
ONE_DAY = timedelta(days=1)

METHODS = {
    (
        "churn",
        "fixed",
    ): "BG/NBD with the parameters of other shops: there is too little history to learn from",
    ("churn", "fitted"): "BG/NBD fitted to this merchant's customers",
    (
        "churn",
        "blend",
    ): "The mean of BG/NBD and of a logistic regression, both fitted to this merchant's customers",
    ("lifetime_value", "fixed"): "BG/NBD with the parameters of other shops, at the amounts spent here",
    ("lifetime_value", "fitted"): "BG/NBD times Gamma-Gamma, fitted to this merchant's customers",
}
NOT_TESTED = "There is no closed window of this length yet: the model has not been tried on this merchant's own history."

BACK_TEST = Fields(
    "BackTest",
    {
        "explanation": TEXT,
        "from": {
            **DAY,
            "type": ["string", "null"],
            "description": "The first day that the tested model had not seen.",
        },
        "to": {**DAY, "type": ["string", "null"]},
        "customers": COUNT,
        "metrics": {**METRICS, "description": "Empty before there is a closed window."},
        "activeMetrics": {**METRICS, "description": "Of customers who bought in the 180 days before."},
        "naiveRule": {**METRICS, "description": "Of what a shopkeeper would say, on the same customers."},
    },
)
MODEL = Fields(
    "PredictionModel",
    {
        "id": {"type": "string", "format": "uuid"},
        "kind": {"type": "string", "enum": ModelRun.Kind.values},
        "method": {"type": "string", "enum": ModelRun.Method.values},
        "explanation": TEXT,
        "learntUntil": DAY,
        "horizonDays": COUNT,
        "sampleSize": {**COUNT, "description": "Customers that it learnt from."},
        "backTest": BACK_TEST,
    },
)


def render_model(run: ModelRun) -> dict[str, Any]:
    return {
        "id": run.pk,
        "kind": run.kind,
        "method": run.method,
        "explanation": METHODS.get((run.kind, run.method), run.get_method_display()),
        "learntUntil": run.as_of,
        "horizonDays": run.horizon_days,
        "sampleSize": run.sample_size,
        "backTest": render_back_test(run),
    }


def render_back_test(run: ModelRun) -> dict[str, Any]:
    cut_off, until = run.window_cut_off, run.window_until
    return {
        "explanation": NOT_TESTED
        if cut_off is None
        else f"Trained the same way up to {cut_off}, and compared with what {run.window_size:,} customers did until {until}.",
        "from": None if cut_off is None else cut_off + ONE_DAY,
        "to": until,
        "customers": run.window_size,
        "metrics": render_metrics(run.metrics),
        "activeMetrics": render_metrics(run.active_metrics),
        "naiveRule": render_metrics(run.rule_metrics),
    }


def render_metrics(metrics: dict[str, float]) -> dict[str, float]:
    """Numbers alone: how many customers they are of stands beside them."""
    return {
        camel(name): round(value, METRIC_DIGITS) for name, value in metrics.items() if name != "customers"
    }
