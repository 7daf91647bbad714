"""The page "Predictions": which models are in use, how right they were on this merchant's own customers, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest

from analytics.model_words import Measure, in_words, measures, rule_in_words
from analytics.models import ModelRun, PromotedModel
from cloudpos.admin.analytics.calibration import Plot, calibration_plot
from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.tenancy.formats import counted, day
from cloudpos.tenancy.models import Merchant

RUNS_SHOWN = 10
HEADINGS = {
    ModelRun.Kind.CHURN: "Who will not come back",
    ModelRun.Kind.LIFETIME_VALUE: "What customers will spend",
}


@dataclass(frozen=True, slots=True)
class Health:
    """Of a model in one word, with its colour, and what there is to say about it."""

    word: str
    shade: str
    told: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """One kind of model as the page shows it. `latest` is a newer training that was not taken."""

    kind: str
    heading: str
    run: ModelRun
    latest: ModelRun
    health: Health
    words: Sequence[str]
    rule: str
    measures: Sequence[Measure]
    plot: Plot | None


@analytics_page("Predictions", "predictions")
def predictions_page(request: HttpRequest, merchant: Merchant) -> Shown:
    models = models_in_use(merchant)
    runs = ModelRun.objects.for_merchant(merchant).order_by("-trained_at", "-pk")
    in_use = {model.run.pk for model in models}
    return {
        "models": models,
        "runs": [(run, run.pk in in_use) for run in runs[:RUNS_SHOWN]],
    }


def models_in_use(merchant: Merchant) -> list[Model]:
    """Of each kind that was trained, the model that predictions come from, with the training after it."""
    promoted = PromotedModel.objects.for_merchant(merchant).select_related("run")
    found = {each.kind: each.run for each in promoted}
    models = []
    for kind, heading in HEADINGS.items():
        run = found.get(kind.value)
        if run is None:
            continue
        # Its drift was found when it was last compared with what happened: by the training after it.
        latest = ModelRun.objects.for_merchant(merchant).filter(kind=kind).latest("trained_at")
        models.append(
            Model(
                kind=kind.value,
                heading=heading,
                run=run,
                latest=latest,
                health=health(run, latest),
                words=in_words(run, merchant.currency),
                rule=rule_in_words(run),
                measures=measures(run, merchant.currency),
                plot=calibration_plot(run),
            )
        )
    return models


def health(run: ModelRun, latest: ModelRun) -> Health:
    if latest.drift:
        return Health("Drifting", "orange", [str(found) for found in latest.drift])
    if run.method == ModelRun.Method.FIXED:
        return Health(
            "Not this shop's own yet",
            "blue",
            [f"With {counted(run.sample_size, 'customer')} there was too little to learn from."],
        )
    if run.window_until is None:
        return Health(
            "Not tested yet", "blue", ["The history is too short to try the model on a part of it."]
        )
    return Health("Healthy", "green", [f"Tested on the days up to {day(run.window_until)}."])
