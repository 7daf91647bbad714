"""The customers behind the movements between segments, who moved last first."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from analytics.rollups.spans import nth
from analytics.segmenting import FIRST
from customers.models import Customer, Event

JOINED, LEFT = DIRECTIONS = ("joined", "left")


@dataclass(frozen=True, slots=True)
class Moved:
    """One change of segment of a customer; who moved twice is there twice, as in the counts."""

    customer: Customer
    origin: str
    target: str
    at: datetime


@dataclass(frozen=True, slots=True)
class MovedFound:
    total: int
    rows: list[Moved]


def customers_moved(
    *,
    merchant_id: uuid.UUID,
    zone: ZoneInfo,
    month: date,
    segment: str,
    direction: str,
    offset: int = 0,
    limit: int,
) -> MovedFound:
    """Who JOINED or LEFT a segment in a month of the merchant, named by its first day."""
    moves = (
        Event.objects.for_merchant(merchant_id)
        .filter(
            type="segment.changed",
            occurred_at__gte=datetime.combine(month, time.min, zone),
            occurred_at__lt=datetime.combine(nth(month, "month", 1).first, time.min, zone),
            **{"data__to" if direction == JOINED else "data__from": segment},
        )
        .exclude(data__has_key=FIRST)
    )
    rows = (
        moves.select_related("customer")
        .defer("customer__search", "customer__metadata", "customer__notes")
        .order_by("-occurred_at", "-pk")
    )
    return MovedFound(
        total=moves.count(),
        rows=[
            Moved(event.customer, event.data["from"], event.data["to"], event.occurred_at)
            for event in rows[offset : offset + limit]
            if event.customer is not None
        ],
    )
