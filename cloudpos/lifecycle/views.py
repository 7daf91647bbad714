"""Timeline, merge and undo, erasure and export of one customer."""

import uuid
from datetime import datetime

from django.http import HttpResponse
from rest_framework.request import Request

from cloudpos.api.envelope import success
from cloudpos.api.pagination import LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, encode_cursor
from cloudpos.api.parameters import Choices, Integer, Text
from cloudpos.api.query import NoParameters, StrictFilterSet
from cloudpos.api.views import ApiView
from cloudpos.lifecycle.erasing import erase_customer
from cloudpos.lifecycle.exporting import export_customer
from cloudpos.lifecycle.merging import merge_customers
from cloudpos.lifecycle.serializers import (
    ERASURE,
    EXPORT,
    MERGE,
    TIMELINE,
    UNDONE,
    EmptyInput,
    MergeInput,
    erasure_json,
    merge_json,
    moment_json,
    undo_json,
)
from cloudpos.lifecycle.timeline import KINDS, read_timeline
from cloudpos.lifecycle.unmerging import undo_merge
from cloudpos.tenancy.roles import Role

CURSOR = "timeline"


class TimelineFilters(StrictFilterSet):
    paged = False
    cursors = False

    kinds = Choices(KINDS, method="", description="Only these, as a comma list.")
    limit = Integer(method="", minimum=1, maximum=LIMIT_MAX)
    cursor = Text(method="", max_length=1024, description="`nextCursor` of the answer before.")


class TimelineView(ApiView):
    """What happened with a customer, newest first: purchases, returns, points, consent, events, merges."""

    roles = {"get": Role.CASHIER}
    filters = {"get": TimelineFilters}
    outputs = {"get": TIMELINE}
    summaries = {"get": "Read a customer's timeline"}

    def get(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        values = TimelineFilters(request).values
        limit = values.get("limit", LIMIT_DEFAULT)
        moments, following = read_timeline(
            merchant_id=request.access.merchant_id,  # type: ignore[attr-defined]
            customer_id=customer_id,
            limit=limit,
            kinds=values.get("kinds", KINDS),
            before=_position(values.get("cursor")),
        )
        return success(
            {
                "timeline": [moment_json(moment) for moment in moments],
                "limit": limit,
                "nextCursor": encode_cursor(CURSOR, following) if following else None,
            }
        )


class MergeView(ApiView):
    """Merge another customer into this one, or say what that would do.

    Purchases, points, consent, tags and addresses follow; a consent withdrawn on either side stays withdrawn; the
    other customer's id answers with this one from then on.
    """

    roles = {"post": Role.MANAGER}
    filters = {"post": NoParameters}
    inputs = {"post": MergeInput}
    outputs = {"post": MERGE}
    summaries = {"post": "Merge two customers"}

    def post(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        values = self.input(MergeInput)
        report = merge_customers(
            access=request.access,  # type: ignore[attr-defined]
            customer_id=customer_id,
            source_id=values["source_id"],
            from_source=values["take_from_source"],
            preview=values["preview"],
        )
        return success(merge_json(report), "Nothing was changed" if values["preview"] else "Customers merged")


class UndoMergeView(ApiView):
    """Take a merge apart: both customers as they were, and in words what could not be restored."""

    roles = {"post": Role.MANAGER}
    filters = {"post": NoParameters}
    inputs = {"post": EmptyInput}
    outputs = {"post": UNDONE}
    summaries = {"post": "Undo a merge"}

    def post(self, request: Request, customer_id: uuid.UUID, merge_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        self.input(EmptyInput)
        report = undo_merge(
            access=request.access,  # type: ignore[attr-defined]
            customer_id=customer_id,
            merge_id=merge_id,
        )
        return success(undo_json(report), "Merge undone")


class EraseView(ApiView):
    """Forget a customer for good. The receipt says what went, what was kept, and why; again, it is the same receipt."""

    roles = {"post": Role.MANAGER}
    filters = {"post": NoParameters}
    inputs = {"post": EmptyInput}
    outputs = {"post": ERASURE}
    summaries = {"post": "Erase a customer"}

    def post(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        self.input(EmptyInput)
        report = erase_customer(access=request.access, customer_id=customer_id)  # type: ignore[attr-defined]
        return success(erasure_json(report.erasure), "Customer erased" if report.is_new else "Erased before")


class ExportView(ApiView):
    """Everything that is stored about a customer, as one JSON: also of a deleted one, until it is erased."""

    roles = {"get": Role.MANAGER}
    filters = {"get": NoParameters}
    outputs = {"get": EXPORT}
    summaries = {"get": "Export a customer"}

    def get(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        return success(
            export_customer(
                access=request.access,  # type: ignore[attr-defined]
                customer_id=customer_id,
            )
        )


def _position(cursor: str | None) -> tuple[datetime, uuid.UUID] | None:
    if not cursor:
        return None
    at, row_id = decode_cursor(CURSOR, cursor)
    return datetime.fromisoformat(at), uuid.UUID(row_id)
