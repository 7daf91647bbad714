"""Rate limits: exact, cheap, and still there without Redis."""

import threading
import time
from typing import Any

import pytest
import redis
import time_machine
from django.conf import settings as django_settings
from django.test import Client

from cloudpos.api import throttling
from cloudpos.api.throttling import Limiter
from tests.fixtures import Shop

needs_redis = pytest.mark.skipif(not django_settings.REDIS_URL, reason="no Redis")


@pytest.fixture
def limits(settings) -> dict[str, int]:
    settings.RATE_LIMITS = {"anonymous": 4, "login": 2, "user": 3, "service": 5}
    return settings.RATE_LIMITS


@pytest.fixture(autouse=True)
def _middle_of_a_minute() -> Any:
    """No test straddles two windows."""
    with time_machine.travel((time.time() // 60) * 60 + 20):
        yield


def statuses(client: Any, path: str, times: int) -> list[int]:
    return [client.get(path).status_code for _ in range(times)]


@pytest.mark.django_db
def test_headers_count_down_to_429(shop: Shop, limits) -> None:
    shown = []
    for _ in range(4):
        response = shop.cashier.get("/echo")
        shown.append(
            (
                response.status_code,
                *(response.headers[f"RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")),
            )
        )
    assert shown == [
        (200, "3", "2", "40"),
        (200, "3", "1", "40"),
        (200, "3", "0", "40"),
        (429, "3", "0", "40"),
    ]
    assert response.headers["Retry-After"] == "40"
    body = response.json()
    del body["requestId"]
    assert body == {
        "success": False,
        "message": "Too many requests. Please slow down.",
        "errors": [],
        "code": "rate_limited",
    }


@pytest.mark.django_db
def test_each_caller_has_their_own(shop: Shop, foreign_shop: Shop, limits) -> None:
    assert statuses(shop.cashier, "/echo", 4) == [200, 200, 200, 429]
    assert statuses(shop.manager, "/echo", 1) == [200]
    assert statuses(foreign_shop.cashier, "/echo", 1) == [200]
    assert statuses(shop.service, "/echo", 6) == [200] * 5 + [429]


@pytest.mark.django_db
def test_denied_requests_count(shop: Shop, limits) -> None:
    assert statuses(shop.cashier, "/undeclared", 4) == [403, 403, 403, 429]


@pytest.mark.django_db
def test_wrong_tokens_count_by_address(anonymous: Client, limits) -> None:
    bad = {"authorization": "Bearer x"}
    assert [anonymous.get("/api/v1/echo", headers=bad).status_code for _ in range(5)] == [401] * 4 + [429]
    assert anonymous.get("/api/v1/echo", REMOTE_ADDR="192.0.2.7").status_code == 401


@pytest.mark.django_db
def test_routes_may_have_a_scope_of_their_own(anonymous: Client, limits) -> None:
    assert statuses(anonymous, "/api/v1/open", 3) == [200, 200, 429]


def test_a_new_window(limits) -> None:
    limiter = Limiter("")
    assert [limiter.hit("user", "a", 1).allowed for _ in range(2)] == [True, False]
    with time_machine.travel(time.time() + 60):
        assert limiter.hit("user", "a", 1).allowed


def test_forwarded_addresses_are_believed_only_from_known_proxies(settings) -> None:
    meta = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "1.1.1.1, 192.0.2.1, 10.0.0.9"}
    assert throttling.client_address(meta) == "10.0.0.1"
    settings.TRUSTED_PROXY_COUNT = 2
    assert throttling.client_address(meta) == "192.0.2.1"
    assert (
        throttling.client_address({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "1.1.1.1"})
        == "10.0.0.1"
    )


@needs_redis
@pytest.mark.django_db
def test_keys_hold_no_address(anonymous: Client, limits) -> None:
    anonymous.get("/api/v1/open", REMOTE_ADDR="192.0.2.55")
    keys = b" ".join(redis.from_url(django_settings.REDIS_URL).keys("cloudpos:rate*"))
    assert b"login" in keys
    assert b"192.0.2.55" not in keys


class Watched:
    """A connection's socket that tells what passes, and answers too late when asked to."""

    def __init__(self, socket: Any, *, late: bool = False) -> None:
        self._socket, self._late = socket, late
        self.sent: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)
        self._socket.sendall(data)

    def recv(self, size: int) -> bytes:
        if self._late:
            raise TimeoutError
        # In the smallest pieces a network may make of an answer.
        return bytes(self._socket.recv(1))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


