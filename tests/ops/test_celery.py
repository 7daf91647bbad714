"""cloudpos.celery: publishing fails fast, and the schedule names tasks that exist."""

import logging
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.cache import cache
from kombu.exceptions import OperationalError

from cloudpos import celery, supervisor
from cloudpos.api import health

TASK = "cloudpos.tasks.sweep_events"


@pytest.fixture
def broker() -> Iterator[str]:
    """Celery pointed at a socket path of its own where nobody listens yet; yields the path."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "broker.sock")
        before, circuit = celery.app.conf.broker_url, celery.CloudposCelery.circuit
        celery.app.conf.broker_url = celery.broker_url(f"unix://{path}?db=0")
        celery.CloudposCelery.circuit = celery.Circuit()
        _reset_pools()
        yield path
        celery.app.conf.broker_url, celery.CloudposCelery.circuit = before, circuit
        _reset_pools()


def _reset_pools() -> None:
    celery.app._pool = None
    celery.app.amqp._producer_pool = None


@pytest.mark.parametrize(
    ("redis_url", "expected"),
    [
        ("redis://redis:6379/3", "redis://redis:6379/3"),
        ("rediss://user:secret@redis:6380/0", "rediss://user:secret@redis:6380/0"),
        ("unix:///run/redis.sock?db=5", "redis+socket:///run/redis.sock?virtual_host=5"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
    ],
)
def test_broker_url_is_spelled_as_kombu_wants_it(redis_url: str, expected: str) -> None:
    assert celery.broker_url(redis_url) == expected


def test_a_broker_that_is_gone_costs_one_short_wait_and_then_none(broker: str) -> None:
    started = time.monotonic()
    assert celery.enqueue(TASK) is False
    assert time.monotonic() - started < 1.5

    started = time.monotonic()
    assert [celery.enqueue(TASK) for _ in range(100)] == [False] * 100
    assert time.monotonic() - started < 0.5


def test_a_broker_that_accepts_but_never_answers_costs_a_bounded_wait(broker: str) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(broker)
        silent.listen(64)
        started = time.monotonic()
        assert celery.enqueue(TASK) is False
        assert time.monotonic() - started < 4


def test_publishing_goes_on_when_the_broker_is_back(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery, "CIRCUIT_OPEN_SECONDS", 0.05)
    assert celery.enqueue(TASK) is False
    celery.app.conf.broker_url = celery.broker_url(settings.REDIS_URL)
    _reset_pools()
    time.sleep(0.06)
    assert celery.enqueue(TASK) is True


def test_the_circuit_lets_one_caller_try_when_the_pause_is_over() -> None:
    circuit = celery.Circuit()
    circuit.failed()
    assert circuit.allows() is False
    circuit._open_until = time.monotonic() - 1
    tries: list[bool] = []
    callers = [threading.Thread(target=lambda: tries.append(circuit.allows())) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(tries) == [False] * 7 + [True]
    circuit.succeeded()
    assert circuit.allows() is True


def test_without_a_broker_nothing_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery.app.conf, "broker_url", None)
    assert celery.enqueue(TASK) is False
    with pytest.raises(OperationalError):
        celery.app.send_task(TASK)


def test_every_entry_of_the_schedule_is_a_task() -> None:
    scheduled = {entry["task"] for entry in celery.app.conf.beat_schedule.values()}
    assert scheduled
    assert scheduled - set(celery.app.tasks) == set()


def test_what_waits_for_strangers_has_a_queue_of_its_own_and_every_queue_has_a_worker() -> None:
    router = celery.app.amqp.router
    queues = {name: router.route({}, name)["queue"].name for name in celery.app.tasks}
    assert {name for name, queue in queues.items() if queue == "webhooks"} == {
        "marketing.tasks.send_due_deliveries",
        "marketing.tasks.send_consent_requests",
        "marketing.tasks.run_campaigns",
        "marketing.tasks.tell_owners_of_disabled_webhooks",
    }
    assert set(queues.values()) == {celery.app.conf.task_default_queue, "webhooks"}
    supervised = [service.command for service in supervisor._celery(Path("bin"), {})]
    workers = [command for command in supervised if "worker" in command]
    assert [command[command.index("--queues") + 1] for command in workers if "--queues" in command] == [
        "webhooks"
    ]
    assert len(workers) == 2
    assert "--queues webhooks" in (settings.BASE_DIR / "script" / "start").read_text()
    assert "command: [webhooks]" in (settings.BASE_DIR / "compose.yaml").read_text()


@pytest.mark.parametrize(("queues", "beats"), [(None, True), (["webhooks"], False)])
def test_only_the_worker_of_the_default_queue_speaks_for_the_background_work(
    queues: list[str] | None, beats: bool
) -> None:
    app = celery.CloudposCelery("other", set_as_current=False)
    app.conf.task_create_missing_queues = True
    app.amqp.queues.select(queues)
    worker = SimpleNamespace(app=app)
    assert celery.Heartbeat(worker).include_if(worker) is beats


def test_what_beat_could_not_send_is_one_line_of_the_log() -> None:
    stack = ["  File ...", "  File ..."]
    record = logging.LogRecord(
        "celery.beat", logging.ERROR, __file__, 1, "Message Error: %s\n%s", ("no broker", stack), None
    )
    assert celery.say_it_shortly(record) is True
    assert (record.getMessage(), record.levelname) == ("no broker", "WARNING")
    other = logging.LogRecord("celery.beat", logging.ERROR, __file__, 1, "beat: %s", ("stopped",), None)
    assert celery.say_it_shortly(other) is True
    assert (other.getMessage(), other.levelname) == ("beat: stopped", "ERROR")


def test_only_json_is_accepted() -> None:
    assert celery.app.conf.accept_content == ["json"]
    assert celery.app.conf.task_serializer == "json"
    assert celery.app.conf.task_acks_late is True


def test_health_sees_the_heartbeat() -> None:
    assert health._worker() == health.UNKNOWN
    celery.beat_heart()
    assert health._worker() == health.UP
    cache.set(health.WORKER_HEARTBEAT_KEY, time.time() - health.WORKER_SILENCE_SECONDS_MAX - 1)
    assert health._worker() == health.DOWN
