"""How the overview looks outside."""

from decimal import Decimal
from typing import Any

from analytics.overview import Overview, Totals, money
from analytics.people import AtRisk
from analytics.periods import COMPARISONS, INTERVALS, Period
from analytics.serializers.fields import (
    AS_OF,
    BEING_PREPARED,
    COUNT,
    DAY,
    MONEY,
    NOTES,
    RATE,
    TEXT,
    one_or_none,
)
from cloudpos.api.parameters import Choices, Day, Identifier
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.schema import Fields, Many
from cloudpos.api.shape_schema import nullable
from cloudpos.api.tables import Table, format_parameter
from cloudpos.tenancy.access import Access

TOTALS: dict[str, Any] = {
    "revenue": MONEY,
    "sales": MONEY,
    "returns": MONEY,
    "purchases": COUNT,
    "averageOrderValue": nullable(MONEY),
    "customers": Fields("CustomerFigures", {"active": COUNT, "new": COUNT, "returning": COUNT}),
    "repeatRate": nullable(RATE),
    "purchaseFrequency": nullable({**RATE, "description": "Purchases per active customer."}),
    "discounts": MONEY,
    "points": Fields("PointFigures", {"earned": COUNT, "redeemed": COUNT, "expired": COUNT}),
    "redemptionRate": nullable({**RATE, "description": "Points redeemed per point earned."}),
}
CHANGES = (
    "revenue", "purchases", "averageOrderValue", "activeCustomers", "newCustomers", "returningCustomers",
)  # fmt: skip
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
        "customersAtRisk": {**COUNT, "description": "Today and at all stores, as `valueAtRisk`."},
        "valueAtRisk": {
            **MONEY,
            "description": "What the customers at risk spent in the last 12 months: what is lost when nobody calls them back.",
        },
        "series": Many(
            Fields(
                "OverviewStep",
                {
                    "from": DAY,
                    "to": DAY,
                    "revenue": MONEY,
                    "purchases": COUNT,
                    "customers": {**COUNT, "description": "Distinct within the step."},
                    "newCustomers": COUNT,
                },
            )
        ),
        "compare": {"type": "string", "enum": list(COMPARISONS)},
        "previous": one_or_none(Fields("OverviewBefore", {"from": DAY, "to": DAY, **TOTALS})),
        "change": one_or_none(
            Fields(
                "OverviewChange",
                {
                    name: nullable(
                        {**RATE, "description": "0.1 is a tenth more; null when there was nothing before."}
                    )
                    for name in CHANGES
                },
            )
        ),
        "asOf": AS_OF,
        "notes": NOTES,
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
    compare = Choices(
        COMPARISONS,
        many=False,
        method="",
        description="With as many days right before (when absent), with the same dates a year before, or with nothing.",
    )
    format = format_parameter()


def render_overview(
    found: Overview, access: Access, *, customers: int, at_risk: AtRisk, is_worked_out: bool
) -> dict[str, Any]:
    return {
        "from": found.period.first,
        "to": found.period.last,
        "interval": found.interval,
        "timezone": access.timezone,
        "currency": access.currency,
        **_totals(found.current),
        "totalCustomers": customers,
        "customersAtRisk": at_risk.customers,
        "valueAtRisk": at_risk.value,
        "series": [
            {
                "from": step.period.first,
                "to": step.period.last,
                "revenue": step.revenue,
                "purchases": step.sums.purchases,
                "customers": step.customers,
                "newCustomers": step.new,
            }
            for step in found.series
        ],
        "compare": found.compare,
        "previous": {**_ends(found.compared), **_totals(found.previous)}
        if found.compared and found.previous
        else None,
        "change": _changes(found.previous, found.current) if found.previous else None,
        "asOf": found.as_of,
        "notes": _notes(found, is_worked_out=is_worked_out),
    }


def overview_table(found: Overview) -> Table:
    """The series."""
    return Table(
        ("from", "to", "revenue", "sales", "returns", "purchases", "customers", "newCustomers"),
        [
            (
                step.period.first, step.period.last, step.revenue, money(step.sums.sold), money(step.sums.returned),
                step.sums.purchases, step.customers, step.new,
            )
            for step in found.series
        ],
    )  # fmt: skip


def _changes(before: Totals, after: Totals) -> dict[str, float | None]:
    return {
        "revenue": change(before.revenue, after.revenue),
        "purchases": change(before.purchases, after.purchases),
        "averageOrderValue": change(before.average_order_value or 0, after.average_order_value or 0),
        "activeCustomers": change(before.active, after.active),
        "newCustomers": change(before.new, after.new),
        "returningCustomers": change(before.active - before.new, after.active - after.new),
    }


def _notes(found: Overview, *, is_worked_out: bool) -> list[str]:
    notes = []
    if not is_worked_out:
        notes.append("Nobody's risk has been worked out yet: the value at risk is 0.")
    if not found.current.purchases:
        notes.append("Nothing was bought in this period: averages and rates are null.")
    if found.previous and not found.previous.purchases:
        notes.append("Nothing was bought in the period before: changes are null.")
    if found.as_of is not None:
        notes.append(BEING_PREPARED)
    return notes


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
        "purchaseFrequency": totals.purchase_frequency,
        "discounts": totals.discount,
        "points": {
            "earned": totals.sums.points_earned,
            "redeemed": totals.sums.points_redeemed,
            "expired": totals.sums.points_expired,
        },
        "redemptionRate": totals.redemption_rate,
    }


def change(before: Decimal | int, after: Decimal | int) -> float | None:
    """Relative change, rounded to four places; None when there was nothing (or less) before."""
    if before <= 0:
        return None
    return round(float(Decimal(after - before) / Decimal(before)), 4)
