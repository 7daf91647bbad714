"""Signs of life of processes that answer no requests, kept in the cache so that /health can tell."""

import time

from django.core.cache import cache

HEARTBEAT_SECONDS = 5.0
# A process that missed this many seconds is taken for dead; the entry also expires by then.
SILENCE_SECONDS_MAX = 30


def beat(name: str) -> None:
    """Note that the process called `name` is alive now. A cache that is gone is no reason to stop working."""
    cache.set(f"heartbeat:{name}", time.time(), SILENCE_SECONDS_MAX)


def seconds_since(name: str) -> float | None:
    """Seconds since the last heartbeat; None when there was none for SILENCE_SECONDS_MAX, or no shared cache."""
    last = cache.get(f"heartbeat:{name}")
    return None if last is None else max(0.0, time.time() - float(last))
