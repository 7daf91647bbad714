"""Reading webhooks and their log."""

import uuid
from typing import Any

from django.db.models import QuerySet

from marketing.models import Webhook, WebhookAttempt, WebhookDelivery
from marketing.webhooks.services import DeliveryNotFound, WebhookNotFound

# A busy endpoint's log is not counted to its end for a page of it.
COUNTED_DELIVERIES_MAX = 10_000


def webhooks_of(merchant_id: uuid.UUID) -> QuerySet[Any]:
    return Webhook.objects.for_merchant(merchant_id)


def find_webhook(*, merchant_id: uuid.UUID, webhook_id: uuid.UUID) -> Webhook:
    """Raises WebhookNotFound."""
    webhook = Webhook.objects.for_merchant(merchant_id).filter(pk=webhook_id).first()
    if webhook is None:
        raise WebhookNotFound()
    return webhook


def deliveries_of(*, merchant_id: uuid.UUID, webhook_id: uuid.UUID) -> QuerySet[Any]:
    """Raises WebhookNotFound."""
    find_webhook(merchant_id=merchant_id, webhook_id=webhook_id)
    return WebhookDelivery.objects.for_merchant(merchant_id).filter(webhook_id=webhook_id)


def find_delivery(
    *, merchant_id: uuid.UUID, webhook_id: uuid.UUID, delivery_id: uuid.UUID
) -> WebhookDelivery:
    """Raises WebhookNotFound and DeliveryNotFound."""
    found: WebhookDelivery | None = (
        deliveries_of(merchant_id=merchant_id, webhook_id=webhook_id)
        .filter(pk=delivery_id)
        .select_related("event")
        .first()
    )
    if found is None:
        raise DeliveryNotFound()
    return found


def attempts_of(delivery: WebhookDelivery) -> QuerySet[Any]:
    return (
        WebhookAttempt.objects.for_merchant(delivery.merchant_id).filter(delivery=delivery).order_by("number")
    )


def count_deliveries(deliveries: QuerySet[Any]) -> tuple[int, bool]:
    """(how many, whether that is exact)"""
    counted = deliveries.order_by().values("pk")[: COUNTED_DELIVERIES_MAX + 1].count()
    return min(counted, COUNTED_DELIVERIES_MAX), counted <= COUNTED_DELIVERIES_MAX
