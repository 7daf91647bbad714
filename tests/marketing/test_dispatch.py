"""marketing.webhooks.dispatch: each delivery to its receiver by the schedule, at least once, whoever dies in between."""

import json
import threading
import time
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core import mail
from django.db import OperationalError, connection, transaction
from django.utils.timezone import now
from standardwebhooks.webhooks import Webhook as Verifier

from cloudpos import outbox
from cloudpos.checkout.sales import take_purchase
from customers.models import Event
from customers.services import create_customer
from marketing.models import Webhook, WebhookAttempt, WebhookDelivery
from marketing.tasks import send_due_deliveries
from marketing.webhooks import claiming, dispatch
from marketing.webhooks.claiming import claim
from marketing.webhooks.dispatch import send_due
from marketing.webhooks.flights import Landed
from marketing.webhooks.outcomes import note
from marketing.webhooks.sending import Outcome
from marketing.webhooks.services import rotate_secret, send_test_event, update_webhook
from marketing.webhooks.telling import tell_owners
from tests.fixtures import Shop
from tests.marketing.conftest import (
    NOBODY_LISTENS,
    Receiver,
    happen,
    make_due,
    new_webhook,
    ok,
    queue,
    says,
    states,
)

pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True)
def test_a_redis_that_is_emptied_in_the_middle_loses_nothing(shop: Shop, receiver: Receiver) -> None:
    """The rows say what is to be sent: the next round of beat's finds it."""

    def empty(handler: BaseHTTPRequestHandler) -> None:
        redis.from_url(settings.REDIS_URL).flushdb()
        ok(handler)

    receiver.answer = empty
    for path in ("one", "two"):
        new_webhook(shop, f"{receiver.url}/{path}", "purchase.recorded")
    happened = queue(shop, *["purchase.recorded"] * 3)
    redis.from_url(settings.REDIS_URL).flushdb()
    assert send_due_deliveries() == 6
    assert Counter(request.headers["webhook-id"] for request in receiver.requests) == {
        f"evt_{each.pk.hex}": 2 for each in happened
    }
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"delivered"}


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


def test_a_secret_that_cannot_be_read_fails_the_attempt(
    shop: Shop, settings: Any, receiver: Receiver
) -> None:
    new_webhook(shop, receiver.url)
    queue(shop, "purchase.recorded")
    assert send_due() == 1
    queue(shop, "purchase.recorded")
    settings.ENCRYPTION_SECRETS = ["another one altogether"]
    send_due()
    assert states() == ["delivered", "pending"]
    assert "rotate it" in WebhookDelivery.objects.get(state="pending").error
    assert len(receiver.requests) == 1, "though it could be read a moment before"


def test_switching_off_ends_what_waits(shop: Shop) -> None:
    webhook = new_webhook(shop, NOBODY_LISTENS).webhook
    queue(shop, "purchase.recorded")
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


def test_at_most_four_in_flight_for_an_endpoint(shop: Shop) -> None:
    new_webhook(shop, "http://127.0.0.1:1/one")
    new_webhook(shop, "http://127.0.0.1:1/two")
    queue(shop, *["purchase.recorded"] * 10)
    first = claim(places=64)
    assert (
        sorted(each.url for each in first) == ["http://127.0.0.1:1/one"] * 4 + ["http://127.0.0.1:1/two"] * 4
    )
    assert claim(places=64) == []


def test_at_most_so_many_in_flight_in_all(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "IN_FLIGHT_MAX", 5)
    for number in range(3):
        new_webhook(shop, f"http://127.0.0.1:1/{number}")
    queue(shop, *["purchase.recorded"] * 10)
    assert len(claim(places=64)) == 5
    assert claim(places=64) == []


@pytest.mark.django_db(transaction=True)
def test_the_limits_hold_for_claims_at_the_same_moment(shop: Shop) -> None:
    webhook = new_webhook(shop, NOBODY_LISTENS).webhook
    queue(shop, *["purchase.recorded"] * 5)
    last = WebhookDelivery.objects.order_by("-next_attempt_at")[0]
    claimed: list[int] = []

    def run() -> None:
        claimed.append(len(claim(places=64)))
        connection.close()

    with transaction.atomic():
        assert len(claim(places=64)) == 4, "not committed yet, so another claim cannot see it"
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


