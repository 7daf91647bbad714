"""What is sent and shown of events."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError

from cloudpos.api.parameters import Words
from cloudpos.api.query import DayFrom, DayTo, StrictFilterSet
from cloudpos.api.rendering import Column, RowShape, Schema
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import (
    AwareDateTimeField,
    CamelSerializer,
    CleanCharField,
    MetadataField,
    StrictListField,
    StrictUuidField,
)
from cloudpos.api.shape_schema import nullable
from customers.event_types import EVENT_TYPE_CHARS_MAX, is_client_type
from customers.models import Event

EVENT_DATA_BYTES_MAX = 8_192
EVENT_ID_CHARS_MAX = 100
EVENTS_PER_BATCH_MAX = 500

EVENT = RowShape(
    "Event",
    [
        "id",
        "type",
        "customer_id",
        "store_id",
        Column(
            "external_id",
            "eventId",
            convert=lambda external_id: external_id or None,
            schema=nullable({"type": "string", "description": "The sender's own id of the event."}),
        ),
        Column.json("data"),
        "occurred_at",
        "recorded_at",
    ],
    model=Event,
)

BATCH_ERROR: Schema = {
    "type": "object",
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
    },
    "required": ["code", "message", "errors"],
}
BATCH = Fields(
    "EventBatch",
    {
        "results": Many(
            Fields(
                "EventBatchResult",
                {
                    "index": {"type": "integer", "description": "Position in the batch, from 0."},
                    "status": {"type": "string", "enum": ["created", "duplicate", "failed"]},
                    "event": EVENT,
                    "error": BATCH_ERROR,
                },
                optional=frozenset({"event", "error"}),
            )
        ),
        "created": {"type": "integer"},
        "duplicates": {"type": "integer"},
        "failed": {"type": "integer"},
    },
)


class EventInput(CamelSerializer):
    ignored_fields = EVENT.all_names - {"type", "data", "occurredAt", "eventId", "customerId"}

    type = CleanCharField(max_length=EVENT_TYPE_CHARS_MAX)
    data = MetadataField(bytes_max=EVENT_DATA_BYTES_MAX, required=False)  # type: ignore[assignment]
    occurred_at = AwareDateTimeField(required=False, allow_null=True)
    event_id = CleanCharField(
        max_length=EVENT_ID_CHARS_MAX, required=False, allow_null=True, allow_blank=True
    )

    def validate_type(self, type: str) -> str:
        if not is_client_type(type):
            raise ValidationError(
                'This must be noun.verb in lower case, such as "cart.abandoned", and not a noun of our own events.',
                code="invalid_event_type",
            )
        return type


class BatchedEventInput(EventInput):
    customer_id = StrictUuidField()


class EventBatchInput(CamelSerializer):
    """Several events of any customers; each is taken or refused by itself."""

    events = BatchedEventInput(  # type: ignore[call-arg]
        many=True, max_length=EVENTS_PER_BATCH_MAX, allow_empty=False
    )


class EventRowsInput(CamelSerializer):
    """How a batch is read: each row is validated by itself, a bad one fails alone."""

    events = StrictListField(max_length=EVENTS_PER_BATCH_MAX, allow_empty=False)


class EventFilters(StrictFilterSet):
    sortable = {"occurredAt": "occurred_at"}
    default_sort = "occurredAt"
    default_descending = True

    type = Words(
        item_max_length=EVENT_TYPE_CHARS_MAX, method="of_types", description="Event types, any of them."
    )
    from_ = DayFrom("occurred_at")
    to = DayTo("occurred_at")

    def of_types(self, queryset: QuerySet[Any], types: list[str]) -> QuerySet[Any]:
        return queryset.filter(type__in=types)
