"""JSON Web Tokens: ours, and those that another CloudPOS service signed with the same secret."""

import hashlib
import threading
import time
import uuid
from functools import lru_cache
from typing import Any

import jwt
from cachetools import LRUCache
from django.conf import settings

from cloudpos.api.errors import Unauthenticated

ALGORITHM = "HS256"
REQUIRED_CLAIMS = ["exp", "iat", "sub", "aud", "iss"]
ACCESS_SECONDS_MAX = settings.ACCESS_TOKEN_MINUTES * 60
CLOCK_SKEW_SECONDS = 30
TOKEN_CHARS_MAX = 4096
TOKENS_CACHED_MAX = 20_000
# Headers by which a token could name its own key: none is ever followed, so a token that carries one is not ours.
FORBIDDEN_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit"})


class InvalidToken(Unauthenticated):
    code = "invalid_token"
    message = "The access token is not valid. Log in again."


class TokenExpired(InvalidToken):
    code = "token_expired"
    message = "The access token has expired. Refresh it or log in again."


# Tokens that were found good, by a keyed hash: whose they are and when they end. A till sends one token for minutes, and
# nothing about a good token changes but the time.
_good: LRUCache[bytes, tuple[uuid.UUID, int]] = LRUCache(maxsize=TOKENS_CACHED_MAX)
_lock = threading.Lock()


def read_access_token(token: str) -> uuid.UUID:
    """The user id that an access token speaks for.

    Raises InvalidToken for anything but an HS256 token with complete claims, a trusted issuer, our audience and
    a life of at most ACCESS_TOKEN_MINUTES; TokenExpired when only its time has passed.
    """
    if len(token) > TOKEN_CHARS_MAX:
        raise InvalidToken()
    digest = hashlib.blake2b(
        token.encode(errors="surrogatepass"), key=_cache_key(settings.JWT_SECRET)
    ).digest()
    with _lock:
        known = _good.get(digest)
    if known is None:
        known = _verified(token)
        with _lock:
            _good[digest] = known
    user_id, expires_at = known
    if expires_at <= time.time() - CLOCK_SKEW_SECONDS:
        raise TokenExpired()
    return user_id


@lru_cache(maxsize=1)
def _cache_key(secret: str) -> bytes:
    """Of the secret: another one (also of the same length) finds nothing."""
    return hashlib.sha512(secret.encode()).digest()


def _verified(token: str) -> tuple[uuid.UUID, int]:
    """(user id, end of its life in epoch seconds) of a good token. Raises as read_access_token does."""
    try:
        decoded = jwt.decode_complete(
            token,
            settings.JWT_SECRET,
            algorithms=[ALGORITHM],
            audience=settings.JWT_AUDIENCE,
            issuer=settings.JWT_TRUSTED_ISSUERS,
            leeway=CLOCK_SKEW_SECONDS,
            options={"require": REQUIRED_CLAIMS},
        )
        claims: dict[str, Any] = decoded["payload"]
        if not FORBIDDEN_HEADERS.isdisjoint(decoded["header"]):
            raise InvalidToken()
        # Another service may leave token_type out; a refresh token always carries it.
        if claims.get("token_type", "access") != "access":
            raise InvalidToken()
        if int(claims["exp"]) - int(claims["iat"]) > ACCESS_SECONDS_MAX + CLOCK_SKEW_SECONDS:
            raise InvalidToken()
        return uuid.UUID(str(claims["sub"])), int(claims["exp"])
    except jwt.ExpiredSignatureError:
        raise TokenExpired() from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidToken() from None


def mint_access_token(*, user_id: uuid.UUID, issuer: str | None = None) -> str:
    """A fresh access token, as `POST /auth/token` or another service would issue it."""
    now = int(time.time())
    return jwt.encode(
        {
            "sub": str(user_id),
            "iss": issuer or settings.JWT_ISSUER,
            "aud": settings.JWT_AUDIENCE,
            "iat": now,
            "exp": now + ACCESS_SECONDS_MAX,
            "jti": uuid.uuid4().hex,
            "token_type": "access",
        },
        settings.JWT_SECRET,
        algorithm=ALGORITHM,
    )
