"""How one customer's figures look outside."""

from decimal import Decimal
from typing import Any

from analytics.behaviour import Behaviour
from analytics.overview import CENT
from analytics.segments import Segment, explain
from analytics.serializers.fields import COUNT, DAY, MONEY, RATE, TEXT, share
from cloudpos.api.rendering import Schema
from cloudpos.api.schema import Fields, Many
from cloudpos.api.shape_schema import nullable
from cloudpos.tenancy.access import Access

FAVOURITE = {"purchases": COUNT, "spent": MONEY}
QUANTITY: Schema = {"type": "string", "examples": ["3"]}
CUSTOMER_ANALYTICS = Fields(
    "CustomerAnalytics",
    {
        "customerId": {"type": "string", "format": "uuid"},
        "currency": TEXT,
        "segment": Fields(
            "SegmentDecision",
            {
                "name": {"type": "string", "enum": [segment.value for segment in Segment]},
                "reason": TEXT,
                "explanation": TEXT,
            },
        ),
        "purchases": COUNT,
        "purchaseDays": COUNT,
        "totalSpent": {**MONEY, "description": "Net of returns."},
        "value12Months": {**MONEY, "description": "Net spend of the last 365 days."},
        "averageOrderValue": {**MONEY, "description": "Net spend per purchase, as the customer's own."},
        "averageBasketItems": nullable(RATE),
        "discountShare": nullable(RATE),
        "returnRate": nullable({**RATE, "description": "Share of purchases of which something came back."}),
        "firstPurchaseOn": nullable(DAY),
        "lastPurchaseOn": nullable(DAY),
        "daysSinceLastPurchase": nullable(COUNT),
        "usualGapDays": nullable(RATE),
        "nextPurchaseExpectedOn": nullable(DAY),
        "favouriteCategories": Many(
            Fields("FavouriteCategory", {"category": TEXT, "quantity": QUANTITY, **FAVOURITE})
        ),
        "favouriteProducts": Many(
            Fields("FavouriteProduct", {"sku": TEXT, "name": TEXT, "quantity": QUANTITY, **FAVOURITE})
        ),
        "favouriteStores": Many(
            Fields(
                "FavouriteStore", {"storeId": {"type": "string", "format": "uuid"}, "name": TEXT, **FAVOURITE}
            )
        ),
        "paymentMethods": Many(Fields("FavouritePaymentMethod", {"paymentMethod": TEXT, **FAVOURITE})),
        "purchasesByHour": {
            "type": "array",
            "items": COUNT,
            "minItems": 24,
            "maxItems": 24,
            "description": "From midnight, in the store's time.",
        },
        "purchasesByWeekday": {
            "type": "array",
            "items": COUNT,
            "minItems": 7,
            "maxItems": 7,
            "description": "From Monday.",
        },
    },
)


def render_behaviour(found: Behaviour, access: Access) -> dict[str, Any]:
    history = found.history
    gap = history.usual_gap_days if history else None
    return {
        "customerId": found.customer.pk,
        "currency": access.currency,
        "segment": {
            "name": found.decision.segment.value,
            "reason": found.decision.reason.value,
            "explanation": explain(found.decision, history, today=found.today),
        },
        "purchases": found.purchases,
        "purchaseDays": history.purchase_days if history else 0,
        "totalSpent": found.sold - found.returned,
        "value12Months": (history.value if history else Decimal(0)).quantize(CENT),
        "averageOrderValue": found.customer.average_order_value,
        "averageBasketItems": round(float(found.items) / found.purchases, 2) if found.purchases else None,
        "discountShare": share(found.discount, found.sold + found.discount),
        "returnRate": share(found.returned_purchases, found.purchases),
        "firstPurchaseOn": history.first_day if history else None,
        "lastPurchaseOn": history.last_day if history else None,
        "daysSinceLastPurchase": history.silence_days(today=found.today) if history else None,
        "usualGapDays": None if gap is None else round(gap, 1),
        "nextPurchaseExpectedOn": history.next_expected_day if history else None,
        "favouriteCategories": _plain(found.categories),
        "favouriteProducts": _plain(found.products),
        "favouriteStores": found.stores,
        "paymentMethods": found.payment_methods,
        "purchasesByHour": found.hours,
        "purchasesByWeekday": found.weekdays,
    }


def _plain(favourites: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With quantities as receipts have them: "3", not "3.000"."""
    return [{**row, "quantity": f"{row['quantity'].normalize():f}"} for row in favourites]
