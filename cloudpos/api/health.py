"""/health says how the parts are; /health/ready says whether this process should get traffic. Both answer in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import lru_cache
from threading import Lock

import redis
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse
from redis.backoff import NoBackoff
from redis.retry import Retry

from cloudpos.api import envelope
from cloudpos.api.errors import Problem, Unavailable, problem_response

CHECK_SECONDS_MAX = 1.0
REUSED_SECONDS = 1.0
WORKER_HEARTBEAT_KEY = "worker-heartbeat"
"""Workers write the Unix time here at least every WORKER_SILENCE_SECONDS_MAX / 2."""
WORKER_SILENCE_SECONDS_MAX = 60.0

UP, DOWN, ABSENT, UNKNOWN = "up", "down", "not_configured", "unknown"


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return UP
    finally:
        connection.close()


def _cache() -> str:
    if not settings.REDIS_URL:
        return UP
    # django-redis hides failures: a value that comes back is the only proof.
    stamp = str(time.time())
    cache.set("health", stamp, 30)
    return UP if cache.get("health") == stamp else DOWN


@lru_cache(maxsize=1)
def _broker_client() -> redis.Redis:
    return redis.from_url(
        str(settings.CELERY_BROKER_URL),
        socket_connect_timeout=0.3,
        socket_timeout=0.5,
        retry=Retry(NoBackoff(), 0),
    )


def _broker() -> str:
    if not settings.CELERY_BROKER_URL:
        return ABSENT
    return UP if _broker_client().ping() else DOWN


def _worker() -> str:
    if not settings.CELERY_BROKER_URL:
        return ABSENT
    beat = cache.get(WORKER_HEARTBEAT_KEY)
    if beat is None:
        return UNKNOWN
    return UP if time.time() - float(beat) <= WORKER_SILENCE_SECONDS_MAX else DOWN


class Probe:
    """One check, at most one at a time, its result reused for a second, a hanging one reported as down."""

    def __init__(self, name: str, check: Callable[[], str]) -> None:
        self._check = check
        self._lock = Lock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"health-{name}")
        self._running: Future[str] | None = None
        self._state = UNKNOWN
        self._known_until = 0.0

    def start(self) -> Future[str] | None:
        with self._lock:
            if time.monotonic() < self._known_until:
                return None
            if self._running is None or self._running.done():
                self._running = self._executor.submit(self._check)
            return self._running

    def state(self, running: Future[str] | None, deadline: float) -> str:
        if running is None:
            return self._state
        try:
            state = running.result(timeout=max(0.0, deadline - time.monotonic()))
        except FutureTimeoutError:
            return DOWN
        except Exception:
            state = DOWN
        with self._lock:
            self._state = state
            self._known_until = time.monotonic() + REUSED_SECONDS
        return state


@lru_cache(maxsize=1)
def _probes() -> dict[str, Probe]:
    # Made at the first request: threads do not survive a fork.
    checks = {"database": _database, "cache": _cache, "broker": _broker, "worker": _worker}
    return {name: Probe(name, check) for name, check in checks.items()}


def states(*names: str) -> dict[str, str]:
    """The state of each part, all of them within CHECK_SECONDS_MAX."""
    deadline = time.monotonic() + CHECK_SECONDS_MAX
    asked = {name: _probes()[name] for name in names}
    running = {name: probe.start() for name, probe in asked.items()}
    return {name: probe.state(running[name], deadline) for name, probe in asked.items()}


def health_view(request: HttpRequest) -> HttpResponse:
    """GET /health: 200 as long as the process serves; parts that are down make it "degraded"."""
    parts = states("database", "cache", "broker", "worker")
    status = "degraded" if DOWN in parts.values() else "ok"
    return envelope.success({"status": status, **parts})


def ready_view(request: HttpRequest) -> HttpResponse:
    """GET /health/ready: 503 while the database is away. Cache and broker are optional, so they do not count."""
    parts = states("database")
    if parts["database"] == UP:
        return envelope.success({"status": "ready", **parts})
    problem = Problem(
        503, "unavailable", "The database cannot be reached.", headers=Unavailable.headers, extra=parts
    )
    return problem_response(problem, getattr(request, "request_id", ""))
