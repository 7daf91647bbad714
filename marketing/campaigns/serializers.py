"""What is sent to and shown of campaigns."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from cloudpos.api.fields import (
    AwareDateTimeField,
    CleanCharField,
    StrictChoiceField,
    StrictIntegerField,
    StrictListField,
    StrictUuidField,
)
from cloudpos.api.parameters import Choices, Identifier
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import Column, RowShape
from cloudpos.api.schema import Fields
from cloudpos.api.serializers import CamelSerializer
from customers.models import Channel as ConsentChannel
from customers.models import Purpose
from marketing.campaigns.audience import Audience
from marketing.campaigns.checks import KEYS, SEGMENTS_MAX, WEIGHT_MAX
from marketing.campaigns.recurrence import EVERY
from marketing.campaigns.triggers import AGAIN_AFTER_DAYS_MAX, DELAY_MINUTES_MAX
from marketing.models import Campaign, CampaignMessage, CampaignRun
from marketing.models_campaigns import (
    CONTROL_PERCENT_DEFAULT,
    CONTROL_PERCENT_MAX,
    CONVERSION_DAYS_DEFAULT,
    CONVERSION_DAYS_MAX,
    INCENTIVE_DAYS_DEFAULT,
    INCENTIVE_DAYS_MAX,
    SEND_WITHIN_HOURS_DEFAULT,
)
from marketing.models_messaging import Channel

INCENTIVE_POINTS_MAX = 1_000_000
SEND_WITHIN_HOURS_MAX = 24 * 30
TEST_ADDRESSES_MAX = 5

_VARIANT = {
    "type": "object",
    "properties": {
        "key": {"type": "string", "enum": list(KEYS), "description": "By its place"},
        "weight": {"type": "integer", "minimum": 1, "maximum": WEIGHT_MAX, "default": 1},
        "content": {
            "type": "object",
            "description": "email: subject, preheader, html, text; sms: text; push: title, body, link; webhook: body. Liquid. "
            "Links of a text message become short ones, which count clicks (see `trackLinks` of the messaging settings).",
            "additionalProperties": True,
        },
        "design": {
            "type": "object",
            "description": "Of an e-mail, instead of its html: what to lay out",
            "properties": {name: {"type": "string"} for name in ("heading", "text", "button", "link")},
        },
    },
    "required": ["content"],
}
_VARIANTS = {"type": "array", "items": _VARIANT, "minItems": 1, "maxItems": len(KEYS)}
_RECURRENCE = {
    "type": "object",
    "properties": {
        "every": {"type": "string", "enum": list(EVERY)},
        "interval": {"type": "integer", "minimum": 1, "default": 1},
        "weekdays": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 7}},
        "day": {"type": "integer", "minimum": 1, "maximum": 31},
        "at": {"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}$", "description": "Store time"},
    },
    "required": ["every", "at"],
}
_TRIGGER = {
    "type": "object",
    "properties": {
        "event": {"type": "string", "description": "The type of an event, also one of your own"},
        "segment": {"type": "string", "format": "uuid", "description": "Coming into this segment"},
        "delayMinutes": {"type": "integer", "minimum": 0, "maximum": DELAY_MINUTES_MAX, "default": 0},
        "againAfterDays": {
            "type": ["integer", "null"],
            "minimum": 0,
            "maximum": AGAIN_AFTER_DAYS_MAX,
            "description": "Null: each customer once, ever",
        },
    },
}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [schema, {"type": "null"}]}


CAMPAIGN = RowShape(
    "Campaign",
    [
        "id",
        "name",
        "kind",
        "channel",
        "consent_channel",
        "purpose",
        "state",
        "include_segments",
        "exclude_segments",
        Column.json("variants", schema=_VARIANTS),
        "control_percent",
        "send_at",
        Column.json("recurrence", schema=_or_null(_RECURRENCE)),
        Column.json("trigger", schema=_or_null(_TRIGGER)),
        "ends_at",
        "incentive_points",
        "incentive_reward_id",
        "incentive_days",
        "conversion_days",
        "send_within_hours",
        "next_run_at",
        "version",
        "created_at",
        "updated_at",
        "started_at",
        "finished_at",
    ],
    model=Campaign,
)
CAMPAIGN_ROW = RowShape(
    "CampaignSummary",
    [
        "id", "name", "kind", "channel", "purpose", "state", "send_at", "next_run_at", "created_at", "started_at",
        "finished_at",
    ],
    model=Campaign,
)  # fmt: skip
RUN = RowShape(
    "CampaignRun",
    ["id", "number", "state", "due_at", "looked_at", "audience", "prepared_at", "finished_at"],
    model=CampaignRun,
)
MESSAGE = RowShape(
    "CampaignMessage",
    [
        "id", "run_id", "customer_id", "variant", "state", "reason", "error", "due_at", "next_attempt_at", "attempts",
        "incentive_given", "sent_at", "delivered_at", "bounced_at", "opened_at", "clicked_at", "unsubscribed_at",
        "complained_at",
    ],
    model=CampaignMessage,
)  # fmt: skip
_COUNTS = {"type": "object", "additionalProperties": {"type": "integer"}}
AUDIENCE = Fields(
    "CampaignAudience",
    {
        "customers": {"type": "integer", "description": "In the segments"},
        "recipients": {"type": "integer", "description": "Those of them who would get a message"},
        "control": {"type": "integer", "description": "Those who would get nothing, to compare with"},
        "variants": {**_COUNTS, "description": "Recipients of each"},
        "notReached": {**_COUNTS, "description": "Why the others get nothing, by reason"},
        "isWhole": {
            "type": "boolean",
            "description": "false: only the first customers were counted, there are more",
        },
    },
)
RESENT = Fields("CampaignResent", {"messages": {"type": "integer"}})


def render_audience(found: Audience) -> dict[str, Any]:
    variants = {key: n for key, n in sorted(found.groups.items()) if key}
    return {
        "customers": found.looked_at,
        "recipients": sum(variants.values()),
        "control": found.groups[""],
        "variants": variants,
        "notReached": dict(sorted(found.reasons.items())),
        "isWhole": found.is_whole,
    }


class _Json(serializers.Field[Any, Any, Any, Any]):
    """As it is: `marketing.campaigns.checks` reads it and names what is wrong."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(_VARIANTS)
