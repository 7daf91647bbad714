"""GET and PUT /messaging-settings, and which provider comes of them."""

from typing import Any

import pytest

from marketing import encryption
from marketing.channels.choosing import sender_for
from marketing.channels.console import ConsoleSender
from marketing.channels.email import MailSender, ServiceSender, SmtpSender
from marketing.channels.handing_over import WebhookSender
from marketing.channels.onesignal import OneSignalSender
from marketing.channels.outgoing import NoProvider
from marketing.channels.settings import messaging_settings_of, reencrypt_messaging_secrets
from marketing.channels.twilio import TwilioSender
from marketing.content.compiling import Rendered
from marketing.models import MessagingSettings
from marketing.webhooks.signing import new_secret
from tests.fixtures import Shop
from tests.marketing.channels.conftest import outgoing

pytestmark = pytest.mark.django_db

DEFAULTS: dict[str, Any] = {
    "senderName": "",
    "replyTo": "",
    "postalAddress": "",
    "footTexts": [],
    "quietFrom": None,
    "quietUntil": None,
    "maxMessagesPerWeek": None,
    "perSecond": "0.00",
    "trackLinks": True,
    "smsProvider": "",
    "smsAccount": "",
    "smsSender": "",
    "smsSecretIsSet": False,
    "pushProvider": "",
    "pushAccount": "",
    "pushSecretIsSet": False,
    "webhookUrl": "",
    "webhookSecretIsSet": False,
    "version": 1,
    "updatedAt": None,
}
TWILIO = {"smsProvider": "twilio", "smsAccount": "AC1", "smsSender": "+15005550006", "smsSecret": "t0ken"}


def put(shop: Shop, body: dict[str, Any]) -> Any:
    answer = shop.owner.put("/messaging-settings", body)
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def test_where_nothing_was_set_there_are_the_defaults(shop: Shop) -> None:
    assert shop.manager.get("/messaging-settings").json()["data"] == DEFAULTS
    assert not MessagingSettings.objects.for_merchant(shop.merchant).exists()


def test_everything_is_set_and_secrets_are_not_shown(shop: Shop, foreign_shop: Shop) -> None:
    secret = new_secret()
    body = {
        "senderName": "The corner",
        "replyTo": "Us@Shop.example",
        "postalAddress": "1 High Street\nLeeds",
        "footTexts": [
            {"language": "", "text": "The Corner Ltd\nCompany No. 1234567"},
            {"language": "de-AT", "text": "FN 123456a <b>"},
        ],
        "quietFrom": "21:00",
        "quietUntil": "08:30",
        "maxMessagesPerWeek": 3,
        "perSecond": "2.5",
        "trackLinks": False,
        **TWILIO,
        "pushProvider": "onesignal",
        "pushAccount": "app-1",
        "pushSecret": "k3y",
        "webhookUrl": "http://127.0.0.1:9/letters",
        "webhookSecret": secret,
    }
    answer = shop.owner.put("/messaging-settings", body)
    assert answer.status_code == 200
    assert not any(each in answer.content.decode() for each in ("t0ken", "k3y", secret))
    shown = answer.json()["data"]
    assert shown.pop("updatedAt")
    said = {name: value for name, value in body.items() if not name.endswith("Secret")}
    assert shown == {
        **said,
        "replyTo": "Us@shop.example",
        "perSecond": "2.50",
        "smsSecretIsSet": True,
        "pushSecretIsSet": True,
        "webhookSecretIsSet": True,
        "version": 2,
    }
    row = messaging_settings_of(shop.merchant.pk)
    assert row.sms_secret_encrypted is not None and b"t0ken" not in bytes(row.sms_secret_encrypted)
    assert encryption.decrypt(bytes(row.sms_secret_encrypted)) == b"t0ken"
    assert foreign_shop.owner.get("/messaging-settings").json()["data"] == DEFAULTS


