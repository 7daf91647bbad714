"""What is sent to and shown of the loyalty program."""

from decimal import Decimal
from typing import Any

from django.core.validators import validate_slug
from rest_framework.exceptions import ValidationError

from cloudpos.api.parameters import Choices, Identifier
from cloudpos.api.query import DayFrom, DayTo, StrictFilterSet
from cloudpos.api.rendering import Column, RowShape
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import (
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
from loyalty.models import LedgerEntry, Program
from loyalty.models_program import (
    EXPIRY_MONTHS_MAX,
    GRACE_DAYS_MAX,
    NAME_CHARS_MAX,
    PENDING_DAYS_MAX,
    POLICY_LIST_MAX,
)
from loyalty.models_tiers import BENEFIT_CHARS_MAX, BENEFITS_MAX, TIER_GRACE_DAYS_MAX, TIER_MONTHS_MAX
from loyalty.rules import POINTS_PER_ENTRY_MAX, TierRule, to_cents
from loyalty.serializers_tiers import TIER_FACTS
from loyalty.services.program_checks import TIERS_MAX
from loyalty.services.reversals import REVERSIBLE

POSTABLE = ("earned", "redeemed", "adjusted", "reversed")
TRANSACTION_ID_CHARS_MAX = 100


class PointsInput(CamelSerializer):
    customer_id = StrictUuidField()
    type = StrictChoiceField(choices=POSTABLE)
    points = StrictIntegerField(
        min_value=-POINTS_PER_ENTRY_MAX,
        max_value=POINTS_PER_ENTRY_MAX,
        help_text="1 to 1,000,000,000; an adjustment may be negative",
    )
    description = CleanCharField(
        max_length=500, required=False, allow_blank=True, help_text="An adjustment needs one: its reason"
    )
    transaction_id = CleanCharField(max_length=TRANSACTION_ID_CHARS_MAX, required=False)
    reverses_transaction_id = CleanCharField(
        max_length=TRANSACTION_ID_CHARS_MAX,
        required=False,
        help_text="reversed: the transaction to undo, when transactionId is the reversal's own",
    )
    reverses_type = StrictChoiceField(choices=[str(kind) for kind in REVERSIBLE], required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["points"] == 0 or (attrs["points"] < 0 and attrs["type"] != "adjusted"):
            raise ValidationError({"points": ["Give a whole number of points from 1 on."]}, code="min_value")
        if attrs["type"] == "adjusted" and not attrs.get("description"):
            raise ValidationError({"description": ["Say why points are adjusted."]}, code="required")
        if attrs["type"] != "reversed":
            for name, outside in (
                ("reverses_transaction_id", "reversesTransactionId"),
                ("reverses_type", "reversesType"),
            ):
                if name in attrs:
                    raise ValidationError({outside: ["Only a reversal has this."]}, code="not_applicable")
        return attrs


class TierInput(CamelSerializer):
    code = CleanCharField(max_length=20)
    name = CleanCharField(max_length=50)
    threshold = MoneyField(max_digits=14)
    multiplier = MoneyField(places=3, max_digits=6, min_value=Decimal("0.001"), max_value=100, required=False)
    benefits = StrictListField(
        child=CleanCharField(max_length=BENEFIT_CHARS_MAX),
        max_length=BENEFITS_MAX,
        required=False,
        help_text="What else members have of it, in a few words each",
    )

    def validate_code(self, code: str) -> str:
        validate_slug(code)
        return code


def _names(help_text: str) -> StrictListField:
    return StrictListField(
        child=CleanCharField(max_length=NAME_CHARS_MAX),
        max_length=POLICY_LIST_MAX,
        required=False,
        help_text=help_text,
    )


class ProgramInput(CamelSerializer):
    ignored_fields = ("id", "isActive", "revision", "createdAt")

    name = CleanCharField(max_length=100)
    point_name = CleanCharField(max_length=30, required=False)
    points_name = CleanCharField(max_length=30, required=False)
    points_per_unit = MoneyField(places=4, max_digits=10, max_value=10_000)
    rounding = StrictChoiceField(choices=Program.Rounding.values, required=False)
    expiry = StrictChoiceField(choices=Program.Expiry.values, required=False)
    expiry_months = StrictIntegerField(
        min_value=1, max_value=EXPIRY_MONTHS_MAX, required=False, allow_null=True
    )
    expiry_month_end = StrictBooleanField(required=False)
    grace_days = StrictIntegerField(min_value=0, max_value=GRACE_DAYS_MAX, required=False)
    redeem_value = MoneyField(
        places=4, max_digits=10, min_value=Decimal("0.0001"), required=False, allow_null=True
    )
    redeem_points_min = StrictIntegerField(min_value=1, max_value=POINTS_PER_ENTRY_MAX, required=False)
    earns_on_tax = StrictBooleanField(required=False, help_text="The tax in a purchase's amount earns too")
    earns_on_discount = StrictBooleanField(
        required=False, help_text="A purchase earns as if its discount had not been given"
    )
    categories_in = _names("Only these categories earn, and skusIn; empty: all")
    categories_out = _names("These categories earn nothing")
    skus_in = _names("Only these articles earn, and categoriesIn; empty: all")
    skus_out = _names("These articles earn nothing")
    store_ids = StrictListField(
        child=StrictUuidField(),
        max_length=POLICY_LIST_MAX,
        required=False,
        help_text="Stores that take part; empty: all",
    )
    pending_days = StrictIntegerField(
        min_value=0,
        max_value=PENDING_DAYS_MAX,
        required=False,
        help_text="A purchase's points can be spent after so many days, each to its end",
    )
    returns = StrictChoiceField(choices=Program.Returns.values, required=False)
    shortfall = StrictChoiceField(choices=Program.Shortfall.values, required=False)
    tier_metric = StrictChoiceField(
        choices=Program.Metric.values,
        required=False,
        help_text="What the thresholds of the tiers are: money spent, or points that purchases earned",
    )
    tier_window = StrictChoiceField(choices=Program.Window.values, required=False)
    tier_months = StrictIntegerField(
        min_value=1,
        max_value=TIER_MONTHS_MAX,
        required=False,
        allow_null=True,
        help_text="rolling: a purchase counts for so long, to the end of the day",
    )
    tier_downgrade = StrictChoiceField(
        choices=Program.Downgrade.values,
        required=False,
        help_text="immediate: a tier is lost when what counts is too little; period_end: after another period",
    )
    tier_grace_days = StrictIntegerField(min_value=0, max_value=TIER_GRACE_DAYS_MAX, required=False)
    tiers = TierInput(many=True, max_length=TIERS_MAX)  # type: ignore[call-arg]  # many= takes a list's

    def validate_tiers(self, tiers: list[dict[str, Any]]) -> list[TierRule]:
        return [
            TierRule(
                tier["code"],
                tier["name"],
                to_cents(tier["threshold"]),
                tier.get("multiplier", Decimal(1)),
                tuple(tier.get("benefits", ())),
            )
            for tier in tiers
        ]


class ProgramPreviewInput(ProgramInput):
    """What would be changed; the rest stays as it is."""

    name = CleanCharField(max_length=100, required=False)
    points_per_unit = MoneyField(places=4, max_digits=10, max_value=10_000, required=False)
    tiers = TierInput(many=True, max_length=TIERS_MAX, required=False)  # type: ignore[call-arg]  # many= takes a list's


_WHOLE = {"type": "integer"}
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_ID = {"type": "string", "format": "uuid"}
_TIME = {"type": "string", "format": "date-time"}

TIER = Fields(
    "LoyaltyTier",
    {
        "code": _TEXT,
        "name": _TEXT,
        "threshold": {**MONEY, "description": "Money or points, as tierMetric says."},
        "multiplier": MONEY,
        "benefits": _TEXTS,
    },
)
PROGRAM = Fields(
    "LoyaltyProgram",
    {
        "id": _ID,
        "name": _TEXT,
        "pointName": _TEXT,
        "pointsName": _TEXT,
        "pointsPerUnit": MONEY,
        "rounding": {"type": "string", "enum": list(Program.Rounding.values)},
        "expiry": {"type": "string", "enum": list(Program.Expiry.values)},
        "expiryMonths": {"type": ["integer", "null"]},
        "expiryMonthEnd": {"type": "boolean"},
        "graceDays": _WHOLE,
        "redeemValue": {**MONEY, "type": ["string", "null"]},
        "redeemPointsMin": _WHOLE,
        "earnsOnTax": {"type": "boolean"},
        "earnsOnDiscount": {"type": "boolean"},
        "categoriesIn": _TEXTS,
        "categoriesOut": _TEXTS,
        "skusIn": _TEXTS,
        "skusOut": _TEXTS,
        "storeIds": {"type": "array", "items": _ID},
        "pendingDays": _WHOLE,
        "returns": {"type": "string", "enum": list(Program.Returns.values)},
        "shortfall": {"type": "string", "enum": list(Program.Shortfall.values)},
        "tierMetric": {"type": "string", "enum": list(Program.Metric.values)},
        "tierWindow": {"type": "string", "enum": list(Program.Window.values)},
        "tierMonths": {"type": ["integer", "null"]},
        "tierDowngrade": {"type": "string", "enum": list(Program.Downgrade.values)},
        "tierGraceDays": _WHOLE,
        "tiers": Many(TIER),
        "isActive": {"type": "boolean"},
        "revision": _WHOLE,
        "createdAt": _TIME,
    },
)
WORTH = Fields(
    "PointsWorth",
    {
        "points": _WHOLE,
        "money": {**MONEY, "type": ["string", "null"], "description": "Null: points buy no money off."},
    },
)
_TIER_MOVE = {
    "type": "object",
    "properties": {
        "from": {"type": ["string", "null"]},
        "to": {"type": ["string", "null"]},
        "members": _WHOLE,
    },
    "required": ["from", "to", "members"],
}
PROGRAM_PREVIEW = Fields(
    "LoyaltyProgramPreview",
    {
        "effectiveFrom": _TIME,
        "changes": Many(
            {
                "type": "object",
                "properties": {"field": _TEXT, "before": _TEXT, "after": _TEXT, "takesEffect": _TEXT},
                "required": ["field", "before", "after", "takesEffect"],
            }
        ),
        "pointsPerMonth": {"type": "integer", "description": "What purchases earned of late."},
        "pointsPerMonthAfter": _WHOLE,
        "earning": {
            "type": ["object", "null"],
            "description": "What the purchases of the last days would have earned; null: the same, or too many to try.",
            "properties": dict.fromkeys(("days", "purchases", "pointsBefore", "pointsAfter"), _WHOLE),
            "required": ["days", "purchases", "pointsBefore", "pointsAfter"],
        },
        "pendingAfter": {"type": "integer", "description": "Points that would be waiting at any time."},
        "existing": Fields(
            "LoyaltyPointsOnRecord",
            dict.fromkeys(("total", "neverExpiring", "whileActive", "pending", "owed"), WORTH),
        ),
        "months": Many(
            Fields(
                "LoyaltyPreviewMonth", {"month": _TEXT, "existing": WORTH, "before": WORTH, "after": WORTH}
            )
        ),
        "tiers": {
            "type": "object",
            "description": "Members whose tier would change. `looked`: how many were looked at, all or drawn by lot.",
            "properties": {
                "members": _WHOLE,
                "looked": _WHOLE,
                "changing": _WHOLE,
                "moves": {"type": "array", "items": _TIER_MOVE},
            },
            "required": ["members", "looked", "changing", "moves"],
        },
        "assumptions": _TEXTS,
    },
)
POINTS = Fields(
    "PointsTransaction",
    {
        "id": _ID,
        "customerId": _ID,
        "type": {"type": "string", "enum": list(LedgerEntry.Type.values)},
        "points": {"type": "integer", "description": "Signed: what the balance changed by."},
        "balanceBefore": _WHOLE,
        "balance": _WHOLE,
        "description": _TEXT,
        "transactionId": _TEXT,
        "storeId": _ID,
        "occurredAt": _TIME,
        "recordedAt": _TIME,
    },
)
ENTRY = RowShape(
    "LoyaltyEntry",
    [
        "id",
        "type",
        "points",
        "balance_before",
        Column("balance_after", "balance"),
        "description",
        "transaction_id",
        "store_id",
        "purchase_id",
        Column("purchase__transaction_id", "purchaseTransactionId"),
        "purchase_return_id",
        "reverses_id",
        Column("awards__promotion_id", "promotionId", schema={**_ID, "type": ["string", "null"]}),
        Column("awards__promotion__name", "promotionName", schema={"type": ["string", "null"]}),
        "actor_id",
        "occurred_at",
        "recorded_at",
    ],
    model=LedgerEntry,
)
STANDING = Fields(
    "LoyaltyStanding",
    {
        "customerId": _ID,
        "enrolled": {"type": "boolean"},
        "balance": _WHOLE,
        "held": {"type": "integer", "description": "Points that tills have on hold: part of the balance."},
        "pending": {"type": "integer", "description": "Points of the balance that cannot be spent yet."},
        "available": {"type": "integer", "description": "What can be redeemed now."},
        "redeemableAmount": {
            **MONEY,
            "type": ["string", "null"],
            "description": "Money off that the available points buy; null: points buy none in this program.",
        },
        "tier": {"type": ["string", "null"]},
        "multiplier": MONEY,
        "qualifyingSpend": MONEY,
        "currency": _TEXT,
        "nextTier": {
            "type": ["object", "null"],
            "properties": {
                "tier": _TEXT,
                "name": _TEXT,
                "threshold": {**MONEY, "description": "Money, or points where points count."},
                "spendToReach": {
                    **MONEY,
                    "type": ["string", "null"],
                    "description": "The money that is missing; null: no purchase earns points.",
                },
                "pointsToReach": {
                    "type": "integer",
                    "description": "What that spend would earn; where points count, the points that are missing.",
                },
            },
            "required": ["tier", "name", "threshold", "spendToReach", "pointsToReach"],
        },
        **TIER_FACTS,
        "expiring": Many(
            {
                "type": "object",
                "description": "Points and when they expire (null: never); all of them add up to the balance,"
                " or to nothing where points are owed.",
                "properties": {
                    "expiresAt": {"type": ["string", "null"], "format": "date-time"},
                    "points": _WHOLE,
                },
                "required": ["expiresAt", "points"],
            }
        ),
        "inactiveAt": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "When points that last while the member is active expire, without activity before.",
        },
    },
)


class EntryFilters(StrictFilterSet):
    sortable = {"recordedAt": "version"}
    default_sort = "recordedAt"
    default_descending = True

    type = Choices(LedgerEntry.Type.values)
    occurred_from = DayFrom("occurred_at")
    occurred_to = DayTo("occurred_at")
    store_id = Identifier("store_id")
