"""Clients that send a request slowly cannot hold the threads of the service."""

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from cloudpos import worker

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """One worker with one thread: whoever holds it holds everything."""
    number = free_port()
    gunicorn = Path(sys.executable).parent / "gunicorn"
    command = [
        str(gunicorn),
        "--preload",
        "-k",
        "cloudpos.worker.DeadlineWorker",
        "--threads",
        "1",
        "-w",
        "1",
    ]
    command += ["-b", f"127.0.0.1:{number}", "-c", "/dev/null", "--keep-alive", "5", "tests.api.slow_app"]
    server = subprocess.Popen(command, cwd=settings.BASE_DIR, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", number)).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield number
    finally:
        server.terminate()
        server.wait(30)


def seconds_for_another(port: int) -> float:
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/", b"12345")
    assert connection.getresponse().read() == b"5"
    connection.close()
    return time.monotonic() - started


@pytest.mark.parametrize(
    "sent", [HEAD, HEAD + b"Content-Length: 100\r\n\r\n{", b"POST"], ids=["headers", "body", "request line"]
)
def test_a_stalled_request_is_ended(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(sent)
        time.sleep(0.2)
        assert 0.2 < seconds_for_another(port) < 5


def test_a_trickled_body_is_ended_and_answered(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=0.3) as slow:
        slow.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        answer = b""
        for _ in range(30):
            slow.sendall(b" ")
            try:
                answer += slow.recv(1000)
                break
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_quick_client_keeps_its_connection_for_longer_than_a_request_may_take(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(2):
        connection.request("POST", "/", b"12345")
        assert connection.getresponse().read() == b"5"
        own = connection.sock.getsockname()
        time.sleep(1.5)
    connection.request("POST", "/", b"12345")
    assert connection.getresponse().read() == b"5"
    assert connection.sock.getsockname() == own
    connection.close()


def test_sockets_that_are_done_are_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(worker, "LOOK_SECONDS", 0.02)
    deadlines = worker.Deadlines(0.1)
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(0.3)
        deadlines.start(near)
        deadlines.done(near)
        assert deadlines._due == {}
        with pytest.raises(TimeoutError):
            near.recv(1)
        deadlines.start(near)
        assert near.recv(1) == b""
        near.sendall(b"still writes")
        assert far.recv(20) == b"still writes"
