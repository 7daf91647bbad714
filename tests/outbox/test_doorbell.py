"""cloudpos.doorbell: ringing never waits, and many rings are one message."""

import threading
import time

import pytest
from django.db import transaction

from cloudpos import doorbell, outbox
from cloudpos.celery import app
from cloudpos.doorbell import Doorbell
from customers import events
from tests.fixtures import Shop
from tests.ops.processes import wait_for
from tests.outbox.conftest import send


def test_a_broker_that_hangs_does_not_hold_the_caller_up() -> None:
    hanging = threading.Event()
    bell = Doorbell(lambda: hanging.wait(10))
    started = time.perf_counter()
    for _ in range(1000):
        bell.ring()
    assert time.perf_counter() - started < 0.5
    hanging.set()


def test_many_rings_are_few_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "RING_SECONDS_MIN", 0.05)
    published: list[float] = []
    bell = Doorbell(lambda: published.append(time.monotonic()))
    for _ in range(500):
        bell.ring()
    wait_for(lambda: len(published) >= 1)
    time.sleep(0.2)
    assert 1 <= len(published) <= 2


def test_a_ring_while_publishing_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "RING_SECONDS_MIN", 0.01)
    publishing, go_on = threading.Event(), threading.Event()
    published: list[int] = []

    def publish() -> None:
        published.append(1)
        publishing.set()
        go_on.wait(10)

    bell = Doorbell(publish)
    bell.ring()
    publishing.wait(10)
    bell.ring()
    assert published == [1]
    go_on.set()
    wait_for(lambda: len(published) == 2)
    assert published == [1, 1]


def test_a_failure_does_not_silence_the_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "RING_SECONDS_MIN", 0.01)
    tries: list[int] = []

    def publish() -> None:
        tries.append(1)
        raise ConnectionError("no broker")

    bell = Doorbell(publish)
    bell.ring()
    wait_for(lambda: len(tries) == 1)
    bell.ring()
    wait_for(lambda: len(tries) == 2)


def test_a_forked_child_rings_with_a_thread_of_its_own() -> None:
    bell = Doorbell(lambda: None)
    bell.ring()
    assert bell._thread is not None
    bell._forget()
    assert bell._thread is None


@pytest.mark.django_db(transaction=True)
def test_it_rings_after_the_commit_and_only_then(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    rings: list[int] = []
    monkeypatch.setattr(events, "_doorbells", [lambda: rings.append(1)])
    with transaction.atomic():
        send(shop)
        assert rings == []
    assert rings == [1]


@pytest.mark.django_db(transaction=True)
def test_a_bell_that_breaks_does_not_break_the_request(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("broken bell")

    monkeypatch.setattr(events, "_doorbells", [broken])
    send(shop)


def test_the_tasks_that_messages_name_exist() -> None:
    from cloudpos import wiring

    app.loader.import_default_modules()
    names = {outbox.RELAY_TASK, outbox.RUN_TASK}
    for tasks in wiring.ROUTES.values():
        names |= set(tasks)
    for recorder in wiring.RECORDERS:
        names |= {recorder.task, recorder.fallback} - {None}
    assert names <= set(app.tasks)
