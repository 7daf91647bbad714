"""Text messages, push messages and hand-overs: what providers are asked, and what is made of their answers."""

import base64
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from standardwebhooks import Webhook as Verifier

from marketing.channels import http
from marketing.channels.handing_over import WebhookSender
from marketing.channels.onesignal import OneSignalSender
from marketing.channels.outgoing import NOT_BEGUN, Outcome, Sender
from marketing.channels.twilio import TwilioSender
from marketing.content.compiling import Rendered
from marketing.webhooks.signing import new_secret
from tests.marketing.channels.conftest import Api, Line, Talk, free_port, outgoing, reset

TEXT = Rendered(text="Hällo & bye")
PUSH = Rendered(title="Hi", body="Tea is here", link="https://shop.example/")
BODY = Rendered(body='{"name":"Alice"}')
Serve = Callable[[Talk], Line]


def sent_by(sender: Sender, *messages: Any) -> list[Outcome]:
    sender.open()
    try:
        return sender.send(messages)
    finally:
        sender.close()


@pytest.fixture
def twilio(settings: Any, api: Api) -> TwilioSender:
    settings.TWILIO_URL, settings.PUBLIC_URL = api.url, "https://loyalty.shop.example"
    return TwilioSender(account="AC1", secret="s3cret", sender="+15005550006")


@pytest.fixture
def onesignal(settings: Any, api: Api) -> OneSignalSender:
    settings.ONESIGNAL_URL = api.url
    return OneSignalSender(app_id="app-1", key="k3y")


def test_twilio_is_asked_as_it_wants_to_be(twilio: TwilioSender, api: Api) -> None:
    api.will(201, {"sid": "SM1", "status": "queued"})
    message = outgoing(TEXT, address="+447700900123")
    assert sent_by(twilio, message) == [Outcome("sent", provider_id="SM1")]
    (asked,) = api.asked
    assert asked.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"AC1:s3cret").decode()
    assert parse_qs(asked.body.decode()) == {
        "From": ["+15005550006"],
        "To": ["+447700900123"],
        "Body": ["Hällo & bye"],
        "StatusCallback": [
            f"https://loyalty.shop.example/provider-events/twilio/{message.merchant_id}/{message.message_id}"
        ],
    }


def test_a_messaging_service_and_a_test(settings: Any, api: Api, twilio: TwilioSender) -> None:
    sender = TwilioSender(account="AC/../1", secret="s", sender="MG77")
    sent_by(sender, outgoing(TEXT, address="+447700900123", is_test=True))
    (asked,) = api.asked
    assert asked.path == "/2010-04-01/Accounts/AC%2F..%2F1/Messages.json"
    form = parse_qs(asked.body.decode())
    assert form["MessagingServiceSid"] == ["MG77"]
    assert "From" not in form and "StatusCallback" not in form


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (400, {"code": 21211, "message": "+447700900123 is not valid"},
         Outcome("refused", error="Twilio 21211: this is no phone number", suppress=True)),
        (400, {"code": 21610}, Outcome("refused", error="Twilio 21610: they answered STOP", suppress=True)),
        (400, {"code": 21606}, Outcome("refused", error="Twilio 21606")),
        (400, {"code": 21611}, Outcome("retry", error="Twilio 21611")),
        (401, {"code": 20003}, Outcome("retry", error="Twilio 20003")),
        (400, {}, Outcome("refused", error="Twilio answered 400")),
        (503, {}, Outcome("retry", error="Twilio answered 503")),
        (500, {}, Outcome("unknown", error="Twilio answered 500")),
        (302, {}, Outcome("refused", error="Twilio answered 302")),
        (201, b"gibberish", Outcome("sent")),
        (201, b"[1]", Outcome("sent")),
    ],
)  # fmt: skip
def test_twilios_answers(twilio: TwilioSender, api: Api, status: int, body: Any, outcome: Outcome) -> None:
    api.will(status, body)
    assert sent_by(twilio, outgoing(TEXT, address="+447700900123")) == [outcome]


def test_a_provider_that_asks_to_wait_is_heard(twilio: TwilioSender, api: Api) -> None:
    api.will(429, {"code": 20429}, Retry_After="7")
    assert sent_by(twilio, outgoing(TEXT)) == [Outcome("retry", error="Twilio 20429", retry_after=7.0)]


def test_a_group_leaves_at_the_same_time_and_answers_in_order(twilio: TwilioSender, api: Api) -> None:
    api.together = threading.Barrier(10)
    api.answers = [(201, {}, orjson.dumps({"sid": f"SM{n}"})) for n in range(10)]
    messages = [outgoing(TEXT, address=f"+44770090012{n}") for n in range(10)]
    found = sent_by(twilio, *messages)
    order = [parse_qs(asked.body.decode())["To"][0] for asked in api.asked]
    assert {each.address: outcome.provider_id for each, outcome in zip(messages, found, strict=True)} == {
        address: f"SM{n}" for n, address in enumerate(order)
    }


def test_nothing_is_asked_after_the_time_to_begin(twilio: TwilioSender, api: Api, secret: str) -> None:
    """Also when it was the connecting that took so long."""
    for sender in (twilio, WebhookSender(url=f"{api.url}/hook", secret=secret)):
        sender.open()
        found = sender.send([outgoing(TEXT, address="+447700900123")], until=time.monotonic())
        sender.close()
        assert found == [NOT_BEGUN]
    assert api.asked == []


