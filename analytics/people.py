"""Customers by what is known of them, those with the highest 12-month value first."""

import uuid
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import QuerySet

from analytics.counts import Worth, worths
from analytics.models import CustomerFigures
from analytics.overview import money
from customers.models import Customer

AT_RISK = Customer.Segment.AT_RISK


@dataclass(frozen=True, slots=True)
class PeopleFound:
    """Some of `total` customers; each row has its `customer`."""

    total: int
    rows: list[CustomerFigures]


@dataclass(frozen=True, slots=True)
class AtRisk:
    """The customers at risk, and what they spent in the last 12 months: what is lost when nobody calls them back."""

    customers: int
    value: Decimal


def customers_at_risk(*, merchant_id: uuid.UUID, offset: int = 0, limit: int) -> PeopleFound:
    return _found(CustomerFigures.objects.for_merchant(merchant_id).filter(segment=AT_RISK), offset, limit)


def customers_in_cell(
    *, merchant_id: uuid.UUID, recency: int, frequency: int, offset: int = 0, limit: int
) -> PeopleFound:
    """Who has these scores, each 1 to 5."""
    scored = CustomerFigures.objects.for_merchant(merchant_id).filter(
        recency_score=recency, frequency_score=frequency
    )
    return _found(scored, offset, limit)


def value_at_risk(*, merchant_id: uuid.UUID) -> AtRisk:
    """As old as the figures of the segments may be."""
    found = worths(merchant_id=merchant_id).segments.get(AT_RISK, Worth())
    return AtRisk(found.customers, money(found.cents))


def has_figures(merchant_id: uuid.UUID) -> bool:
    """Whether anybody's figures have been worked out."""
    return CustomerFigures.objects.for_merchant(merchant_id).exists()


def _found(figures: QuerySet[CustomerFigures], offset: int, limit: int) -> PeopleFound:
    rows = (
        figures.select_related("customer")
        .defer("customer__search", "customer__metadata", "customer__notes")
        .order_by("-spend_365d_cents", "customer")
    )
    return PeopleFound(total=figures.count(), rows=list(rows[offset : offset + limit]))
