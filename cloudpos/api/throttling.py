"""Rate limits: one Redis round trip per request, exact under concurrency; in memory while Redis is away."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import structlog
from django.conf import settings
from limits.storage import MemoryStorage, RedisStorage, Storage
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from cloudpos.api.errors import TooManyRequests

WINDOW_SECONDS = 60
REDIS_TIMEOUT_SECONDS = 0.05
REDIS_REST_SECONDS = 3.0
ANSWER_BYTES_MAX = 1_024

logger = structlog.get_logger("cloudpos.api.throttling")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of one caller's window after this request."""

    limit: int
    remaining: int
    reset_seconds: int
    allowed: bool

    def headers(self) -> dict[str, str]:
        shown = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }
        if not self.allowed:
            shown["Retry-After"] = str(self.reset_seconds)
        return shown


class ThreadRedisStorage(RedisStorage):
    """limits' Redis storage, its `incr` on a connection of the calling thread.

    The client's pool, retries, script wrapper and instrumentation cost several times the round trip itself, and
    every request of the API makes one.
    """

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri, **options)
        self._threads = threading.local()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count one; returns the new count. Raises RedisError. `amount` is 1."""
        text = self.prefixed_key(key).encode()
        # One write, one wait: INCR is atomic by itself, and EXPIRE of a key that names its window may be repeated.
        command = b"*2\r\n$4\r\nINCR\r\n$%d\r\n%b\r\n*3\r\n$6\r\nEXPIRE\r\n$%d\r\n%b\r\n$%d\r\n%d\r\n" % (
            len(text), text, len(text), text, len(str(expiry)), expiry,
        )  # fmt: skip
        connection = getattr(self._threads, "connection", None)
        if connection is not None:
            try:
                return self._count(connection, command)
            except RedisConnectionError:
                # Redis was restarted, or it closed an idle connection: that is no outage.
                self._threads.connection = None
        connection = self.storage.connection_pool.make_connection()
        connection.connect()
        self._threads.connection = connection
        return self._count(connection, command)

    def _count(self, connection: Any, command: bytes) -> int:
        # Two integers are the answer: the client's parser takes longer to read them than Redis to count.
        try:
            socket = connection._sock
            socket.sendall(command)
            answer = socket.recv(ANSWER_BYTES_MAX)
            while answer.count(b"\r\n") < 2:
                more = socket.recv(ANSWER_BYTES_MAX)
                if not more:
                    raise RedisConnectionError("the connection was closed")
                answer += more
            count, _, expiry = answer.partition(b"\r\n")
            if not count.startswith(b":") or not expiry.startswith(b":"):
                raise ResponseError(answer.decode(errors="replace"))
        except BaseException as exc:
            # An answer that came too late must never be taken for the next one's.
            connection.disconnect()
            self._threads.connection = None
            if isinstance(exc, OSError) and not isinstance(exc, TimeoutError):
                raise RedisConnectionError(str(exc)) from exc
            raise
        return int(count[1:])


class Limiter:
    """Counts requests in fixed windows of a minute.

    A key names its window, so counting is one INCR, and INCR is atomic. A failing Redis is left alone for
    REDIS_REST_SECONDS (one thread then tries again), and counting goes on in this process: limits are then per
    process, which is better than no limit and better than no service.
    """

    def __init__(self, redis_url: str) -> None:
        self._memory: Storage = MemoryStorage()
        self._redis: Storage | None = self._connect(redis_url) if redis_url else None
        self._resting_until = 0.0
        self._probe = threading.Lock()

    @staticmethod
    def _connect(url: str) -> Storage:
        uri = url.replace("unix://", "redis+unix://", 1) if url.startswith("unix://") else url
        return ThreadRedisStorage(
            uri,
            key_prefix="cloudpos:rate",
            socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
            socket_timeout=REDIS_TIMEOUT_SECONDS,
        )

    def hit(self, scope: str, subject: str, limit: int) -> Verdict:
        """Count one request of `subject` (an opaque id, no personal data) against `limit` per minute."""
        now = time.time()
        window = int(now // WINDOW_SECONDS)
        count = self._count(f"{scope}:{subject}:{window}")
        reset = max(1, int((window + 1) * WINDOW_SECONDS - now + 0.999))
        return Verdict(limit, max(0, limit - count), reset, count <= limit)

    def pace(self, scope: str, subject: str, per_second: float) -> float:
        """Count one of `subject` and return 0, or return the seconds until there is room for it, uncounted then.

        Rates below one a second have longer windows; the parts of those above are counted by windows shorter than a second.
        """
        limit = max(1, int(per_second))
        seconds = limit / per_second
        now = time.time()
        window = int(now // seconds)
        count = self._count(f"{scope}:{subject}:{window}", int(seconds) + 2)
        return 0.0 if count <= limit else max(0.001, (window + 1) * seconds - now)

    def _count(self, key: str, expiry: int = WINDOW_SECONDS) -> int:
        redis = self._redis
        if redis is None:
            return self._memory.incr(key, expiry)
        if self._resting_until:
            # Redis failed lately: one thread at a time may try it, once its rest is over.
            if time.monotonic() < self._resting_until or not self._probe.acquire(blocking=False):
                return self._memory.incr(key, expiry)
            try:
                return self._count_on_redis(redis, key, expiry)
            finally:
                self._probe.release()
        return self._count_on_redis(redis, key, expiry)

    def _count_on_redis(self, redis: Storage, key: str, expiry: int) -> int:
        try:
            count = redis.incr(key, expiry)
        except (RedisError, OSError) as exc:
            if not self._resting_until:
                logger.warning("rate_limiter_on_memory", error=type(exc).__name__)
            self._resting_until = time.monotonic() + REDIS_REST_SECONDS
            return self._memory.incr(key, expiry)
        if self._resting_until:
            self._resting_until = 0.0
            logger.info("rate_limiter_on_redis")
        return count


@lru_cache(maxsize=1)
def limiter() -> Limiter:
    """This process's limiter, made at its first request (never before a fork)."""
    return Limiter(settings.REDIS_URL)


@lru_cache(maxsize=10_000)
def _opaque(address: str) -> str:
    key = settings.SECRET_KEY.encode()[:64]
    return hashlib.blake2b(address.encode(), key=key, digest_size=12).hexdigest()


def client_address(meta: dict[str, Any]) -> str:
    """The caller's address: of the connection, or as the nth trusted proxy in front of us saw it."""
    trusted = settings.TRUSTED_PROXY_COUNT
    if trusted:
        hops = [hop.strip() for hop in meta.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
        if len(hops) >= trusted:
            return hops[-trusted]
    return str(meta.get("REMOTE_ADDR", ""))


def throttle(request: Any, *, scope: str | None = None) -> dict[str, str]:
    """Count this request; returns the RateLimit headers. Raises TooManyRequests.

    Callers with access, or signed in without a store, count per user (`service` has its own limit), all others per
    address; `scope` names another limit of settings.RATE_LIMITS for the route, such as "login".
    """
    access = getattr(request, "access", None)
    if scope is None and access is not None:
        scope = "service" if access.role == "service" else "user"
        subject = f"{access.merchant_id}:{access.user_id}"
    elif scope is None and (signed_in_id := getattr(request, "signed_in_id", None)) is not None:
        scope, subject = "user", str(signed_in_id)
    else:
        scope = scope or "anonymous"
        subject = _opaque(client_address(request.META))
    verdict = limiter().hit(scope, subject, settings.RATE_LIMITS[scope])
    headers = verdict.headers()
    if not verdict.allowed:
        error = TooManyRequests()
        error.headers = headers  # type: ignore[misc]
        raise error
    return headers
