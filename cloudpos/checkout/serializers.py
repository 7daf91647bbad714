"""What tills send, and what they get back."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from cloudpos.api.parameters import Choices, Identifier
from cloudpos.api.query import DayFrom, DayTo, StrictFilterSet
from cloudpos.api.rendering import RowShape
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import (
    AwareDateTimeField,
    CamelSerializer,
    CleanCharField,
    MoneyField,
    QuantityField,
    StrictIntegerField,
    StrictListField,
    StrictUuidField,
)
from cloudpos.api.shape_schema import MONEY
from cloudpos.checkout.sales import BATCH_PURCHASES_MAX
from customers.models import Purchase
from customers.models.purchase import ITEMS_MAX
from customers.serializers_events import BATCH_ERROR
from loyalty.rules.promotions import REASONS

TRANSACTION_ID_CHARS_MAX = 100
IDENTITIES = ("customer_id", "customer_number", "phone", "email")


class ItemInput(CamelSerializer):
    sku = CleanCharField(max_length=100, required=False, allow_blank=True)
    name = CleanCharField(max_length=200, required=False, allow_blank=True)
    category = CleanCharField(max_length=100, required=False, allow_blank=True)
    quantity = QuantityField()
    unit_price = MoneyField(places=4)
    tax = MoneyField(required=False)


class QuoteInput(CamelSerializer):
    """A purchase that may still change: it needs no transactionId."""

    customer_id = StrictUuidField(required=False)
    customer_number = CleanCharField(max_length=12, required=False)
    phone = CleanCharField(max_length=40, required=False)
    email = CleanCharField(max_length=254, required=False)
    transaction_id = CleanCharField(max_length=TRANSACTION_ID_CHARS_MAX, required=False)
    amount = MoneyField(help_text="What the customer pays, tax included")
    tax = MoneyField(required=False)
    discount = MoneyField(required=False)
    currency = CleanCharField(max_length=3, required=False)
    items = ItemInput(many=True, max_length=ITEMS_MAX, required=False)  # type: ignore[call-arg]  # many= takes a list's
    payment_method = CleanCharField(max_length=30, required=False, allow_blank=True)
    channel = CleanCharField(max_length=20, required=False)
    occurred_at = AwareDateTimeField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        named = sum(1 for name in IDENTITIES if name in attrs)
        if named != 1:
            message = "Name the customer by one of customerId, customerNumber, phone and email."
            code = "ambiguous_customer" if named else "required"
            raise ValidationError({"customerId": [ErrorDetail(message, code=code)]})
        return attrs


class PurchaseInput(QuoteInput):
    """A purchase as a till records it."""

    transaction_id = CleanCharField(max_length=TRANSACTION_ID_CHARS_MAX)


class PurchaseBatchInput(CamelSerializer):
    # Items are read one by one: a bad one fails alone.
    purchases = StrictListField(
        child=serializers.JSONField(), max_length=BATCH_PURCHASES_MAX, allow_empty=False
    )


class ReturnItemInput(CamelSerializer):
    line = StrictIntegerField(min_value=1, max_value=ITEMS_MAX, required=False)
    sku = CleanCharField(max_length=100, required=False)
    quantity = QuantityField()


class ReturnInput(CamelSerializer):
    """Neither amount nor items: all that is left of the purchase. A list of no items is no way to say that."""

    transaction_id = CleanCharField(max_length=TRANSACTION_ID_CHARS_MAX)
    purchase_store_id = StrictUuidField(required=False)
    amount = MoneyField(min_value=Decimal("0.01"), required=False)
    items = ReturnItemInput(many=True, max_length=ITEMS_MAX, allow_empty=False, required=False)  # type: ignore[call-arg]  # many= takes a list's
    reason = CleanCharField(max_length=200, required=False, allow_blank=True)
    occurred_at = AwareDateTimeField(required=False)


# --- Answers ----------------------------------------------------------------------------------------------------

_TEXT = {"type": "string"}
_ID = {"type": "string", "format": "uuid"}
_TIME = {"type": "string", "format": "date-time"}
_WHOLE = {"type": "integer"}

PURCHASE_ITEM = Fields(
    "PurchaseItem",
    {
        "line": _WHOLE,
        "sku": _TEXT,
        "name": _TEXT,
        "category": _TEXT,
        "quantity": _TEXT,
        "unitPrice": MONEY,
        "tax": MONEY,
    },
)
RETURN_ITEM = Fields("PurchaseReturnItem", {"line": _WHOLE, "quantity": _TEXT})
RETURN = Fields(
    "PurchaseReturn",
    {
        "id": _ID,
        "purchaseId": _ID,
        "purchaseTransactionId": _TEXT,
        "customerId": _ID,
        "storeId": _ID,
        "transactionId": _TEXT,
        "amount": MONEY,
        "reason": _TEXT,
        "items": Many(RETURN_ITEM),
        "occurredAt": _TIME,
        "recordedAt": _TIME,
    },
)
_PURCHASE_COLUMNS = [
    "id",
    "customer_id",
    "store_id",
    "transaction_id",
    "amount",
    "tax",
    "discount",
    "currency",
    "payment_method",
    "channel",
    "occurred_at",
    "recorded_at",
]
PURCHASE = RowShape("Purchase", _PURCHASE_COLUMNS, model=Purchase, extra={"items": Many(PURCHASE_ITEM)})
PAST_PURCHASE = RowShape(
    "PastPurchase",
    _PURCHASE_COLUMNS,
    model=Purchase,
    extra={"items": Many(PURCHASE_ITEM), "returns": Many(RETURN)},
    description="A purchase with what came back of it.",
)
_NEXT_TIER = {
    "type": ["object", "null"],
    "properties": {
        "tier": _TEXT,
        "name": _TEXT,
        "threshold": {**MONEY, "description": "Money, or points where points count."},
        "spendToReach": {
            **MONEY,
            "type": ["string", "null"],
            "description": "null: no purchase earns points.",
        },
        "pointsToReach": {"type": "integer", "description": "Where points count: those that are missing."},
    },
    "required": ["tier", "name", "threshold", "spendToReach"],
    "description": "The next tier and the money that is missing to it; null at the top.",
}
_EXPLANATION = Many(
    {
        "type": "object",
        "properties": {"code": _TEXT, "message": _TEXT, "points": _WHOLE},
        "required": ["code", "message", "points"],
    }
)
_STANDING = {
    "balance": {"type": "integer", "description": "Below zero: points owed, which later ones fill first."},
    "pending": {"type": "integer", "description": "Points of the balance that cannot be spent yet."},
    "tier": {"type": ["string", "null"]},
    "nextTier": _NEXT_TIER,
    "explanation": _EXPLANATION,
}
RECEIPT = Fields("Receipt", {"purchase": PURCHASE, "pointsEarned": _WHOLE, **_STANDING})
QUOTE = Fields(
    "Quote",
    {
        "purchase": PURCHASE,
        "pointsEarned": _WHOLE,
        **_STANDING,
        "promotions": Many(
            {
                "type": "object",
                "description": "With explain=all: the promotions whose time the purchase is in.",
                "properties": {
                    "promotionId": _ID,
                    "name": _TEXT,
                    "points": _WHOLE,
                    "reason": {
                        "type": ["string", "null"],
                        "enum": [*REASONS, None],
                        "description": "Why it gives nothing; null: it does.",
                    },
                    "message": _TEXT,
                },
                "required": ["promotionId", "name", "points", "reason", "message"],
            }
        ),
    },
    optional=frozenset({"promotions"}),
)
RETURN_RECEIPT = Fields(
    "ReturnReceipt", {"return": RETURN, "pointsTaken": _WHOLE, "pointsShortfall": _WHOLE, **_STANDING}
)
BATCH_RESULT = Fields(
    "PurchaseBatchResult",
    {
        "index": _WHOLE,
        "status": {"type": "integer", "description": "What POST /purchases would have answered."},
        "receipt": RECEIPT,
        "error": BATCH_ERROR,
    },
    optional=frozenset({"receipt", "error"}),
)
BATCH = Fields(
    "PurchaseBatch",
    {"results": Many(BATCH_RESULT), "created": _WHOLE, "repeated": _WHOLE, "failed": _WHOLE},
)


class QuoteFilters(StrictFilterSet):
    paged = False

    explain = Choices(
        ["all"], many=False, method="", description="all: also why promotions give nothing, as `promotions`"
    )


class PurchaseFilters(StrictFilterSet):
    sortable = {"occurredAt": "occurred_at"}
    default_sort = "occurredAt"
    default_descending = True

    occurred_from = DayFrom("occurred_at")
    occurred_to = DayTo("occurred_at")
    store_id = Identifier("store_id")
