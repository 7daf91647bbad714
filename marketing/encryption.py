"""Secrets at rest: encrypted with keys that derive from ENCRYPTION_SECRETS.

The first secret encrypts, all of them decrypt. To rotate: put a new one in front, run `manage.py reencrypt_secrets`, remove
the old one.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

KEY_BYTES = 32


class SecretUnreadable(Exception):
    """Encrypted with a secret that is no longer among ENCRYPTION_SECRETS."""


@lru_cache(maxsize=4)
def _box(secrets: tuple[str, ...]) -> MultiFernet:
    keys = []
    for secret in secrets:
        # HKDF (RFC 5869): the secret also serves elsewhere, this use gets a key of its own.
        derived = HKDF(SHA256(), KEY_BYTES, salt=None, info=b"cloudpos secrets at rest").derive(
            secret.encode()
        )
        keys.append(Fernet(base64.urlsafe_b64encode(derived)))
    return MultiFernet(keys)


def _current_box() -> MultiFernet:
    return _box(tuple(settings.ENCRYPTION_SECRETS))


def encrypt(secret: bytes) -> bytes:
    return _current_box().encrypt(secret)


def decrypt(token: bytes) -> bytes:
    """Raises SecretUnreadable."""
    try:
        return _current_box().decrypt(token)
    except InvalidToken:
        raise SecretUnreadable() from None


def reencrypt(token: bytes) -> bytes:
    """The same secret under the first key. Raises SecretUnreadable."""
    try:
        return _current_box().rotate(token)
    except InvalidToken:
        raise SecretUnreadable() from None
