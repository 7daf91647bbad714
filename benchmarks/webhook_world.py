"""A merchant, endpoints and events for what measures and what kills the senders of webhooks."""

import subprocess
import sys
import uuid
from collections.abc import Sequence

EVENTS_PER_INSERT = 1_000

# What a worker does, without a broker: it looks for what is due, all the time. `lease` and `busy` shorten what a test
# cannot wait for: how long the deliveries of a dead sender stay its own, and how long one round lasts.
SENDER = """
import sys, time
import django
django.setup()
from marketing.webhooks import claiming, dispatch
claiming.LEASE_SECONDS = float(sys.argv[1])
while True:
    dispatch.send_due(seconds_max=5.0)
    time.sleep(0.02)
"""


def start_sender(
    *, lease_seconds: float, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SENDER, str(lease_seconds)], env=environment)


def make_merchant() -> uuid.UUID:
    from cloudpos.tenancy.models import Merchant

    slug = f"hooks-{uuid.uuid4().hex[:12]}"
    return Merchant.objects.create(name="Hooks", slug=slug).pk


def make_endpoints(merchant_id: uuid.UUID, urls: Sequence[str], event_types: list[str]) -> None:
    from marketing.webhooks.services import create_webhook

    for url in urls:
        create_webhook(merchant_id=merchant_id, url=url, event_types=event_types)


def make_events(merchant_id: uuid.UUID, count: int, type: str = "purchase.recorded") -> list[str]:
    """Events and the deliveries that they lead to, as the relay makes them; what `webhook-id` will say of each."""
    from django.db import transaction

    from customers.events import EventRef, emit_all, event
    from marketing.webhooks.deliveries import queue_deliveries

    ids = []
    for start in range(0, count, EVENTS_PER_INSERT):
        facts = {
            "purchaseId": str(uuid.uuid4()),
            "transactionId": "T-1",
            "amount": "12.50",
            "currency": "GBP",
        }
        events = [
            event(merchant_id=merchant_id, type=type, data=facts)
            for _ in range(min(EVENTS_PER_INSERT, count - start))
        ]
        with transaction.atomic():
            emit_all(events)
            queue_deliveries([EventRef(merchant_id, each.pk, each.type) for each in events])
        ids += [f"evt_{each.pk.hex}" for each in events]
    return ids
