"""Event types: the catalogue of ours, and those that a merchant describes."""

import uuid
from typing import Any

from django.http import HttpResponse

from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from customers.serializers_event_types import (
    CUSTOM_EVENT_TYPE,
    EVENT_TYPES,
    OURS,
    EventTypeChange,
    EventTypeInput,
    listed,
    rendered,
)
from customers.services import event_types as services


class EventTypesView(ApiView):
    roles = {"get": Role.CASHIER, "post": Role.MANAGER}
    inputs = {"post": EventTypeInput}
    outputs = {"get": EVENT_TYPES, "post": Output(CUSTOM_EVENT_TYPE, status=201)}
    filters = {"get": NoParameters}
    summaries = {
        "get": "List event types with the schemas of their data: ours and the merchant's",
        "post": "Describe an event type of your own; with a schema, only data that fit are taken in",
    }

    def get(self, request: Any) -> HttpResponse:
        NoParameters(request)
        custom = services.event_types_of(request.access.merchant_id)
        return envelope.success({"types": [*OURS, *[listed(each) for each in custom]]})

    def post(self, request: Any) -> HttpResponse:
        made = services.create_event_type(
            merchant_id=request.access.merchant_id, **self.input(EventTypeInput)
        )
        return envelope.created(rendered(made), location=f"/api/v1/events/types/{made.pk}")


class EventTypeView(ApiView):
    roles = {"get": Role.CASHIER, "patch": Role.MANAGER, "delete": Role.MANAGER}
    inputs = {"patch": EventTypeChange}
    outputs = {"get": CUSTOM_EVENT_TYPE, "patch": CUSTOM_EVENT_TYPE, "delete": None}
    summaries = {
        "get": "Read an event type of the merchant's",
        "patch": "Change an event type's description or schema",
        "delete": "Delete an event type's description; its events stay",
    }

    def get(self, request: Any, event_type_id: uuid.UUID) -> HttpResponse:
        found = services.find_event_type(merchant_id=request.access.merchant_id, event_type_id=event_type_id)
        return envelope.success(rendered(found))

    def patch(self, request: Any, event_type_id: uuid.UUID) -> HttpResponse:
        changed = services.update_event_type(
            merchant_id=request.access.merchant_id,
            event_type_id=event_type_id,
            changes=self.input(EventTypeChange, partial=True),
        )
        return envelope.success(rendered(changed), "Event type changed")

    def delete(self, request: Any, event_type_id: uuid.UUID) -> HttpResponse:
        services.delete_event_type(merchant_id=request.access.merchant_id, event_type_id=event_type_id)
        return envelope.success(None, "Event type deleted")
