"""Signatures of the Standard Webhooks specification (https://www.standardwebhooks.com, symmetric, v1)."""

import base64
import hashlib
import hmac
import secrets as randomness
from collections.abc import Iterable

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """What the receiver verifies with: `whsec_` and base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(randomness.token_bytes(SECRET_BYTES)).decode()


def sign(*, secrets: Iterable[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one signature per secret, while a rotation lasts also that of the old one.

    `timestamp` is in seconds since 1970; `body` the exact bytes that are sent.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(_signature(secret, signed) for secret in secrets)


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
