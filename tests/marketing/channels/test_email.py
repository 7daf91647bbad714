"""E-mail over SMTP and through an e-mail service: what is sent, and what is made of every way in which it may fail."""

import asyncio
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import EmailMessage as Parsed
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from marketing.channels.email import ServiceSender, SmtpSender
from marketing.channels.outgoing import Outgoing
from marketing.content.compiling import Rendered
from tests.marketing.channels.conftest import Api, Line, Talk, free_port, outgoing, reset

SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
MAIL = Rendered(subject="Grüße, Alice", html="<p>Hällo</p>", text="Hällo\n")
Serve = Callable[[Talk], Line]


class Mailbox:
    """Takes mails; refuses whom `refused` names with its answer."""

    def __init__(self) -> None:
        self.mails: list[Parsed] = []
        self.refused: dict[str, str] = {}
        self.sessions: set[int] = set()
        self.seconds = 0.0

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await asyncio.sleep(self.seconds)
        self.sessions.add(id(session))
        assert isinstance(envelope.content, bytes)
        parsed = message_from_bytes(envelope.content, policy=default)
        assert isinstance(parsed, Parsed)
        self.mails.append(parsed)
        return "250 OK"


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Mailbox]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", controller.port
    settings.EMAIL_TIMEOUT = 2
    settings.DEFAULT_FROM_EMAIL = "CloudPOS <news@shop.example>"
    yield box
    controller.stop()


@pytest.fixture
def sender(mailbox: Mailbox) -> Iterator[SmtpSender]:
    found = SmtpSender(sender_name="Corner Shop", reply_to="us@shop.example")
    found.open()
    yield found
    found.close()


def mail(**more: Any) -> Outgoing:
    return outgoing(MAIL, **more)


def test_a_mail_says_who_writes_and_how_to_end_it(sender: SmtpSender, mailbox: Mailbox) -> None:
    sent = mail(unsubscribe_url="https://x.example/unsubscribe/abc")
    (outcome,) = sender.send([sent])
    assert (outcome.kind, outcome.provider_id, outcome.error) == ("sent", sent.message_id.hex, "")
    (found,) = mailbox.mails
    assert found["From"] == "Corner Shop <news@shop.example>"
    assert (found["To"], found["Reply-To"]) == ("alice@example.com", "us@shop.example")
    assert found["Subject"] == "Grüße, Alice"
    assert found["List-Unsubscribe"] == "<https://x.example/unsubscribe/abc>"
    assert found["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert found["Message-ID"] == f"<{sent.message_id.hex}@shop.example>"
    assert (found["Precedence"], found["Auto-Submitted"]) == ("bulk", "auto-generated")
    text, html = found.iter_parts()
    assert (text.get_content_type(), text.get_content().strip()) == ("text/plain", "Hällo")
    assert (html.get_content_type(), html.get_content().strip()) == ("text/html", "<p>Hällo</p>")


def test_what_is_no_marketing_has_no_way_out_and_a_test_says_so(sender: SmtpSender, mailbox: Mailbox) -> None:
    sender.send([mail(is_test=True)])
    (found,) = mailbox.mails
    assert found["Subject"] == "[Test] Grüße, Alice"
    assert (found["List-Unsubscribe"], found["Precedence"]) == (None, None)


def test_a_sender_or_a_subject_begins_no_header(mailbox: Mailbox) -> None:
    sender = SmtpSender(sender_name='Eve"\r\nBcc: bob@example.com', reply_to="")
    sender.open()
    hostile = Rendered(subject="Hi\r\nBcc: bob@example.com", text="x", html="<p>x</p>")
    assert [each.kind for each in sender.send([outgoing(hostile)])] == ["sent"]
    sender.close()
    (found,) = mailbox.mails
    assert found["Bcc"] is None
    assert found["Subject"] == "Hi Bcc: bob@example.com"


def test_one_connection_for_all_of_them(sender: SmtpSender, mailbox: Mailbox) -> None:
    for _ in range(3):
        assert {each.kind for each in sender.send([mail() for _ in range(4)])} == {"sent"}
    assert (len(mailbox.mails), len(mailbox.sessions)) == (12, 1)


@pytest.mark.parametrize(
    ("answer", "kind", "suppress", "error"),
    [
        ("550 5.1.1 <alice@example.com> unknown", "refused", True, "the mail server answered 550 5.1.1"),
        ("550 5.7.1 not you", "refused", False, "the mail server answered 550 5.7.1"),
        ("552 full", "refused", False, "the mail server answered 552"),
        ("450 4.2.1 slow down, alice@example.com", "retry", False, "the mail server answered 450 4.2.1"),
    ],
)
def test_a_recipient_is_refused(
    sender: SmtpSender, mailbox: Mailbox, answer: str, kind: str, suppress: bool, error: str
) -> None:
    mailbox.refused["alice@example.com"] = answer
    first, second = sender.send([mail(), mail(address="bob@example.com")])
    assert (first.kind, first.suppress, first.error) == (kind, suppress, error)
    # The connection serves the next one.
    assert second.kind == "sent"
    assert len(mailbox.sessions) == 1


def test_an_address_that_cannot_be_written(sender: SmtpSender, mailbox: Mailbox) -> None:
    first, second = sender.send([mail(address="älice@example.com"), mail()])
    assert (first.kind, "älice" in first.error) == ("refused", False)
    assert second.kind == "sent"


def test_nobody_listens(settings: Any) -> None:
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    sender = SmtpSender(sender_name="Corner Shop", reply_to="")
    sender.open()
    found = sender.send([mail(), mail(), mail()])
    assert [each.kind for each in found] == ["retry"] * 3
    assert found[0].error == "the mail server cannot be reached (ConnectionRefusedError)"
    sender.close()


def test_the_server_is_restarted_between_two_groups(
    settings: Any, sender: SmtpSender, mailbox: Mailbox
) -> None:
    assert sender.send([mail()])[0].kind == "sent"
    connection = sender._backend.connection
    connection.sock.shutdown(socket.SHUT_RDWR)
    assert sender.send([mail()])[0].kind == "sent"
    assert len(mailbox.sessions) == 2


def smtp(*steps: tuple[str, bytes | None]) -> Talk:
    """A server that answers each command by the first step left that it begins with; None resets the connection."""
    waiting = list(steps)

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"220 hello\r\n")
        reader = connection.makefile("rb")
        in_data = False
        while line := reader.readline():
            if in_data and line != b".\r\n":
                continue
            command = "END" if in_data else line.decode().strip().upper()
            in_data = False
            number = next((n for n, (begins, _) in enumerate(waiting) if command.startswith(begins)), None)
            answer: bytes | None
            if number is not None:
                _, answer = waiting.pop(number)
            else:
                answer = {"EHLO": b"250 hello\r\n", "DATA": b"354 go\r\n", "QUIT": b"221 bye\r\n"}.get(
                    command.split(" ")[0], b"250 ok\r\n"
                )
            if answer is None:
                reader.close()
                reset(connection)
                return
            connection.sendall(answer)
            in_data = answer.startswith(b"354")

    return talk


