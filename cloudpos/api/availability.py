"""While the database is away, one request at a time waits for it; the others are told at once to come back."""

from __future__ import annotations

import threading
import time

from cloudpos.postgres import NoConnection

REST_SECONDS = 1.0
PROBE_SECONDS_MAX = 5.0


class DatabaseCircuit:
    """Opened by a connection that could not be made.

    Without it every thread would wait out the timeout of connecting for every request, and callers would queue for threads
    far longer than the three seconds in which they are promised an answer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed_to_all_until = 0.0

    def rests(self) -> bool:
        """Whether to refuse this request. After a rest, lets one through every PROBE_SECONDS_MAX to find out."""
        if not self._closed_to_all_until:
            return False
        now = time.monotonic()
        with self._lock:
            if now < self._closed_to_all_until:
                return True
            self._closed_to_all_until = now + PROBE_SECONDS_MAX
            return False

    def saw(self, exc: BaseException) -> None:
        """Told of every database error."""
        if isinstance(exc, NoConnection) or isinstance(exc.__cause__, NoConnection):
            with self._lock:
                self._closed_to_all_until = time.monotonic() + REST_SECONDS

    def worked(self) -> None:
        """Told of every request that was not refused for the database's sake."""
        if self._closed_to_all_until:
            with self._lock:
                self._closed_to_all_until = 0.0


database = DatabaseCircuit()
