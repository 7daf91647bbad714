"""/webhooks and below."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils.timezone import now

from cloudpos import outbox
from cloudpos.jobs.running import run_jobs
from marketing.models import WEBHOOKS_PER_MERCHANT_MAX, Webhook, WebhookAttempt, WebhookDelivery
from marketing.webhooks.dispatch import send_due
from marketing.webhooks.forgetting import forget_old_deliveries
from tests.fixtures import Shop
from tests.marketing.conftest import Receiver, make_due, new_webhook, ok, queue, says

pytestmark = pytest.mark.django_db

URL = "http://127.0.0.1:1/hook"


def test_create_shows_the_secret_once(shop: Shop) -> None:
    answer = shop.owner.post(
        "/webhooks", {"url": URL, "eventTypes": ["purchase.recorded", "points.*"], "description": "Accounts"}
    )
    assert answer.status_code == 201
    found = answer.json()["data"]
    assert found["secret"].startswith("whsec_")
    row = Webhook.objects.get()
    assert answer.headers["Location"] == f"/api/v1/webhooks/{row.pk}"
    assert found["webhook"] == {
        "id": str(row.pk),
        "url": URL,
        "description": "Accounts",
        "eventTypes": ["purchase.recorded", "points.*"],
        "isEnabled": True,
        "disabledReason": None,
        "disabledAt": None,
        "failingSince": None,
        "previousSignsUntil": None,
        "createdAt": found["webhook"]["createdAt"],
        "updatedAt": found["webhook"]["updatedAt"],
    }
    for path in ("/webhooks", f"/webhooks/{row.pk}"):
        assert b"whsec_" not in shop.owner.get(path).content
        assert b"secret" not in shop.owner.get(path).content.lower()


def test_the_secret_is_not_kept_for_a_repetition(shop: Shop) -> None:
    from cloudpos.api.models import IdempotencyRecord

    for _ in range(2):
        shop.owner.post("/webhooks", {"url": URL, "eventTypes": ["*"]}, headers={"idempotency-key": "k1"})
    assert IdempotencyRecord.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"eventTypes": ["*"]}, "url", "required"),
        ({"url": URL}, "eventTypes", "required"),
        ({"url": URL, "eventTypes": []}, "eventTypes", "empty"),
        ({"url": URL, "eventTypes": ["purchase.invented"]}, "eventTypes", "unknown_event_type"),
        ({"url": URL, "eventTypes": ["Purchase.Recorded"]}, "eventTypes", "unknown_event_type"),
        ({"url": URL, "eventTypes": ["*.recorded"]}, "eventTypes", "unknown_event_type"),
        ({"url": "ftp://127.0.0.1/", "eventTypes": ["*"]}, "url", "url_refused"),
        ({"url": 5, "eventTypes": ["*"]}, "url", "invalid"),
        ({"url": URL, "eventTypes": ["*"], "isEnabled": "yes"}, "isEnabled", "invalid"),
        ({"url": URL, "eventTypes": ["*"], "secret": "whsec_mine"}, "secret", "unknown_field"),
    ],
)
def test_bad_bodies_are_named(shop: Shop, body: dict[str, Any], field: str, code: str) -> None:
    answer = shop.owner.post("/webhooks", body)
    assert answer.status_code == 400, answer.content
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]
    assert Webhook.objects.count() == 0


@override_settings(WEBHOOKS_ALLOW_PRIVATE=False)
def test_in_production_the_url_must_be_public(shop: Shop) -> None:
    for url in (URL, "https://127.0.0.1/", "https://localhost/", "https://169.254.169.254/latest/meta-data"):
        answer = shop.owner.post("/webhooks", {"url": url, "eventTypes": ["*"]})
        assert (answer.status_code, answer.json()["code"]) == (400, "url_refused"), url


@override_settings(WEBHOOKS_ALLOW_PRIVATE=False)
def test_a_change_of_the_url_is_checked_too(shop: Shop) -> None:
    with override_settings(WEBHOOKS_ALLOW_PRIVATE=True):
        webhook = new_webhook(shop, URL).webhook
    answer = shop.owner.patch(
        f"/webhooks/{webhook.pk}", {"url": "https://10.0.0.1/"}, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "url_refused")
    webhook.refresh_from_db()
    assert webhook.url == URL


def test_a_merchant_has_at_most_twenty(shop: Shop, foreign_shop: Shop) -> None:
    new_webhook(foreign_shop, URL)
    for _ in range(WEBHOOKS_PER_MERCHANT_MAX):
        new_webhook(shop, URL)
    answer = shop.owner.post("/webhooks", {"url": URL, "eventTypes": ["*"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")


def test_list(shop: Shop, foreign_shop: Shop, django_assert_num_queries: Any) -> None:
    new_webhook(foreign_shop, "http://127.0.0.1:1/foreign")
    for number in range(3):
        new_webhook(shop, f"http://127.0.0.1:1/{number}")
    shop.manager.get("/webhooks")
    with django_assert_num_queries(1):
        answer = shop.manager.get("/webhooks")
    found = answer.json()["data"]
    assert [row["url"][-1] for row in found["webhooks"]] == ["0", "1", "2"]
    assert (found["total"], found["page"], found["totalPages"]) == (3, 1, 1)


def test_change_and_delete(shop: Shop) -> None:
    webhook = new_webhook(shop, URL).webhook
    path = f"/webhooks/{webhook.pk}"
    answer = shop.owner.patch(
        path, {"isEnabled": False, "eventTypes": ["tier.changed"]}, content_type="application/json"
    )
    assert answer.status_code == 200
    assert answer.json()["data"]["isEnabled"] is False
    assert answer.json()["data"]["eventTypes"] == ["tier.changed"]
    assert answer.json()["data"]["url"] == URL
    assert shop.owner.delete(path).json() == {"success": True, "data": None, "message": "Webhook deleted"}
    assert shop.owner.get(path).status_code == 404


def test_a_foreign_webhook_is_as_absent_as_any(shop: Shop, foreign_shop: Shop) -> None:
    foreign = new_webhook(foreign_shop, URL).webhook.pk
    for method, below in (
        ("get", ""),
        ("patch", ""),
        ("delete", ""),
        ("get", "/deliveries"),
        ("post", "/test"),
    ):
        answers = [
            shop.owner.generic(
                method.upper(), f"/webhooks/{each}{below}", b"{}", content_type="application/json"
            )
            for each in (foreign, uuid.uuid4())
        ]
        assert [answer.status_code for answer in answers] == [404, 404], (method, below)
        first, second = ({**answer.json(), "requestId": ""} for answer in answers)
        assert first == second
    assert Webhook.objects.filter(pk=foreign).exists()
    assert WebhookDelivery.objects.count() == 0


def test_managers_and_machines_may_cashiers_may_not(shop: Shop) -> None:
    for client in (shop.manager, shop.service):
        assert client.post("/webhooks", {"url": URL, "eventTypes": ["*"]}).status_code == 201
    path = f"/webhooks/{Webhook.objects.all()[0].pk}"
    for refused in ("/webhooks", path, f"{path}/deliveries"):
        assert shop.cashier.get(refused).status_code == 403
    assert shop.cashier.post("/webhooks", {"url": URL, "eventTypes": ["*"]}).status_code == 403
    assert shop.cashier.patch(path, {}, content_type="application/json").status_code == 403
    assert shop.cashier.delete(path).status_code == 403
    assert shop.cashier.post(f"{path}/test").status_code == 403


def test_a_test_event_and_the_log(shop: Shop, receiver: Receiver, django_assert_num_queries: Any) -> None:
    webhook = new_webhook(shop, receiver.url).webhook
    answer = shop.manager.post(f"/webhooks/{webhook.pk}/test")
    assert answer.status_code == 202
    log = f"/webhooks/{webhook.pk}/deliveries"
    assert answer.headers["Location"] == f"/api/v1{log}"
    queued = answer.json()["data"]
    assert (queued["state"], queued["eventType"]) == ("pending", "webhook.test")
    outbox.sweep()
    send_due()
    with django_assert_num_queries(3):  # the webhook, the count, the rows
        found = shop.manager.get(log).json()["data"]
    (row,) = found["deliveries"]
    assert row == {
        "id": queued["id"],
        "eventId": queued["eventId"],
        "eventType": "webhook.test",
        "state": "delivered",
        "attempts": 1,
        "responseStatus": 200,
        "responseBody": "thanks",
        "error": "",
        "durationMs": row["durationMs"],
        "createdAt": row["createdAt"],
        "sentAt": row["sentAt"],
        "nextAttemptAt": None,
    }
    assert (found["total"], found["totalIsExact"]) == (1, True)
    assert shop.manager.get(f"{log}?state=failed").json()["data"]["deliveries"] == []
    assert shop.manager.get(f"{log}?state=lost").status_code == 400


def test_a_webhook_that_is_off_cannot_be_tested(shop: Shop) -> None:
    webhook = new_webhook(shop, URL).webhook
    shop.owner.patch(f"/webhooks/{webhook.pk}", {"isEnabled": False}, content_type="application/json")
    answer = shop.manager.post(f"/webhooks/{webhook.pk}/test")
    assert (answer.status_code, answer.json()["code"]) == (409, "webhook_disabled")


def test_rotate_shows_the_new_secret_once(shop: Shop) -> None:
    made = new_webhook(shop, URL)
    path = f"/webhooks/{made.webhook.pk}"
    answer = shop.owner.post(f"{path}/rotate-secret", headers={"idempotency-key": "k1"})
    assert answer.status_code == 200
    found = answer.json()["data"]
    assert found["secret"].startswith("whsec_")
    assert found["secret"] != made.secret
    ends = datetime.fromisoformat(found["webhook"]["previousSignsUntil"])
    assert timedelta(hours=23, minutes=59) < ends - now() <= timedelta(hours=24)
    assert b"whsec_" not in shop.owner.get(path).content
    assert found["secret"].encode() not in bytes(Webhook.objects.get().secret_encrypted)


def test_a_webhook_says_how_it_has_been_doing(shop: Shop, receiver: Receiver) -> None:
    webhook = new_webhook(shop, receiver.url, "*").webhook
    path = f"/webhooks/{webhook.pk}"
    empty = {
        "state": "new",
        "attempts": 0,
        "succeeded": 0,
        "successRate": None,
        "waiting": 0,
        "lastFailure": None,
    }
    assert shop.manager.get(path).json()["data"]["health"] == empty
    queue(shop, *["purchase.recorded"] * 3)
    send_due()
    receiver.answer = says(500)
    queue(shop, "purchase.recorded")
    send_due()
    health = shop.manager.get(path).json()["data"]["health"]
    assert health == {
        "state": "failing",
        "attempts": 4,
        "succeeded": 3,
        "successRate": 0.75,
        "waiting": 1,
        "lastFailure": {"at": health["lastFailure"]["at"], "status": 500, "error": "answered 500"},
    }


def test_a_delivery_shows_what_is_sent_and_each_attempt(shop: Shop, receiver: Receiver) -> None:
    receiver.answer = says(500)
    webhook = new_webhook(shop, receiver.url).webhook
    queue(shop, "purchase.recorded")
    send_due()
    receiver.answer = ok
    make_due()
    send_due()
    log = f"/webhooks/{webhook.pk}/deliveries"
    (row,) = shop.manager.get(f"{log}?eventType=purchase.recorded").json()["data"]["deliveries"]
    assert shop.manager.get(f"{log}?eventType=points.earned").json()["data"]["deliveries"] == []
    found = shop.manager.get(f"{log}/{row['id']}").json()["data"]
    assert found == {**row, "body": receiver.requests[0].body.decode(), "log": found["log"]}
    assert [
        (each["number"], each["responseStatus"], each["responseBody"], each["error"]) for each in found["log"]
    ] == [(1, 500, "", "answered 500"), (2, 200, "thanks", "")]


def test_resend(shop: Shop, receiver: Receiver) -> None:
    webhook = new_webhook(shop, receiver.url).webhook
    queue(shop, "purchase.recorded")
    send_due()
    delivery = WebhookDelivery.objects.get()
    path = f"/webhooks/{webhook.pk}/deliveries/{delivery.pk}"
    answer = shop.manager.post(f"{path}/resend")
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/api/v1{path}")
    assert answer.json()["data"]["state"] == "pending"
    assert send_due() == 1
    first, second = receiver.requests
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])

    WebhookDelivery.objects.update(state="sending")
    assert shop.manager.post(f"{path}/resend").json()["code"] == "delivery_under_way"
    WebhookDelivery.objects.update(state="delivered", body=b"")
    assert shop.manager.post(f"{path}/resend").json()["code"] == "delivery_emptied"
    Webhook.objects.update(is_enabled=False)
    assert shop.manager.post(f"{path}/resend").json()["code"] == "webhook_disabled"


def test_replay_sends_what_was_missed(shop: Shop, receiver: Receiver) -> None:
    queue(shop, "purchase.recorded")
    webhook = new_webhook(shop, receiver.url, "purchase.*").webhook
    delivered, failed = queue(shop, "purchase.recorded", "purchase.recorded")
    WebhookDelivery.objects.filter(event=delivered).update(state="delivered")
    WebhookDelivery.objects.filter(event=failed).update(state="failed", step=10, next_attempt_at=None)
    queue(shop, "points.earned")
    path = f"/webhooks/{webhook.pk}/replay"
    since = (now() - timedelta(hours=1)).isoformat()
    answer = shop.manager.post(path, {"since": since})
    assert answer.status_code == 202, answer.content
    job = answer.json()["data"]
    assert answer.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    run_jobs()
    done = shop.manager.get(f"/jobs/{job['id']}").json()["data"]
    assert (done["state"], done["result"]) == ("done", {"queued": 2})
    assert send_due() == 2
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert f"evt_{failed.pk.hex}" in ids and f"evt_{delivered.pk.hex}" not in ids

    shop.manager.post(path, {"since": since, "only": "all"})
    run_jobs()
    assert send_due() == 3


@pytest.mark.parametrize(
    ("days", "code"), [(31, "replay_too_far_back"), (-1, "replay_from_the_future"), (0, None)]
)
def test_how_far_a_replay_reaches(shop: Shop, days: int, code: str | None) -> None:
    webhook = new_webhook(shop, URL).webhook
    since = (now() - timedelta(days=days)).isoformat()
    answer = shop.manager.post(f"/webhooks/{webhook.pk}/replay", {"since": since})
    assert answer.json().get("code") == code


def test_switched_on_again_after_we_switched_it_off(shop: Shop) -> None:
    webhook = new_webhook(shop, URL).webhook
    Webhook.objects.update(
        is_enabled=False, disabled_reason="failing", disabled_at=now(), failing_since=now(), failures_in_row=9
    )
    path = f"/webhooks/{webhook.pk}"
    found = shop.manager.get(path).json()["data"]
    assert (found["disabledReason"], found["health"]["state"]) == ("failing", "disabled")
    found = shop.manager.patch(path, {"isEnabled": True}).json()["data"]
    assert (found["isEnabled"], found["disabledReason"], found["failingSince"]) == (True, None, None)
    webhook.refresh_from_db()
    assert (webhook.failures_in_row, webhook.recovering_since is not None) == (0, True)


def test_the_log_is_forgotten_after_its_time(shop: Shop, receiver: Receiver, settings: Any) -> None:
    new_webhook(shop, receiver.url)
    old, new = queue(shop, "purchase.recorded", "purchase.recorded")
    send_due()
    past = now() - timedelta(days=settings.WEBHOOK_LOG_DAYS, minutes=1)
    WebhookDelivery.objects.filter(event=old).update(created_at=past)
    assert forget_old_deliveries(at=now()) == 0, "it was sent again since"
    WebhookDelivery.objects.filter(event=old).update(sent_at=past)
    assert forget_old_deliveries(at=now()) == 1
    assert list(WebhookDelivery.objects.values_list("event_id", flat=True)) == [new.pk]
    assert WebhookAttempt.objects.count() == 1


def test_deleting_takes_the_log_along(shop: Shop, receiver: Receiver) -> None:
    webhook = new_webhook(shop, receiver.url).webhook
    queue(shop, "purchase.recorded", "purchase.recorded")
    send_due()
    assert shop.manager.delete(f"/webhooks/{webhook.pk}").status_code == 200
    assert not WebhookDelivery.objects.exists()
    assert not WebhookAttempt.objects.exists()
