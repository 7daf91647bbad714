"""Senders that are killed in the middle, as by SIGKILL at any moment: each event arrives at each endpoint."""

import os
import random
import signal
import time
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from benchmarks.webhook_receiver import received, receiver
from benchmarks.webhook_world import make_endpoints, make_events, start_sender
from marketing.models import WebhookAttempt, WebhookDelivery
from tests.fixtures import Shop
from tests.ops.processes import wait_for

EVENTS = 80
KILLS = 2


@pytest.mark.django_db(transaction=True)
def test_senders_are_killed_and_each_event_arrives(shop: Shop) -> None:
    # The test database, wherever the server is.
    url = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    environment = {**os.environ, "DATABASE_URL": url, "REDIS_URL": "none", "ENVIRONMENT": "test"}
    chance = random.Random(3027)
    done = WebhookDelivery.objects.filter(state="delivered")
    with receiver() as address:
        make_endpoints(shop.merchant.pk, [f"{address}/one", f"{address}/two"], ["purchase.recorded"])
        sent: set[str] = set()
        senders = [start_sender(lease_seconds=0.5, environment=environment) for _ in range(KILLS + 1)]
        try:
            for sender in senders[:KILLS]:
                before = done.count()
                sent |= set(make_events(shop.merchant.pk, EVENTS // KILLS))
                wait_for(lambda before=before: done.count() > before)  # type: ignore[misc]
                time.sleep(chance.uniform(0, 0.02))
                sender.send_signal(signal.SIGKILL)
            wait_for(lambda: done.count() == 2 * EVENTS)
        finally:
            for sender in senders:
                sender.kill()
                sender.wait()
        arrived = received(address)
    assert sent == arrived.keys()
    assert min(arrived.values()) >= 2, "each endpoint has it"
    # Whoever was in the air when its sender died was sent again, and the log says so.
    interrupted = WebhookAttempt.objects.filter(error="the sender ended in the middle")
    assert WebhookAttempt.objects.count() == 2 * EVENTS + interrupted.count()
