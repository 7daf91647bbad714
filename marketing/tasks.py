"""Doorbells of the webhooks' rows."""

import uuid

from celery import shared_task
from django.db import transaction

from customers.events import EventRef
from customers.models import Event
from marketing import deliveries


@shared_task(name="marketing.tasks.send_due_deliveries")
def send_due_deliveries() -> int:
    """Send every delivery that is due."""
    return deliveries.send_due()


@shared_task(name="marketing.tasks.queue_deliveries_of")
def queue_deliveries_of(merchant_id: str, event_ids: list[str]) -> int:
    """Queue the deliveries of events for which the relay could not."""
    rows = Event.objects.for_merchant(uuid.UUID(merchant_id)).filter(pk__in=event_ids)
    with transaction.atomic():
        return deliveries.queue_deliveries(
            [EventRef(*row) for row in rows.values_list("merchant_id", "id", "type")]
        )
