"""gunicorn's thread worker, with an end to the time a client may take to send a request.

A thread that reads from a socket waits as long as the client likes: eight clients that send a byte a second would hold
all eight threads of a service for hours. gunicorn bounds the wait for a request's first byte and for a body that nobody
read, not what is in between: the headers, and a body that the application reads.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from cloudpos.fairness import FairWorker

# From the first byte of a request to its last: a batch of a megabyte at less than a megabit a second.
REQUEST_SECONDS_MAX = 10.0
LOOK_SECONDS = 1.0


class Deadlines:
    """Ends the reading of sockets that are still busy after `seconds`. One thread watches them all."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._due: dict[Any, float] = {}
        self._thread: threading.Thread | None = None

    def start(self, sock: Any) -> None:
        with self._lock:
            self._due[sock] = time.monotonic() + self._seconds
            if self._thread is None:
                # Not earlier: a thread does not survive the fork that makes a worker.
                self._thread = threading.Thread(target=self._watch, name="request-deadlines", daemon=True)
                self._thread.start()

    def done(self, sock: Any) -> None:
        with self._lock:
            self._due.pop(sock, None)

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            with self._lock:
                late = [sock for sock, due in self._due.items() if due <= now]
                for sock in late:
                    del self._due[sock]
            for sock in late:
                # A reader sees the end of the stream and answers; one that has read everything does not notice.
                try:
                    sock.shutdown(socket.SHUT_RD)
                except OSError:
                    pass  # the client has gone


class DeadlineWorker(FairWorker):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadlines = Deadlines(REQUEST_SECONDS_MAX)

    def handle(self, conn: Any) -> Any:
        sock = conn.sock
        self._deadlines.start(sock)
        try:
            return super().handle(conn)
        finally:
            self._deadlines.done(sock)
