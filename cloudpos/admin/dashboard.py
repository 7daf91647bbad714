"""The start page of the admin: how the merchant is doing; for a superuser without one, how each of them is."""

import json
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from analytics.overview import overview
from analytics.periods import read_interval
from cloudpos.admin.analytics.choice import PERIODS_DAYS, read_choice
from cloudpos.admin.analytics.kpis import overview_kpis
from cloudpos.admin.analytics.pages import in_time
from cloudpos.admin.analytics.standing import latest_purchases, standing
from cloudpos.admin.analytics.trends import trends
from cloudpos.admin.merchants import DAYS, merchant_rows
from cloudpos.tenancy.backoffice.access import staff_access
from cloudpos.tenancy.models import Merchant


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """UNFOLD's DASHBOARD_CALLBACK."""
    access = staff_access(request)
    if access.current is None:
        context["merchant_rows"] = merchant_rows(list(access.choices), now=timezone.now())
        context["days_shown"] = DAYS
        return context
    merchant = access.current
    context.update(merchant=merchant, currency=merchant.currency)
    shown = in_time(_figures, request, merchant)
    context.update(shown if isinstance(shown, dict) else {"figures_late": True})
    return context


def _figures(request: HttpRequest, merchant: Merchant) -> dict[str, Any]:
    choice = read_choice(request, merchant)
    found = overview(
        merchant_id=merchant.pk,
        period=choice.period,
        interval=read_interval(None, choice.period),
        store_id=choice.store_id,
    )
    previous = found.previous
    store = {} if choice.store_id is None else {"store": choice.store_id}
    cohorts = reverse("cohorts_page")
    return {
        "choice": choice,
        "periods": PERIODS_DAYS,
        "figures": found,
        "has_sales": bool(found.current.purchases or (previous and previous.purchases)),
        "kpis": overview_kpis(found, merchant, choice),
        "cohorts_url": f"{cohorts}?{urlencode(store)}",
        "cohorts_part": f"{cohorts}?{urlencode({'part': 1, **store})}",
        "latest": latest_purchases(merchant),
        "attribution": _attribution(merchant),
        **trends(found.series, merchant, choice),
        **standing(merchant),
    }


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
