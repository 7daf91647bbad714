"""marketing.webhooks.deliveries: one row per event and endpoint that listens, in the relay's transaction."""

import json
from typing import Any

import pytest

from cloudpos import outbox
from cloudpos.models import EventTask
from customers.events import EventRef, event
from customers.models import Event
from marketing.models import WebhookDelivery
from marketing.webhooks import deliveries
from marketing.webhooks.deliveries import queue_deliveries
from marketing.webhooks.services import update_webhook
from tests.fixtures import Shop
from tests.marketing.conftest import NOBODY_LISTENS, happen, new_webhook, states

pytestmark = pytest.mark.django_db


def test_the_rows_are_written_with_the_stamp(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[Any] = []
    monkeypatch.setattr(outbox, "enqueue", lambda *message: rung.append(message) or True)
    new_webhook(shop, NOBODY_LISTENS)
    happen(shop, "purchase.recorded")
    outbox.relay()
    assert states() == ["pending"]
    assert ("marketing.tasks.send_due_deliveries",) in rung


def test_an_endpoint_gets_what_it_listens_to(shop: Shop, foreign_shop: Shop) -> None:
    new_webhook(shop, "http://127.0.0.1:1/exact", "purchase.recorded")
    new_webhook(shop, "http://127.0.0.1:1/family", "points.*", "purchase.recorded")
    new_webhook(shop, "http://127.0.0.1:1/all", "*")
    off = new_webhook(shop, "http://127.0.0.1:1/off", "*").webhook
    update_webhook(merchant_id=shop.merchant.pk, webhook_id=off.pk, changes={"is_enabled": False})
    new_webhook(foreign_shop, "http://127.0.0.1:1/foreign", "*")
    happen(shop, "purchase.recorded", "points.earned", "cart.abandoned", "webhook.test")
    outbox.relay()
    found = WebhookDelivery.objects.values_list("webhook__url", "event__type")
    assert sorted((url.rpartition("/")[2], type) for url, type in found) == [
        ("all", "cart.abandoned"),
        ("all", "points.earned"),
        ("all", "purchase.recorded"),
        ("exact", "purchase.recorded"),
        ("family", "points.earned"),
        ("family", "purchase.recorded"),
    ]


def test_queuing_twice_changes_nothing(shop: Shop) -> None:
    new_webhook(shop, NOBODY_LISTENS)
    (sent,) = happen(shop, "purchase.recorded")
    for _ in range(2):
        queue_deliveries([EventRef(shop.merchant.pk, sent.pk, sent.type)])
    assert WebhookDelivery.objects.count() == 1


def test_without_listeners_the_recorder_costs_one_query(shop: Shop, django_assert_num_queries: Any) -> None:
    refs = [
        EventRef(shop.merchant.pk, sent.pk, sent.type) for sent in happen(shop, *["purchase.recorded"] * 50)
    ]
    with django_assert_num_queries(1):
        assert queue_deliveries(refs) == 0


def test_what_a_client_wrote_stays_here(shop: Shop) -> None:
    (sent,) = happen(shop, "cart.abandoned")
    body = json.loads(deliveries.payload(sent))
    assert body["data"] == {"eventId": str(sent.pk)}


def test_a_body_stays_below_twenty_kilobytes(shop: Shop) -> None:
    sent = event(merchant_id=shop.merchant.pk, type="purchase.recorded", data={"long": "x" * 30_000})
    body = deliveries.payload(sent)
    assert len(body) < deliveries.PAYLOAD_BYTES_MAX
    assert json.loads(body)["data"] == {"eventId": str(sent.pk)}


def test_the_sequence_grows_from_event_to_event(shop: Shop) -> None:
    sequences = [deliveries.sequence(sent.recorded_at) for sent in happen(shop, *["purchase.recorded"] * 20)]
    assert sequences == sorted(set(sequences))


def test_events_that_cannot_be_queued_go_to_a_task(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    new_webhook(shop, NOBODY_LISTENS)
    (good, bad) = happen(shop, "purchase.recorded", "purchase.recorded")
    real = deliveries.payload

    def broken(sent: Event) -> bytes:
        if sent.pk == bad.pk:
            raise ValueError("poison")
        return real(sent)

    monkeypatch.setattr(outbox, "enqueue", lambda *_: False)
    monkeypatch.setattr(deliveries, "payload", broken)
    outbox.relay()
    assert list(WebhookDelivery.objects.values_list("event_id", flat=True)) == [good.pk]
    fallback = EventTask.objects.filter(handler="marketing.tasks.queue_deliveries_of")
    assert list(fallback.values_list("event_id", flat=True)) == [bad.pk]
    monkeypatch.setattr(deliveries, "payload", real)
    outbox.sweep()
    assert WebhookDelivery.objects.count() == 2


def test_an_endpoint_hears_nothing_of_the_time_before_it(shop: Shop) -> None:
    """The relay may be late: what it finds waiting happened before somebody listened."""
    (before,) = happen(shop, "customer.created")
    made = new_webhook(shop, NOBODY_LISTENS, "*")
    (after,) = happen(shop, "customer.updated")
    outbox.sweep()
    heard = WebhookDelivery.objects.filter(webhook=made.webhook).values_list("event_id", flat=True)
    assert list(heard) == [after.pk]
    assert before.pk not in heard


def test_many_events_for_many_endpoints_are_queued_at_once(shop: Shop) -> None:
    for number in range(20):
        new_webhook(shop, f"http://127.0.0.1:1/{number}")
    refs = [
        EventRef(shop.merchant.pk, each.pk, each.type) for each in happen(shop, *["purchase.recorded"] * 250)
    ]
    assert queue_deliveries(refs) == WebhookDelivery.objects.count() == 5_000
