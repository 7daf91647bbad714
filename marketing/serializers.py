"""What is sent to and shown of webhooks."""

from rest_framework.exceptions import ValidationError

from cloudpos.api.parameters import Choices
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import Column, RowShape
from cloudpos.api.schema import Fields
from cloudpos.api.serializers import CamelSerializer, CleanCharField, StrictBooleanField, StrictListField
from marketing.event_types import EVENT_TYPES_MAX, is_listenable
from marketing.models import Webhook, WebhookDelivery
from marketing.targets import URL_CHARS_MAX

WEBHOOK = RowShape(
    "Webhook",
    ["id", "url", "description", "event_types", "is_enabled", "created_at", "updated_at"],
    model=Webhook,
)
NEW_WEBHOOK = Fields(
    "NewWebhook",
    {
        "webhook": WEBHOOK,
        "secret": {"type": "string", "description": "Verify signatures with it. It is shown this once."},
    },
)
DELIVERY = RowShape(
    "WebhookDelivery",
    [
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
    ],
    model=WebhookDelivery,
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


class WebhookFilters(StrictFilterSet):
    sortable = {"createdAt": "created_at"}
    default_sort = "createdAt"


class DeliveryFilters(StrictFilterSet):
    sortable = {"createdAt": "created_at"}
    default_sort = "createdAt"
    default_descending = True

    state = Choices(WebhookDelivery.State.values)
