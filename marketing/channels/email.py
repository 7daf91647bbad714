"""E-mail through Django's mail layer: over one SMTP connection that stays open, or through an e-mail service's API."""

import re
import smtplib
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import formataddr, parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import sanitize_address

from marketing.channels.outgoing import NOT_BEGUN, Kind, Outcome, Outgoing, by_status, is_over
from marketing.content.compiling import one_line
from marketing.content.links import without_numbers

SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
AT_ONCE_MAX = 10
# RFC 3463: the mailbox does not exist (1), has moved without leaving an address (6), takes no mail at all (10, RFC 7505).
_NO_MAILBOX = re.compile(r"\b5\.1\.(1|6|10)\b")
_ENHANCED = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
TRANSIENT, PERMANENT = range(400, 500), range(500, 600)
_NOT_READY = 421


def build_mail(
    message: Outgoing, *, sender_name: str, reply_to: str, connection: Any = None
) -> EmailMultiAlternatives:
    """The mail with its headers: unsubscribing with one click (RFC 8058), and that a machine wrote it (RFC 3834)."""
    rendered = message.rendered
    _, from_address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    domain = from_address.rpartition("@")[2] or "localhost"
    headers = {
        "Message-ID": f"<{message.message_id.hex}@{domain}>",
        "Auto-Submitted": "auto-generated",
    }
    if message.unsubscribe_url:
        headers |= {
            "List-Unsubscribe": f"<{message.unsubscribe_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Precedence": "bulk",
        }
    subject = one_line(rendered.subject)
    mail = EmailMultiAlternatives(
        f"[Test] {subject}" if message.is_test else subject,
        rendered.text,
        formataddr((one_line(sender_name), from_address)),
        [message.address],
        reply_to=[reply_to] if reply_to else None,
        headers=headers,
        connection=connection,
    )
    if rendered.html:
        mail.attach_alternative(without_numbers(rendered.html), "text/html")
    return mail


class _Stages:
    """Notes whether the server was ready for the text: from then on it may have the mail."""

    text_began = False
    _asked_for_data = False

    def data(self, msg: Any) -> Any:
        self._asked_for_data = True
        try:
            return super().data(msg)  # type: ignore[misc]  # smtplib's
        finally:
            self._asked_for_data = False

    def getreply(self) -> tuple[int, bytes]:
        code, text = super().getreply()  # type: ignore[misc]  # smtplib's
        if self._asked_for_data and code == 354:
            self.text_began = True
        return code, text


class _Smtp(_Stages, smtplib.SMTP):
    pass


class _SmtpOverTls(_Stages, smtplib.SMTP_SSL):
    pass


class _Backend(EmailBackend):
    connection: Any

    @property
    def connection_class(self) -> Any:
        return _SmtpOverTls if self.use_ssl else _Smtp


@dataclass(frozen=True, slots=True)
class _Letter:
    """A mail as the server gets it."""

    message_id: uuid.UUID
    to: str
    content: bytes


