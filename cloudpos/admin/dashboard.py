"""The start page of the admin: how the merchant is doing; for a superuser without one, how each of them is."""

import json
from decimal import Decimal
from functools import cache
from typing import Any

from django.conf import settings
from django.core.cache import cache as shared_cache
from django.db import OperationalError
from django.http import HttpRequest
from django.utils import timezone
from psycopg.errors import QueryCanceled

from cloudpos.admin.charts import chart_options
from cloudpos.admin.figures import DAYS, Figures, figures, latest_purchases, merchant_rows
from cloudpos.tenancy.backoffice.access import staff_access
from cloudpos.tenancy.formats import change_percent, count, counted, money, short_money
from cloudpos.tenancy.models import Merchant

# The page is opened often and its sums read a month of sales; a minute old is fresh enough for a person.
FIGURES_CACHE_SECONDS = 60


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """UNFOLD's DASHBOARD_CALLBACK."""
    access = staff_access(request)
    now = timezone.now()
    if access.current is None:
        context["merchant_rows"] = merchant_rows(list(access.choices), now=now)
        context["days_shown"] = DAYS
        return context
    merchant = access.current
    key = f"backoffice-figures:{merchant.pk}"
    found: Figures | None = shared_cache.get(key)
    if found is None:
        try:
            found = figures(merchant, now=now)
        except OperationalError as exc:
            if not isinstance(exc.__cause__, QueryCanceled):
                raise
            # A busy database took longer than a statement may: the way to the customers must stay open.
            context.update(figures_late=True, merchant=merchant)
            return context
        shared_cache.set(key, found, FIGURES_CACHE_SECONDS)
    context.update(
        figures=found,
        merchant=merchant,
        currency=merchant.currency,
        days_shown=DAYS,
        kpis=_kpis(found, merchant),
        chart=json.dumps(_chart(found)),
        chart_options=json.dumps(_chart_options(merchant.currency)),
        latest=latest_purchases(merchant),
        attribution=_attribution(merchant),
    )
    return context


def _kpis(found: Figures, merchant: Merchant) -> list[dict[str, Any]]:
    return [
        {
            "title": f"Revenue, last {DAYS} days",
            "value": short_money(found.revenue, merchant.currency),
            "exact": money(found.revenue, merchant.currency),
            "trend": change_percent(found.revenue, found.revenue_before),
            "detail": f"{counted(found.sales, 'purchase')}, {money(found.returned, merchant.currency)} returned",
        },
        {
            "title": "Customers",
            "value": count(found.customers),
            "trend": None,
            "detail": f"{count(found.joined)} joined in the last {DAYS} days, {count(found.joined_before)} before",
        },
        {
            "title": f"Bought, last {DAYS} days",
            "value": count(found.buyers),
            "trend": change_percent(found.buyers, found.buyers_before),
            "detail": f"{count(found.buyers_before)} in the {DAYS} days before",
        },
        {
            "title": f"Points issued, last {DAYS} days",
            "value": count(found.issued),
            "trend": change_percent(found.issued, found.issued_before),
            "detail": f"{count(found.redeemed)} redeemed, {count(found.outstanding)} still to spend",
        },
    ]


def _chart(found: Figures) -> dict[str, Any]:
    """For the theme's line chart."""
    return {
        "labels": [f"{day.day} {day:%b}" for day, _, _ in found.days],
        "datasets": [
            {
                "label": f"Last {DAYS} days",
                "data": [_plotted(amount) for _, amount, _ in found.days],
                "borderColor": "var(--color-primary-600)",
                "backgroundColor": "var(--color-primary-600)",
                "borderWidth": 2,
                "pointRadius": 0,
                "cubicInterpolationMode": "monotone",
            },
            {
                "label": f"The {DAYS} days before",
                "data": [_plotted(amount) for _, _, amount in found.days],
                "borderColor": "var(--color-base-400)",
                "backgroundColor": "var(--color-base-400)",
                "borderWidth": 1.500,
                "borderDash": [4, 4],
                "pointRadius": 0,
                "cubicInterpolationMode": "monotone",
            },
        ],
    }


def _plotted(amount: Decimal) -> float:
    return float(round(amount, 2))


def _chart_options(currency: str) -> dict[str, Any]:
    amounts = {"style": "currency", "currency": currency, "maximumFractionDigits": 0}
    return chart_options(mark=(16, 2), gap=24, amounts=amounts)


@cache
def _manifest() -> dict[str, Any]:
    """What the demo data says of itself; nothing where it was not shipped."""
    path = settings.BASE_DIR / "demo" / "data" / "manifest.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _attribution(merchant: Merchant) -> dict[str, Any] | None:
    """Whose data the demo merchant shows: its licence asks for it."""
    manifest = _manifest()
    return manifest["attribution"] if manifest and manifest["merchant"]["slug"] == merchant.slug else None
