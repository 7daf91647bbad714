"""Reading the log of one customer."""

import uuid
from typing import Any

from django.db.models import QuerySet

from customers.models import Event
from customers.services.finding import visible_customer_id

# A busy customer's log is not counted to its end for a page of it.
COUNTED_EVENTS_MAX = 10_000


def events_of(*, merchant_id: uuid.UUID, customer_id: uuid.UUID) -> QuerySet[Any]:
    """Everything recorded of a customer; a merged one's log is with the customer it became. Raises CustomerNotFound."""
    visible = visible_customer_id(merchant_id=merchant_id, customer_id=customer_id)
    return Event.objects.for_merchant(merchant_id).filter(customer_id=visible)


def count_events(events: QuerySet[Any]) -> tuple[int, bool]:
    """(how many, whether that is exact)"""
    counted = events.order_by().values("pk")[: COUNTED_EVENTS_MAX + 1].count()
    return min(counted, COUNTED_EVENTS_MAX), counted <= COUNTED_EVENTS_MAX
