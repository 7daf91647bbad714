"""What a merchant's loyalty program owes its members, and what will come of it."""

import json
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from psycopg.errors import QueryCanceled

from cloudpos.admin.charts import chart_options
from cloudpos.admin.kpi import Kpi, percent_change
from cloudpos.tenancy.backoffice.access import staff_access
from cloudpos.tenancy.formats import count, counted, money, short_money
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.roles import Role
from loyalty.analytics import ProgramFigures, program_figures
from loyalty.analytics_breakage import COHORTS_MIN, POINTS_MIN
from loyalty.analytics_periods import read_steps
from loyalty.analytics_rollups import AnalyticsBeingPrepared
from loyalty.analytics_shape import in_money
from loyalty.services import active_program

PERIODS_MONTHS = (12, 24, 60)
# Readable on white and on black.
COLOURS = {"Earned": "#2f6fed", "Redeemed": "#1f9d63", "Expired": "#d97706"}


def liability(request: HttpRequest) -> HttpResponse:
    """The page "Liability", for managers of the merchant that is shown."""
    access = staff_access(request)
    if not access.may(Role.MANAGER):
        raise PermissionDenied
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Liability"}
    merchant = access.current
    if merchant is not None:
        context.update(_figures(request, merchant))
    return TemplateResponse(request, "backoffice/liability.html", context)


def _figures(request: HttpRequest, merchant: Merchant) -> dict[str, Any]:
    program = active_program(merchant.pk)
    if program is None:
        return {"no_program": True}
    asked = request.GET.get("months", "")
    months = int(asked) if asked in {str(known) for known in PERIODS_MONTHS} else PERIODS_MONTHS[0]
    at = timezone.now()
    today = at.astimezone(merchant.tz).date()
    year, month = divmod(today.year * 12 + today.month - months, 12)
    steps = read_steps(first=today.replace(year, month + 1, 1), last=today, granularity="month", today=today)
    try:
        found = program_figures(merchant_id=merchant.pk, steps=steps, at=at)
    except AnalyticsBeingPrepared:
        return {"figures_late": True}
    except OperationalError as exc:
        if not isinstance(exc.__cause__, QueryCanceled):
            raise
        return {"figures_late": True}
    return {
        "figures": found,
        "merchant": merchant,
        "program": program,
        "months": months,
        "periods": PERIODS_MONTHS,
        "kpis": _kpis(found, merchant),
        "chart": json.dumps(_chart(found)),
        "chart_options": json.dumps(chart_options(mark=(8, 8), gap=16)),
        "rows": [
            (span.first.strftime("%b %Y"), flow) for span, flow in zip(steps.steps, found.series, strict=True)
        ],
        "tiers": _tiers(found),
        "movements": [
            {
                "origin": _tier_name(found, move.origin),
                "target": _tier_name(found, move.target),
                "members": move.members,
                "direction": move.direction,
            }
            for move in found.movements
        ],
        "breakage": _breakage(found, merchant),
        "settlement": _settlement(found, merchant),
    }


def _kpis(found: ProgramFigures, merchant: Merchant) -> list[Kpi]:
    amount = in_money(found.outstanding, found.redeem_value)
    current, previous = found.current, found.previous
    rate = current.redemption_rate
    return [
        Kpi(
            title="Points outstanding",
            value=count(found.outstanding),
            detail=f"{count(found.past_expiry)} more have just expired"
            if found.past_expiry
            else f"{count(found.members)} members hold them",
        ),
        Kpi(
            title="Worth at the till",
            value="–" if amount is None else short_money(amount, merchant.currency),
            exact=None if amount is None else money(amount, merchant.currency),
            detail="The program names no value of a point"
            if found.redeem_value is None
            else f"{found.redeem_value.normalize():f} {merchant.currency} per point",
        ),
        Kpi(
            title="Redeemed of what was earned",
            value="–" if rate is None else _percent(rate),
            detail=f"{count(current.redeemed)} of {count(current.earned)} points",
        ),
        Kpi(
            title="Members who earned or redeemed",
            value=count(current.active),
            detail=f"{count(current.enrolled)} joined in the period",
            **percent_change(current.active, previous.active),
        ),
    ]


def _chart(found: ProgramFigures) -> dict[str, Any]:
    """For the theme's bar chart."""
    values = {
        "Earned": [flow.earned for flow in found.series],
        "Redeemed": [flow.redeemed for flow in found.series],
        "Expired": [flow.expired for flow in found.series],
    }
    return {
        "labels": [f"{span.first:%b %y}" for span in found.steps.steps],
        "datasets": [
            {"label": name, "data": data, "backgroundColor": COLOURS[name], "borderRadius": 2}
            for name, data in values.items()
        ],
    }


def _tiers(found: ProgramFigures) -> list[dict[str, Any]]:
    total = sum(tier.members for tier in found.tiers)
    return [
        {
            "name": tier.name,
            "members": tier.members,
            "percent": round(100 * tier.members / total) if total else 0,
        }
        for tier in found.tiers
    ]


def _tier_name(found: ProgramFigures, code: str) -> str:
    names = {tier.code: tier.name for tier in found.tiers}
    return names.get(code) or code.capitalize() or "No tier"


def _breakage(found: ProgramFigures, merchant: Merchant) -> dict[str, Any]:
    """In words and numbers; `estimated` is False when there is too little to tell from."""
    breakage, value = found.breakage, found.redeem_value
    observed = breakage.observed
    told: dict[str, Any] = {
        "estimated": breakage.points is not None,
        "nothing_redeemed": breakage.nothing_redeemed,
        "sample": f"{counted(breakage.sample_points, 'point')} earned in {counted(breakage.cohorts, 'month')}",
        "needed": f"{count(POINTS_MIN)} points earned in {COHORTS_MIN} whole months, some of them redeemed",
        "horizon": breakage.horizon_months,
        "observed": observed,
        "observed_rate": _percent((observed.expired + observed.unspent) / observed.earned)
        if observed.earned
        else None,
    }
    if breakage.points is not None and breakage.low is not None and breakage.high is not None:
        total = breakage.outstanding
        told.update(
            points=breakage.points,
            low=breakage.low,
            high=breakage.high,
            percent=round(100 * breakage.points / total) if total else 0,
            of_new=_percent(breakage.rate_of_new or 0.0),
        )
        if value is not None:
            told["amount"] = money(in_money(breakage.points, value), merchant.currency)
            told["amount_range"] = " to ".join(
                money(in_money(bound, value), merchant.currency) for bound in (breakage.low, breakage.high)
            )
    return told


def _settlement(found: ProgramFigures, merchant: Merchant) -> dict[str, Any] | None:
    """A row for each store where points were earned, a column for each where they were spent."""
    cells = {(row.earned_store_id, row.spent_store_id): row.points for row in found.settlement}
    if not cells:
        return None

    def named(ids: set[Any]) -> list[tuple[Any, str]]:
        known = [(store_id, name) for store_id, name in found.stores.items() if store_id in ids]
        return known + [(store_id, "No store") for store_id in ids if store_id not in found.stores]

    spent = named({pair[1] for pair in cells})
    return {
        "columns": [name for _, name in spent],
        "rows": [
            {
                "store": name,
                "cells": [
                    _cell(cells.get((earned_id, spent_id), 0), found, merchant) for spent_id, _ in spent
                ],
            }
            for earned_id, name in named({pair[0] for pair in cells})
        ],
    }


def _cell(points: int, found: ProgramFigures, merchant: Merchant) -> dict[str, Any]:
    amount = in_money(points, found.redeem_value)
    return {"points": points, "amount": None if amount is None else money(amount, merchant.currency)}


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
