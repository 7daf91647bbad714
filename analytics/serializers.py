"""How figures look outside."""

from decimal import Decimal
from typing import Any

from analytics.behaviour import Behaviour
from analytics.counts import SegmentCounts
from analytics.overview import CENT, INTERVALS, Overview, Period, Totals
from analytics.segments import DESCRIPTIONS, Segment, explain
from cloudpos.api.parameters import Choices, Day, Identifier
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import Schema
from cloudpos.api.schema import Fields, Many
from cloudpos.api.shape_schema import nullable
from cloudpos.tenancy.access import Access

COUNT: Schema = {"type": "integer"}
MONEY: Schema = {
    "type": "string",
    "examples": ["12.50"],
    "description": "Decimal, in the merchant's currency.",
}
RATE: Schema = {"type": "number"}
DAY: Schema = {"type": "string", "format": "date"}
TEXT: Schema = {"type": "string"}

TOTALS: dict[str, Any] = {
    "revenue": MONEY,
    "sales": MONEY,
    "returns": MONEY,
    "purchases": COUNT,
    "averageOrderValue": nullable(MONEY),
    "customers": Fields("CustomerFigures", {"active": COUNT, "new": COUNT, "returning": COUNT}),
    "repeatRate": nullable(RATE),
    "points": Fields("PointFigures", {"earned": COUNT, "redeemed": COUNT}),
}
OVERVIEW = Fields(
    "Overview",
    {
        "from": DAY,
        "to": DAY,
        "interval": {"type": "string", "enum": list(INTERVALS)},
        "timezone": TEXT,
        "currency": TEXT,
        **TOTALS,
        "totalCustomers": COUNT,
        "series": Many(
            Fields(
                "OverviewStep",
                {"from": DAY, "to": DAY, "revenue": MONEY, "purchases": COUNT, "customers": COUNT},
            )
        ),
        "previous": Fields("OverviewBefore", {"from": DAY, "to": DAY, **TOTALS}),
        "change": Fields(
            "OverviewChange",
            {
                name: nullable(
                    {**RATE, "description": "0.1 is a tenth more; null when there was nothing before."}
                )
                for name in ("revenue", "purchases", "averageOrderValue", "activeCustomers", "newCustomers")
            },
        ),
    },
)


class OverviewFilters(StrictFilterSet):
    paged = False
    cursors = False

    from_ = Day(method="", description="First day; 30 days before `to` when absent.")
    to = Day(method="", description="Last day, included; today when absent.")
    store_id = Identifier(method="", description="One store; all of the merchant's when absent.")
    interval = Choices(
        INTERVALS, many=False, method="", description="Step of the series; chosen by the length when absent."
    )


def render_overview(found: Overview, access: Access) -> dict[str, Any]:
    return {
        "from": found.period.first,
        "to": found.period.last,
        "interval": found.interval,
        "timezone": access.timezone,
        "currency": access.currency,
        **_totals(found.current),
        "totalCustomers": found.customers,
        "series": [
            {
                "from": step.period.first,
                "to": step.period.last,
                "revenue": step.sold - step.returned,
                "purchases": step.purchases,
                "customers": step.customers,
            }
            for step in found.series
        ],
        "previous": {**_ends(found.period.previous), **_totals(found.previous)},
        "change": {
            "revenue": change(found.previous.revenue, found.current.revenue),
            "purchases": change(found.previous.purchases, found.current.purchases),
            "averageOrderValue": change(
                found.previous.average_order_value or 0, found.current.average_order_value or 0
            ),
            "activeCustomers": change(found.previous.active, found.current.active),
            "newCustomers": change(found.previous.new, found.current.new),
        },
    }


def _ends(period: Period) -> dict[str, Any]:
    return {"from": period.first, "to": period.last}


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "revenue": totals.revenue,
        "sales": totals.sold,
        "returns": totals.returned,
        "purchases": totals.purchases,
        "averageOrderValue": totals.average_order_value,
        "customers": {
            "active": totals.active,
            "new": totals.new,
            "returning": totals.active - totals.new,
        },
        "repeatRate": totals.repeat_rate,
        "points": {
            "earned": totals.points.get("earned", 0) + totals.points.get("bonus", 0),
            "redeemed": -totals.points.get("redeemed", 0),
        },
    }


def change(before: Decimal | int, after: Decimal | int) -> float | None:
    """Relative change, rounded to four places; None when there was nothing (or less) before."""
    if before <= 0:
        return None
    return round(float(Decimal(after - before) / Decimal(before)), 4)


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
        "discountShare": _share(found.discount, found.sold + found.discount),
        "returnRate": _share(found.returned_purchases, found.purchases),
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


def _share(part: Decimal | int, whole: Decimal | int) -> float | None:
    return round(float(part / whole), 4) if whole else None


SEGMENTS = Fields(
    "Segments",
    {
        "segments": Many(
            Fields(
                "SegmentFigures",
                {
                    "name": {"type": "string", "enum": [segment.value for segment in Segment]},
                    "description": TEXT,
                    "customers": COUNT,
                    "share": nullable(RATE),
                },
            )
        ),
        "totalCustomers": COUNT,
        "vipValue": nullable({**MONEY, "description": "12-month value from which on a customer is VIP."}),
        "refreshedAt": nullable({"type": "string", "format": "date-time"}),
    },
)


def render_segments(found: SegmentCounts) -> dict[str, Any]:
    total = sum(found.customers.values())
    return {
        "segments": [
            {
                "name": segment.value,
                "description": DESCRIPTIONS[segment],
                "customers": found.customers.get(segment.value, 0),
                "share": _share(found.customers.get(segment.value, 0), total),
            }
            for segment in Segment
        ],
        "totalCustomers": total,
        "vipValue": found.vip_value,
        "refreshedAt": found.refreshed_at,
    }
