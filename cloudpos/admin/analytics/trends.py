"""Revenue and customers over time, beside the period before: for the charts, and as a table."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.urls import reverse

from analytics.overview import Step, overview
from analytics.periods import NONE, Period, read_interval
from cloudpos.admin.analytics.choice import Choice
from cloudpos.admin.charts import chart_options
from cloudpos.tenancy.formats import day
from cloudpos.tenancy.models import Merchant

NAMES = {"day": "Day", "week": "Week of", "month": "Month"}


@dataclass(frozen=True, slots=True)
class Pair:
    """A step of the period and the one as many days earlier; None where that was before the period before."""

    label: str
    step: Step
    before: Step | None
    url: str


def trends(series: list[Step], merchant: Merchant, choice: Choice) -> dict[str, Any]:
    """For the template. One more question to the service: the steps of the period before."""
    interval = read_interval(None, choice.period)
    earlier = overview(
        merchant_id=merchant.pk,
        period=choice.period.previous,
        interval=interval,
        compare=NONE,
        store_id=choice.store_id,
    )
    pairs = _pairs(series, earlier.series, choice, interval)
    amounts = {"style": "currency", "currency": merchant.currency, "maximumFractionDigits": 0}
    return {
        "step_name": NAMES[interval],
        "pairs": pairs,
        "whole_weeks": interval == "week",
        "revenue_chart": json.dumps(_chart(pairs, choice, lambda step: float(step.revenue))),
        "revenue_options": json.dumps(chart_options(mark=(16, 2), gap=24, amounts=amounts)),
        "customers_chart": json.dumps(_chart(pairs, choice, lambda step: step.customers)),
        "customers_options": json.dumps(chart_options(mark=(16, 2), gap=24)),
    }


def _pairs(series: list[Step], earlier: list[Step], choice: Choice, interval: str) -> list[Pair]:
    """Weeks are compared with the same weekdays a whole number of weeks before."""
    distance = choice.days
    if interval == "week":
        # A week that the period cuts short would look like a slump.
        series, earlier = _whole_weeks(series), _whole_weeks(earlier)
        distance -= distance % 7
    before = {step.period.first + timedelta(days=distance): step for step in earlier}
    return [
        Pair(
            label=_label(step.period.first),
            step=step,
            before=before.get(step.period.first),
            url=_people(step.period, choice),
        )
        for step in series
    ]


def _whole_weeks(series: list[Step]) -> list[Step]:
    return [step for step in series if step.period.days == 7]


def _people(period: Period, choice: Choice) -> str:
    query = choice.query(**{"from": period.first, "to": period.last})
    return f"{reverse('buyers_page', args=['active'])}?{query}"


def _label(first: date) -> str:
    return day(first)


def _chart(pairs: list[Pair], choice: Choice, figure: Callable[[Step], float]) -> dict[str, Any]:
    """For the theme's line chart."""
    line = {"pointRadius": 0, "pointHitRadius": 12, "tension": 0}
    return {
        "labels": [f"{pair.step.period.first.day} {pair.step.period.first:%b}" for pair in pairs],
        "datasets": [
            {
                "label": f"Last {choice.days} days",
                "data": [figure(pair.step) for pair in pairs],
                "borderColor": "var(--color-primary-600)",
                "backgroundColor": "var(--color-primary-600)",
                "borderWidth": 2,
                **line,
            },
            {
                "label": f"The {choice.days} days before",
                "data": [None if pair.before is None else figure(pair.before) for pair in pairs],
                "borderColor": "var(--color-base-400)",
                "backgroundColor": "var(--color-base-400)",
                "borderWidth": 1.500,
                "borderDash": [4, 4],
                **line,
            },
        ],
    }
