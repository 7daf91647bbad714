"""What providers report: e-mail services by django-anymail's webhooks, Twilio by its status callback."""

import base64
import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from customers.models import Consent, Customer
from customers.services import record_consent
from marketing import encryption
from marketing.channels.suppressions import suppressed
from marketing.models import CampaignMessage, MessagingSettings, Suppression
from marketing.tracking.callbacks import signature
from marketing.tracking.reports import Report, take_report
from marketing.tracking.urls import email_reports
from tests.fixtures import Shop
from tests.marketing.tracking.conftest import SENT_AT, MakeMessage

pytestmark = pytest.mark.django_db

LATER = SENT_AT + timedelta(minutes=5)
ADDRESS = "Alice@mail.example"


def report(message: CampaignMessage, kind: str, **more: Any) -> Report:
    return Report(message.merchant_id, message.pk, kind=kind, at=LATER, **more)


def state(message: CampaignMessage) -> str:
    message.refresh_from_db()
    return str(message.state)


@pytest.mark.parametrize("order", itertools.permutations(["delivered", "bounced", "opened"]))
def test_reports_come_in_any_order_and_twice(message: CampaignMessage, order: tuple[str, ...]) -> None:
    for kind in (*order, *order):
        take_report(report(message, kind))
    assert state(message) == "bounced"
    assert message.bounced_at == message.opened_at == LATER


@pytest.mark.parametrize(
    ("before", "kind", "after"),
    [
        ("sent", "delivered", "delivered"),
        ("unknown", "delivered", "delivered"),
        ("bounced", "delivered", "bounced"),
        ("failed", "delivered", "failed"),
        ("skipped", "delivered", "skipped"),
        ("sent", "bounced", "bounced"),
        ("delivered", "bounced", "bounced"),
        ("sent", "failed", "failed"),
        ("delivered", "failed", "delivered"),
        ("bounced", "failed", "bounced"),
        ("cancelled", "bounced", "cancelled"),
    ],
)
def test_a_message_only_moves_on(make_message: MakeMessage, before: str, kind: str, after: str) -> None:
    message = make_message(state=before)
    take_report(report(message, kind, reason="why"))
    assert state(message) == after
    assert message.reason == ("why" if before != after else "")


def test_a_report_that_overtakes_the_sender_is_not_lost(make_message: MakeMessage) -> None:
    message = make_message(
        state="sending", claim="0192f7f0-0000-7000-8000-000000000000", leased_until=now(), sent_at=None
    )
    take_report(report(message, "delivered"))
    assert state(message) == "sending"
    assert message.delivered_at == LATER
    take_report(report(message, "bounced"))
    message.refresh_from_db()
    assert message.bounced_at == LATER


def test_who_complains_is_not_written_to_again(shop: Shop, alice: Customer, message: CampaignMessage) -> None:
    record_consent(
        access=shop.access,
        customer_id=alice.pk,
        data={"channel": "email", "purpose": "marketing", "state": "granted", "source": "till"},
    )
    for _ in range(2):
        assert take_report(report(message, "complained", address=ADDRESS))
    message.refresh_from_db()
    assert (message.complained_at, message.state) == (LATER, "sent")
    said = Consent.objects.filter(customer_id=alice.pk).order_by("pk").values_list("state", "source")
    assert list(said) == [("granted", "till"), ("withdrawn", "complaint to the mail provider")]
    (row,) = Suppression.objects.for_merchant(shop.merchant)
    assert (row.channel, row.reason) == ("email", "complaint")
    assert suppressed(shop.merchant.pk, "email", ["alice@MAIL.example", "bob@mail.example"]) == {
        "alice@MAIL.example"
    }


def test_unsubscribing_at_the_provider_counts(alice: Customer, message: CampaignMessage) -> None:
    take_report(report(message, "unsubscribed", address=ADDRESS))
    message.refresh_from_db()
    assert message.unsubscribed_at == LATER
    assert Consent.objects.get(customer_id=alice.pk).state == "withdrawn"
    assert not Suppression.objects.exists()


def test_an_address_that_will_never_work_is_suppressed_and_a_full_one_is_not(
    message: CampaignMessage,
) -> None:
    take_report(report(message, "bounced", address=ADDRESS))
    assert not Suppression.objects.exists()
    for _ in range(2):
        take_report(report(message, "bounced", address=ADDRESS, is_permanent=True))
    assert [row.reason for row in Suppression.objects.all()] == ["bounce"]
    # What a service calls an address and is none does not stop the report.
    assert take_report(report(message, "bounced", address="nobody", is_permanent=True))


def test_an_erased_customers_report_is_taken(shop: Shop, alice: Customer, message: CampaignMessage) -> None:
    shop.owner.post(f"/customers/{alice.pk}/erase", {"confirm": alice.customer_number})
    Customer.objects.for_merchant(shop.merchant).filter(pk=alice.pk).update(deleted_at=now())
    assert take_report(report(message, "complained", address=ADDRESS))
    message.refresh_from_db()
    assert message.complained_at == LATER


def test_a_foreign_or_absent_message_is_nobodys(foreign_shop: Shop, message: CampaignMessage) -> None:
    assert not take_report(Report(foreign_shop.merchant.pk, message.pk, kind="delivered", at=LATER))
    assert state(message) == "sent"


# --- Through django-anymail ---------------------------------------------------------------------------------------

POSTMARK = "/provider-events/email/postmark"
SECRET = ("postmark", "a-long-password")


