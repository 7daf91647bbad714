"""The program's figures, for store managers."""

from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now

from cloudpos.api import envelope
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from loyalty.analytics import program_figures
from loyalty.analytics_periods import read_steps
from loyalty.analytics_shape import PROGRAM_ANALYTICS, ProgramAnalyticsFilters, render_program_figures


class ProgramAnalyticsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": PROGRAM_ANALYTICS}
    filters = {"get": ProgramAnalyticsFilters}
    summaries = {
        "get": "Read how the loyalty program does: members, points, liability, breakage, tiers, settlement"
    }

    def get(self, request: Any) -> HttpResponse:
        access = request.access
        asked = ProgramAnalyticsFilters(request).values
        at = now()
        steps = read_steps(
            first=asked.get("from_"),
            last=asked.get("to"),
            granularity=asked.get("granularity"),
            today=at.astimezone(access.tz).date(),
        )
        found = program_figures(
            merchant_id=access.merchant_id, steps=steps, at=at, store_id=asked.get("store_id")
        )
        return envelope.success(render_program_figures(found, access))
