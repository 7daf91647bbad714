"""Links that stand in for a log-in: signed, for one customer and one thing, with nothing personal in them."""

import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.signing import BadSignature, SignatureExpired, TimestampSigner

from customers.models import Channel

PREFERENCES_VALID_FOR = timedelta(days=90)
_CHANNELS = [
    channel.value for channel in (Channel.EMAIL, Channel.SMS, Channel.PUSH, Channel.PHONE, Channel.MAIL)
]
_ID_BYTES = 16


class LinkInvalid(Exception):
    """Not a link of ours, or not for this."""


class LinkExpired(LinkInvalid):
    """Ours, but too old."""


@dataclass(frozen=True, slots=True)
class Unsubscribing:
    """`message_id`: the campaign's message that the link was in, where it was in one."""

    merchant_id: uuid.UUID
    customer_id: uuid.UUID
    channel: str
    message_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """`id`: the customer's or the request's."""

    merchant_id: uuid.UUID
    id: uuid.UUID


def unsubscribe_url(
    *, merchant_id: uuid.UUID, customer_id: uuid.UUID, channel: str, message_id: uuid.UUID | None = None
) -> str:
    """For the headers and the foot of a message. It never expires: a no must be possible from any old mail."""
    content = merchant_id.bytes + customer_id.bytes + bytes([_CHANNELS.index(channel)])
    if message_id is not None:
        content += message_id.bytes
    return f"{settings.PUBLIC_URL}/unsubscribe/{_sign('unsubscribe', content)}"


def read_unsubscribe(token: str) -> Unsubscribing:
    """Raises LinkInvalid."""
    who = 2 * _ID_BYTES + 1
    content = _read("unsubscribe", token, who, who + _ID_BYTES)
    channel, message = content[who - 1], content[who:]
    if channel >= len(_CHANNELS):
        raise LinkInvalid
    return Unsubscribing(
        uuid.UUID(bytes=content[:_ID_BYTES]),
        uuid.UUID(bytes=content[_ID_BYTES : 2 * _ID_BYTES]),
        _CHANNELS[channel],
        uuid.UUID(bytes=message) if message else None,
    )


def preferences_url(*, merchant_id: uuid.UUID, customer_id: uuid.UUID) -> str:
    return f"{settings.PUBLIC_URL}/preferences/{_sign('preferences', merchant_id.bytes + customer_id.bytes)}"


def read_preferences(token: str) -> Reference:
    """Raises LinkInvalid, and LinkExpired after PREFERENCES_VALID_FOR."""
    return _reference(_read("preferences", token, 2 * _ID_BYTES, valid_for=PREFERENCES_VALID_FOR))


def confirmation_url(*, merchant_id: uuid.UUID, request_id: uuid.UUID) -> str:
    return f"{settings.PUBLIC_URL}/confirm/{_sign('confirm', merchant_id.bytes + request_id.bytes)}"


def read_confirmation(token: str) -> Reference:
    """Raises LinkInvalid. How long it counts is the request's own matter."""
    return _reference(_read("confirm", token, 2 * _ID_BYTES))


def _reference(content: bytes) -> Reference:
    return Reference(uuid.UUID(bytes=content[:_ID_BYTES]), uuid.UUID(bytes=content[_ID_BYTES:]))


def _signer(purpose: str) -> TimestampSigner:
    return TimestampSigner(salt=f"cloudpos.{purpose}", sep=".")


def _sign(purpose: str, content: bytes) -> str:
    return _signer(purpose).sign(urlsafe_b64encode(content).decode().rstrip("="))


def _read(purpose: str, token: str, *lengths: int, valid_for: timedelta | None = None) -> bytes:
    try:
        text = _signer(purpose).unsign(token, max_age=valid_for)
        content = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except SignatureExpired:
        raise LinkExpired from None
    except (BadSignature, ValueError):
        raise LinkInvalid from None
    if len(content) not in lengths:
        raise LinkInvalid
    return content
