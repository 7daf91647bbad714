"""How models and their back-tests look outside."""

from datetime import timedelta
from typing import Any

from analytics.model_words import METHODS, in_words, rule_in_words
from analytics.models import ModelRun
from analytics.reading.models import ModelInUse, ModelsFound
from analytics.serializers.fields import COUNT, DAY, RATE, TEXT
from cloudpos.api.naming import camel
from cloudpos.api.rendering import Schema
from cloudpos.api.schema import Fields, Many
from cloudpos.api.shape_schema import nullable
from cloudpos.tenancy.access import Access

METRICS: Schema = {"type": "object", "additionalProperties": {"type": "number"}}
METRIC_DIGITS = 4
ONE_DAY = timedelta(days=1)

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

NOTHING_YET = (
    "Nothing has been predicted yet: the first models come with the first purchase, or the first night."
)

MODELS = Fields(
    "PredictionModels",
    {
        "explanation": {**TEXT, "description": "Empty when there are models."},
        "inUse": Many(
            Fields(
                "ModelInUse",
                {
                    **MODEL.parts,
                    "promotedBecause": TEXT,
                    "parametersInWords": Many(TEXT),
                    "naiveRuleInWords": TEXT,
                    "suggestedHorizonDays": nullable(COUNT),
                    "calibration": Many(
                        Fields(
                            "CalibrationBin",
                            {
                                "predicted": {
                                    **RATE,
                                    "description": "The mean probability of a tenth of the customers.",
                                },
                                "observed": {**RATE, "description": "The share of them that did stay away."},
                                "customers": COUNT,
                            },
                        )
                    ),
                    "drift": {
                        "type": "array",
                        "items": TEXT,
                        "description": "What the latest training found wrong with this model by now; empty: nothing.",
                    },
                    "checkedOn": {**DAY, "description": "The last day of the latest training."},
                },
            )
        ),
        "runs": Many(
            Fields(
                "ModelRun",
                {
                    "id": {"type": "string", "format": "uuid"},
                    "kind": {"type": "string", "enum": ModelRun.Kind.values},
                    "method": {"type": "string", "enum": ModelRun.Method.values},
                    "trainedAt": {"type": "string", "format": "date-time"},
                    "learntUntil": DAY,
                    "horizonDays": COUNT,
                    "sampleSize": COUNT,
                    "isInUse": {"type": "boolean"},
                    "verdict": {**TEXT, "description": "Why it was promoted, or not."},
                    "metrics": METRICS,
                    "naiveRule": METRICS,
                    "modelBefore": {
                        **METRICS,
                        "description": "Of the model that was in use, in the same window.",
                    },
                },
            )
        ),
    },
)


def render_models(found: ModelsFound, access: Access) -> dict[str, Any]:
    in_use = {each.run.pk for each in found.in_use.values()}
    return {
        "explanation": "" if found.in_use else NOTHING_YET,
        "inUse": [_in_use(each, access.currency) for each in found.in_use.values()],
        "runs": [_run(run, is_in_use=run.pk in in_use) for run in found.runs],
    }


def _in_use(found: ModelInUse, currency: str) -> dict[str, Any]:
    run = found.run
    return {
        **render_model(run),
        "promotedBecause": run.verdict,
        "parametersInWords": in_words(run, currency),
        "naiveRuleInWords": rule_in_words(run),
        "suggestedHorizonDays": found.latest.horizon_suggestion_days,
        "calibration": [
            {
                "predicted": round(each["mean"], METRIC_DIGITS),
                "observed": round(each["observed"], METRIC_DIGITS),
                "customers": round(each["customers"]),
            }
            for each in run.calibration
        ],
        "drift": found.drift,
        "checkedOn": found.latest.as_of,
    }


def _run(run: ModelRun, *, is_in_use: bool) -> dict[str, Any]:
    return {
        "id": run.pk,
        "kind": run.kind,
        "method": run.method,
        "trainedAt": run.trained_at,
        "learntUntil": run.as_of,
        "horizonDays": run.horizon_days,
        "sampleSize": run.sample_size,
        "isInUse": is_in_use,
        "verdict": run.verdict,
        "metrics": render_metrics(run.metrics),
        "naiveRule": render_metrics(run.rule_metrics),
        "modelBefore": render_metrics(run.current_metrics),
    }


def render_model(run: ModelRun) -> dict[str, Any]:
    return {
        "id": run.pk,
        "kind": run.kind,
        "method": run.method,
        "explanation": METHODS[ModelRun.Method(run.method)],
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
