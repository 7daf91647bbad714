"""The merchant's figures for a period."""

from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now

from analytics.overview import overview, read_interval, read_period
from analytics.serializers.overview import OVERVIEW, OverviewFilters, render_overview
from cloudpos.api import envelope
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role


class OverviewView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": OVERVIEW}
    filters = {"get": OverviewFilters}
    summaries = {"get": "Read the merchant's figures for a period"}

    def get(self, request: Any) -> HttpResponse:
        access = request.access
        asked = OverviewFilters(request).values
        today = now().astimezone(access.tz).date()
        period = read_period(first=asked.get("from_"), last=asked.get("to"), today=today)
        interval = read_interval(asked.get("interval"), period)
        found = overview(access=access, period=period, interval=interval, store_id=asked.get("store_id"))
        return envelope.success(render_overview(found, access))