class SmtpSender:
    """One connection, made anew when it is lost between two mails. While one mail is sent, the next one is written."""

    def __init__(self, *, sender_name: str, reply_to: str) -> None:
        self._sender_name, self._reply_to = sender_name, reply_to
        self._backend = _Backend()
        self._from = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
        self._writer: ThreadPoolExecutor | None = None

    def open(self) -> None:
        """Connects with the first mail: who cannot be reached refuses mails, not a start."""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="mail")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.shutdown(cancel_futures=True)
            self._writer = None
        self._disconnect()

    def _disconnect(self) -> None:
        try:
            self._backend.close()
        except (smtplib.SMTPException, OSError):
            self._backend.connection = None

    def send(self, messages: Sequence[Outgoing], *, until: float | None = None) -> list[Outcome]:
        assert self._writer is not None, "open() comes first"
        outcomes: list[Outcome] = []
        for letter in self._writer.map(self._write, messages):
            outcome = letter if isinstance(letter, Outcome) else self._send(letter, until)
            outcomes.append(outcome)
            is_gone = outcome.kind == "retry" and self._backend.connection is None
            if is_gone or outcome is NOT_BEGUN:
                # Nobody answers, or too late: the others need not each wait for that.
                outcomes += [outcome] * (len(messages) - len(outcomes))
                break
        return outcomes

    def _write(self, message: Outgoing) -> _Letter | Outcome:
        local, _, _ = message.address.rpartition("@")
        if not local.isascii():
            # Django would write it as a word of a header, which is another address.
            return Outcome("refused", error="the address has letters that not every server can read")
        try:
            mail: Any = build_mail(message, sender_name=self._sender_name, reply_to=self._reply_to).message()
            if mail.is_multipart():
                # Else one is looked for that is in none of the parts, by an expression compiled for each mail.
                mail.set_boundary(f"=_{message.message_id.hex}")
            to = sanitize_address(message.address, "utf-8")
            return _Letter(message.message_id, to, mail.as_bytes(linesep="\r\n"))
        except (ValueError, LookupError) as error:
            return Outcome("refused", error=f"the mail cannot be written ({_named(error)})")

    def _send(self, letter: _Letter, until: float | None) -> Outcome:
        was_open = self._is_open()
        outcome = self._try(letter, until)
        if was_open and outcome.kind == "retry" and not self._is_open():
            # The server had only grown tired of this connection.
            outcome = self._try(letter, until)
        return outcome

    def _is_open(self) -> bool:
        connection = self._backend.connection
        return connection is not None and connection.sock is not None

    def _try(self, letter: _Letter, until: float | None) -> Outcome:
        if not self._is_open():
            self._disconnect()
        try:
            self._backend.open()
        except (smtplib.SMTPException, OSError) as error:
            self._disconnect()
            self._backend.connection = None
            return Outcome("retry", error=f"the mail server cannot be reached ({_named(error)})")
        connection = self._backend.connection
        connection.text_began = False
        try:
            connection.ehlo_or_helo_if_needed()
            if is_over(until):
                # Also when it was the connecting that took so long: it is there for the next one.
                return NOT_BEGUN
            connection.sendmail(self._from, [letter.to], letter.content)
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
            code, _ = _code_and_text(error)
            if code == _NOT_READY:
                self._drop()
            if code < 0 and connection.text_began:
                self._drop()
                return Outcome("unknown", error="the mail server's answer to the mail cannot be read")
            return _refusal(error)
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            began = connection.text_began
            self._drop()
            if began:
                return Outcome("unknown", error=f"the connection was lost within the mail ({_named(error)})")
            return Outcome("retry", error=f"the connection was lost ({_named(error)})")
        except smtplib.SMTPException as error:
            return Outcome("retry", error=f"the mail server does not take mails ({_named(error)})")
        return Outcome("sent", provider_id=letter.message_id.hex)

    def _drop(self) -> None:
        connection, self._backend.connection = self._backend.connection, None
        if connection is not None:
            connection.close()


def _named(error: Exception) -> str:
    return type(error).__name__


def _code_and_text(error: Exception) -> tuple[int, str]:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
    else:
        code, text = error.smtp_code, error.smtp_error  # type: ignore[attr-defined]
    return code, text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


_OURS = (smtplib.SMTPSenderRefused, smtplib.SMTPAuthenticationError, smtplib.SMTPHeloError)


def _refusal(error: Exception) -> Outcome:
    """What the server said to one mail, in its numbers alone: its words may quote the address."""
    code, text = _code_and_text(error)
    found = _ENHANCED.search(text)
    said = f"the mail server answered {code}{f' {found.group()}' if found else ''}"
    # Whom it will not take mails from at all has nothing to do with this recipient.
    ours = isinstance(error, _OURS)
    if code in PERMANENT and not ours:
        return Outcome("refused", error=said, suppress=bool(_NO_MAILBOX.search(text)))
    return Outcome("retry", error=said)


