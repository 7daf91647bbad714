"""What is sent and shown of event types."""

from typing import Any

from rest_framework.exceptions import ValidationError

from cloudpos.api.rendering import RowShape, Schema
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import CamelSerializer, CleanCharField, MetadataField
from customers.event_catalogue import CATALOGUE
from customers.event_schemas import SchemaRefused, check_schema
from customers.event_types import EVENT_TYPE_CHARS_MAX, is_client_type
from customers.models import CustomEventType

SCHEMA_BYTES_MAX = 8_192

_SCHEMA: Schema = {
    "type": ["object", "null"],
    "additionalProperties": True,
    "description": "The JSON Schema (2020-12) of `data`; null: anything goes.",
}
CUSTOM_EVENT_TYPE = RowShape(
    "CustomEventType", ["id", "type", "description", "created_at", "updated_at"],
    model=CustomEventType, extra={"schema": _SCHEMA},
)  # fmt: skip
EVENT_TYPE = Fields(
    "EventType",
    {
        "id": {"type": ["string", "null"], "format": "uuid", "description": "Of a type of the merchant's."},
        "type": {"type": "string"},
        "description": {"type": "string"},
        "schema": _SCHEMA,
        "isOurs": {"type": "boolean", "description": "Made by this service; clients cannot send it."},
    },
)
EVENT_TYPES = Fields("EventTypes", {"types": Many(EVENT_TYPE)})


def rendered(found: CustomEventType) -> dict[str, Any]:
    return {**CUSTOM_EVENT_TYPE.instance(found), "schema": found.schema}


OURS: list[dict[str, Any]] = [
    {"id": None, "type": name, "description": each.description, "schema": each.schema, "isOurs": True}
    for name, each in sorted(CATALOGUE.items())
]


def listed(found: CustomEventType) -> dict[str, Any]:
    return {
        "id": found.pk,
        "type": found.type,
        "description": found.description,
        "schema": found.schema,
        "isOurs": False,
    }


class EventTypeInput(CamelSerializer):
    ignored_fields = CUSTOM_EVENT_TYPE.all_names - {"type", "description", "schema"}

    type = CleanCharField(max_length=EVENT_TYPE_CHARS_MAX)
    description = CleanCharField(max_length=300, required=False, allow_blank=True)
    schema = MetadataField(bytes_max=SCHEMA_BYTES_MAX, required=False, allow_null=True)

    def validate_type(self, type: str) -> str:
        if not is_client_type(type):
            raise ValidationError(
                'This must be noun.verb in lower case, such as "cart.abandoned", and not a noun of our own events.',
                code="invalid_event_type",
            )
        return type

    def validate_schema(self, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            try:
                check_schema(schema)
            except SchemaRefused as refused:
                raise ValidationError(str(refused), code="schema_refused") from None
        return schema


class EventTypeChange(EventTypeInput):
    """Events are known by their type: it never changes."""

    type = None  # type: ignore[assignment]
    ignored_fields = CUSTOM_EVENT_TYPE.all_names - {"description", "schema"}
