"""The segments of a merchant."""

from typing import Any

from django.http import HttpResponse

from analytics.counts import segment_counts
from analytics.serializers.segments import SEGMENTS, render_segments
from analytics.thresholds import rules_of
from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role


class SegmentsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": SEGMENTS}
    filters = {"get": NoParameters}
    summaries = {"get": "Count the customers of each segment"}

    def get(self, request: Any) -> HttpResponse:
        NoParameters(request)
        merchant_id = request.access.merchant_id
        return envelope.success(
            render_segments(segment_counts(merchant_id=merchant_id), rules_of(merchant_id))
        )
