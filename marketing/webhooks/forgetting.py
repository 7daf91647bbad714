"""What nobody waits for any more: deliveries of endpoints that are off, and the log after its time. In batches."""

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from marketing.models import Webhook, WebhookDelivery

BATCH = 5_000

SWITCHED_OFF = "the webhook was switched off"

_END_WAITING = """
UPDATE webhook_deliveries SET state = 'failed', next_attempt_at = NULL, error = %s
WHERE (merchant_id, id) IN (
    SELECT merchant_id, id FROM webhook_deliveries
    WHERE merchant_id = %s AND webhook_id = %s AND state = 'pending' LIMIT %s
    FOR NO KEY UPDATE SKIP LOCKED
)
"""

# Both at once: an attempt's reference to its delivery is checked at the commit.
_DELETE = """
WITH old AS (
    SELECT merchant_id, id FROM webhook_deliveries
    WHERE merchant_id = %s AND webhook_id = %s AND (%s::timestamptz IS NULL
        OR created_at < %s AND state IN ('delivered', 'failed') AND coalesce(sent_at, created_at) < %s)
    ORDER BY created_at LIMIT %s
    FOR UPDATE SKIP LOCKED
),
attempts AS (
    DELETE FROM webhook_attempts USING old
    WHERE webhook_attempts.merchant_id = old.merchant_id AND webhook_attempts.delivery_id = old.id
)
DELETE FROM webhook_deliveries USING old
WHERE webhook_deliveries.merchant_id = old.merchant_id AND webhook_deliveries.id = old.id
"""


def end_waiting(webhook: Webhook) -> int:
    """Give up what waits for an endpoint that is off, a batch of it. Returns how many. In the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_END_WAITING, [SWITCHED_OFF, webhook.merchant_id, webhook.pk, BATCH])
        return cursor.rowcount


def end_waiting_for_disabled() -> int:
    """The same for every endpoint that is off, all of it. Returns how many."""
    ended = 0
    waiting = WebhookDelivery.objects.filter(state=WebhookDelivery.State.PENDING, webhook__is_enabled=False)
    for webhook in Webhook.objects.filter(is_enabled=False, pk__in=waiting.values("webhook_id")):
        while batch := _end_batch(webhook):
            ended += batch
    return ended


def _end_batch(webhook: Webhook) -> int:
    with transaction.atomic():
        still_off = (
            Webhook.objects.for_merchant(webhook.merchant_id)
            .filter(pk=webhook.pk, is_enabled=False)
            .select_for_update(no_key=True)
        )
        return end_waiting(webhook) if still_off.exists() else 0


def delete_deliveries(
    *, merchant_id: uuid.UUID, webhook_id: uuid.UUID, before: datetime | None = None
) -> int:
    """Delete a batch of an endpoint's log with its attempts: all of it, or what ended before. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_DELETE, [merchant_id, webhook_id, before, before, before, BATCH])
        return cursor.rowcount


def forget_old_deliveries(*, at: datetime) -> int:
    """Delete deliveries that ended WEBHOOK_LOG_DAYS ago. Returns how many."""
    before = at - timedelta(days=settings.WEBHOOK_LOG_DAYS)
    deleted = 0
    for merchant_id, webhook_id in Webhook.objects.values_list("merchant_id", "pk").order_by("merchant_id"):
        while batch := delete_deliveries(merchant_id=merchant_id, webhook_id=webhook_id, before=before):
            deleted += batch
    return deleted