@pytest.mark.django_db(transaction=True)
def test_senders_side_by_side_send_each_delivery_once(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in processes of their own.
    monkeypatch.setattr(dispatch, "_one_at_a_time", nullcontext())
    new_webhook(shop, receiver.url)
    queue(shop, *["purchase.recorded"] * 30)

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
    queue(shop, *["purchase.recorded"] * 8)
    new_webhook(shop, f"{receiver.url}/quick", "points.earned")
    queue(shop, "points.earned")
    started = time.monotonic()
    assert send_due() == 9
    assert arrived["/quick"] - started < 0.9, "though it was queued last"


def only_delivery() -> WebhookDelivery:
    return WebhookDelivery.objects.get()


def pause() -> float:
    """Seconds until the next attempt."""
    at = only_delivery().next_attempt_at
    assert at is not None
    return (at - now()).total_seconds()


def test_a_failure_is_tried_again_by_the_schedule(shop: Shop, receiver: Receiver) -> None:
    receiver.answer = says(500)
    new_webhook(shop, receiver.url)
    queue(shop, "purchase.recorded")
    for number, planned in enumerate((5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400), start=1):
        assert send_due() == 0
        assert (states(), only_delivery().attempts) == (["pending"], number)
        assert planned * 0.8 - 2 <= pause() <= planned * 1.2
        make_due()
    assert send_due() == 0
    delivery = only_delivery()
    assert (delivery.state, delivery.attempts, delivery.next_attempt_at) == ("failed", 10, None)
    assert (delivery.response_status, delivery.error) == (500, "answered 500")
    make_due()
    assert send_due() == 0
    assert len(receiver.requests) == 10
    assert len({request.body for request in receiver.requests}) == 1, "the original bytes"
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    log = WebhookAttempt.objects.order_by("number")
    assert [attempt.number for attempt in log] == list(range(1, 11))
    assert {(attempt.response_status, attempt.error) for attempt in log} == {(500, "answered 500")}


@pytest.mark.parametrize(("header", "seconds"), [("8", 8), ("3600", 10)])
def test_retry_after_is_honoured_up_to_twice_the_step(
    shop: Shop, receiver: Receiver, header: str, seconds: float
) -> None:
    receiver.answer = says(429, retry_after=header)
    new_webhook(shop, receiver.url)
    queue(shop, "purchase.recorded")
    send_due()
    assert seconds - 2 <= pause() <= seconds


def test_a_redirect_is_a_failure(shop: Shop, receiver: Receiver) -> None:
    receiver.answer = says(302, location=f"{receiver.url}/elsewhere")
    new_webhook(shop, receiver.url)
    queue(shop, "purchase.recorded")
    send_due()
    assert (only_delivery().state, only_delivery().response_status) == ("pending", 302)
    assert len(receiver.requests) == 1


def test_gone_switches_the_endpoint_off_and_tells_the_owners(shop: Shop, receiver: Receiver) -> None:
    receiver.answer = says(410)
    webhook = new_webhook(shop, receiver.url).webhook
    queue(shop, "purchase.recorded")
    send_due()
    webhook.refresh_from_db()
    assert (webhook.is_enabled, webhook.disabled_reason) == (False, "gone")
    happen(shop, "purchase.recorded")
    outbox.relay()
    make_due()
    assert send_due() == 0
    assert len(receiver.requests) == 1
    assert tell_owners() == 1
    (message,) = mail.outbox
    assert message.to == ["owner@corner-shop.example"]
    assert "410 Gone" in message.body
    assert receiver.url in message.body
    assert tell_owners() == 0, "once"


def test_five_days_of_failure_switch_it_off(shop: Shop, receiver: Receiver) -> None:
    receiver.answer = says(503)
    webhook = new_webhook(shop, receiver.url).webhook
    queue(shop, "purchase.recorded")
    send_due()
    webhook.refresh_from_db()
    assert webhook.failing_since is not None
    assert webhook.is_enabled
    almost = now() - timedelta(days=4, hours=23)
    Webhook.objects.update(failing_since=almost, last_failure_at=now() - timedelta(hours=20))
    make_due()
    send_due()
    webhook.refresh_from_db()
    assert (webhook.is_enabled, webhook.failing_since) == (True, almost)
    Webhook.objects.update(failing_since=now() - timedelta(days=5, seconds=1))
    make_due()
    send_due()
    webhook.refresh_from_db()
    assert (webhook.is_enabled, webhook.disabled_reason) == (False, "failing")
    tell_owners()
    assert "has failed since" in mail.outbox[0].body


def test_a_quiet_endpoint_did_not_fail_all_the_time_in_between(shop: Shop, receiver: Receiver) -> None:
    receiver.answer = says(503)
    webhook = new_webhook(shop, receiver.url).webhook
    month_ago = now() - timedelta(days=30)
    Webhook.objects.update(failing_since=month_ago, last_failure_at=month_ago, failures_in_row=10)
    queue(shop, "purchase.recorded")
    send_due()
    webhook.refresh_from_db()
    assert webhook.is_enabled
    assert webhook.failing_since is not None and webhook.failing_since > month_ago


def test_an_answer_ends_the_failure(shop: Shop, receiver: Receiver) -> None:
    webhook = new_webhook(shop, receiver.url).webhook
    Webhook.objects.update(failing_since=now(), last_failure_at=now(), failures_in_row=2)
    queue(shop, "purchase.recorded")
    assert send_due() == 1
    webhook.refresh_from_db()
    assert (webhook.failing_since, webhook.failures_in_row, webhook.recovering_since) == (None, 0, None)


def test_a_sender_that_died_in_the_middle_is_followed_by_another(shop: Shop, receiver: Receiver) -> None:
    new_webhook(shop, receiver.url)
    queue(shop, "purchase.recorded")
    assert len(claim(places=64)) == 1, "and then it dies"
    assert send_due() == 0, "its lease still runs"
    make_due()
    assert send_due() == 1
    assert only_delivery().attempts == 2
    log = WebhookAttempt.objects.order_by("number").values_list("number", "error")
    assert list(log) == [(1, "the sender ended in the middle"), (2, "")]


def test_a_delivery_is_never_given_up_for_our_own_deaths(shop: Shop, receiver: Receiver) -> None:
    """But each time it waits twice as long: if it is what kills its senders, the others are sent in between."""
    new_webhook(shop, receiver.url)
    queue(shop, "purchase.recorded")
    leases = []
    for _ in range(12):
        assert len(claim(places=64)) == 1
        leases.append(round(pause()))
        make_due()
    assert leases[:4] == [30, 60, 120, 240]
    assert leases[-1] == 30 * 2**claiming.LEASE_DOUBLINGS_MAX
    assert send_due() == 1
    assert only_delivery().interruptions == 0


def test_an_outcome_that_comes_after_the_lease_is_not_written(shop: Shop) -> None:
    new_webhook(shop, NOBODY_LISTENS)
    queue(shop, "purchase.recorded")
    (late,) = claim(places=64)
    make_due()
    claim(places=64)
    note([Landed(late, now(), Outcome(500, "", "answered 500", 1))])
    assert states() == ["sending"], "somebody else has it by now"


def test_an_endpoint_that_failed_often_gets_one_place(shop: Shop) -> None:
    new_webhook(shop, "http://127.0.0.1:1/one")
    Webhook.objects.update(failures_in_row=claiming.FAILURES_IN_ROW_MAX)
    new_webhook(shop, "http://127.0.0.1:1/two")
    queue(shop, *["purchase.recorded"] * 10)
    assert sorted(each.url[-3:] for each in claim(places=64)) == ["one", "two", "two", "two", "two"]


def test_endpoints_that_hang_leave_places_for_the_others(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "IN_FLIGHT_FAILING_MAX", 2)
    for number in range(5):
        new_webhook(shop, f"http://127.0.0.1:1/{number}")
    Webhook.objects.update(failures_in_row=claiming.FAILURES_IN_ROW_MAX)
    queue(shop, "purchase.recorded")
    assert len(claim(places=64)) == 2
    assert claim(places=64) == []
    new_webhook(shop, "http://127.0.0.1:1/well")
    queue(shop, "purchase.recorded")
    assert [each.url[-4:] for each in claim(places=64)] == ["well"]


def test_what_waited_reaches_a_recovering_endpoint_ten_a_second(shop: Shop, receiver: Receiver) -> None:
    webhook = new_webhook(shop, receiver.url).webhook
    Webhook.objects.update(
        failures_in_row=claiming.FAILURES_IN_ROW_MAX, failing_since=now(), last_failure_at=now()
    )
    queue(shop, *["purchase.recorded"] * 12)
    arrivals: list[float] = []
    answer = receiver.answer

    def timed(handler: Any) -> None:
        arrivals.append(time.monotonic())
        answer(handler)

    receiver.answer = timed
    assert send_due() == 12
    assert arrivals[-1] - arrivals[1] >= 0.1 * 10 * 0.95, "one at a time, a tenth of a second apart"
    # The backlog is gone: what is new goes at once.
    queue(shop, *["purchase.recorded"] * 12)
    started = time.monotonic()
    assert send_due() == 12
    assert time.monotonic() - started < 0.8
    webhook.refresh_from_db()
    assert (webhook.recovering_since, webhook.next_drain_at) == (None, None)


def test_both_secrets_sign_for_a_day_after_a_rotation(shop: Shop, receiver: Receiver) -> None:
    old = new_webhook(shop, receiver.url)
    new = rotate_secret(merchant_id=shop.merchant.pk, webhook_id=old.webhook.pk)
    queue(shop, "purchase.recorded")
    send_due()
    (request,) = receiver.requests
    for secret in (old.secret, new.secret):
        Verifier(secret).verify(request.body, request.headers)
    assert request.headers["webhook-signature"].count("v1,") == 2
    Webhook.objects.update(previous_secret_until=now())
    queue(shop, "purchase.recorded")
    send_due()
    (_, request) = receiver.requests
    Verifier(new.secret).verify(request.body, request.headers)
    assert request.headers["webhook-signature"].count("v1,") == 1


def test_a_database_that_goes_away_loses_nothing(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent and could not be written down is sent again: at least once."""
    new_webhook(shop, receiver.url)
    queue(shop, "purchase.recorded")

    def gone(*_: Any) -> int:
        raise OperationalError("the connection is closed")

    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "note", gone)
        with pytest.raises(OperationalError):
            send_due()
    assert states() == ["sending"]
    make_due()
    assert send_due() == 1
