"""A handler that the tests can see and break, and a broker that loses every message."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from celery import shared_task
from django.db import transaction

from cloudpos import outbox, wiring
from cloudpos.models import EventTask
from customers.events import emit_all, event
from customers.models import Event
from tests.fixtures import Shop

PROBE = "tests.outbox.probe"


class Probe:
    """Notes what the handler was called with; raises for events in `poisoned`."""

    def __init__(self) -> None:
        self.seen: Counter[UUID] = Counter()
        self.calls: list[list[UUID]] = []
        self.poisoned: dict[UUID, Exception] = {}

    def __call__(self, merchant_id: str, event_ids: list[str]) -> None:
        ids = [UUID(event_id) for event_id in event_ids]
        self.calls.append(ids)
        for event_id in ids:
            if event_id in self.poisoned:
                raise self.poisoned[event_id]
        self.seen.update(ids)


_probe = Probe()


@shared_task(name=PROBE)
def _probe_task(merchant_id: str, event_ids: list[str]) -> None:
    _probe(merchant_id, event_ids)


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Probe]:
    """Wakes for "probe.sent"."""
    global _probe
    _probe = Probe()
    monkeypatch.setitem(wiring.ROUTES, "probe.sent", (PROBE,))
    wiring.handlers_of.cache_clear()
    yield _probe
    wiring.handlers_of.cache_clear()


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The messages that were sent, and lost: the broker takes them and forgets (FLUSHALL)."""
    messages: list[tuple[Any, ...]] = []

    def publish(*message: Any) -> bool:
        messages.append(message)
        return True

    monkeypatch.setattr(outbox, "enqueue", publish)
    return messages


def send(shop: Shop, *, count: int = 1, type: str = "probe.sent") -> list[Event]:
    """Commit new events of one merchant."""
    events = [event(merchant_id=shop.merchant.pk, type=type, data={}) for _ in range(count)]
    with transaction.atomic():
        emit_all(events)
    return events


def pending() -> int:
    return Event.objects.filter(dispatched_at=None).count()


def open_tasks() -> int:
    return EventTask.objects.count()
