"""Events: what clients tell of a customer, and everything that happened to one."""

import uuid
from typing import Any

from django.http import HttpResponse
from rest_framework.exceptions import ValidationError

from cloudpos.api import envelope
from cloudpos.api.errors import ApiError, BadRequest, flatten
from cloudpos.api.schema import Paged, once
from cloudpos.api.views import ApiView, batch_body_bytes_max
from cloudpos.tenancy.roles import Role
from customers.finding_events import count_events, events_of
from customers.serializers_events import (
    BATCH,
    EVENT,
    BatchedEventInput,
    EventBatchInput,
    EventFilters,
    EventInput,
    EventRowsInput,
)
from customers.services.activity import Recorded, record_activities, record_activity


class CustomerEventsView(ApiView):
    roles = {"get": Role.CASHIER, "post": Role.CASHIER}
    inputs = {"post": EventInput}
    outputs = {
        "get": Paged("events", EVENT),
        "post": once(EVENT, "The same event was sent before under this eventId."),
    }
    filters = {"get": EventFilters}
    summaries = {"get": "List what happened to a customer", "post": "Record an event of a customer"}

    def get(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        filters = EventFilters(request)
        access = request.access
        events = filters.filter_queryset(events_of(merchant_id=access.merchant_id, customer_id=customer_id))
        total, exact = count_events(events)
        return filters.respond("events", EVENT, events, total=total, exact=exact)

    def post(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        access = request.access
        recorded = record_activity(access=access, customer_id=customer_id, data=self.input(EventInput))
        location = f"/api/v1/customers/{recorded.event.customer_id}/events"
        return envelope.once(EVENT.instance(recorded.event), location, is_new=recorded.is_new)


class EventBatchView(ApiView):
    """Each event is recorded or refused by itself; send the batch again when in doubt, each eventId counts once."""

    body_bytes_max = batch_body_bytes_max()
    roles = {"post": Role.CASHIER}
    inputs = {"post": EventBatchInput}
    outputs = {"post": BATCH}
    summaries = {"post": "Record events of many customers"}

    def post(self, request: Any) -> HttpResponse:
        rows = [_read(row) for row in self.input(EventRowsInput)["events"]]
        outcomes = record_activities(access=request.access, rows=rows)
        results = [_rendered(index, outcome) for index, outcome in enumerate(outcomes)]
        statuses = [result["status"] for result in results]
        return envelope.success(
            {
                "results": results,
                "created": statuses.count("created"),
                "duplicates": statuses.count("duplicate"),
                "failed": statuses.count("failed"),
            }
        )


def _read(row: Any) -> dict[str, Any] | ApiError:
    try:
        return BatchedEventInput.parse(row)
    except ValidationError as invalid:
        return BadRequest(errors=list(flatten(invalid.detail)))


def _rendered(index: int, outcome: Recorded | ApiError) -> dict[str, Any]:
    if isinstance(outcome, ApiError):
        errors = [
            {"field": each.field, "message": each.message, "code": each.code} for each in outcome.errors
        ]
        error = {"code": outcome.error_code, "message": outcome.detail, "errors": errors}
        return {"index": index, "status": "failed", "error": error}
    status = "created" if outcome.is_new else "duplicate"
    return {"index": index, "status": status, "event": EVENT.instance(outcome.event)}
