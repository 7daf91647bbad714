"""Links of a message that say who followed them: signed, so that they lead only where the message said."""

import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from django.conf import settings
from django.core.signing import BadSignature, Signer

URL_BYTES_MAX = 2_000
_ID_BYTES = 16
_LINK_BYTES = 2


class TokenInvalid(Exception):
    """Not one of ours."""


@dataclass(frozen=True, slots=True)
class Followed:
    """`link`: its number in the variant, from 1; 0 and no URL of an opening."""

    merchant_id: uuid.UUID
    message_id: uuid.UUID
    link: int = 0
    url: str = ""


def click_url(*, merchant_id: uuid.UUID, message_id: uuid.UUID, link: int, url: str) -> str:
    content = merchant_id.bytes + message_id.bytes + link.to_bytes(_LINK_BYTES) + url.encode()
    return f"{settings.PUBLIC_URL}/t/{_sign('click', content)}"


def open_url(*, merchant_id: uuid.UUID, message_id: uuid.UUID) -> str:
    return f"{settings.PUBLIC_URL}/o/{_sign('open', merchant_id.bytes + message_id.bytes)}"


def read_click(token: str) -> Followed:
    """Raises TokenInvalid."""
    content = _read("click", token)
    ids, rest = content[: 2 * _ID_BYTES], content[2 * _ID_BYTES :]
    if len(rest) <= _LINK_BYTES:
        raise TokenInvalid
    return Followed(*_ids(ids), int.from_bytes(rest[:_LINK_BYTES]), rest[_LINK_BYTES:].decode())


def read_open(token: str) -> Followed:
    """Raises TokenInvalid."""
    content = _read("open", token)
    if len(content) != 2 * _ID_BYTES:
        raise TokenInvalid
    return Followed(*_ids(content))


def _ids(content: bytes) -> tuple[uuid.UUID, uuid.UUID]:
    return uuid.UUID(bytes=content[:_ID_BYTES]), uuid.UUID(bytes=content[_ID_BYTES:])


def _sign(purpose: str, content: bytes) -> str:
    return _signer(purpose).sign(urlsafe_b64encode(content).decode().rstrip("="))


def _read(purpose: str, token: str) -> bytes:
    try:
        text = _signer(purpose).unsign(token)
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (BadSignature, ValueError):
        raise TokenInvalid from None


def _signer(purpose: str) -> Signer:
    return Signer(salt=f"cloudpos.{purpose}", sep=".")
