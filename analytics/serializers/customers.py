"""How one customer's figures look outside."""

from typing import Any

from analytics.churn_words import reasons_of
from analytics.models import HORIZONS_DAYS, CustomerFigures, CustomerSnapshot, Level, ModelRun
from analytics.overview import CENT, money
from analytics.reading.customers import CustomerPortrait
from analytics.reading.engagement import Engagement
from analytics.segments import Reason, Segment
from analytics.serializers.fields import COUNT, DAY, MONEY, RATE, TEXT, one_or_none, share
from analytics.serializers.models import MODEL, render_model
from cloudpos.api.rendering import Schema
from cloudpos.api.schema import Fields, Many
from cloudpos.api.shape_schema import nullable
from cloudpos.tenancy.access import Access

INTERVAL = 0.8
NO_PURCHASE = "There is no purchase to expect anything from."
PENDING = "Being worked out from the latest purchases."

SCORE: Schema = {"type": "integer", "minimum": 1, "maximum": 5}
PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
LEVEL: Schema = {"type": "string", "enum": Level.labels}
SEGMENT_NAME: Schema = {"type": "string", "enum": [segment.value for segment in Segment]}
FAVOURITE = {"purchases": COUNT, "spent": MONEY}
QUANTITY: Schema = {"type": "string", "examples": ["3"]}


def or_null(shape: Fields, description: str) -> Schema:
    return {**one_or_none(shape), "description": description}


