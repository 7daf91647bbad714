"""Connections spread over the web processes."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.workers.gthread import ThreadWorker

from cloudpos import fairness
from cloudpos.fairness import ABSENT, YIELD_SECONDS, FairWorker

ALICE, BOB = 1, 2


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The ages of the workers that accepted."""
    found: list[int] = []

    def accept(worker: Any, listener: Any) -> None:
        found.append(worker.age)
        worker.nr_conns += 1

    monkeypatch.setattr(ThreadWorker, "accept", accept)
    monkeypatch.setattr(ThreadWorker, "notify", lambda worker: None)
    yield found
    for age in (ALICE, BOB):
        fairness.write_count(age, ABSENT)


def worker(age: int, connections: int) -> Any:
    made = FairWorker.__new__(FairWorker)
    made.__dict__.update(age=age, nr_conns=connections, alive=True, tmp=SimpleNamespace())
    made.notify()
    return made


def test_who_has_fewest_accepts_at_once(accepted: list[int]) -> None:
    worker(ALICE, 3)
    bob = worker(BOB, 3)
    bob.accept(None)
    assert accepted == [BOB]
    assert fairness.fewest() == 3


def test_who_has_more_waits_for_the_other_a_moment_only(accepted: list[int]) -> None:
    alice, bob = worker(ALICE, 4), worker(BOB, 3)
    alice.accept(None)
    assert accepted == []
    bob.accept(None)
    alice.accept(None)
    assert accepted == [BOB, ALICE]
    alice.accept(None)
    time.sleep(YIELD_SECONDS)
    alice.accept(None)
    assert accepted == [BOB, ALICE, ALICE]
