"""What is sent to and shown of tiers: why a customer has theirs, what keeps it, and tiers given by hand."""

from typing import Any

from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import AwareDateTimeField, CamelSerializer, CleanCharField, StrictChoiceField
from cloudpos.api.shape_schema import MONEY
from loyalty.models_tiers import OVERRIDE_REASON_CHARS_MAX, Qualifying, TierOverride

_TEXT: dict[str, Any] = {"type": "string"}
_ID = {"type": "string", "format": "uuid"}
_TIME = {"type": "string", "format": "date-time"}
_TIME_OR_NONE = {"type": ["string", "null"], "format": "date-time"}
_DAY_OR_NONE = {"type": ["string", "null"], "format": "date"}
_METRIC = {"type": "string", "enum": list(Qualifying.Metric.values)}

WHYS = ("start", "reached", "kept", "override")
REASONS = ("reached", "no_longer_reached", "override", "override_ended", "rules_changed")


def _object(description: str, properties: dict[str, Any], *, or_none: bool = False) -> dict[str, Any]:
    return {
        "type": ["object", "null"] if or_none else "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
    }


# Part of a customer's standing.
TIER_FACTS = {
    "tierDetails": _object(
        "The tier; null below the first.",
        {
            "code": _TEXT,
            "name": _TEXT,
            "multiplier": MONEY,
            "benefits": {"type": "array", "items": _TEXT},
            "since": {
                **_TIME_OR_NONE,
                "description": "When the customer came to this tier; null: with the first purchase they will.",
            },
        },
        or_none=True,
    ),
    "why": _object(
        "Why the customer has this tier: what counts now reaches it, it is kept from before, or it was given by hand.",
        {
            "code": {"type": "string", "enum": list(WHYS)},
            "message": _TEXT,
            "until": {**_TIME_OR_NONE, "description": "When a tier that is kept or given ends; null: open."},
        },
        or_none=True,
    ),
    "qualifying": _object(
        "What counts towards tiers now: money or points, of the purchases of these days (null: of all).",
        {"metric": _METRIC, "amount": MONEY, "from": _DAY_OR_NONE, "to": _DAY_OR_NONE},
        or_none=True,
    ),
    "keep": _object(
        "Unless this is added before `until` by purchases from the day `from` on, the tier is lost then."
        " null: nothing is lost by itself. No amount: nothing keeps it.",
        {
            "until": _TIME,
            "from": _DAY_OR_NONE,
            "amountNeeded": {
                **MONEY,
                "type": ["string", "null"],
                "description": "Money or points, by the metric.",
            },
        },
        or_none=True,
    ),
}

TIER_CHANGES = Fields(
    "LoyaltyTierChanges",
    {
        "changes": Many(
            _object(
                "A change, dated when it took effect.",
                {
                    "at": _TIME,
                    "from": {"type": ["string", "null"], "description": "null: none."},
                    "to": {"type": ["string", "null"]},
                    "reason": {"type": ["string", "null"], "enum": [*REASONS, None]},
                    "until": {
                        **_TIME_OR_NONE,
                        "description": "As known then: before this the tier does not change by itself.",
                    },
                    "actorId": {"type": ["string", "null"], "format": "uuid"},
                },
            )
        )
    },
)
TIER_OVERRIDE = Fields(
    "LoyaltyTierOverride",
    {
        "id": _ID,
        "customerId": _ID,
        "tier": _TEXT,
        "mode": {"type": "string", "enum": list(TierOverride.Mode.values)},
        "beginsAt": _TIME,
        "until": _TIME_OR_NONE,
        "reason": _TEXT,
        "actorId": {"type": ["string", "null"], "format": "uuid"},
        "recordedAt": _TIME,
        "endedAt": _TIME_OR_NONE,
        "currentTier": {"type": ["string", "null"], "description": "The tier that the customer has now."},
    },
)


class TierOverrideInput(CamelSerializer):
    tier = CleanCharField(max_length=20, help_text="The code of a tier of the program")
    mode = StrictChoiceField(
        choices=TierOverride.Mode.values,
        required=False,
        help_text="at_least (unless said): what purchases reach above it counts; exactly: it does not",
    )
    until = AwareDateTimeField(
        required=False, allow_null=True, help_text="The first instant at which it is over; none: open"
    )
    reason = CleanCharField(max_length=OVERRIDE_REASON_CHARS_MAX)