class VariantsField(_Json):
    pass


@extend_schema_field(_RECURRENCE)
class RecurrenceField(_Json):
    pass


@extend_schema_field(_TRIGGER)
class TriggerField(_Json):
    pass


_SETTABLE = {
    "name", "kind", "channel", "consentChannel", "purpose", "includeSegments", "excludeSegments", "variants",
    "controlPercent", "sendAt", "recurrence", "trigger", "endsAt", "incentivePoints", "incentiveRewardId",
    "incentiveDays", "conversionDays", "sendWithinHours",
}  # fmt: skip


class CampaignInput(CamelSerializer):
    """`includeSegments` empty: everybody. `sendAt` null: when it is scheduled."""

    ignored_fields = CAMPAIGN.all_names - _SETTABLE

    name = CleanCharField(max_length=100)
    kind = StrictChoiceField(choices=Campaign.Kind.choices, default=Campaign.Kind.ONCE.value)
    channel = StrictChoiceField(choices=Channel.choices, default=Channel.EMAIL.value)
    consent_channel = StrictChoiceField(choices=ConsentChannel.choices, required=False)
    purpose = StrictChoiceField(choices=Purpose.choices, default=Purpose.MARKETING.value)
    include_segments = StrictListField(child=StrictUuidField(), max_length=SEGMENTS_MAX, required=False)
    exclude_segments = StrictListField(child=StrictUuidField(), max_length=SEGMENTS_MAX, required=False)
    variants = VariantsField()
    control_percent = StrictIntegerField(
        min_value=0, max_value=CONTROL_PERCENT_MAX, default=CONTROL_PERCENT_DEFAULT
    )
    send_at = AwareDateTimeField(required=False, allow_null=True)
    recurrence = RecurrenceField(required=False, allow_null=True)
    trigger = TriggerField(required=False, allow_null=True)
    ends_at = AwareDateTimeField(required=False, allow_null=True)
    incentive_points = StrictIntegerField(
        min_value=1, max_value=INCENTIVE_POINTS_MAX, required=False, allow_null=True
    )
    incentive_reward_id = StrictUuidField(
        required=False, allow_null=True, help_text="Each recipient gets a voucher for this reward"
    )
    incentive_days = StrictIntegerField(
        min_value=1, max_value=INCENTIVE_DAYS_MAX, default=INCENTIVE_DAYS_DEFAULT
    )
    conversion_days = StrictIntegerField(
        min_value=1, max_value=CONVERSION_DAYS_MAX, default=CONVERSION_DAYS_DEFAULT
    )
    send_within_hours = StrictIntegerField(
        min_value=1, max_value=SEND_WITHIN_HOURS_MAX, default=SEND_WITHIN_HOURS_DEFAULT
    )


class CopyInput(CamelSerializer):
    name = CleanCharField(max_length=100)


class CampaignPreviewInput(CamelSerializer):
    """For a customer as they are now; without one, an example."""

    variant = StrictChoiceField(choices=[(key, key) for key in KEYS], default="A")
    customer_id = StrictUuidField(required=False, allow_null=True)


class TestInput(CampaignPreviewInput):
    """`addresses`: of the merchant's own people, e-mail addresses or phone numbers. Neither consent nor caps are asked."""

    addresses = StrictListField(
        child=CleanCharField(max_length=254), max_length=TEST_ADDRESSES_MAX, allow_empty=False
    )


class CampaignFilters(StrictFilterSet):
    sortable = {"name": "name", "createdAt": "created_at", "startedAt": "started_at"}
    default_sort = "createdAt"
    default_descending = True

    state = Choices(Campaign.State.values)
    kind = Choices(Campaign.Kind.values)
    channel = Choices(Channel.values)


class RunFilters(StrictFilterSet):
    sortable = {"number": "number"}
    default_sort = "number"
    default_descending = True


class MessageFilters(StrictFilterSet):
    """In order of their ids, which stays the same while they are sent."""

    limit_max = 1_000

    state = Choices(CampaignMessage.State.values)
    customer_id = Identifier("customer_id")
    run_id = Identifier("run_id")