@pytest.fixture
def anymail(settings: Any) -> None:
    settings.EMAIL_PROVIDER, settings.EMAIL_EVENTS_SECRET = "postmark", ":".join(SECRET)
    settings.ANYMAIL = {"WEBHOOK_SECRET": settings.EMAIL_EVENTS_SECRET}
    settings.ROOT_URLCONF = "tests.marketing.tracking.with_email_reports"


def bounce(message: CampaignMessage, **more: Any) -> dict[str, Any]:
    return {
        "RecordType": "Bounce",
        "ID": 1,
        "Type": "HardBounce",
        "TypeCode": 1,
        "Inactive": True,
        "Name": "Hard bounce",
        "MessageID": "m-1",
        "Description": "The server was unable to deliver your message",
        "Email": "alice@mail.example",
        "BouncedAt": "2026-11-01T09:05:00Z",
        "Metadata": {"merchant": str(message.merchant_id), "message": str(message.pk)},
        **more,
    }


def tell(client: Client, body: dict[str, Any], secret: tuple[str, str] | None = SECRET) -> int:
    headers = {}
    if secret:
        headers["authorization"] = "Basic " + base64.b64encode(":".join(secret).encode()).decode()
    return client.post(POSTMARK, body, content_type="application/json", headers=headers).status_code


@pytest.mark.usefixtures("anymail")
def test_a_services_bounce_reaches_the_message(client: Client, message: CampaignMessage) -> None:
    assert tell(client, bounce(message)) == 200
    assert state(message) == "bounced"
    assert (message.bounced_at, message.reason) == (LATER, "bounced")
    assert suppressed(message.merchant_id, "email", ["alice@mail.example"]) == {"alice@mail.example"}
    assert (
        tell(client, {**bounce(message), "RecordType": "Delivery", "DeliveredAt": "2026-11-01T09:06:00Z"})
        == 200
    )
    assert state(message) == "bounced"


@pytest.mark.usefixtures("anymail")
@pytest.mark.parametrize(
    "metadata", [{}, {"merchant": "x", "message": "y"}, {"message": "0192f7f0-0000-7000-8000-000000000000"}]
)
def test_what_is_no_message_of_a_campaign_is_left_alone(
    client: Client, message: CampaignMessage, metadata: dict[str, str]
) -> None:
    assert tell(client, bounce(message, Metadata=metadata)) == 200
    assert state(message) == "sent"


@pytest.mark.usefixtures("anymail")
def test_nobody_reports_without_the_secret(client: Client, message: CampaignMessage) -> None:
    for secret in (None, ("postmark", "guessed"), ("", "")):
        assert tell(client, bounce(message), secret) in (400, 403)
    assert state(message) == "sent"


def test_without_a_secret_there_is_no_such_route(client: Client, settings: Any) -> None:
    settings.EMAIL_PROVIDER, settings.EMAIL_EVENTS_SECRET = "postmark", ""
    assert email_reports() == []
    assert tell(client, {}) == 404


# --- Through Twilio -------------------------------------------------------------------------------------------------


@pytest.fixture
def text_message(shop: Shop, make_message: MakeMessage, settings: Any) -> CampaignMessage:
    settings.PUBLIC_URL = "https://loyalty.shop.example"
    MessagingSettings.objects.create(
        merchant=shop.merchant,
        sms_provider="twilio",
        sms_account="AC1",
        sms_sender="+1500",
        sms_secret_encrypted=encryption.encrypt(b"t0ken"),
    )
    return make_message(channel="sms")


def call_back(client: Client, message: CampaignMessage, *, token: bytes = b"t0ken", **form: str) -> int:
    url = f"https://loyalty.shop.example/provider-events/twilio/{message.merchant_id}/{message.pk}"
    said = {"MessageSid": "SM1", "To": "+441614960111", **form}
    headers = {"x-twilio-signature": signature(token, url, said)}
    path = url.removeprefix("https://loyalty.shop.example")
    return client.post(path, said, headers=headers).status_code


def test_twilios_own_example_of_a_signature() -> None:
    """https://www.twilio.com/docs/usage/security: their sample of names and values, hashed with their sample token."""
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    assert signature(b"12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form) == (
        "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    )


def test_a_text_message_arrives(client: Client, text_message: CampaignMessage) -> None:
    assert call_back(client, text_message, MessageStatus="sent") == 204
    assert state(text_message) == "sent"
    assert call_back(client, text_message, MessageStatus="delivered") == 204
    assert state(text_message) == "delivered"


def test_a_number_that_does_not_exist_is_suppressed(client: Client, text_message: CampaignMessage) -> None:
    assert call_back(client, text_message, MessageStatus="undelivered", ErrorCode="30003") == 204
    assert (state(text_message), text_message.reason) == ("bounced", "twilio_30003")
    assert not Suppression.objects.exists()
    assert call_back(client, text_message, MessageStatus="undelivered", ErrorCode="30005") == 204
    assert suppressed(text_message.merchant_id, "sms", ["+441614960111"]) == {"+441614960111"}


def test_nobody_else_speaks_for_twilio(
    client: Client, text_message: CampaignMessage, foreign_shop: Shop, make_message: MakeMessage
) -> None:
    assert call_back(client, text_message, token=b"guessed", MessageStatus="delivered") == 403
    path = f"/provider-events/twilio/{text_message.merchant_id}/{text_message.pk}"
    assert client.post(path, {"MessageStatus": "delivered"}).status_code == 403
    assert client.get(path).status_code == 405
    nobody = f"/provider-events/twilio/{foreign_shop.merchant.pk}/{text_message.pk}"
    assert client.post(nobody, {"MessageStatus": "delivered"}).status_code == 404
    assert state(text_message) == "sent"