@needs_redis
def test_one_round_trip_per_request(monkeypatch) -> None:
    limiter = Limiter(django_settings.REDIS_URL)
    limiter.hit("user", "warm", 10)
    connection = limiter._redis._threads.connection  # type: ignore[union-attr]
    connection._sock = watched = Watched(connection._sock)
    monkeypatch.setattr(redis.Redis, "execute_command", lambda *args, **options: pytest.fail("another trip"))
    before = limiter.hit("user", "warm", 10).remaining
    assert limiter.hit("user", "warm", 10).remaining == before - 1
    assert len(watched.sent) == 2


@needs_redis
def test_an_error_is_no_count() -> None:
    limiter = Limiter(django_settings.REDIS_URL)
    subject = f"text-{time.monotonic_ns()}"
    client = redis.from_url(django_settings.REDIS_URL)
    window = int(time.time() // throttling.WINDOW_SECONDS)
    for each in (window, window + 1):
        client.set(f"cloudpos:rate:user:{subject}:{each}", "no number", ex=120)
    # Counted in memory, as while Redis is away.
    assert limiter.hit("user", subject, 10).remaining == 9
    assert limiter._resting_until > 0


@needs_redis
def test_counters_do_not_stay_for_ever() -> None:
    subject = f"expiry-{time.monotonic_ns()}"
    Limiter(django_settings.REDIS_URL).hit("user", subject, 10)
    client = redis.from_url(django_settings.REDIS_URL)
    (key,) = client.keys(f"cloudpos:rate:user:{subject}:*")
    assert 0 < client.ttl(key) <= throttling.WINDOW_SECONDS


@needs_redis
def test_a_connection_that_redis_closed_is_no_outage() -> None:
    limiter = Limiter(django_settings.REDIS_URL)
    subject = f"closed-{time.monotonic_ns()}"
    limiter.hit("user", subject, 10)
    limiter._redis._threads.connection._sock.shutdown(2)  # type: ignore[union-attr]
    assert limiter.hit("user", subject, 10).remaining == 8
    assert limiter._resting_until == 0.0


@needs_redis
def test_a_late_answer_is_not_the_next_ones() -> None:
    limiter = Limiter(django_settings.REDIS_URL)
    limiter.hit("user", "late", 10)
    connection = limiter._redis._threads.connection  # type: ignore[union-attr]

    connection._sock = Watched(connection._sock, late=True)
    limiter.hit("user", "late", 10)
    assert limiter._redis._threads.connection is None  # type: ignore[union-attr]
    assert limiter._resting_until > 0


@needs_redis
def test_exact_among_threads_and_processes() -> None:
    # Two limiters stand for two processes: they share nothing but Redis.
    limiters = [Limiter(django_settings.REDIS_URL) for _ in range(2)]
    subject = f"exact-{time.monotonic_ns()}"
    allowed: list[bool] = []

    def work(limiter: Limiter) -> None:
        allowed.extend([limiter.hit("user", subject, 50).allowed for _ in range(25)])

    threads = [threading.Thread(target=work, args=(limiters[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == 200
    assert sum(allowed) == 50


class Failing:
    """A Redis that fails, and counts who asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.works = False

    def incr(self, key: str, expiry: int) -> int:
        self.asked += 1
        if not self.works:
            raise redis.ConnectionError
        return 1


def test_without_redis_it_counts_in_memory_and_asks_again_after_a_rest(monkeypatch) -> None:
    limiter, failing, now = Limiter(""), Failing(), [100.0]
    limiter._redis = failing  # type: ignore[assignment]
    monkeypatch.setattr(throttling.time, "monotonic", lambda: now[0])
    assert [limiter.hit("user", "a", 2).allowed for _ in range(3)] == [True, True, False]
    assert failing.asked == 1
    now[0] += throttling.REDIS_REST_SECONDS
    assert not limiter.hit("user", "a", 2).allowed
    assert failing.asked == 2
    failing.works = True
    assert not limiter.hit("user", "a", 2).allowed
    now[0] += throttling.REDIS_REST_SECONDS
    assert limiter.hit("user", "a", 2).allowed
    assert limiter.hit("user", "a", 2).allowed
    assert failing.asked == 4


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///nowhere/redis.sock?db=0"])
def test_a_dead_redis_holds_nobody_up(url: str) -> None:
    limiter = Limiter(url)
    started = time.perf_counter()
    for _ in range(50):
        assert limiter.hit("user", "a", 100).allowed
    assert time.perf_counter() - started < 0.5


def test_a_silent_redis_holds_one_request_up_and_briefly() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        limiter = Limiter(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        started = time.perf_counter()
        limiter.hit("user", "a", 100)
        first = time.perf_counter() - started
        limiter.hit("user", "a", 100)
        assert first < 0.3
        assert time.perf_counter() - started - first < 0.05
