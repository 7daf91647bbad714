"""The merchant's figures for a period."""

from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now

from analytics.overview import overview, total_customers
from analytics.people import has_figures, value_at_risk
from analytics.periods import PREVIOUS_PERIOD, read_interval, read_period
from analytics.serializers.overview import OVERVIEW, OverviewFilters, overview_table, render_overview
from cloudpos.api import envelope
from cloudpos.api.tables import wants_csv
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from customers.exports import export_csv


class OverviewView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": OVERVIEW}
    filters = {"get": OverviewFilters}
    summaries = {"get": "Read the merchant's figures for a period"}
    tables = frozenset({"get"})

    def get(self, request: Any) -> HttpResponse:
        """Days are those of the store where something happened. New is whose first purchase at any store is in the period;
        who had everything taken back is neither new nor active."""
        access = request.access
        asked = OverviewFilters(request).values
        today = now().astimezone(access.tz).date()
        period = read_period(first=asked.get("from_"), last=asked.get("to"), today=today)
        found = overview(
            merchant_id=access.merchant_id,
            period=period,
            interval=read_interval(asked.get("interval"), period),
            compare=asked.get("compare", PREVIOUS_PERIOD),
            store_id=asked.get("store_id"),
        )
        if wants_csv(request, asked):
            return export_csv(
                access=access,
                name=f"overview-{period.first}-{period.last}",
                table=overview_table(found),
            )
        at_risk = value_at_risk(merchant_id=access.merchant_id)
        return envelope.success(
            render_overview(
                found,
                access,
                customers=total_customers(access.merchant_id),
                at_risk=at_risk,
                # Usually somebody is at risk: then there is nothing more to ask.
                is_worked_out=at_risk.customers > 0 or has_figures(access.merchant_id),
            )
        )
