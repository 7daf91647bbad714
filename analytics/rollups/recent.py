"""Sets of members that this process has read lately: the same months are asked for again and again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

# Of one process. A million members are 125 kB, so this is some 250 months or weeks of a merchant with so many.
RECENT_BYTES_MAX = 32 * 1024 * 1024

Sets = tuple[int, int]


class Recent:
    """The sets asked for last, at most `bytes_max` of them. A key says all that its sets depend on, so none is ever old."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[Hashable, tuple[Sets, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Sets | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, sets: Sets) -> None:
        size = 256 + sum(each.bit_length() // 8 for each in sets)
        with self._lock:
            if key in self._kept or size > self._bytes_max:
                return
            self._kept[key] = (sets, size)
            self._bytes += size
            while self._bytes > self._bytes_max:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= dropped

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._bytes = 0


recent = Recent(RECENT_BYTES_MAX)
