"""Webhook deliveries: written with the relay's commit, sent from their rows, at least once, order not promised."""

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.utils.timezone import now

from cloudpos.api.encoding import encode
from customers.events import EventRef
from customers.models import Event
from marketing import encryption, sending, signing
from marketing.event_types import is_ours, wants
from marketing.models import Webhook, WebhookDelivery

logger = logging.getLogger(__name__)

TEST_EVENT = "webhook.test"

# The pause before each attempt; there are as many attempts as entries.
ATTEMPT_DELAYS_SECONDS: tuple[int, ...] = (0,)
# A sender that died in the middle leaves the outcome unknown: the delivery is sent again, but not for ever.
INTERRUPTED_ATTEMPTS_MAX = 5
LEASE_SECONDS = 60
IN_FLIGHT_PER_WEBHOOK_MAX = 4
IN_FLIGHT_MAX = 64
SENDER_THREADS = 16
RUN_SECONDS_MAX = 20.0

State = WebhookDelivery.State


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
    )
    return len(wanted)


def payload(event: Event) -> bytes:
    """The exact bytes that are signed and sent.

    Thin: ids and numbers. What a client wrote into an event of its own type stays here, the receiver may fetch it: a
    body once sent cannot be erased. `sequence` grows from each event of a customer to the next; its gaps mean nothing.
    """
    data = dict(event.data) if is_ours(event.type) else {}
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


class Claimed(NamedTuple):
    """A delivery that this process sends now, with all that sending takes: no query is made on the sending thread."""

    merchant_id: uuid.UUID
    id: uuid.UUID
    event_id: uuid.UUID
    attempts: int
    url: str
    secret_encrypted: bytes
    body: bytes


# Claims follow each other, so that the limits of deliveries in flight are exact; each takes milliseconds.
CLAIM_LOCK_KEY = 3_002_003

_CLAIM = """
WITH due AS (
    SELECT next.merchant_id, next.id, webhook.url, webhook.secret_encrypted
    FROM customer_webhooks webhook
    CROSS JOIN LATERAL (
        SELECT delivery.merchant_id, delivery.id, delivery.next_attempt_at
        FROM webhook_deliveries delivery
        WHERE delivery.merchant_id = webhook.merchant_id AND delivery.webhook_id = webhook.id
          AND delivery.state IN ('pending', 'sending') AND delivery.next_attempt_at <= statement_timestamp()
        ORDER BY delivery.next_attempt_at
        LIMIT greatest(0, %(per_webhook)s - (
            SELECT count(*) FROM webhook_deliveries flying
            WHERE flying.merchant_id = webhook.merchant_id AND flying.webhook_id = webhook.id
              AND flying.state = 'sending' AND flying.next_attempt_at > statement_timestamp()
        ))
    ) AS next
    WHERE webhook.is_enabled
    ORDER BY next.next_attempt_at
    LIMIT greatest(0, least(%(places)s, %(in_all)s - (
        SELECT count(*) FROM webhook_deliveries flying
        WHERE flying.state = 'sending' AND flying.next_attempt_at > statement_timestamp()
    )))
)
UPDATE webhook_deliveries
SET state = 'sending', attempts = attempts + 1, next_attempt_at = statement_timestamp() + %(lease)s * interval '1 second'
FROM due
WHERE webhook_deliveries.merchant_id = due.merchant_id AND webhook_deliveries.id = due.id
  AND webhook_deliveries.state IN ('pending', 'sending') AND webhook_deliveries.next_attempt_at <= statement_timestamp()
RETURNING webhook_deliveries.merchant_id, webhook_deliveries.id, webhook_deliveries.event_id,
          webhook_deliveries.attempts, due.url, due.secret_encrypted, webhook_deliveries.body
"""


def claim(*, places: int) -> list[Claimed]:
    """Take up to `places` due deliveries for LEASE_SECONDS: at most 4 in flight an endpoint and 64 in all."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CLAIM_LOCK_KEY])
        cursor.execute(
            _CLAIM,
            {
                "places": places,
                "per_webhook": IN_FLIGHT_PER_WEBHOOK_MAX,
                "in_all": IN_FLIGHT_MAX,
                "lease": LEASE_SECONDS,
            },
        )
        return [Claimed(*row) for row in cursor.fetchall()]


def send_due(*, seconds_max: float = RUN_SECONDS_MAX) -> int:
    """Send what is due, several at once, until nothing is. Returns how many were delivered.

    A slow endpoint occupies its own places only.
    """
    deadline = time.monotonic() + seconds_max
    delivered = 0
    flying: dict[Future[sending.Outcome], Claimed] = {}
    with ThreadPoolExecutor(SENDER_THREADS, thread_name_prefix="webhook") as pool:
        while True:
            free = SENDER_THREADS - len(flying)
            claimed = claim(places=free) if free and time.monotonic() < deadline else []
            for delivery in claimed:
                flying[pool.submit(_send, delivery)] = delivery
            if not flying:
                return delivered
            finished, _ = wait(flying, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in finished:
                delivered += _note(flying.pop(future), future.result())


def _send(delivery: Claimed) -> sending.Outcome:
    """On a thread of its own: network only."""
    if delivery.attempts > INTERRUPTED_ATTEMPTS_MAX:
        return sending.Outcome(None, "", "interrupted too often", 0)
    try:
        secret = encryption.decrypt(delivery.secret_encrypted).decode()
    except encryption.SecretUnreadable:
        logger.error("webhook_secret_unreadable", extra={"delivery_id": str(delivery.id)})
        return sending.Outcome(None, "", "the secret of this endpoint cannot be read: make a new endpoint", 0)
    # The same on every attempt, and at every endpoint: what a receiver recognises a repetition by.
    message_id = f"evt_{delivery.event_id.hex}"
    timestamp = int(time.time())
    signature = signing.sign(secret=secret, message_id=message_id, timestamp=timestamp, body=delivery.body)
    return sending.post(
        url=delivery.url,
        body=delivery.body,
        headers={
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature,
        },
    )


def _note(delivery: Claimed, outcome: sending.Outcome) -> bool:
    """Write the outcome down, unless the lease ran out and somebody else has the delivery by now."""
    following = None
    state = State.DELIVERED if outcome.succeeded else State.FAILED
    if not outcome.succeeded and delivery.attempts < len(ATTEMPT_DELAYS_SECONDS):
        state = State.PENDING
        following = now() + timedelta(seconds=ATTEMPT_DELAYS_SECONDS[delivery.attempts])
    WebhookDelivery.objects.for_merchant(delivery.merchant_id).filter(
        pk=delivery.id, state=State.SENDING, attempts=delivery.attempts
    ).update(
        state=state,
        next_attempt_at=following,
        response_status=outcome.status,
        response_body=outcome.body,
        error=outcome.error[:300],
        duration_ms=outcome.duration_ms,
        sent_at=now(),
    )
    return outcome.succeeded