RFM = Fields(
    "RfmScores",
    {
        "recency": {**SCORE, "description": "5: bought last among the latest fifth of all customers."},
        "frequency": {**SCORE, "description": "By the number of purchase days."},
        "monetary": {**SCORE, "description": "By net spend in all."},
        "cutPointsOn": {**DAY, "description": "The day on which the fifths of all customers were taken."},
    },
)
EXPECTED = Fields(
    "ExpectedValue",
    {
        "days": {"type": "integer", "enum": list(HORIZONS_DAYS)},
        "purchases": {**RATE, "description": "Expected number of purchase days."},
        "value": {**MONEY, "description": "Expected net spend."},
        "low": {
            **MONEY,
            "description": "What will be spent lies between low and high with the interval's probability.",
        },
        "high": MONEY,
    },
)
LIFETIME_VALUE = Fields(
    "LifetimeValue",
    {
        "toDate": {**MONEY, "description": "Net spend so far."},
        "expected": Many(EXPECTED),
        "interval": PROBABILITY,
        "explanation": TEXT,
        "aliveProbability": nullable(
            {**RATE, "description": "Of not having left for good; null before a purchase."}
        ),
        "model": or_null(MODEL, "Null before a purchase."),
    },
)
CHURN = Fields(
    "ChurnPrediction",
    {
        "probability": {**PROBABILITY, "description": "Of no purchase within the horizon."},
        "horizonDays": COUNT,
        "band": LEVEL,
        "confidence": LEVEL,
        "reasons": Many(
            Fields("ChurnReason", {"text": TEXT, "raises": {"type": "boolean", "description": "The risk."}})
        ),
        "model": MODEL,
    },
)
LOYALTY = Fields(
    "LoyaltyEngagement",
    {
        "enrolledAt": {"type": "string", "format": "date-time"},
        "tier": nullable(TEXT),
        "balance": COUNT,
        "pointsEarned": COUNT,
        "pointsRedeemed": COUNT,
        "pointsExpired": COUNT,
        "redemptionShare": nullable(
            {**RATE, "description": "Points redeemed per point earned; null before any was."}
        ),
        "redemptions": COUNT,
        "lastRedeemedAt": nullable({"type": "string", "format": "date-time"}),
    },
)
MONTH = Fields(
    "CustomerMonth",
    {
        "month": {"type": "string", "examples": ["2026-01"]},
        "asOf": DAY,
        "segment": SEGMENT_NAME,
        "churnProbability": PROBABILITY,
        "churnBand": LEVEL,
        "recency": SCORE,
        "frequency": SCORE,
        "monetary": SCORE,
        "purchaseDays": COUNT,
        "totalSpent": MONEY,
        "value12Months": MONEY,
        "expectedValue365Days": MONEY,
    },
)
CUSTOMER_ANALYTICS = Fields(
    "CustomerAnalytics",
    {
        "customerId": {"type": "string", "format": "uuid"},
        "currency": TEXT,
        "segment": Fields(
            "SegmentDecision",
            {
                "name": SEGMENT_NAME,
                "reason": nullable({"type": "string", "enum": [reason.value for reason in Reason]}),
                "explanation": TEXT,
            },
        ),
        "figuresOn": nullable({**DAY, "description": "The day by whose end scores and predictions hold."}),
        "rfm": or_null(RFM, "Null before a purchase, and before the merchant's first night."),
        "lifetimeValue": LIFETIME_VALUE,
        "churn": or_null(CHURN, "Null before a purchase."),
        "loyalty": or_null(LOYALTY, "Null for who is no member."),
        "history": Many(MONTH),
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
        "gapDeviationDays": nullable(
            {**RATE, "description": "Sample standard deviation; null before the third purchase day."}
        ),
        "gapTrend": nullable(
            {
                "type": "string",
                "enum": ["more_often", "steady", "less_often"],
                "description": "The later half of the gaps beside the earlier; null with fewer than five purchase days.",
            }
        ),
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


def render_portrait(found: CustomerPortrait, access: Access) -> dict[str, Any]:
    habits, figures = found.habits, found.figures
    days = habits.days
    last = days.days[-1] if days.days else None
    return {
        "customerId": found.customer.pk,
        "currency": access.currency,
        "segment": {
            "name": found.customer.segment,
            "reason": found.reason,
            "explanation": found.explanation,
        },
        "figuresOn": figures.as_of if figures else None,
        "rfm": _rfm(found),
        "lifetimeValue": _lifetime_value(found),
        "churn": _churn(figures, found.runs["churn"]) if figures else None,
        "loyalty": _loyalty(found.engagement) if found.engagement else None,
        "history": [_month(each) for each in found.history],
        "purchases": habits.purchases,
        "purchaseDays": len(days.days),
        "totalSpent": habits.sold - habits.returned,
        "value12Months": days.value_12_months.quantize(CENT),
        "averageOrderValue": found.customer.average_order_value,
        "averageBasketItems": round(float(habits.items) / habits.purchases, 2) if habits.purchases else None,
        "discountShare": share(habits.discount, habits.sold + habits.discount),
        "returnRate": share(habits.returned_purchases, habits.purchases),
        "firstPurchaseOn": days.days[0] if days.days else None,
        "lastPurchaseOn": last,
        "daysSinceLastPurchase": (days.today - last).days if last else None,
        "usualGapDays": _rounded(days.usual_gap_days),
        "gapDeviationDays": _rounded(days.gap_deviation_days),
        "gapTrend": days.trend,
        "nextPurchaseExpectedOn": days.next_expected_day,
        "favouriteCategories": _plain(habits.categories),
        "favouriteProducts": _plain(habits.products),
        "favouriteStores": habits.stores,
        "paymentMethods": habits.payment_methods,
        "purchasesByHour": habits.hours,
        "purchasesByWeekday": habits.weekdays,
    }


def _rfm(found: CustomerPortrait) -> dict[str, Any] | None:
    if found.figures is None or found.cut_on is None:
        return None
    return {
        "recency": found.figures.recency_score,
        "frequency": found.figures.frequency_score,
        "monetary": found.figures.monetary_score,
        "cutPointsOn": found.cut_on,
    }


def _lifetime_value(found: CustomerPortrait) -> dict[str, Any]:
    habits, figures = found.habits, found.figures
    if figures is None:
        expected, explanation = [], PENDING if habits.days.days else NO_PURCHASE
    else:
        expected = [_expected(figures, days) for days in HORIZONS_DAYS]
        explanation = f"Counted from the end of {figures.as_of}."
    return {
        "toDate": habits.sold - habits.returned,
        "expected": expected,
        "interval": INTERVAL,
        "explanation": explanation,
        "aliveProbability": round(figures.alive, 4) if figures else None,
        "model": render_model(found.runs["lifetime_value"]) if figures else None,
    }


def _expected(figures: CustomerFigures, days: int) -> dict[str, Any]:
    return {
        "days": days,
        "purchases": round(getattr(figures, f"expected_purchases_{days}d"), 3),
        "value": money(getattr(figures, f"expected_{days}d_cents")),
        "low": money(getattr(figures, f"expected_{days}d_low_cents")),
        "high": money(getattr(figures, f"expected_{days}d_high_cents")),
    }


def _churn(figures: CustomerFigures, run: ModelRun) -> dict[str, Any]:
    return {
        "probability": round(figures.churn, 4),
        "horizonDays": run.horizon_days,
        "band": Level(figures.churn_band).label,
        "confidence": Level(figures.churn_confidence).label,
        "reasons": [{"text": reason.sentence, "raises": reason.raises} for reason in reasons_of(figures)],
        "model": render_model(run),
    }


def _loyalty(found: Engagement) -> dict[str, Any]:
    return {
        "enrolledAt": found.enrolled_at,
        "tier": found.tier or None,
        "balance": found.balance,
        "pointsEarned": found.earned,
        "pointsRedeemed": found.redeemed,
        "pointsExpired": found.expired,
        "redemptionShare": found.redemption_share,
        "redemptions": found.redemptions,
        "lastRedeemedAt": found.last_redeemed_at,
    }


def _month(found: CustomerSnapshot) -> dict[str, Any]:
    return {
        "month": f"{found.month:%Y-%m}",
        "asOf": found.as_of,
        "segment": found.segment,
        "churnProbability": round(found.churn, 4),
        "churnBand": Level(found.churn_band).label,
        "recency": found.recency_score,
        "frequency": found.frequency_score,
        "monetary": found.monetary_score,
        "purchaseDays": found.purchase_days,
        "totalSpent": money(found.total_cents),
        "value12Months": money(found.spend_365d_cents),
        "expectedValue365Days": money(found.expected_365d_cents),
    }


def _rounded(days: float | None) -> float | None:
    return None if days is None else round(days, 1)


def _plain(favourites: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With quantities as receipts have them: "3", not "3.000"."""
    return [{**row, "quantity": f"{row['quantity'].normalize():f}"} for row in favourites]
