"""marketing.deliveries: from the relay's commit to a receiver, at least once, a slow endpoint alone with its slowness."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils.timezone import now
from standardwebhooks.webhooks import Webhook as Verifier

from cloudpos import outbox
from cloudpos.checkout.sales import take_purchase
from cloudpos.models import EventTask
from customers.events import EventRef, emit_all, event
from customers.models import Event
from customers.services import create_customer
from marketing import deliveries
from marketing.deliveries import claim, queue_deliveries, send_due
from marketing.models import WebhookDelivery
from marketing.services import send_test_event, update_webhook
from tests.fixtures import Shop
from tests.marketing.conftest import Receiver, new_webhook

pytestmark = pytest.mark.django_db

NOBODY_LISTENS = "http://127.0.0.1:1/"


def send(shop: Shop, *types: str) -> list[Event]:
    events = [event(merchant_id=shop.merchant.pk, type=type, data={"n": 1}) for type in types]
    with transaction.atomic():
        emit_all(events)
    return events


def due_again() -> None:
    WebhookDelivery.objects.filter(next_attempt_at__isnull=False).update(
        next_attempt_at=now() - timedelta(hours=1)
    )


def states() -> list[str]:
    return sorted(WebhookDelivery.objects.values_list("state", flat=True))


def test_a_purchase_reaches_the_receiver_signed(shop: Shop, receiver: Receiver) -> None:
    made = new_webhook(shop, f"{receiver.url}/hook", "purchase.recorded")
    alice = create_customer(access=shop.access, data={"first_name": "Alice", "email": "alice@example.com"})
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    sale = {"customer_id": alice.pk, "transaction_id": "T1", "amount": Decimal("12.50"), "occurred_at": at}
    take_purchase(access=shop.access, sale=sale)
    outbox.sweep()
    assert send_due() == 1

    (request,) = receiver.requests
    Verifier(made.secret).verify(request.body, request.headers)
    sent = Event.objects.get(type="purchase.recorded")
    assert request.headers["webhook-id"] == f"evt_{sent.pk.hex}"
    body = json.loads(request.body)
    assert body == {
        "type": "purchase.recorded",
        "timestamp": "2026-05-01T12:00:00Z",
        "sequence": round(sent.recorded_at.timestamp() * 1_000_000),
        "data": {
            **sent.data,
            "eventId": str(sent.pk),
            "customerId": str(alice.pk),
            "storeId": str(shop.store.pk),
        },
    }
    assert (body["data"]["amount"], body["data"]["transactionId"]) == ("12.50", "T1")
    assert b"alice" not in request.body.lower(), "no personal data"
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.response_status) == ("delivered", 1, 200)
    assert (delivery.response_body, delivery.error, delivery.next_attempt_at) == ("thanks", "", None)
    assert send_due() == 0
    assert len(receiver.requests) == 1


def test_the_rows_are_written_with_the_stamp(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[Any] = []
    monkeypatch.setattr(outbox, "enqueue", lambda *message: rung.append(message) or True)
    new_webhook(shop, NOBODY_LISTENS)
    send(shop, "purchase.recorded")
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
    send(shop, "purchase.recorded", "points.earned", "cart.abandoned", "webhook.test")
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
    (sent,) = send(shop, "purchase.recorded")
    for _ in range(2):
        queue_deliveries([EventRef(shop.merchant.pk, sent.pk, sent.type)])
    assert WebhookDelivery.objects.count() == 1


def test_without_listeners_the_recorder_costs_one_query(shop: Shop, django_assert_num_queries: Any) -> None:
    refs = [
        EventRef(shop.merchant.pk, sent.pk, sent.type) for sent in send(shop, *["purchase.recorded"] * 50)
    ]
    with django_assert_num_queries(1):
        assert queue_deliveries(refs) == 0


def test_what_a_client_wrote_stays_here(shop: Shop) -> None:
    (sent,) = send(shop, "cart.abandoned")
    body = json.loads(deliveries.payload(sent))
    assert body["data"] == {"eventId": str(sent.pk)}


def test_the_sequence_grows_from_event_to_event(shop: Shop) -> None:
    sequences = [deliveries.sequence(sent.recorded_at) for sent in send(shop, *["purchase.recorded"] * 20)]
    assert sequences == sorted(set(sequences))


def test_a_failure_is_noted_and_final(shop: Shop, receiver: Receiver) -> None:
    receiver.answer = lambda handler: (handler.send_response(500), handler.end_headers())  # type: ignore[func-returns-value]
    new_webhook(shop, receiver.url)
    send(shop, "purchase.recorded")
    outbox.relay()
    assert send_due() == 0
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.response_status, delivery.error) == ("failed", 500, "answered 500")
    assert delivery.next_attempt_at is None
    assert delivery.sent_at is not None


def test_the_schedule_is_a_list_of_pauses(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "ATTEMPT_DELAYS_SECONDS", (0, 300))
    receiver.answer = lambda handler: (handler.send_response(500), handler.end_headers())  # type: ignore[func-returns-value]
    new_webhook(shop, receiver.url)
    send(shop, "purchase.recorded")
    outbox.relay()
    send_due()
    delivery = WebhookDelivery.objects.get()
    assert delivery.state == "pending"
    assert delivery.next_attempt_at is not None
    assert 290 < (delivery.next_attempt_at - now()).total_seconds() <= 300
    due_again()
    send_due()
    first, second = receiver.requests
    assert first.body == second.body, "the original bytes"
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert states() == ["failed"]


def test_a_sender_that_died_in_the_middle_is_followed_by_another(shop: Shop, receiver: Receiver) -> None:
    new_webhook(shop, receiver.url)
    send(shop, "purchase.recorded")
    outbox.relay()
    assert len(claim(places=16)) == 1, "and then it dies"
    assert send_due() == 0, "its lease still runs"
    due_again()
    assert send_due() == 1
    assert WebhookDelivery.objects.get().attempts == 2


def test_a_delivery_that_kills_its_sender_is_given_up(shop: Shop, receiver: Receiver) -> None:
    new_webhook(shop, receiver.url)
    send(shop, "purchase.recorded")
    outbox.relay()
    for _ in range(deliveries.INTERRUPTED_ATTEMPTS_MAX):
        assert len(claim(places=16)) == 1
        due_again()
    send_due()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.error) == ("failed", "interrupted too often")
    assert receiver.requests == []


def test_an_outcome_that_comes_after_the_lease_is_not_written(shop: Shop) -> None:
    new_webhook(shop, NOBODY_LISTENS)
    send(shop, "purchase.recorded")
    outbox.relay()
    (late,) = claim(places=16)
    due_again()
    claim(places=16)
    deliveries._note(late, deliveries.sending.Outcome(500, "", "answered 500", 1))
    assert states() == ["sending"], "somebody else has it by now"


def test_at_most_four_in_flight_for_an_endpoint(shop: Shop) -> None:
    new_webhook(shop, "http://127.0.0.1:1/one")
    new_webhook(shop, "http://127.0.0.1:1/two")
    send(shop, *["purchase.recorded"] * 10)
    outbox.relay()
    first = claim(places=16)
    assert (
        sorted(each.url for each in first) == ["http://127.0.0.1:1/one"] * 4 + ["http://127.0.0.1:1/two"] * 4
    )
    assert claim(places=16) == []


def test_at_most_so_many_in_flight_in_all(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "IN_FLIGHT_MAX", 5)
    for number in range(3):
        new_webhook(shop, f"http://127.0.0.1:1/{number}")
    send(shop, *["purchase.recorded"] * 10)
    outbox.relay()
    assert len(claim(places=16)) == 5
    assert claim(places=16) == []


@pytest.mark.django_db(transaction=True)
def test_the_limits_hold_for_claims_at_the_same_moment(shop: Shop) -> None:
    webhook = new_webhook(shop, NOBODY_LISTENS).webhook
    send(shop, *["purchase.recorded"] * 5)
    outbox.relay()
    last = WebhookDelivery.objects.order_by("-next_attempt_at")[0]
    claimed: list[int] = []

    def run() -> None:
        claimed.append(len(claim(places=16)))
        connection.close()

    with transaction.atomic():
        assert len(claim(places=16)) == 4, "not committed yet, so another claim cannot see it"
        # Meanwhile the fifth becomes the first in line.
        first = threading.Thread(target=_make_first, args=(last.pk,))
        first.start()
        first.join()
        other = threading.Thread(target=run)
        other.start()
        time.sleep(0.3)
    other.join()
    assert claimed == [0], f"{webhook} has four in flight"


def _make_first(delivery_id: Any) -> None:
    WebhookDelivery.objects.filter(pk=delivery_id).update(next_attempt_at=now() - timedelta(hours=1))
    connection.close()


def test_a_secret_that_cannot_be_read_fails_the_delivery(
    shop: Shop, settings: Any, receiver: Receiver
) -> None:
    new_webhook(shop, receiver.url)
    send(shop, "purchase.recorded")
    outbox.relay()
    settings.ENCRYPTION_SECRETS = ["another one altogether"]
    send_due()
    assert states() == ["failed"]
    assert receiver.requests == []


def test_switching_off_ends_what_waits(shop: Shop) -> None:
    webhook = new_webhook(shop, NOBODY_LISTENS).webhook
    send(shop, "purchase.recorded")
    outbox.relay()
    update_webhook(merchant_id=shop.merchant.pk, webhook_id=webhook.pk, changes={"is_enabled": False})
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.error) == ("failed", "the webhook was switched off")


def test_a_test_event_is_for_one_endpoint(shop: Shop, receiver: Receiver) -> None:
    made = new_webhook(shop, f"{receiver.url}/tested", "*")
    new_webhook(shop, f"{receiver.url}/other", "*")
    send_test_event(access=shop.access, webhook_id=made.webhook.pk)
    outbox.sweep()
    assert send_due() == 1
    (request,) = receiver.requests
    assert request.path == "/tested"
    assert json.loads(request.body)["type"] == "webhook.test"
    Verifier(made.secret).verify(request.body, request.headers)


def test_events_that_cannot_be_queued_go_to_a_task(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    new_webhook(shop, NOBODY_LISTENS)
    (good, bad) = send(shop, "purchase.recorded", "purchase.recorded")
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


@pytest.mark.django_db(transaction=True)
def test_senders_side_by_side_send_each_delivery_once(shop: Shop, receiver: Receiver) -> None:
    new_webhook(shop, receiver.url)
    send(shop, *["purchase.recorded"] * 30)
    outbox.relay()

    def run() -> None:
        send_due()
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert len(ids) == len(set(ids)) == 30
    assert states() == ["delivered"] * 30


@pytest.mark.django_db(transaction=True)
def test_a_slow_endpoint_does_not_hold_another_up(shop: Shop, receiver: Receiver) -> None:
    arrived: dict[str, float] = {}

    def answer(handler: Any) -> None:
        arrived.setdefault(handler.path, time.monotonic())
        if handler.path == "/slow":
            time.sleep(1.0)
        handler.send_response(200)
        handler.end_headers()

    receiver.answer = answer
    new_webhook(shop, f"{receiver.url}/slow")
    send(shop, *["purchase.recorded"] * 8)
    outbox.relay()
    new_webhook(shop, f"{receiver.url}/quick", "points.earned")
    send(shop, "points.earned")
    outbox.relay()
    started = time.monotonic()
    assert send_due() == 9
    assert arrived["/quick"] - started < 0.9, "though it was queued last"


def test_an_endpoint_hears_nothing_of_the_time_before_it(shop: Shop) -> None:
    """The relay may be late: what it finds waiting happened before somebody listened."""
    (before,) = send(shop, "customer.created")
    made = new_webhook(shop, NOBODY_LISTENS, "*")
    (after,) = send(shop, "customer.updated")
    outbox.sweep()
    heard = WebhookDelivery.objects.filter(webhook=made.webhook).values_list("event_id", flat=True)
    assert list(heard) == [after.pk]
    assert before.pk not in heard
