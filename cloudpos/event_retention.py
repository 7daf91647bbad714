"""Old events that nothing needs any more: of clients' own types, handed on, with no task and no delivery left."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from cloudpos.tenancy.models import Merchant
from customers.event_types import OUR_NOUNS

BATCH = 5_000

_DELETE = """
DELETE FROM customer_events WHERE (merchant_id, id) IN (
    SELECT event.merchant_id, event.id FROM customer_events event
    WHERE event.merchant_id = %s AND event.occurred_at < %s AND event.recorded_at < %s
      AND event.dispatched_at IS NOT NULL AND split_part(event.type, '.', 1) <> ALL(%s)
      AND NOT EXISTS (
        SELECT 1 FROM event_tasks task WHERE task.merchant_id = event.merchant_id AND task.event_id = event.id
      )
      AND NOT EXISTS (
        SELECT 1 FROM webhook_deliveries delivery
        WHERE delivery.merchant_id = event.merchant_id AND delivery.event_id = event.id
      )
    ORDER BY event.occurred_at LIMIT %s
    FOR UPDATE OF event SKIP LOCKED
)
"""


def forget_old_events(*, at: datetime) -> int:
    """Delete what is older than EVENTS_KEPT_DAYS, in batches. Returns how many; 0 days: none, ever."""
    if not settings.EVENTS_KEPT_DAYS:
        return 0
    before = at - timedelta(days=settings.EVENTS_KEPT_DAYS)
    deleted = 0
    for merchant_id in Merchant.objects.values_list("pk", flat=True):
        while True:
            with connection.cursor() as cursor:
                cursor.execute(_DELETE, [merchant_id, before, before, sorted(OUR_NOUNS), BATCH])
                batch = cursor.rowcount
            deleted += batch
            if batch < BATCH:
                break
    return deleted
