"""How many customers each segment has."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Sum

from analytics.models import SegmentRefresh
from customers.models import CustomerCount


@dataclass(frozen=True, slots=True)
class SegmentCounts:
    """Visible customers by segment; `refreshed_at` is when the last daily pass ended."""

    customers: dict[str, int]
    vip_value: Decimal | None
    refreshed_at: datetime | None


def segment_counts(*, merchant_id: uuid.UUID) -> SegmentCounts:
    """From the list's counters, without touching a customer."""
    counts = CustomerCount.objects.filter(merchant_id=merchant_id).values_list("segment").annotate(Sum("n"))
    last_pass = SegmentRefresh.objects.for_merchant(merchant_id).first()
    return SegmentCounts(
        customers=dict(counts),
        vip_value=last_pass.vip_value if last_pass else None,
        refreshed_at=last_pass.finished_at if last_pass else None,
    )
