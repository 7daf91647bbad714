"""Customers by how recently and how often they bought: the grid, and who is in a cell."""

from typing import Any

from django.http import Http404, HttpRequest
from django.urls import reverse

from analytics.counts import Worth, worths
from analytics.overview import money as from_cents
from analytics.people import customers_in_cell
from cloudpos.admin.analytics.at_risk import COLUMNS, person
from cloudpos.admin.analytics.heat import shade
from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.admin.analytics.people import People, people_shown
from cloudpos.tenancy.formats import counted, money, rough_money
from cloudpos.tenancy.models import Merchant

SCORES = range(1, 6)
RECENCY = {5: "just now", 4: "recently", 3: "a while ago", 2: "long ago", 1: "longest ago"}
FREQUENCY = {1: "rarest", 2: "seldom", 3: "at times", 4: "often", 5: "most often"}


@analytics_page("Recency and frequency", "rfm")
def rfm_part(request: HttpRequest, merchant: Merchant) -> Shown:
    grid = worths(merchant_id=merchant.pk).grid
    most = max((cell.customers for cell in grid.values()), default=0)
    return {
        "has_figures": bool(grid),
        "columns": [FREQUENCY[frequency] for frequency in SCORES],
        "grid": [
            (
                RECENCY[recency],
                [
                    _cell(grid.get((recency, frequency)), recency, frequency, most, merchant.currency)
                    for frequency in SCORES
                ],
            )
            for recency in reversed(SCORES)
        ],
    }


def _cell(cell: Worth | None, recency: int, frequency: int, most: int, currency: str) -> dict[str, Any]:
    if cell is None:
        return {"customers": 0, "shade": ""}
    return {
        "customers": cell.customers,
        "value": rough_money(from_cents(cell.cents), currency),
        "shade": shade(cell.customers, most),
        "url": reverse("rfm_cell_page", args=[recency, frequency]),
        "told": (
            f"{counted(cell.customers, 'customer')}, {money(from_cents(cell.cents), currency)} in 12 months:"
            f" {RECENCY[recency]}, {FREQUENCY[frequency]}"
        ),
    }


@analytics_page("Customers", "people")
def rfm_cell_page(request: HttpRequest, merchant: Merchant, recency: int, frequency: int) -> Shown:
    if recency not in SCORES or frequency not in SCORES:
        raise Http404

    def read(offset: int, limit: int) -> People:
        found = customers_in_cell(
            merchant_id=merchant.pk, recency=recency, frequency=frequency, offset=offset, limit=limit
        )
        return People(found.total, [person(row, merchant.currency) for row in found.rows])

    shown = people_shown(
        request, merchant, columns=COLUMNS, read=read, file_name=f"recency-{recency}-frequency-{frequency}"
    )
    if not isinstance(shown, dict):
        return shown
    return shown | {
        "title": f"Recency {recency}, frequency {frequency}",
        "told": (
            f"Last bought: {RECENCY[recency]}. Buys: {FREQUENCY[frequency]}. Each is a fifth of the customers"
            " who ever bought, 5 the best one."
        ),
        "note": "Who spent most in 12 months comes first.",
    }
