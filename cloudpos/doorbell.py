"""Wakes the relay when events were committed, without the request that wrote them ever waiting for a broker."""

import logging
import os
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

# Rings within this pause are answered by one message at its end.
RING_SECONDS_MIN = 0.2


class Doorbell:
    """Calls `publish` from a thread of its own, at most once per RING_SECONDS_MIN.

    `ring` sets a flag and returns: a broker that is slow or dead costs a till nothing. A ring that is lost with the
    process loses nothing, the sweep finds the event.
    """

    def __init__(self, publish: Callable[[], object]) -> None:
        self._publish = publish
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        # A forked child inherits the flag but not the thread.
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._thread = None

    def ring(self) -> None:
        """Ask for one call of `publish` soon."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
                    self._thread.start()
        if not self._wanted.is_set():
            self._wanted.set()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            # Before publishing: an event that commits meanwhile rings again.
            self._wanted.clear()
            try:
                self._publish()
            except Exception:
                logger.exception("doorbell_failed")
            time.sleep(RING_SECONDS_MIN)
