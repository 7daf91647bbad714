"""How the overview looks outside."""

from decimal import Decimal
from typing import Any

from analytics.overview import INTERVALS, Overview, Period, Totals
from analytics.serializers.fields import COUNT, DAY, MONEY, RATE, TEXT
from cloudpos.api.parameters import Choices, Day, Identifier
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.schema import Fields, Many
from cloudpos.api.shape_schema import nullable
from cloudpos.tenancy.access import Access

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
