"""The segments of a merchant: how many customers each has, what they are worth, and who moved between them."""

import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from django.core.cache import cache
from django.db.models import Count, Sum
from django.utils.timezone import now

from analytics.models import CustomerFigures, CutPoints
from analytics.overview import money
from analytics.segment_moves import Move, moves_by_month
from cloudpos.tenancy.models import Merchant
from customers.models import CustomerCount

# The figures of a million customers take half a second to add up, as do a month's movements, and change with every purchase.
FIGURES_SECONDS = 60


@dataclass(slots=True)
class Worth:
    """Of customers who have bought: 12-month value in cents, and the sum of their probabilities to buy no more."""

    customers: int = 0
    cents: int = 0
    churn: float = 0.0

    def add(self, customers: int, cents: int, churn: float) -> None:
        self.customers += customers
        self.cents += cents
        self.churn += churn


@dataclass(frozen=True, slots=True)
class Worths:
    """By segment, and by (recency, frequency), as of an instant."""

    segments: dict[str, Worth]
    grid: dict[tuple[int, int], Worth]
    at: datetime


@dataclass(frozen=True, slots=True)
class SegmentCounts:
    """Visible customers by segment; `refreshed_at` is when the last recalculation of all ended."""

    customers: dict[str, int]
    vip_value: Decimal | None
    refreshed_at: datetime | None
    worths: Worths
    moves: dict[date, list[Move]] = field(default_factory=dict)


def segment_counts(*, merchant_id: uuid.UUID) -> SegmentCounts:
    """Counts from the list's counters, without touching a customer; figures at most FIGURES_SECONDS old."""
    counts = CustomerCount.objects.filter(merchant_id=merchant_id).values_list("segment").annotate(Sum("n"))
    cuts = CutPoints.objects.for_merchant(merchant_id).first()
    merchant = Merchant.objects.get(pk=merchant_id)
    today = now().astimezone(merchant.tz).date()
    return SegmentCounts(
        customers=dict(counts),
        vip_value=None if cuts is None or cuts.vip_cents is None else money(cuts.vip_cents),
        refreshed_at=cuts.finished_at if cuts else None,
        worths=worths(merchant_id=merchant_id),
        moves=_moves(merchant, today),
    )


def _moves(merchant: Merchant, today: date) -> dict[date, list[Move]]:
    """Those of the running month at most FIGURES_SECONDS old."""
    key = f"analytics-moves:{merchant.pk}:{merchant.timezone}:{today}"
    found: dict[date, list[Move]] | None = cache.get(key)
    if found is None:
        found = moves_by_month(merchant_id=merchant.pk, zone=merchant.tz, today=today)
        cache.set(key, found, FIGURES_SECONDS)
    return found


def worths(*, merchant_id: uuid.UUID) -> Worths:
    """Figures at most FIGURES_SECONDS old."""
    key = f"analytics-segments:{merchant_id}"
    found: Worths | None = cache.get(key)
    if found is not None:
        return found
    at = now()
    segments: dict[str, Worth] = defaultdict(Worth)
    grid: dict[tuple[int, int], Worth] = defaultdict(Worth)
    groups = (
        CustomerFigures.objects.for_merchant(merchant_id)
        .values_list("segment", "recency_score", "frequency_score")
        .annotate(Count("pk"), Sum("spend_365d_cents"), Sum("churn"))
    )
    for segment, recency, frequency, customers, cents, churn in groups:
        segments[segment].add(customers, int(cents), churn)
        grid[recency, frequency].add(customers, int(cents), churn)
    found = Worths(dict(segments), dict(grid), at)
    cache.set(key, found, FIGURES_SECONDS)
    return found