@pytest.mark.parametrize(
    ("steps", "kinds"),
    [
        # Before the text: again at once over a new connection, which works.
        ([("MAIL", b"250 ok\r\n"), ("MAIL", None)], ["sent", "sent"]),
        ([("MAIL", b"250 ok\r\n"), ("MAIL", b"421 too many\r\n")], ["sent", "sent"]),
        ([("RCPT", b"250 ok\r\n"), ("RCPT", b"421 too many\r\n")], ["sent", "sent"]),
        ([("MAIL", None)], ["retry", "retry"]),
        ([("DATA", None)], ["retry", "retry"]),
        ([("DATA", b"451 later\r\n")], ["retry", "sent"]),
        ([("DATA", b"554 5.7.1 no\r\n")], ["refused", "sent"]),
        ([("MAIL", b"550 not from you\r\n")], ["retry", "sent"]),
        # From the text on.
        ([("END", None)], ["unknown", "sent"]),
        ([("END", b"250 ok\r\n"), ("END", None)], ["sent", "unknown"]),
        ([("END", b"452 full\r\n")], ["retry", "sent"]),
        ([("END", b"554 5.7.1 spam\r\n")], ["refused", "sent"]),
        ([("END", b"gibberish\r\n")], ["unknown", "sent"]),
        ([("EHLO", b"554 no\r\n"), ("HELO", b"554 no\r\n")], ["retry", "sent"]),
    ],
)
def test_the_connection_breaks(
    settings: Any, line: Callable[[Talk], Line], steps: list[Any], kinds: list[str]
) -> None:
    server = line(smtp(*steps))
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 2
    sender = SmtpSender(sender_name="Corner Shop", reply_to="")
    sender.open()
    found = sender.send([mail(), mail()])
    sender.close()
    assert [each.kind for each in found] == kinds, [each.error for each in found]
    assert not any("alice" in each.error for each in found)


def test_what_a_slow_server_keeps_from_being_begun_in_time_is_not_begun(
    sender: SmtpSender, mailbox: Mailbox
) -> None:
    mailbox.seconds = 0.2
    found = sender.send([mail(), mail(), mail()], until=time.monotonic() + 0.1)
    assert [each.kind for each in found] == ["sent", "not_begun", "not_begun"]
    assert len(mailbox.mails) == 1


