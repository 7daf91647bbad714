"""What became of the customers who first bought in the same month: a heat map, and who is behind a cell."""

from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest
from django.urls import reverse

from analytics.cohort_customers import Cell, CohortNotFound, cohort_customers, read_cohort
from analytics.cohorts import (
    CUMULATIVE_VALUE,
    GRANULARITIES,
    METRICS,
    PERIODS_MAX,
    RETENTION,
    REVENUE,
    REVENUE_PER_CUSTOMER,
    Cohort,
    Cohorts,
    cohorts,
    read_cohorts,
)
from analytics.overview import money as from_cents
from analytics.serializers.cohorts import cohorts_table
from cloudpos.admin.analytics.buyers import COLUMNS, NOTE, bought
from cloudpos.admin.analytics.choice import Choice, read_choice
from cloudpos.admin.analytics.heat import shade
from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.admin.analytics.people import People, people_shown, span
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.formats import count, counted, day, money, rough_money
from cloudpos.tenancy.models import Merchant
from customers.exports import export_csv

GRANULARITY = "month"
HEADINGS = {
    RETENTION: "Customers who came back",
    REVENUE: "Revenue",
    REVENUE_PER_CUSTOMER: "Revenue per customer",
    CUMULATIVE_VALUE: "Value so far of a customer",
}
LABELS = {
    RETENTION: "Came back",
    REVENUE: "Revenue",
    REVENUE_PER_CUSTOMER: "Per customer",
    CUMULATIVE_VALUE: "Value so far",
}
TOLD = {
    RETENTION: "How many of a cohort bought in each {unit} after their first one, which is 0.",
    REVENUE: "What a cohort spent in each {unit} after its first one, which is 0; returns taken off.",
    REVENUE_PER_CUSTOMER: "What one of the cohort spent in each {unit} after the first one, which is 0; returns taken off.",
    CUMULATIVE_VALUE: "What one of the cohort had spent by the end of each {unit} after the first, 0; returns taken off.",
}


@analytics_page("Cohorts", "cohorts")
def cohorts_page(request: HttpRequest, merchant: Merchant) -> Shown:
    choice = read_choice(request, merchant)
    metric = _one_of(METRICS, request.GET.get("metric"), RETENTION)
    granularity = _one_of(GRANULARITIES, request.GET.get("by"), GRANULARITY)
    wanted = read_cohorts(first=None, last=None, granularity=granularity, today=choice.today)
    found = cohorts(
        merchant_id=merchant.pk,
        wanted=wanted,
        granularity=granularity,
        today=choice.today,
        store_id=choice.store_id,
    )
    if request.GET.get("format") == "csv":
        return export_csv(
            access=acting_for(request, merchant),
            name=f"cohorts-{metric}-by-{granularity}",
            table=cohorts_table(found, metric),
        )
    return {
        "heading": HEADINGS[metric],
        "csv_query": urlencode({"format": "csv", "metric": metric, "by": granularity} | _store(choice)),
        "told": TOLD[metric].format(unit=granularity),
        "metrics": _tabs(LABELS, metric, "metric", by=granularity, **_store(choice)),
        "granularities": _tabs(
            {name: f"{name.capitalize()}s" for name in GRANULARITIES},
            granularity,
            "by",
            metric=metric,
            **_store(choice),
        ),
        **HeatMap(found, metric, choice, merchant.currency).context(),
    }


def _one_of(known: tuple[str, ...], asked: str | None, otherwise: str) -> str:
    return asked if asked in known else otherwise


def _store(choice: Choice) -> dict[str, Any]:
    """For an address: the store, when one was chosen."""
    return {} if choice.store_id is None else {"store": choice.store_id}


def _tabs(labels: dict[str, str], chosen: str, name: str, **kept: Any) -> list[dict[str, Any]]:
    return [
        {"label": label, "query": urlencode({name: key, **kept}), "chosen": key == chosen}
        for key, label in labels.items()
    ]


