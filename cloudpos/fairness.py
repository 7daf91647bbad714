"""gunicorn's thread worker, which leaves a connection to another worker that has fewer.

Whichever process happens to be awake accepts, and keeps what it accepted for as long as the client or the proxy likes: of eight
connections one process of two often had seven or all, and half of the machine was idle. Each worker writes its number of
connections into memory that all share; one that has more than another lets the other go first, for a moment.
"""

from __future__ import annotations

import mmap
import struct
import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

SLOTS = 64
ABSENT = 0xFFFF_FFFF
# An idle worker wakes up within this time; one that is stuck must not keep a client waiting.
YIELD_SECONDS = 0.010
PAUSE_SECONDS = 0.0005

_COUNT = struct.Struct("I")
# Shared because it is made in the master, before it forks. A write of four aligned bytes needs no lock.
_board = mmap.mmap(-1, _COUNT.size * SLOTS)


def write_count(age: int, connections: int) -> None:
    """Say how many connections the worker of this age (its number since the start) has; ABSENT when it is gone."""
    _COUNT.pack_into(_board, age % SLOTS * _COUNT.size, connections)


def fewest() -> int:
    """The smallest number of connections of any worker."""
    return min(count for (count,) in _COUNT.iter_unpack(_board[:]))


for _slot in range(SLOTS):
    write_count(_slot, ABSENT)


class FairWorker(ThreadWorker):
    _waiting_since = 0.0

    def notify(self) -> None:
        """Called by the main loop each time it turns."""
        super().notify()
        # Who is about to end takes no more: nobody need wait for it.
        write_count(self.age, self.nr_conns if self.alive else ABSENT)

    def accept(self, listener: Any) -> None:
        """Accept, unless another worker has fewer connections and may still come."""
        now = time.monotonic()
        if self.nr_conns > fewest():
            self._waiting_since = self._waiting_since or now
            if now - self._waiting_since < YIELD_SECONDS:
                # The listener stays readable: without a pause the main loop would spin.
                time.sleep(PAUSE_SECONDS)
                return
        self._waiting_since = 0.0
        super().accept(listener)
        write_count(self.age, self.nr_conns)
