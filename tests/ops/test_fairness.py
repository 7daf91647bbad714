"""Connections spread over the web processes."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from gunicorn.workers.gthread import ThreadWorker

from benchmarks.server import Server
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


@pytest.mark.parametrize("gone", ["ending", "killed"])
def test_nobody_waits_for_who_is_gone(accepted: list[int], gone: str) -> None:
    alice, bob = worker(ALICE, 4), worker(BOB, 0)
    if gone == "ending":
        bob.alive = False
        bob.notify()
    else:
        fairness.write_count(BOB, ABSENT)  # by the master, see gunicorn.conf.py
    alice.accept(None)
    assert accepted == [ALICE]


def test_both_processes_of_a_server_get_connections(tmp_path: Path) -> None:
    server = Server(
        path="/empty",
        log=tmp_path / "log",
        environment={**os.environ, "WEB_CONCURRENCY": "2"},
        application="benchmarks.bare:application",
    )
    with server:
        clients = []
        for _ in range(16):
            client = socket.create_connection(("127.0.0.1", server.port))
            client.sendall(b"GET /empty HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
            clients.append(client)
        held = [
            sum(each.status == psutil.CONN_ESTABLISHED for each in process.net_connections("tcp"))
            for process in psutil.Process(server.process.pid).children()
        ]
        for client in clients:
            client.close()
    # Not exactly eight each: a busy machine may keep one of them from waking up in time.
    assert sum(held) == 16
    assert min(held) >= 2
