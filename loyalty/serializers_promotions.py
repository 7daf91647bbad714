"""What is sent to and shown of promotions."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar

from rest_framework.exceptions import ValidationError

from cloudpos.api.parameters import Choices, Parameter
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import (
    AwareDateTimeField,
    CamelSerializer,
    CleanCharField,
    MoneyField,
    QuantityField,
    StrictBooleanField,
    StrictChoiceField,
    StrictDateField,
    StrictIntegerField,
    StrictListField,
    StrictUuidField,
)
from cloudpos.api.shape_schema import MONEY
from customers.models import Customer
from customers.serializers import ClockField
from loyalty.dry_runs import DRY_RUN_DAYS_MAX
from loyalty.models import Promotion
from loyalty.models_promotions import (
    BIRTHDAY_DAYS_MAX,
    CAP_MAX,
    LIST_MAX,
    MULTIPLIER_MAX,
    PRIORITY_MAX,
    PROMOTION_POINTS_MAX,
    VISITS_MAX,
)
from loyalty.reading_dry_runs import DAYS_DEFAULT
from loyalty.serializers import ProgramPreviewInput


class WeekdaysField(StrictListField):
    """Days as 1 (Monday) to 7 (Sunday); left out or null: every day."""

    default_error_messages = {"empty": "Choose at least one day, or leave this out for every day."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            child=StrictIntegerField(min_value=1, max_value=7), max_length=7, allow_empty=False, **kwargs
        )

    def run_validation(self, data: Any = None) -> Any:
        return [] if data is None else super().run_validation(data)


def _cap(text: str) -> StrictIntegerField:
    return StrictIntegerField(min_value=1, max_value=CAP_MAX, required=False, allow_null=True, help_text=text)


class PromotionInput(CamelSerializer):
    ignored_fields: ClassVar[Iterable[str]] = ("id", "version", "summary", "usage", "createdAt", "updatedAt")

    name = CleanCharField(max_length=100)
    description = CleanCharField(max_length=500, required=False, allow_blank=True)
    kind = StrictChoiceField(choices=Promotion.Kind.values)
    multiplier = MoneyField(
        places=3,
        max_digits=6,
        max_value=MULTIPLIER_MAX,
        required=False,
        allow_null=True,
        help_text="More than 1: 2 doubles the points of the purchase, or of the items named",
    )
    points = StrictIntegerField(
        min_value=1, max_value=PROMOTION_POINTS_MAX, required=False, allow_null=True, help_text="The bonus"
    )
    status = StrictChoiceField(choices=Promotion.Status.values, required=False)
    starts_at = AwareDateTimeField(
        required=False, allow_null=True, help_text="Empty: from when it is made active"
    )
    ends_at = AwareDateTimeField(
        required=False, allow_null=True, help_text="The first instant at which it is over"
    )
    weekdays = WeekdaysField(required=False, allow_null=True, help_text="1 (Monday) to 7 (Sunday)")
    opens = ClockField(
        max_length=5, required=False, allow_null=True, help_text="By the store's clock; both or neither"
    )
    closes = ClockField(
        max_length=5,
        required=False,
        allow_null=True,
        help_text="Earlier than opens: past midnight, a part of the day before",
    )
    store_ids = StrictListField(
        child=StrictUuidField(), max_length=LIST_MAX, required=False, source="stores", help_text="Empty: all"
    )
    tiers = StrictListField(child=CleanCharField(max_length=20), max_length=LIST_MAX, required=False)
    segments = StrictListField(
        child=StrictChoiceField(choices=Customer.Segment.values), max_length=LIST_MAX, required=False
    )
    categories = StrictListField(child=CleanCharField(max_length=100), max_length=LIST_MAX, required=False)
    skus = StrictListField(child=CleanCharField(max_length=100), max_length=LIST_MAX, required=False)
    min_quantity = QuantityField(
        max_digits=9, required=False, allow_null=True, help_text="Of the items named, for a bonus"
    )
    min_spend = MoneyField(
        min_value=Decimal("0.01"),
        required=False,
        allow_null=True,
        help_text="Of what earns points; of the items named when there are any",
    )
    first_purchase = StrictBooleanField(required=False)
    birthday_days = StrictIntegerField(
        min_value=0,
        max_value=BIRTHDAY_DAYS_MAX,
        required=False,
        allow_null=True,
        help_text="0: on the birthday; 3: also three days before and after",
    )
    every_visit = StrictIntegerField(
        min_value=2, max_value=VISITS_MAX, required=False, allow_null=True, help_text="5: each fifth purchase"
    )
    member_times = _cap("The most times for one customer")
    member_points = _cap("The most points for one customer")
    member_period = StrictChoiceField(
        choices=Promotion.CapPeriod.values, required=False, help_text="What the caps of one customer are for"
    )
    total_times = _cap("The most times for all customers together")
    total_points = _cap("The most points for all customers together")
    priority = StrictIntegerField(
        min_value=-PRIORITY_MAX, max_value=PRIORITY_MAX, required=False, help_text="The higher comes first"
    )
    exclusive = StrictBooleanField(required=False, help_text="No other promotion beside it")


_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_WHOLE_OR_NONE = {"type": ["integer", "null"]}
_TIME = {"type": "string", "format": "date-time"}
_TIME_OR_NONE = {"type": ["string", "null"], "format": "date-time"}
_DECIMAL_OR_NONE = {**MONEY, "type": ["string", "null"]}
_CLOCK_OR_NONE = {"type": ["string", "null"], "examples": ["16:00"]}
_TEXTS = {"type": "array", "items": _TEXT}

USAGE = Fields(
    "LoyaltyPromotionUsage",
    {
        "times": {"type": "integer", "description": "Purchases that it was applied to."},
        "points": {"type": "integer", "description": "Points given."},
        "pointsReturned": {"type": "integer", "description": "Of these, taken back by returns."},
        "pointsNet": _WHOLE,
        "customers": _WHOLE,
        "sales": {**MONEY, "description": "The amount of these purchases."},
    },
)
_SHOWN = {
    "id": {"type": "string", "format": "uuid"},
    "name": _TEXT,
    "description": _TEXT,
    "kind": {"type": "string", "enum": list(Promotion.Kind.values)},
    "multiplier": _DECIMAL_OR_NONE,
    "points": _WHOLE_OR_NONE,
    "status": {"type": "string", "enum": list(Promotion.Status.values)},
    "startsAt": _TIME_OR_NONE,
    "endsAt": _TIME_OR_NONE,
    "weekdays": {
        "type": ["array", "null"],
        "items": {"type": "integer", "minimum": 1, "maximum": 7},
        "description": "null: every day.",
    },
    "opens": _CLOCK_OR_NONE,
    "closes": _CLOCK_OR_NONE,
    "storeIds": {"type": "array", "items": {"type": "string", "format": "uuid"}},
    "tiers": _TEXTS,
    "segments": _TEXTS,
    "categories": _TEXTS,
    "skus": _TEXTS,
    "minQuantity": _DECIMAL_OR_NONE,
    "minSpend": _DECIMAL_OR_NONE,
    "firstPurchase": {"type": "boolean"},
    "birthdayDays": _WHOLE_OR_NONE,
    "everyVisit": _WHOLE_OR_NONE,
    "memberTimes": _WHOLE_OR_NONE,
    "memberPoints": _WHOLE_OR_NONE,
    "memberPeriod": {"type": "string", "enum": list(Promotion.CapPeriod.values)},
    "totalTimes": _WHOLE_OR_NONE,
    "totalPoints": _WHOLE_OR_NONE,
    "priority": _WHOLE,
    "exclusive": {"type": "boolean"},
    "summary": {"type": "string", "description": "The promotion in one sentence."},
    "version": _WHOLE,
    "createdAt": _TIME,
    "updatedAt": _TIME,
}
PROMOTION = Fields("LoyaltyPromotion", _SHOWN)
PROMOTION_WITH_USAGE = Fields("LoyaltyPromotionWithUsage", {**_SHOWN, "usage": USAGE})


class TriedPromotionInput(PromotionInput):
    """A promotion to be tried; with the id of one that there is, that one with these values instead."""

    ignored_fields = ("version", "summary", "usage", "createdAt", "updatedAt")

    id = StrictUuidField(required=False)


class DryRunInput(CamelSerializer):
    promotion = TriedPromotionInput(required=False)
    program = ProgramPreviewInput(required=False)
    days = StrictIntegerField(
        min_value=1,
        max_value=DRY_RUN_DAYS_MAX,
        required=False,
        help_text=f"The last days, today included; {DAYS_DEFAULT} unless given",
    )
    first_day = StrictDateField(required=False, help_text="With lastDay, instead of days")
    last_day = StrictDateField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("promotion" in attrs) == ("program" in attrs):
            raise ValidationError({"promotion": ["Give either a promotion or a program."]}, code="required")
        if ("first_day" in attrs) != ("last_day" in attrs):
            missing = "lastDay" if "first_day" in attrs else "firstDay"
            raise ValidationError({missing: ["Give both days, or neither."]}, code="required")
        if "days" in attrs and "first_day" in attrs:
            raise ValidationError({"days": ["Give either days or both dates."]}, code="not_applicable")
        if "promotion" in attrs:
            promotion = dict(attrs["promotion"])
            attrs = {**attrs, "promotion_id": promotion.pop("id", None), "promotion": promotion}
        return attrs


_MONEY_OR_NONE = {**MONEY, "type": ["string", "null"], "description": "By the value of a point; null: none."}
_SUMS = {
    "purchases": _WHOLE,
    "purchasesTouched": _WHOLE,
    "customersTouched": _WHOLE,
    "pointsBefore": {"type": "integer", "description": "What really came of them, net of returns."},
    "pointsAfter": _WHOLE,
    "pointsChange": _WHOLE,
    "cost": _MONEY_OR_NONE,
}
_DAY = {"type": "string", "format": "date"}
_ID = {"type": "string", "format": "uuid"}
DRY_RUN = Fields(
    "LoyaltyDryRun",
    {
        "summary": _TEXT,
        "firstDay": _DAY,
        "lastDay": _DAY,
        "asOf": {**_TIME, "description": "When it was read: nothing that was recorded later is in it."},
        "currency": _TEXT,
        "pointValue": _DECIMAL_OR_NONE,
        "customers": {"type": "integer", "description": "Who bought something in the period."},
        "total": Fields("LoyaltyDryRunTotal", {**_SUMS, "pointsMore": _WHOLE, "pointsLess": _WHOLE}),
        "weeks": Many(Fields("LoyaltyDryRunWeek", {"week": {**_DAY, "description": "Its Monday."}, **_SUMS})),
        "tiers": Many(
            Fields("LoyaltyDryRunTier", {"tier": {"type": ["string", "null"]}, "name": _TEXT, **_SUMS})
        ),
        "stores": Many(Fields("LoyaltyDryRunStore", {"storeId": _ID, "name": _TEXT, **_SUMS})),
        "mostAffected": Many(
            Fields(
                "LoyaltyDryRunPurchase",
                {
                    "purchaseId": _ID,
                    "transactionId": _TEXT,
                    "storeId": _ID,
                    "customerId": _ID,
                    "occurredAt": _TIME,
                    "amount": MONEY,
                    "pointsBefore": _WHOLE,
                    "pointsAfter": _WHOLE,
                    "explanation": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"code": _TEXT, "message": _TEXT, "points": _WHOLE},
                            "required": ["code", "message", "points"],
                        },
                    },
                },
            )
        ),
        "assumptions": _TEXTS,
    },
)


class Instant(Parameter):
    """A day (its beginning in the store's zone) or an instant."""

    schema = {"type": "string", "examples": ["2026-01-31"]}

    def parse(self, text: str) -> Any:
        return self.day_or_instant(text)


class PromotionFilters(StrictFilterSet):
    cursors = False

    status = Choices(Promotion.Status.values)
    at = Instant(
        method="",
        description="Those whose window a day or an instant is in, active or ended by now.",
    )
