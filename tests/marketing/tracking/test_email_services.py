"""The reports of each e-mail service that may be configured, and what comes of them."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from customers.models import Consent
from marketing.channels.suppressions import suppressed
from marketing.models import CampaignMessage, Suppression
from tests.marketing.tracking.email_services import ADDRESS, AT, SERVICES, Service

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:django-anymail has dropped official support for SendGrid"),
]

SECRET = "reports:a-long-password"
CASES = [
    pytest.param(name, outcome, event, id=f"{name}-{outcome}-{number}")
    for name, service in SERVICES.items()
    for outcome, events in service.events.items()
    for number, event in enumerate(events, start=1)
]
STATES = {"delivered": "delivered", "hard": "bounced", "soft": "bounced"}
TIMES = {
    "delivered": {"delivered_at"},
    "hard": {"bounced_at"},
    "soft": {"bounced_at"},
    "late": set(),
    "complained": {"complained_at"},
    "unsubscribed": {"unsubscribed_at"},
    "opened": {"opened_at"},
    "clicked": {"opened_at", "clicked_at"},
}


def tell(client: Client, name: str, content: bytes, headers: dict[str, str], secret: str = SECRET) -> int:
    authorization = "Basic " + base64.b64encode(secret.encode()).decode()
    return client.post(
        f"/provider-events/email/{name}",
        content,
        content_type="application/json",
        headers={"authorization": authorization, **headers},
    ).status_code


@pytest.fixture
def configured(settings: Any) -> Callable[[str], Service]:
    def configure(name: str) -> Service:
        settings.EMAIL_PROVIDER, settings.EMAIL_EVENTS_SECRET = name, SECRET
        settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET, **SERVICES[name].keys}
        settings.ROOT_URLCONF = "tests.marketing.tracking.with_email_reports"
        return SERVICES[name]

    return configure


def content_of(service: Service, message: CampaignMessage, event: dict[str, Any]) -> bytes:
    ids = {"merchant": str(message.merchant_id), "message": str(message.pk)}
    return json.dumps(service.body(ids, event)).encode()


@pytest.mark.parametrize(("name", "outcome", "event"), CASES)
def test_what_comes_of_a_report(
    client: Client,
    message: CampaignMessage,
    configured: Callable[[str], Service],
    name: str,
    outcome: str,
    event: dict[str, Any],
) -> None:
    service = configured(name)
    content = content_of(service, message, event)
    # Services repeat what they are not sure to have been heard with.
    for _ in range(2):
        assert tell(client, name, content, service.signed(content)) == 200
    message.refresh_from_db()
    assert message.state == STATES.get(outcome, "sent")
    columns = set().union(*TIMES.values())
    assert {name: getattr(message, name) for name in columns} == {
        name: AT if name in TIMES[outcome] else None for name in columns
    }
    assert (message.reason != "") == (outcome in ("hard", "soft"))
    reason = {"hard": "bounce", "complained": "complaint"}.get(outcome)
    assert [row.reason for row in Suppression.objects.all()] == ([reason] if reason else [])
    assert suppressed(message.merchant_id, "email", [ADDRESS]) == ({ADDRESS} if reason else set())
    withdrawn = Consent.objects.filter(customer_id=message.customer_id, state="withdrawn").count()
    assert withdrawn == (outcome in ("complained", "unsubscribed"))


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_else_speaks_for_a_service(
    client: Client, message: CampaignMessage, configured: Callable[[str], Service], name: str
) -> None:
    service = configured(name)
    content = content_of(service, message, service.events["complained"][0])
    headers = service.signed(content)
    assert tell(client, name, content, headers, "reports:guessed") == 400
    if headers or name == "mailgun":
        wrong = content.replace(b'"signature": "', b'"signature": "0') if name == "mailgun" else content
        assert tell(client, name, wrong, {}) == 400
    for header in headers:
        assert tell(client, name, content, {**headers, header: "v1,AAAA"}) == 400
    if headers:
        assert tell(client, name, content.replace(b"2026", b"2025") + b" ", headers) == 400
    message.refresh_from_db()
    assert message.complained_at is None


def test_resend_without_a_key_is_known_by_the_password(
    client: Client, message: CampaignMessage, configured: Callable[[str], Service], settings: Any
) -> None:
    content = content_of(configured("resend"), message, {"type": "email.delivered"})
    assert tell(client, "resend", content, {}) == 400
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}
    assert tell(client, "resend", content, {}, "reports:guessed") == 400
    assert tell(client, "resend", content, {}) == 200
    message.refresh_from_db()
    assert message.delivered_at == AT