def test_what_is_left_out_is_a_default_but_a_secret_stays_until_it_is_removed(shop: Shop) -> None:
    put(shop, {**TWILIO, "senderName": "The corner"})
    without = {name: value for name, value in TWILIO.items() if name != "smsSecret"}
    shown = put(shop, without)
    assert (shown["senderName"], shown["smsSecretIsSet"], shown["version"]) == ("", True, 3)
    # What was read may be sent back.
    assert put(shop, shown)["smsSecretIsSet"] is True
    assert put(shop, {"smsSecret": ""})["smsSecretIsSet"] is False


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"smsProvider": "pigeon"}, "smsProvider"),
        ({"smsProvider": "twilio", "smsAccount": "AC1", "smsSecret": "x"}, "smsSender"),
        ({"smsProvider": "twilio", "smsAccount": "AC1", "smsSender": "+1"}, "smsSecret"),
        ({"pushProvider": "onesignal", "pushSecret": "x"}, "pushAccount"),
        ({"webhookUrl": "http://127.0.0.1:9/"}, "webhookSecret"),
        ({"webhookUrl": "ftp://shop.example/", "webhookSecret": new_secret()}, "webhookUrl"),
        ({"webhookSecret": "whsec_short"}, "webhookSecret"),
        ({"webhookSecret": "bm90IGEgd2ViaG9vayBzZWNyZXQgYXQgYWxs"}, "webhookSecret"),
        ({"smsSecret": "a\nb"}, "smsSecret"),
        ({"replyTo": "nobody"}, "replyTo"),
        ({"quietFrom": "21:00"}, "quietUntil"),
        ({"quietFrom": "25:00", "quietUntil": "08:00"}, "quietFrom"),
        ({"maxMessagesPerWeek": 0}, "maxMessagesPerWeek"),
        ({"perSecond": "-1"}, "perSecond"),
        ({"footTexts": [{"text": "x" * 2001}]}, "footTexts.0.text"),
        ({"footTexts": [{"text": ""}]}, "footTexts.0.text"),
        ({"footTexts": [{"language": "deutsch", "text": "x"}]}, "footTexts.0.language"),
        (
            {"footTexts": [{"language": "de", "text": "x"}, {"language": "DE", "text": "y"}]},
            "footTexts.1.language",
        ),
        ({"footTexts": [{"language": "de", "text": "x"}] * 41}, "footTexts"),
        ({"footTexts": {"de": "x"}}, "footTexts"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_could_not_work_is_refused(shop: Shop, body: dict[str, Any], field: str) -> None:
    answer = shop.owner.put("/messaging-settings", body)
    assert answer.status_code == 400, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not MessagingSettings.objects.for_merchant(shop.merchant).exists()


def test_owners_alone_set_them(shop: Shop) -> None:
    assert shop.manager.put("/messaging-settings", {}).status_code == 403
    assert shop.cashier.get("/messaging-settings").status_code == 403


def test_a_webhook_of_our_own_network_is_refused(shop: Shop, settings: Any) -> None:
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    answer = shop.owner.put(
        "/messaging-settings", {"webhookUrl": "https://10.0.0.1/", "webhookSecret": new_secret()}
    )
    assert answer.json()["errors"][0]["field"] == "webhookUrl"


def test_secrets_come_under_the_newest_key(shop: Shop, settings: Any) -> None:
    settings.ENCRYPTION_SECRETS = ["old" * 12]
    put(shop, TWILIO)
    settings.ENCRYPTION_SECRETS = ["new" * 12, "old" * 12]
    assert reencrypt_messaging_secrets() == 1
    settings.ENCRYPTION_SECRETS = ["new" * 12]
    row = messaging_settings_of(shop.merchant.pk)
    assert row.sms_secret_encrypted is not None
    assert encryption.decrypt(bytes(row.sms_secret_encrypted)) == b"t0ken"


def test_the_provider_that_was_set_sends(shop: Shop, settings: Any) -> None:
    put(
        shop,
        {
            **TWILIO,
            "pushProvider": "onesignal",
            "pushAccount": "app-1",
            "pushSecret": "k3y",
            "webhookUrl": "http://127.0.0.1:9/",
            "webhookSecret": new_secret(),
        },
    )
    row = messaging_settings_of(shop.merchant.pk)
    assert isinstance(sender_for(row, shop.merchant, "sms"), TwilioSender)
    assert isinstance(sender_for(row, shop.merchant, "push"), OneSignalSender)
    assert isinstance(sender_for(row, shop.merchant, "webhook"), WebhookSender)
    for backend, kind in (
        ("django.core.mail.backends.smtp.EmailBackend", SmtpSender),
        ("anymail.backends.postmark.EmailBackend", ServiceSender),
        ("django.core.mail.backends.locmem.EmailBackend", MailSender),
    ):
        settings.EMAIL_BACKEND = backend
        assert isinstance(sender_for(None, shop.merchant, "email"), kind)


def test_without_a_provider_nothing_is_sent(shop: Shop, settings: Any) -> None:
    for channel in ("sms", "push", "webhook"):
        for row in (None, messaging_settings_of(shop.merchant.pk)):
            with pytest.raises(NoProvider):
                sender_for(row, shop.merchant, channel)
    put(shop, TWILIO)
    row = messaging_settings_of(shop.merchant.pk)
    settings.ENCRYPTION_SECRETS = ["another" * 6]
    with pytest.raises(NoProvider, match="cannot be read any more"):
        sender_for(row, shop.merchant, "sms")


def test_in_production_nothing_goes_to_the_log_instead_of_customers(shop: Shop, settings: Any) -> None:
    row = MessagingSettings(merchant=shop.merchant, sms_provider="console", push_provider="console")
    assert isinstance(sender_for(row, shop.merchant, "sms"), ConsoleSender)
    settings.PRODUCTION = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    for channel in ("email", "sms", "push"):
        with pytest.raises(NoProvider):
            sender_for(row, shop.merchant, channel)


def test_the_log_holds_nothing_personal(
    settings: Any, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MESSAGES_FOLDER = str(tmp_path / "messages")
    sender = ConsoleSender("sms")
    sender.open()
    message = outgoing(Rendered(text="Hi Alice"), address="+447700900123")
    with caplog.at_level("INFO"):
        assert [each.kind for each in sender.send([message])] == ["sent"]
    assert "Alice" not in caplog.text and "+44" not in caplog.text
    (record,) = [each for each in caplog.records if each.message == "message_not_really_sent"]
    assert (record.message_id, record.characters) == (str(message.message_id), 8)  # type: ignore[attr-defined]
    (file,) = (tmp_path / "messages").iterdir()
    assert "Hi Alice" in file.read_text()


def test_mails_of_development_go_through_djangos_backend(shop: Shop, mailoutbox: list[Any]) -> None:
    sender = sender_for(None, shop.merchant, "email")
    sender.open()
    message = outgoing(Rendered(subject="Hi", text="Hi", html="<p>Hi</p>"))
    assert [each.kind for each in sender.send([message])] == ["sent"]
    assert [each.from_email for each in mailoutbox] == ["Corner Shop <no-reply@localhost>"]