def test_a_connection_that_takes_too_long_is_there_for_the_next_group(
    settings: Any, line: Callable[[Talk], Line]
) -> None:
    talk = smtp()

    def slow(connection: socket.socket) -> None:
        time.sleep(0.2)
        talk(connection)

    server = line(slow)
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 2
    sender = SmtpSender(sender_name="Corner Shop", reply_to="")
    sender.open()
    kinds = [
        each.kind for _ in range(2) for each in sender.send([mail(), mail()], until=time.monotonic() + 0.1)
    ]
    sender.close()
    assert kinds == ["not_begun", "not_begun", "sent", "sent"]
    assert server.connections == 1


@pytest.mark.parametrize(("silent_at", "kind"), [("MAIL", "retry"), ("END", "unknown")])
def test_the_server_falls_silent(
    settings: Any, line: Callable[[Talk], Line], silent_at: str, kind: str
) -> None:
    server = line(smtp((silent_at, b"")))
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 0.3
    sender = SmtpSender(sender_name="Corner Shop", reply_to="")
    sender.open()
    assert sender.send([mail()])[0].kind == kind
    sender.close()


# --- Through a service ------------------------------------------------------------------------------------------


@pytest.fixture
def service(settings: Any, api: Api) -> Iterator[ServiceSender]:
    settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    settings.ANYMAIL = {
        "POSTMARK_SERVER_TOKEN": "token",
        "POSTMARK_API_URL": api.url,
        "REQUESTS_TIMEOUT": (1, 1),
    }
    settings.DEFAULT_FROM_EMAIL = "CloudPOS <news@shop.example>"
    found = ServiceSender(sender_name="Corner Shop", reply_to="us@shop.example")
    found.open()
    yield found
    found.close()


def test_a_service_is_told_whose_message_it_is(service: ServiceSender, api: Api) -> None:
    name = str(uuid.uuid4())
    api.will(200, {"ErrorCode": 0, "Message": "OK", "MessageID": name, "To": "alice@example.com"})
    sent = mail(unsubscribe_url="https://x.example/u")
    (outcome,) = service.send([sent])
    assert (outcome.kind, outcome.provider_id) == ("sent", name)
    (asked,) = api.asked
    assert asked.json["Metadata"] == {"merchant": str(sent.merchant_id), "message": str(sent.message_id)}
    assert asked.json["Tag"] == "campaign"
    assert {each["Name"]: each["Value"] for each in asked.json["Headers"]}["List-Unsubscribe-Post"] == (
        "List-Unsubscribe=One-Click"
    )


def test_a_group_is_handed_over_at_the_same_time(service: ServiceSender, api: Api) -> None:
    api.will(200, {"ErrorCode": 0, "Message": "OK", "MessageID": "m", "To": "alice@example.com"})
    # Answers only when all eight are there.
    api.together = threading.Barrier(8)
    assert [each.kind for each in service.send([mail() for _ in range(8)])] == ["sent"] * 8


def test_a_service_gets_nothing_after_the_time_to_begin(service: ServiceSender, api: Api) -> None:
    assert [each.kind for each in service.send([mail()], until=time.monotonic())] == ["not_begun"]
    assert api.asked == []


@pytest.mark.parametrize(
    ("status", "body", "kind", "suppress"),
    [
        (422, {"ErrorCode": 406, "Message": "You tried to send to recipient(s) that have been marked as inactive.\n"
               "Found inactive addresses: alice@example.com.\nInactive recipients are ones ..."}, "refused", False),
        (422, {"ErrorCode": 300, "Message": "Invalid 'To' address: 'alice@example.com'."}, "refused", True),
        (401, {"ErrorCode": 10, "Message": "bad token"}, "retry", False),
        (429, {}, "retry", False),
        (503, {}, "retry", False),
        (500, {}, "unknown", False),
        (200, b"gibberish", "unknown", False),
    ],
)  # fmt: skip
def test_a_service_refuses(
    service: ServiceSender, api: Api, status: int, body: Any, kind: str, suppress: bool
) -> None:
    api.will(status, body)
    (outcome,) = service.send([mail()])
    assert (outcome.kind, outcome.suppress) == (kind, suppress), outcome
    assert "alice" not in outcome.error


def test_a_service_that_is_not_there_or_says_nothing(
    service: ServiceSender, settings: Any, line: Callable[[Talk], Line]
) -> None:
    settings.ANYMAIL = {**settings.ANYMAIL, "POSTMARK_API_URL": f"http://127.0.0.1:{free_port()}"}
    assert service.send([mail()])[0].kind == "retry"
    service._idle.clear()
    silent = line(lambda connection: connection.recv(100_000) and threading.Event().wait(1.5) or None)
    settings.ANYMAIL = {**settings.ANYMAIL, "POSTMARK_API_URL": silent.url, "REQUESTS_TIMEOUT": (0.3, 0.3)}
    assert service.send([mail()])[0].kind == "unknown"
