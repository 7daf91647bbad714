"""Figures for store managers."""

import uuid
from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now

from analytics.behaviour import behaviour
from analytics.counts import segment_counts
from analytics.overview import overview, read_interval, read_period
from analytics.serializers import (
    CUSTOMER_ANALYTICS,
    OVERVIEW,
    SEGMENTS,
    OverviewFilters,
    render_behaviour,
    render_overview,
    render_segments,
)
from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
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


class CustomerAnalyticsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": CUSTOMER_ANALYTICS}
    filters = {"get": NoParameters}
    summaries = {"get": "Read how a customer buys"}

    def get(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        access = request.access
        found = behaviour(merchant_id=access.merchant_id, customer_id=customer_id, at=now())
        return envelope.success(render_behaviour(found, access))


class SegmentsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": SEGMENTS}
    filters = {"get": NoParameters}
    summaries = {"get": "Count the customers of each segment"}

    def get(self, request: Any) -> HttpResponse:
        NoParameters(request)
        return envelope.success(render_segments(segment_counts(merchant_id=request.access.merchant_id)))
