"""Links of a message that say who followed them: signed, so that they lead only where the message said."""

import hmac
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings

URL_BYTES_MAX = 2_000
_ID_BYTES = 16
_LINK_BYTES = 2
_SEAL_BYTES = 16


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
    return Followed(
        *_ids(ids), int.from_bytes(rest[:_LINK_BYTES]), rest[_LINK_BYTES:].decode("utf-8", "replace")
    )


def read_open(token: str) -> Followed:
    """Raises TokenInvalid."""
    content = _read("open", token)
    if len(content) != 2 * _ID_BYTES:
        raise TokenInvalid
    return Followed(*_ids(content))


def _ids(content: bytes) -> tuple[uuid.UUID, uuid.UUID]:
    return uuid.UUID(bytes=content[:_ID_BYTES]), uuid.UUID(bytes=content[_ID_BYTES:])


def _sign(purpose: str, content: bytes) -> str:
    """Not Django's signer: it derives its key for each link again, and there are thirteen million in a million mails."""
    return urlsafe_b64encode(content + _seal(purpose, content)).decode().rstrip("=")


def _read(purpose: str, token: str) -> bytes:
    try:
        signed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        raise TokenInvalid from None
    content = signed[:-_SEAL_BYTES]
    # The text, not the bytes: base64 has several spellings of them.
    if not hmac.compare_digest(_sign(purpose, content).encode(), token.encode()):
        raise TokenInvalid
    return content


def _seal(purpose: str, content: bytes) -> bytes:
    return hmac.digest(_key(settings.SECRET_KEY, purpose), content, "sha256")[:_SEAL_BYTES]


@lru_cache(maxsize=8)
def _key(secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), f"cloudpos links: {purpose}".encode(), "sha256")
