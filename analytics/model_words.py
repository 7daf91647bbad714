"""Models in words: their parameters, and what their figures mean to somebody who runs a shop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from analytics.models import ModelRun
from cloudpos.tenancy.formats import count, counted, day, money

DAYS_PER_WEEK = 7

METHODS = {
    ModelRun.Method.FIXED: "Its parameters are those of other shops, until there is enough history of this one.",
    ModelRun.Method.FITTED: "Its parameters were fitted to this shop's own customers.",
    ModelRun.Method.BLEND: (
        "It is the mean of two models of this shop's own customers: one of how often each of them buys (BG/NBD), and one of what"
        " those who left had in common before (logistic regression on recency, frequency, rhythm, spend and basket)."
    ),
}
RULES = {
    ModelRun.Kind.CHURN: "The naive rule: the longer away, the likelier gone; after {days} days for certain.",
    ModelRun.Kind.LIFETIME_VALUE: "The naive rule: everybody goes on spending as before.",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A row of the back-test: the model's figure beside those of the naive rule and of the model that it replaced."""

    title: str
    told: str
    model: str
    active: str
    rule: str
    before: str


def in_words(run: ModelRun, currency: str) -> list[str]:
    """What the model assumes of the shop's customers. Parameters that are missing are passed over."""
    told = [
        f"Learnt from {counted(run.sample_size, 'customer')} who had bought by {day(run.as_of)}.",
        METHODS[ModelRun.Method(run.method)],
    ]
    frequency: Mapping[str, float] = run.parameters.get("bgnbd") or {}
    if {"r", "alpha_weeks", "a", "b"} <= frequency.keys():
        gap = frequency["alpha_weeks"] / frequency["r"] * DAYS_PER_WEEK
        leaving = frequency["a"] / (frequency["a"] + frequency["b"])
        told.append(
            f"While they stay, customers buy about every {count(round(gap))} days on average;"
            f" after each purchase about {_percent(leaving)} leave for good."
        )
    spend: Mapping[str, float] = run.parameters.get("gamma_gamma") or {}
    if {"p", "q", "v"} <= spend.keys() and spend["q"] > 1:
        mean = spend["p"] * spend["v"] / (spend["q"] - 1)
        told.append(f"A day on which somebody buys brings {money(_amount(mean), currency)} on average.")
    if run.horizon_suggestion_days is not None:
        told.append(
            f"Of all pauses between two purchases, 85% are at most {counted(run.horizon_suggestion_days, 'day')} long."
        )
    return told


Show = Callable[[float, str], str]


def rule_in_words(run: ModelRun) -> str:
    """What the model is compared with."""
    return RULES[ModelRun.Kind(run.kind)].format(days=run.horizon_days)


def measures(run: ModelRun, currency: str) -> list[Measure]:
    """The back-test's rows; none without a closed window."""
    return [
        Measure(
            title,
            told,
            *(
                _shown(figures, name, show, currency)
                for figures in (run.metrics, run.active_metrics, run.rule_metrics, run.current_metrics)
            ),
        )
        for title, told, name, show in MEASURES[ModelRun.Kind(run.kind)]
        if name in run.metrics
    ]


def _shown(figures: Mapping[str, float], name: str, show: Show, currency: str) -> str:
    return show(figures[name], currency) if name in figures else "–"


def _percent(share: float, currency: str = "") -> str:
    return f"{100 * share:.1f}%"


def _three(value: float, currency: str = "") -> str:
    return f"{value:.3f}"


def _two(value: float, currency: str = "") -> str:
    return f"{value:,.2f}"


def _money(value: float, currency: str) -> str:
    return money(_amount(value), currency)


def _amount(value: float) -> Decimal:
    return Decimal(str(round(value, 2)))


# Of each kind: title, what it means, the metric, and how it is written.
MEASURES: dict[str, list[tuple[str, str, str, Show]]] = {
    ModelRun.Kind.CHURN: [
        (
            "Ranking",
            "How often somebody who left was ranked above somebody who stayed (AUC): 0.5 is chance, 1 is perfect.",
            "auc",
            _three,
        ),
        (
            "Error",
            "Mean squared error of the probabilities (Brier score): 0 is perfect.",
            "brier",
            _three,
        ),
        ("Predicted", "The share that was predicted to leave.", "mean_predicted", _percent),
        ("Observed", "The share that did leave.", "mean_observed", _percent),
    ],
    ModelRun.Kind.LIFETIME_VALUE: [
        ("Predicted", "What all of them together were predicted to spend.", "total_predicted", _money),
        ("Observed", "What they did spend.", "total_actual", _money),
        ("Ratio", "Predicted per observed: 1 is perfect.", "total_ratio", _two),
        ("Error", "How far off the prediction of one customer is on average.", "mae", _money),
        ("Large errors", "The same, with large misses weighing more (root mean square).", "rmse", _money),
        (
            "Top tenth",
            "The share of all spending by the tenth that was predicted to spend most.",
            "top_decile_share",
            _percent,
        ),
    ],
}
