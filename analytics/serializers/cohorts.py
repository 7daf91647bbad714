"""How cohorts look outside."""

from collections.abc import Sequence
from typing import Any

from analytics.cohort_customers import Active, Cell
from analytics.cohorts import GRANULARITIES, METRICS, PERIODS_MAX, RETENTION, Cohorts
from analytics.overview import money
from analytics.serializers.fields import AS_OF, BEING_PREPARED, COUNT, DAY, MONEY, NOTES, TEXT
from cloudpos.api.parameters import Choices, Day, Identifier, Integer
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import Schema
from cloudpos.api.schema import Fields, Many, Paged
from cloudpos.api.shape_schema import nullable
from cloudpos.api.tables import Table, format_parameter
from cloudpos.tenancy.access import Access
from customers.models import Customer

CELL: Schema = {
    "type": ["number", "string", "null"],
    "description": "A share of the cohort for retention, money otherwise; null in a period that has not begun.",
}
COHORTS = Fields(
    "Cohorts",
    {
        "granularity": {"type": "string", "enum": list(GRANULARITIES)},
        "metric": {"type": "string", "enum": list(METRICS)},
        "timezone": TEXT,
        "currency": TEXT,
        "periods": {**COUNT, "description": "How many cells every row has."},
        "cohorts": Many(
            Fields(
                "Cohort",
                {
                    "cohort": {
                        **DAY,
                        "description": "The first day of its week, month or quarter: its name.",
                    },
                    "to": DAY,
                    "size": {**COUNT, "description": "Customers whose first purchase was in it."},
                    "values": {"type": "array", "items": CELL},
                    "customers": {
                        "type": "array",
                        "items": nullable(COUNT),
                        "description": "How many of them were active in each period.",
                    },
                    "runningFrom": nullable(
                        {
                            **COUNT,
                            "description": "The first period that is not over; null when all that are shown are.",
                        }
                    ),
                },
            )
        ),
        "means": {
            "type": "array",
            "items": CELL,
            "description": "By period, over the cohorts for which it is over, weighted by their size.",
        },
        "asOf": AS_OF,
        "notes": NOTES,
    },
)


class _CohortFilters(StrictFilterSet):
    granularity = Choices(GRANULARITIES, many=False, method="", description="month when absent.")
    store_id = Identifier(
        method="",
        description="Everything as if there were this store alone; all of the merchant's when absent.",
    )
    format = format_parameter()


class CohortFilters(_CohortFilters):
    paged = False
    cursors = False

    start_date = Day(method="", description="In the first cohort; when absent, there are twelve.")
    end_date = Day(method="", description="In the last cohort; today when absent.")
    metric = Choices(METRICS, many=False, method="", description="retention when absent.")


class CohortCustomerFilters(_CohortFilters):
    cursors = False
    limit_max = 1_000

    period = Integer(
        maximum=PERIODS_MAX, method="", description="After the cohort's own, which is 0 (when absent)."
    )


def render_cohorts(found: Cohorts, metric: str, access: Access) -> dict[str, Any]:
    return {
        "granularity": found.granularity,
        "metric": metric,
        "timezone": access.timezone,
        "currency": access.currency,
        "periods": found.periods,
        "cohorts": [
            {
                "cohort": cohort.period.first,
                "to": cohort.period.last,
                "size": cohort.size,
                "values": _padded(
                    [_cell(cell, metric) for cell in found.cells(cohort, metric)], found.periods
                ),
                "customers": _padded(cohort.active, found.periods),
                "runningFrom": cohort.running if cohort.running < len(cohort.active) else None,
            }
            for cohort in found.cohorts
        ],
        "means": [None if mean is None else _cell(mean, metric) for mean in found.means(metric)],
        "asOf": found.as_of,
        "notes": _notes(found),
    }


def cohorts_table(found: Cohorts, metric: str) -> Table:
    """A row for each cohort, a column for each period."""
    return Table(
        ("cohort", "size", *map(str, range(found.periods))),
        [
            (cohort.period.first, cohort.size, *(_cell(cell, metric) for cell in found.cells(cohort, metric)))
            for cohort in found.cohorts
        ],
    )


def _cell(cell: float | int, metric: str) -> Any:
    if metric == RETENTION:
        return round(cell, 4)
    return money(round(cell))


def _padded(row: Sequence[Any], periods: int) -> list[Any]:
    return [*row, *[None] * (periods - len(row))]


def _notes(found: Cohorts) -> list[str]:
    notes = []
    if not any(cohort.size for cohort in found.cohorts):
        notes.append("Nobody bought for the first time in these cohorts.")
    if found.as_of is not None:
        notes.append(BEING_PREPARED)
    return notes


MEMBER = Fields(
    "CohortCustomer",
    {
        "id": {"type": "string", "format": "uuid"},
        "customerNumber": TEXT,
        "name": {**TEXT, "description": "Empty for a customer who was deleted."},
        "segment": {"type": "string", "enum": Customer.Segment.values},
        "tier": TEXT,
        "purchases": {
            **COUNT,
            "description": "In the period, without those that were taken back altogether.",
        },
        "revenue": {**MONEY, "description": "In the period, net of returns."},
        "isDeleted": {"type": "boolean"},
    },
)
COHORT_CUSTOMERS = Paged(
    "customers",
    MEMBER,
    extra={
        "cohort": DAY,
        "from": {**DAY, "description": "The period's first day."},
        "to": DAY,
        "size": {**COUNT, "description": "Of the cohort."},
        "asOf": AS_OF,
    },
)


def render_members(cell: Cell) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(rows, what stands beside them)"""
    extra = {
        "cohort": cell.cohort.first,
        "from": cell.period.first,
        "to": cell.period.last,
        "size": cell.size,
        "asOf": cell.as_of,
    }
    return [_member(active) for active in cell.page], extra


def members_table(cell: Cell) -> Table:
    rows = [_member(active) for active in cell.page]
    head = ("id", "customerNumber", "name", "segment", "tier", "purchases", "revenue", "isDeleted")
    return Table(head, [[row[name] for name in head] for row in rows])


def _member(active: Active) -> dict[str, Any]:
    customer = active.customer
    deleted = customer.deleted_at is not None
    return {
        "id": customer.pk,
        "customerNumber": customer.customer_number,
        "name": "" if deleted else customer.display_name,
        "segment": customer.segment,
        "tier": customer.tier,
        "purchases": active.purchases,
        "revenue": money(active.cents),
        "isDeleted": deleted,
    }
