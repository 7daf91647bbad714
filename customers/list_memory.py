"""What this process found out a moment ago about the conditions of lists: hints that choose a plan, never answers."""

import threading
import uuid
from typing import Any

from cachetools import TTLCache

REMEMBERED_SECONDS = 300
ENTRIES_MAX = 10_000

_found: TTLCache[tuple[str, int], Any] = TTLCache(maxsize=ENTRIES_MAX, ttl=REMEMBERED_SECONDS)
_sizes: TTLCache[uuid.UUID, int] = TTLCache(maxsize=ENTRIES_MAX, ttl=REMEMBERED_SECONDS)
_lock = threading.Lock()


def recall(what: str, conditions: int) -> Any:
    """What `remember` was told of the conditions with this hash; None when nothing, or too long ago."""
    with _lock:
        return _found.get((what, conditions))


def remember(what: str, conditions: int, value: Any) -> None:
    with _lock:
        _found[what, conditions] = value


def recall_size(merchant_id: uuid.UUID) -> int | None:
    """How many customers the merchant had."""
    with _lock:
        return _sizes.get(merchant_id)


def remember_size(merchant_id: uuid.UUID, size: int) -> None:
    with _lock:
        _sizes[merchant_id] = size
