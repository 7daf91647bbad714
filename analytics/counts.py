"""How many customers each segment has."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Sum

from analytics.models import CutPoints
from customers.models import CustomerCount


@dataclass(frozen=True, slots=True)
class SegmentCounts:
    """Visible customers by segment; `refreshed_at` is when the last recalculation of all ended."""

    customers: dict[str, int]
    vip_value: Decimal | None
    refreshed_at: datetime | None


def segment_counts(*, merchant_id: uuid.UUID) -> SegmentCounts:
    """From the list's counters, without touching a customer."""
    counts = CustomerCount.objects.filter(merchant_id=merchant_id).values_list("segment").annotate(Sum("n"))
    cuts = CutPoints.objects.for_merchant(merchant_id).first()
    return SegmentCounts(
        customers=dict(counts),
        vip_value=None if cuts is None or cuts.vip_cents is None else Decimal(cuts.vip_cents) / 100,
        refreshed_at=cuts.finished_at if cuts else None,
    )