@analytics_page("Customers", "people")
def cohort_page(request: HttpRequest, merchant: Merchant, cohort: str, k: int) -> Shown:
    """Who of a cohort bought in its k-th period."""
    choice = read_choice(request, merchant)
    granularity = _one_of(GRANULARITIES, request.GET.get("by"), GRANULARITY)
    if k > PERIODS_MAX:
        raise Http404

    def find(offset: int, limit: int) -> Cell:
        try:
            return cohort_customers(
                merchant_id=merchant.pk,
                cohort=read_cohort(cohort),
                granularity=granularity,
                k=k,
                today=choice.today,
                offset=offset,
                limit=limit,
                store_id=choice.store_id,
            )
        except CohortNotFound as absent:
            raise Http404 from absent

    def read(offset: int, limit: int) -> People:
        cell = find(offset, limit)
        told.update(_cell_told(cell, granularity, k, choice))
        return People(
            cell.total,
            [
                bought(row.customer, row.purchases, from_cents(row.cents), merchant.currency)
                for row in cell.page
            ],
        )

    told: dict[str, str] = {}
    shown = people_shown(
        request,
        merchant,
        columns=COLUMNS,
        read=read,
        file_name=f"cohort-{cohort}-{granularity}-{k}",
    )
    return shown | told if isinstance(shown, dict) else shown


def _cell_told(cell: Cell, granularity: str, k: int, choice: Choice) -> dict[str, str]:
    name = cohort_name(cell.cohort.first, granularity)
    where = f" at {choice.store.name}" if choice.store is not None else ""
    came = f"Of {counted(cell.size, 'customer')} whose first purchase{where} was {span(cell.cohort.first, cell.cohort.last)}"
    return {
        "title": f"{name}, {granularity} {k}",
        "told": f"{came}: who bought {span(cell.period.first, cell.period.last)}.",
        "note": NOTE,
    }


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The cohorts that anybody is in, as one of METRICS."""

    found: Cohorts
    metric: str
    choice: Choice
    currency: str

    def context(self) -> dict[str, Any]:
        """For the template."""
        rows = [
            (cohort, self.found.cells(cohort, self.metric)) for cohort in self.found.cohorts if cohort.size
        ]
        most = max((value for _, cells in rows for value in cells[self._shaded_from :]), default=0)
        return {
            "numbers": range(max((len(cells) for _, cells in rows), default=0)),
            "rows": [
                {
                    "label": self._name(cohort),
                    "size": cohort.size,
                    "url": self._people(cohort, 0),
                    "cells": [self._cell(cohort, k, value, most) for k, value in enumerate(cells)],
                }
                for cohort, cells in rows
            ],
            # The mean of one cohort is the cohort.
            "means": ["" if mean is None else self._shown(mean) for mean in self.found.means(self.metric)]
            if len(rows) > 1
            else [],
        }

    @property
    def _shaded_from(self) -> int:
        """In the first period everybody of a cohort bought: a shade there would pale all others."""
        return 1 if self.metric == RETENTION else 0

    def _cell(self, cohort: Cohort, k: int, value: float, most: float) -> dict[str, Any]:
        running = k >= cohort.running
        return {
            "value": self._shown(value),
            "shade": shade(value, most) if k >= self._shaded_from else "",
            "running": running,
            "url": self._people(cohort, k),
            "told": (
                f"{self._name(cohort)}, {self.found.granularity} {k}{', so far' if running else ''}:"
                f" {count(cohort.active[k])} of {counted(cohort.size, 'customer')} bought,"
                f" {money(from_cents(cohort.cents[k]), self.currency)}"
            ),
        }

    def _shown(self, value: float) -> str:
        if self.metric == RETENTION:
            return f"{100 * value:.0f}%"
        return rough_money(from_cents(round(value)), self.currency)

    def _name(self, cohort: Cohort) -> str:
        return cohort_name(cohort.period.first, self.found.granularity)

    def _people(self, cohort: Cohort, k: int) -> str:
        where = {"by": self.found.granularity, **_store(self.choice)}
        return f"{reverse('cohort_page', args=[cohort.period.first, k])}?{urlencode(where)}"


def cohort_name(first: date, granularity: str) -> str:
    """Nov 2026, Q4 2026, or the first day of a week."""
    if granularity == "month":
        return f"{first:%b %Y}"
    if granularity == "quarter":
        return f"Q{(first.month + 2) // 3} {first.year}"
    return day(first)
