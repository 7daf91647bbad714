"""What is sent to and shown of rewards, holds and redemptions."""

from decimal import Decimal
from typing import Any

from rest_framework.exceptions import ValidationError

from cloudpos.api.parameters import Choices
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import RowShape
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import (
    AwareDateTimeField,
    CamelSerializer,
    CleanCharField,
    MoneyField,
    StrictBooleanField,
    StrictChoiceField,
    StrictIntegerField,
    StrictListField,
    StrictUuidField,
)
from cloudpos.api.shape_schema import MONEY
from loyalty.models import Hold, Redemption, Reward
from loyalty.rules import POINTS_PER_ENTRY_MAX
from loyalty.serializers import TRANSACTION_ID_CHARS_MAX
from loyalty.services.holds import HOLD_SECONDS_DEFAULT, HOLD_SECONDS_MAX
from loyalty.services.program_checks import TIERS_MAX
from loyalty.services.stock import INSUFFICIENT, REASONS


class HoldInput(CamelSerializer):
    transaction_id = CleanCharField(max_length=TRANSACTION_ID_CHARS_MAX)
    points = StrictIntegerField(
        min_value=1, max_value=POINTS_PER_ENTRY_MAX, required=False, help_text="Either this or rewardId"
    )
    reward_id = StrictUuidField(required=False)
    ttl_seconds = StrictIntegerField(
        min_value=1,
        max_value=HOLD_SECONDS_MAX,
        required=False,
        help_text=f"How long the points are held, a day at most; {HOLD_SECONDS_DEFAULT} unless given",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("points" in attrs) == ("reward_id" in attrs):
            raise ValidationError({"points": ["Give either points or rewardId."]}, code="required")
        return attrs


class CaptureInput(CamelSerializer):
    points = StrictIntegerField(
        min_value=1,
        max_value=POINTS_PER_ENTRY_MAX,
        required=False,
        help_text="All that is held unless given; what is left is free again",
    )


class RewardRedeemInput(CamelSerializer):
    transaction_id = CleanCharField(max_length=TRANSACTION_ID_CHARS_MAX)


class RewardInput(CamelSerializer):
    ignored_fields = ("id", "taken", "left", "archivedAt", "version", "createdAt", "updatedAt")

    name = CleanCharField(max_length=100)
    description = CleanCharField(max_length=500, required=False, allow_blank=True)
    kind = StrictChoiceField(choices=Reward.Kind.values)
    value = MoneyField(
        min_value=Decimal("0.01"), required=False, allow_null=True, help_text="Money off, or per cent off"
    )
    sku = CleanCharField(max_length=100, required=False, allow_blank=True, help_text="Of a free item")
    points = StrictIntegerField(min_value=1, max_value=POINTS_PER_ENTRY_MAX, help_text="What it costs")
    limit_per_member = StrictIntegerField(min_value=1, required=False, allow_null=True)
    stock = StrictIntegerField(min_value=0, required=False, allow_null=True)
    tiers = StrictListField(child=CleanCharField(max_length=20), max_length=TIERS_MAX, required=False)
    valid_from = AwareDateTimeField(required=False, allow_null=True)
    valid_until = AwareDateTimeField(required=False, allow_null=True)
    is_active = StrictBooleanField(required=False)


_WHOLE = {"type": "integer"}
_WHOLE_OR_NONE = {"type": ["integer", "null"]}
_TEXT = {"type": "string"}
_ID = {"type": "string", "format": "uuid"}
_ID_OR_NONE = {"type": ["string", "null"], "format": "uuid"}
_TIME = {"type": "string", "format": "date-time"}
_TIME_OR_NONE = {"type": ["string", "null"], "format": "date-time"}
_MONEY_OR_NONE = {**MONEY, "type": ["string", "null"]}

HOLD = Fields(
    "LoyaltyHold",
    {
        "id": _ID,
        "customerId": _ID,
        "rewardId": _ID_OR_NONE,
        "points": _WHOLE,
        "capturedPoints": _WHOLE,
        "state": {"type": "string", "enum": list(Hold.State.values)},
        "transactionId": _TEXT,
        "storeId": _ID,
        "createdAt": _TIME,
        "expiresAt": _TIME,
        "closedAt": _TIME_OR_NONE,
    },
)
OPEN_HOLD = RowShape(
    "LoyaltyOpenHold",
    ["id", "customer_id", "reward_id", "points", "transaction_id", "store_id", "created_at", "expires_at"],
    model=Hold,
)
REDEMPTION = Fields(
    "LoyaltyRedemption",
    {
        "id": _ID,
        "customerId": _ID,
        "rewardId": _ID_OR_NONE,
        "holdId": _ID_OR_NONE,
        "points": _WHOLE,
        "discount": {**_MONEY_OR_NONE, "description": "Money off; null: it depends on the basket."},
        "state": {"type": "string", "enum": list(Redemption.State.values)},
        "balance": {"type": "integer", "description": "Right after it was made or cancelled."},
        "transactionId": _TEXT,
        "storeId": _ID,
        "redeemedAt": _TIME,
        "cancelledAt": _TIME_OR_NONE,
    },
)
CAPTURE = Fields("LoyaltyCapture", {"hold": HOLD, "redemption": REDEMPTION})
REWARD = Fields(
    "LoyaltyReward",
    {
        "id": _ID,
        "name": _TEXT,
        "description": _TEXT,
        "kind": {"type": "string", "enum": list(Reward.Kind.values)},
        "value": _MONEY_OR_NONE,
        "sku": _TEXT,
        "points": _WHOLE,
        "limitPerMember": _WHOLE_OR_NONE,
        "stock": _WHOLE_OR_NONE,
        "taken": {"type": "integer", "description": "Redeemed and not cancelled, or on hold."},
        "left": _WHOLE_OR_NONE,
        "tiers": {"type": "array", "items": _TEXT},
        "validFrom": _TIME_OR_NONE,
        "validUntil": _TIME_OR_NONE,
        "isActive": {"type": "boolean"},
        "archivedAt": _TIME_OR_NONE,
        "version": _WHOLE,
        "createdAt": _TIME,
        "updatedAt": _TIME,
    },
)
OFFERS = Fields(
    "LoyaltyOffers",
    {
        "rewards": Many(
            Fields(
                "LoyaltyOffer",
                {
                    "reward": REWARD,
                    "eligible": {"type": "boolean"},
                    "reasons": {
                        "type": "array",
                        "description": "Why not, when not.",
                        "items": {"type": "string", "enum": [*REASONS, INSUFFICIENT]},
                    },
                    "missing": {"type": "integer", "description": "Points that are too few."},
                    "had": {"type": "integer", "description": "How often the customer has had it."},
                },
            )
        )
    },
)
REWARDS = Fields("LoyaltyRewards", {"rewards": Many(REWARD)})


class HoldFilters(StrictFilterSet):
    sortable = {"expiresAt": "expires_at"}
    default_sort = "expiresAt"


class RewardFilters(StrictFilterSet):
    paged = False
    cursors = False

    kind = Choices(Reward.Kind.values)
