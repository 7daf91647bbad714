"""Webhook deliveries: written with the relay's commit, sent from their rows, at least once, order not promised."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cloudpos.api.encoding import encode
from customers.events import EventRef
from customers.models import Event
from marketing.models import Webhook, WebhookDelivery
from marketing.webhooks.event_types import is_ours, wants

TEST_EVENT = "webhook.test"
PAYLOAD_BYTES_MAX = 20_000
# A statement has 65,535 parameters at most: a thousand events for twenty endpoints each are more.
ROWS_PER_INSERT = 1_000


def queue_deliveries(events: Sequence[EventRef]) -> int:
    """One delivery per event and endpoint that listens to it, in the caller's transaction. Returns how many there are.

    An endpoint hears of what was recorded since it was made, also when an older event is relayed late.
    Harmless when run twice. A test event is for one endpoint and queued by its sender.
    """
    webhooks: dict[uuid.UUID, list[tuple[uuid.UUID, list[str], datetime]]] = defaultdict(list)
    listening = Webhook.objects.filter(
        merchant_id__in={event.merchant_id for event in events}, is_enabled=True
    )
    columns = ("merchant_id", "id", "event_types", "created_at")
    for merchant_id, webhook_id, event_types, made_at in listening.values_list(*columns):
        webhooks[merchant_id].append((webhook_id, event_types, made_at))
    heard = [
        (event, webhook_id, made_at)
        for event in events
        if event.type != TEST_EVENT
        for webhook_id, event_types, made_at in webhooks.get(event.merchant_id, ())
        if wants(event_types, event.type)
    ]
    if not heard:
        return 0
    rows = Event.objects.filter(
        merchant_id__in={event.merchant_id for event, _, _ in heard},
        pk__in={event.id for event, _, _ in heard},
    )
    by_id = {row.pk: row for row in rows}
    wanted = [
        (event, webhook_id) for event, webhook_id, made_at in heard if by_id[event.id].recorded_at >= made_at
    ]
    bodies = {event.id: payload(by_id[event.id]) for event, _ in wanted}
    WebhookDelivery.objects.bulk_create(
        [
            WebhookDelivery(
                merchant_id=event.merchant_id, webhook_id=webhook_id, event_id=event.id, body=bodies[event.id]
            )
            for event, webhook_id in wanted
        ],
        ignore_conflicts=True,
        batch_size=ROWS_PER_INSERT,
    )
    return len(wanted)


def payload(event: Event) -> bytes:
    """The exact bytes that are signed and sent, below PAYLOAD_BYTES_MAX.

    Thin: ids and numbers. What a client wrote into an event of its own type stays here, the receiver may fetch it: a
    body once sent cannot be erased. `sequence` grows from each event of a customer to the next; its gaps mean nothing.
    """
    body = _body(event, dict(event.data) if is_ours(event.type) else {})
    # None of ours is: should one ever be, its ids are enough to fetch it.
    return body if len(body) < PAYLOAD_BYTES_MAX else _body(event, {})


def _body(event: Event, data: dict[str, Any]) -> bytes:
    data["eventId"] = event.pk
    if event.customer_id is not None:
        data["customerId"] = event.customer_id
    if event.store_id is not None:
        data.setdefault("storeId", event.store_id)
    return encode(
        {
            "type": event.type,
            "timestamp": event.occurred_at,
            "sequence": sequence(event.recorded_at),
            "data": data,
        }
    )


def sequence(recorded_at: datetime) -> int:
    """Microseconds since 1970: events of one customer are recorded one after the other, under the customer's lock."""
    return (recorded_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
