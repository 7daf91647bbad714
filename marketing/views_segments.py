"""Segments of a merchant: rules and lists, who is in them, and why."""

import uuid
from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now

from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output, Paged
from cloudpos.api.tables import wants_csv
from cloudpos.api.views import ApiView
from cloudpos.jobs.serializers import JOB
from cloudpos.tenancy.roles import Role
from customers.exports import export_csv
from marketing import segment_services as services
from marketing.segment_reading import (
    SAMPLE_DEFAULT,
    explain,
    find_segment,
    members_of,
    preview_rule,
    segments_of,
)
from marketing.segments.schema import RULE_SCHEMA
from marketing.serializers_segments import (
    CHANGED,
    EXPLANATION,
    MEMBER,
    PREVIEW,
    SEGMENT,
    ExplainFilters,
    MemberFilters,
    MembersInput,
    PreviewInput,
    SegmentChange,
    SegmentFilters,
    SegmentInput,
    members_table,
    render_explanation,
    render_preview,
)


class SegmentsView(ApiView):
    roles = {"get": Role.MANAGER, "post": Role.MANAGER}
    inputs = {"post": SegmentInput}
    outputs = {"get": Paged("segments", SEGMENT), "post": Output(SEGMENT, status=201)}
    filters = {"get": SegmentFilters}
    summaries = {"get": "List segments", "post": "Make a segment: a rule, or a list to fill by hand"}

    def get(self, request: Any) -> HttpResponse:
        filters = SegmentFilters(request)
        segments = filters.filter_queryset(segments_of(request.access.merchant_id))
        return filters.respond("segments", SEGMENT, segments, total=segments.count)

    def post(self, request: Any) -> HttpResponse:
        """Members of a rule follow in the background: `builtVersion` tells when they are there."""
        segment = services.create_segment(access=request.access, **self.input(SegmentInput))
        return envelope.created(SEGMENT.instance(segment), location=f"/api/v1/segments/{segment.pk}")


class SegmentView(ApiView):
    roles = {"get": Role.MANAGER, "patch": Role.MANAGER, "delete": Role.MANAGER}
    inputs = {"patch": SegmentChange}
    outputs = {"get": SEGMENT, "patch": SEGMENT, "delete": None}
    filters = {"get": NoParameters}
    summaries = {
        "get": "Read a segment",
        "patch": "Change a segment; members stay those of the old rule until the new one is built",
        "delete": "Delete a segment; its customers stay",
    }

    def get(self, request: Any, segment_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        segment = find_segment(merchant_id=request.access.merchant_id, segment_id=segment_id)
        return envelope.success(SEGMENT.instance(segment))

    def patch(self, request: Any, segment_id: uuid.UUID) -> HttpResponse:
        changes = self.input(SegmentChange, partial=True)
        segment = services.update_segment(access=request.access, segment_id=segment_id, changes=changes)
        return envelope.success(SEGMENT.instance(segment), "Segment changed")

    def delete(self, request: Any, segment_id: uuid.UUID) -> HttpResponse:
        services.delete_segment(merchant_id=request.access.merchant_id, segment_id=segment_id)
        return envelope.success(None, "Segment deleted")


class SegmentPreviewView(ApiView):
    """Reads only; nothing is kept of it."""

    roles = {"post": Role.MANAGER}
    inputs = {"post": PreviewInput}
    outputs = {"post": PREVIEW}
    summaries = {"post": "Try a rule out: how many customers, who for example, and what would change"}

    def post(self, request: Any) -> HttpResponse:
        said = self.input(PreviewInput)
        merchant_id, segment_id = request.access.merchant_id, said.get("segment_id")
        preview = preview_rule(
            merchant_id=merchant_id,
            rule=services.read_rule(merchant_id, said["rule"], segment_id=segment_id),
            segment_id=segment_id,
            sample=said.get("sample_size", SAMPLE_DEFAULT),
            at=now(),
        )
        return envelope.success(render_preview(preview))


class SegmentSchemaView(ApiView):
    """JSON Schema (draft 2020-12), for editors."""

    roles = {"get": Role.MANAGER}
    outputs = {"get": {"type": "object", "additionalProperties": True}}
    filters = {"get": NoParameters}
    summaries = {"get": "Read the language of rules as JSON Schema"}

    def get(self, request: Any) -> HttpResponse:
        NoParameters(request)
        return envelope.success(RULE_SCHEMA)


class SegmentMembersView(ApiView):
    roles = {"get": Role.MANAGER, "post": Role.MANAGER}
    inputs = {"post": MembersInput}
    outputs = {"get": Paged("members", MEMBER), "post": CHANGED}
    filters = {"get": MemberFilters}
    summaries = {"get": "List the customers of a segment", "post": "Put customers on a list"}
    tables = frozenset({"get"})

    def get(self, request: Any, segment_id: uuid.UUID) -> HttpResponse:
        """As CSV up to 50,000; of more, POST /exports makes a file."""
        filters = MemberFilters(request)
        segment = find_segment(merchant_id=request.access.merchant_id, segment_id=segment_id)
        members = members_of(segment)
        if wants_csv(request, filters.values):
            table = members_table(segment, members)
            return export_csv(access=request.access, name="segment-members", table=table)
        return filters.respond("members", MEMBER, members, total=segment.size)

    def post(self, request: Any, segment_id: uuid.UUID) -> HttpResponse:
        came = services.add_members(access=request.access, segment_id=segment_id, **self.input(MembersInput))
        return _changed(request, segment_id, came)


class SegmentMembersRemoveView(ApiView):
    roles = {"post": Role.MANAGER}
    inputs = {"post": MembersInput}
    outputs = {"post": CHANGED}
    summaries = {"post": "Take customers off a list"}

    def post(self, request: Any, segment_id: uuid.UUID) -> HttpResponse:
        left = services.remove_members(
            access=request.access, segment_id=segment_id, **self.input(MembersInput)
        )
        return _changed(request, segment_id, left)


def _changed(request: Any, segment_id: uuid.UUID, changed: int) -> HttpResponse:
    segment = find_segment(merchant_id=request.access.merchant_id, segment_id=segment_id)
    return envelope.success({"changed": changed, "size": segment.size})


class SegmentExplainView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": EXPLANATION}
    filters = {"get": ExplainFilters}
    summaries = {"get": "Why is a customer in a segment, or not?"}

    def get(self, request: Any, segment_id: uuid.UUID) -> HttpResponse:
        """Without a customer: the rule's conditions in words."""
        found = explain(
            merchant_id=request.access.merchant_id,
            segment_id=segment_id,
            customer_id=ExplainFilters(request).values.get("customer_id"),
            at=now(),
        )
        return envelope.success(render_explanation(found))


class SegmentRebuildView(ApiView):
    roles = {"post": Role.MANAGER}
    outputs = {"post": Output(JOB, status=202)}
    summaries = {"post": "Ask a segment's rule about every customer again"}

    def post(self, request: Any, segment_id: uuid.UUID) -> HttpResponse:
        job = services.rebuild_segment(access=request.access, segment_id=segment_id)
        return envelope.accepted(JOB.instance(job), f"/api/v1/jobs/{job.pk}", "The segment is being built")
