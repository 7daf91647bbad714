"""/health and /health/ready."""

import threading
import time

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from cloudpos.api import health

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_probes() -> None:
    health._probes.cache_clear()


def test_serving(anonymous: Client) -> None:
    response = anonymous.get("/health")
    assert response.status_code == 200
    data = response.json()["data"]
    assert set(data) == {"status", "database", "cache", "broker", "worker"}
    assert (data["status"], data["database"], data["cache"]) == ("ok", "up", "up")


def test_ready(anonymous: Client) -> None:
    response = anonymous.get("/health/ready")
    assert response.status_code == 200
    assert response.json()["data"] == {"status": "ready", "database": "up"}


def test_without_database(anonymous: Client, monkeypatch) -> None:
    def fail() -> str:
        raise health.redis.ConnectionError

    monkeypatch.setattr(health, "_database", fail)
    serving = anonymous.get("/health")
    assert serving.status_code == 200
    assert serving.json()["data"]["status"] == "degraded"
    ready = anonymous.get("/health/ready")
    assert ready.status_code == 503
    assert ready.headers["Retry-After"] == "2"
    body = ready.json()
    assert (body["success"], body["code"], body["database"]) == (False, "unavailable", "down")


def test_a_hanging_part_is_down_and_asked_once(anonymous: Client, monkeypatch) -> None:
    asked, end = [], threading.Event()

    def hang() -> str:
        asked.append(1)
        end.wait(5)
        return "up"

    monkeypatch.setattr(health, "_cache", hang)
    monkeypatch.setattr(health, "CHECK_SECONDS_MAX", 0.1)
    started = time.perf_counter()
    for _ in range(3):
        assert anonymous.get("/health").json()["data"]["cache"] == "down"
    assert time.perf_counter() - started < 1
    end.set()
    health._probes()["cache"]._executor.shutdown(wait=True)
    assert asked == [1]


def test_results_are_reused_for_a_second(anonymous: Client, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(health, "_database", lambda: asked.append(1) or "up")
    for _ in range(5):
        anonymous.get("/health")
    assert asked == [1]


def test_worker_heartbeat(anonymous: Client, settings) -> None:
    if not settings.CELERY_BROKER_URL:
        pytest.skip("no broker")

    def worker() -> str:
        health._probes.cache_clear()
        state: str = anonymous.get("/health").json()["data"]["worker"]
        return state

    cache.delete(health.WORKER_HEARTBEAT_KEY)
    assert worker() == "unknown"
    cache.set(health.WORKER_HEARTBEAT_KEY, time.time())
    assert worker() == "up"
    cache.set(health.WORKER_HEARTBEAT_KEY, time.time() - 61)
    assert worker() == "down"


def test_without_redis(anonymous: Client, settings) -> None:
    settings.CELERY_BROKER_URL = None
    data = anonymous.get("/health").json()["data"]
    assert (data["broker"], data["worker"]) == ("not_configured", "not_configured")


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/metrics"])
def test_a_probe_needs_neither_a_known_name_nor_tls(settings: Settings, path: str) -> None:
    """A container is asked at its own address; refused there, it would be taken for dead."""
    settings.ALLOWED_HOSTS = ["customers.example.com"]
    settings.SECURE_SSL_REDIRECT = True
    client = Client(headers={"host": "10.0.3.7:3002"})
    assert client.get(path).status_code == 200
    assert client.get("/").status_code in (301, 400)
