"""What is sent to and shown of webhooks."""

from rest_framework.exceptions import ValidationError

from cloudpos.api.parameters import Choices, Text
from cloudpos.api.query import DayFrom, DayTo, StrictFilterSet
from cloudpos.api.rendering import Column, RowShape, Schema
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import (
    AwareDateTimeField,
    CamelSerializer,
    CleanCharField,
    StrictBooleanField,
    StrictChoiceField,
    StrictListField,
)
from cloudpos.api.shape_schema import nullable
from marketing.models import Webhook, WebhookAttempt, WebhookDelivery
from marketing.webhooks.event_types import EVENT_TYPES_MAX, is_listenable
from marketing.webhooks.health import WAITING_COUNTED_MAX, HealthState
from marketing.webhooks.replays import Only
from marketing.webhooks.targets import URL_CHARS_MAX

_WEBHOOK: list[str | Column] = [
    "id",
    "url",
    "description",
    "event_types",
    "is_enabled",
    Column(
        "disabled_reason",
        convert=lambda reason: reason or None,
        schema=nullable({"type": "string", "enum": Webhook.DisabledReason.values}),
    ),
    "disabled_at",
    "failing_since",
    Column("previous_secret_until", "previousSignsUntil"),
    "created_at",
    "updated_at",
]
WEBHOOK = RowShape("Webhook", _WEBHOOK, model=Webhook)
_SECRET = {"type": "string", "description": "Verify signatures with it. It is shown this once."}
NEW_WEBHOOK = Fields("NewWebhook", {"webhook": WEBHOOK, "secret": _SECRET})
HEALTH: Schema = {
    "type": "object",
    "description": "How the endpoint has been doing in the last 24 hours.",
    "properties": {
        "state": {"type": "string", "enum": list(HealthState)},
        "attempts": {"type": "integer"},
        "succeeded": {"type": "integer"},
        "successRate": nullable({"type": "number", "description": "From 0 to 1; null: nothing was sent."}),
        "waiting": {
            "type": "integer",
            "description": f"Deliveries still to be sent, at most {WAITING_COUNTED_MAX}.",
        },
        "lastFailure": nullable(
            {
                "type": "object",
                "properties": {
                    "at": {"type": "string", "format": "date-time"},
                    "status": {"type": ["integer", "null"]},
                    "error": {"type": "string"},
                },
                "required": ["at", "status", "error"],
            }
        ),
    },
    "required": ["state", "attempts", "succeeded", "successRate", "waiting", "lastFailure"],
}
WEBHOOK_WITH_HEALTH = RowShape("WebhookWithHealth", _WEBHOOK, model=Webhook, extra={"health": HEALTH})
_DELIVERY: list[str | Column] = [
    "id",
    "event_id",
    Column("event__type", "eventType"),
    "state",
    "attempts",
    "response_status",
    "response_body",
    "error",
    "duration_ms",
    "created_at",
    "sent_at",
    "next_attempt_at",
]
DELIVERY = RowShape("WebhookDelivery", _DELIVERY, model=WebhookDelivery)
ATTEMPT = RowShape(
    "WebhookAttempt",
    ["number", "started_at", "duration_ms", "response_status", "response_body", "error"],
    model=WebhookAttempt,
)
DELIVERY_WITH_LOG = RowShape(
    "WebhookDeliveryWithLog",
    _DELIVERY,
    model=WebhookDelivery,
    extra={
        "body": {"type": "string", "description": "The exact text that is signed and sent."},
        "log": Many(ATTEMPT),
    },
)


class WebhookInput(CamelSerializer):
    ignored_fields = WEBHOOK.all_names - {"url", "description", "eventTypes", "isEnabled"}

    url = CleanCharField(max_length=URL_CHARS_MAX)
    event_types = StrictListField(
        child=CleanCharField(max_length=60), max_length=EVENT_TYPES_MAX, allow_empty=False
    )
    description = CleanCharField(max_length=200, required=False, allow_blank=True)
    is_enabled = StrictBooleanField(required=False)

    def validate_event_types(self, event_types: list[str]) -> list[str]:
        for entry in event_types:
            if not is_listenable(entry):
                raise ValidationError(
                    f'{entry!r} is not an event type such as "purchase.recorded", "points.*" or "*".',
                    code="unknown_event_type",
                )
        return list(dict.fromkeys(event_types))


class ReplayInput(CamelSerializer):
    since = AwareDateTimeField()
    only = StrictChoiceField(choices=list(Only), required=False)


class WebhookFilters(StrictFilterSet):
    sortable = {"createdAt": "created_at"}
    default_sort = "createdAt"


class DeliveryFilters(StrictFilterSet):
    sortable = {"createdAt": "created_at"}
    default_sort = "createdAt"
    default_descending = True

    state = Choices(WebhookDelivery.State.values)
    event_type = Text("event__type", description="One event type.")
    from_ = DayFrom("created_at")
    to = DayTo("created_at")