class ServiceSender:
    """Through an e-mail service's API (django-anymail), some at the same time, over sessions that stay open."""

    def __init__(self, *, sender_name: str, reply_to: str) -> None:
        self._sender_name, self._reply_to = sender_name, reply_to
        self._pool: ThreadPoolExecutor | None = None
        self._idle: list[Any] = []

    def open(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="email")

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        while self._idle:
            self._idle.pop().close()

    def send(self, messages: Sequence[Outgoing], *, until: float | None = None) -> list[Outcome]:
        assert self._pool is not None, "open() comes first"
        return list(self._pool.map(lambda message: self._send(message, until), messages))

    def _send(self, message: Outgoing, until: float | None) -> Outcome:
        if is_over(until):
            return NOT_BEGUN
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = get_connection()
        mail: Any = build_mail(
            message, sender_name=self._sender_name, reply_to=self._reply_to, connection=connection
        )
        mail.metadata = {"merchant": str(message.merchant_id), "message": str(message.message_id)}
        mail.tags = ["campaign-test" if message.is_test else "campaign"]
        try:
            connection.open()
            connection.send_messages([mail])
        except Exception as error:
            return _service_refusal(error)
        finally:
            self._idle.append(connection)
        return _service_answer(mail)


def _service_answer(mail: Any) -> Outcome:
    status = mail.anymail_status
    said = status.status or {"unknown"}
    provider_id = status.message_id[:200] if isinstance(status.message_id, str) else ""
    if said <= {"sent", "queued"}:
        return Outcome("sent", provider_id=provider_id)
    kind: Kind = "refused" if said <= {"failed"} else "unknown"
    return Outcome(kind, provider_id=provider_id, error=f"the e-mail service says: {', '.join(sorted(said))}")


def _service_refusal(error: Exception) -> Outcome:
    # Known by their names: an installation that sends over SMTP does not load django-anymail for each mail.
    from anymail.exceptions import AnymailError, AnymailRecipientsRefused, AnymailRequestsAPIError
    from requests import ConnectionError as NotConnected
    from requests import ConnectTimeout

    if isinstance(error, AnymailRecipientsRefused):
        status = error.email_message.anymail_status.status or set()
        words = ", ".join(sorted(each for each in status if each))
        return Outcome(
            "refused",
            error=f"the e-mail service refuses this address ({words})",
            suppress="invalid" in status,
        )
    if isinstance(error, AnymailRequestsAPIError):
        code = error.status_code
        if code is None:
            never_left = isinstance(error, ConnectTimeout) or (
                isinstance(error, NotConnected) and _was_not_connected(error)
            )
            kind: Kind = "retry" if never_left else "unknown"
            return Outcome(kind, error="the e-mail service gave no answer")
        if code < 300:
            return Outcome("unknown", error="the e-mail service's answer cannot be read")
        return by_status(code, "the e-mail service")
    if isinstance(error, AnymailError | ValueError):
        return Outcome("refused", error=f"the mail cannot be written ({_named(error)})")
    return Outcome("unknown", error=f"the mail could not be handed over ({_named(error)})")


def _was_not_connected(error: Exception) -> bool:
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    cause = error.__cause__
    inner = cause.args[0] if cause is not None and cause.args else None
    return isinstance(inner, MaxRetryError) and isinstance(inner.reason, NewConnectionError)


class MailSender:
    """Any other of Django's backends, one mail after another: those of development and tests."""

    def __init__(self, *, sender_name: str, reply_to: str) -> None:
        self._sender_name, self._reply_to = sender_name, reply_to
        self._connection = get_connection()

    def open(self) -> None:
        self._connection.open()

    def close(self) -> None:
        self._connection.close()

    def send(self, messages: Sequence[Outgoing], *, until: float | None = None) -> list[Outcome]:
        return [NOT_BEGUN if is_over(until) else self._send(message) for message in messages]

    def _send(self, message: Outgoing) -> Outcome:
        mail = build_mail(message, sender_name=self._sender_name, reply_to=self._reply_to)
        try:
            self._connection.send_messages([mail])
        except OSError as error:
            return Outcome("retry", error=f"the mail could not be written ({_named(error)})")
        return Outcome("sent", provider_id=message.message_id.hex)
