"""The segments of a merchant."""

from typing import Any

from django.http import HttpResponse

from analytics.counts import segment_counts
from analytics.serializers.segments import SEGMENTS, SegmentFilters, render_segments, segments_table
from analytics.thresholds import rules_of
from cloudpos.api import envelope
from cloudpos.api.tables import wants_csv
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from customers.exports import export_csv


class SegmentsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": SEGMENTS}
    filters = {"get": SegmentFilters}
    summaries = {"get": "Read the merchant's segments: size, value, risk, and who moved between them"}
    tables = frozenset({"get"})

    def get(self, request: Any) -> HttpResponse:
        """Counts are of this moment. Movements are those of the last twelve months, in the merchant's time. Whose imported
        purchases were looked at for the first time has not moved."""
        asked = SegmentFilters(request).values
        merchant_id = request.access.merchant_id
        found = segment_counts(merchant_id=merchant_id)
        if wants_csv(request, asked):
            return export_csv(access=request.access, name="segments", table=segments_table(found))
        return envelope.success(render_segments(found, rules_of(merchant_id)))
