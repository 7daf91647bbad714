"""The page "Predictions": which models are in use, how right they were on this merchant's own customers, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest

from analytics.model_words import Measure, in_words, measures, rule_in_words
from analytics.models import ModelRun
from analytics.reading.models import ModelInUse, models_of
from cloudpos.admin.analytics.calibration import Plot, calibration_plot
from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.tenancy.formats import counted, day
from cloudpos.tenancy.models import Merchant

# As far apart as drift may be, and the same of money, may be what was predicted and what happened.
SHARE_APART_MAX = 0.05
RATIO_MIN, RATIO_MAX = 0.8, 1.25
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
    found = models_of(merchant.pk)
    in_use = {each.run.pk for each in found.in_use.values()}
    return {
        "models": [
            _model(found.in_use[kind.value], heading, merchant.currency)
            for kind, heading in HEADINGS.items()
            if kind.value in found.in_use
        ],
        "runs": [(run, run.pk in in_use) for run in found.runs],
    }


def _model(found: ModelInUse, heading: str, currency: str) -> Model:
    run = found.run
    return Model(
        heading=heading,
        run=run,
        latest=found.latest,
        health=health(found),
        words=in_words(run, currency),
        rule=rule_in_words(run),
        measures=measures(run, currency),
        plot=calibration_plot(run),
    )


def health(found: ModelInUse) -> Health:
    run = found.run
    if found.drift:
        return Health("Drifting", "orange", found.drift)
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
    if faults := _faults(run):
        return Health("Take with care", "orange", faults)
    return Health("Healthy", "green", [f"Tested on the days up to {day(run.window_until)}."])


def _faults(run: ModelRun) -> list[str]:
    """What the back-test says against a model, in words."""
    metrics, rule = run.metrics, run.rule_metrics
    found = []
    predicted, observed = metrics.get("mean_predicted"), metrics.get("mean_observed")
    if predicted is not None and observed is not None and abs(predicted - observed) > SHARE_APART_MAX:
        found.append(
            f"In the back-test {100 * predicted:.0f}% were predicted to leave; {100 * observed:.0f}% did."
        )
    ratio = metrics.get("total_ratio")
    if ratio is not None and not RATIO_MIN <= ratio <= RATIO_MAX:
        found.append(f"In the back-test {100 * ratio:.0f}% of what was spent had been predicted.")
    for name, better, told in (("auc", 1, "ranked"), ("mae", -1, "foretold")):
        if name in metrics and name in rule and better * (metrics[name] - rule[name]) < 0:
            found.append(f"The naive rule {told} the customers better.")
    return found