def test_onesignal_is_asked_by_our_customers_id(onesignal: OneSignalSender, api: Api) -> None:
    name = str(uuid.uuid4())
    api.will(200, {"id": name})
    message = outgoing(PUSH)
    assert sent_by(onesignal, message) == [Outcome("sent", provider_id=name)]
    (asked,) = api.asked
    assert (asked.path, asked.headers["authorization"]) == ("/notifications", "Key k3y")
    assert asked.json == {
        "app_id": "app-1",
        "target_channel": "push",
        "include_aliases": {"external_id": [str(message.customer_id)]},
        "headings": {"en": "Hi"},
        "contents": {"en": "Tea is here"},
        "idempotency_key": str(message.message_id),
        "url": "https://shop.example/",
    }


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"id": "", "errors": ["All included players are not subscribed"]}, "refused"),
        (200, {"errors": {"invalid_aliases": {"external_id": ["x"]}}}, "refused"),
        (400, {"errors": ["x"]}, "refused"),
        (403, {}, "retry"),
        (429, {}, "retry"),
        (502, {}, "unknown"),
    ],
)
def test_onesignals_answers(onesignal: OneSignalSender, api: Api, status: int, body: Any, kind: str) -> None:
    api.will(status, body)
    assert sent_by(onesignal, outgoing(PUSH))[0].kind == kind


# --- Connections that fail --------------------------------------------------------------------------------------


def _read(connection: socket.socket) -> None:
    connection.recv(100_000)


def _talk(answer: bytes, *, then_reset: bool = False) -> Talk:
    def talk(connection: socket.socket) -> None:
        _read(connection)
        if answer:
            connection.sendall(answer)
        if then_reset:
            reset(connection)

    return talk


def _drip(connection: socket.socket) -> None:
    """A byte at a time, each of which keeps a limit on silence happy; in the end it would be a good answer."""
    _read(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(400):
        connection.sendall(b"X")
        time.sleep(0.05)
    connection.sendall(b"\r\nContent-Length: 2\r\n\r\n{}")


def _flood(connection: socket.socket) -> None:
    """An answer without an end."""
    _read(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"{" * 10_000)
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("talk", "kind"),
    [
        (_talk(b"", then_reset=True), "unknown"),
        (_talk(b"gibberish\r\n\r\n"), "unknown"),
        (_talk(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{"), "sent"),
        (_talk(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000), "unknown"),
        (_talk(b"HTTP/1.1 200 OK\r\n\r\n" + b"{" * 200_000), "sent"),
        (_talk(b"HTTP/1.1 100 Continue\r\n" * 3), "unknown"),
        (_drip, "unknown"),
        (_flood, "sent"),
    ],
)
def test_what_may_have_arrived_is_unknown(
    settings: Any, monkeypatch: pytest.MonkeyPatch, line: Serve, talk: Talk, kind: str
) -> None:
    monkeypatch.setattr(http, "TOTAL_SECONDS_MAX", 0.7)
    settings.TWILIO_URL = line(talk).url
    (outcome,) = sent_by(TwilioSender(account="AC1", secret="s", sender="+1"), outgoing(TEXT))
    assert outcome.kind == kind, outcome


def test_what_never_left_is_tried_again(settings: Any) -> None:
    settings.TWILIO_URL = f"http://127.0.0.1:{free_port()}"
    (outcome,) = sent_by(TwilioSender(account="AC1", secret="s", sender="+1"), outgoing(TEXT))
    assert (outcome.kind, outcome.error) == ("retry", "Twilio cannot be reached (ConnectError)")


# --- Handing over ---------------------------------------------------------------------------------------------------


@pytest.fixture
def secret() -> Iterator[str]:
    yield new_secret()


def test_a_hand_over_is_signed_as_webhooks_are(api: Api, secret: str) -> None:
    message = outgoing(BODY)
    name = f"msg_{message.message_id.hex}"
    assert sent_by(WebhookSender(url=f"{api.url}/letters", secret=secret), message) == [
        Outcome("sent", provider_id=name)
    ]
    (asked,) = api.asked
    assert asked.path == "/letters"
    said = Verifier(secret).verify(asked.body, asked.headers)
    assert said.pop("timestamp")
    assert said == {
        "type": "campaign.message",
        "messageId": str(message.message_id),
        "customerId": str(message.customer_id),
        "isTest": False,
        "data": {"name": "Alice"},
    }
    # By which a repetition is known.
    assert asked.headers["webhook-id"] == name


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, "sent"),
        (400, "refused"),
        (410, "refused"),
        (301, "refused"),
        (429, "retry"),
        (500, "retry"),
        (503, "retry"),
    ],
)
def test_a_receivers_answers(api: Api, secret: str, status: int, kind: str) -> None:
    api.will(status)
    assert sent_by(WebhookSender(url=api.url, secret=secret), outgoing(BODY))[0].kind == kind


def test_a_hand_over_never_reaches_into_our_own_network(settings: Any, api: Api, secret: str) -> None:
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    (outcome,) = sent_by(WebhookSender(url=api.url, secret=secret), outgoing(BODY))
    assert (outcome.kind, api.asked) == ("retry", [])
