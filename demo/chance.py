"""Reproducible choices: each depends on its own key alone, so that adding one choice moves no other.

A hash is used rather than `random`, whose `choice` and `shuffle` may change between Python versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

SEED = "cloudpos-demo-1"

T = TypeVar("T")


def digest(*key: object) -> int:
    """256 bits that depend on the seed and the key."""
    text = "\x1f".join([SEED, *map(str, key)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


def share(*key: object) -> float:
    """A number in [0, 1), evenly spread over the keys."""
    return (digest(*key) >> 203) / (1 << 53)


def between(low: int, high: int, *key: object) -> int:
    """An integer in [low, high], both included."""
    return low + digest(*key) % (high - low + 1)


def pick(options: Sequence[T], *key: object) -> T:
    """One of the options, each equally likely."""
    return options[digest(*key) % len(options)]


def pick_weighted(options: Sequence[tuple[T, float]], *key: object) -> T:
    """One of the options, each as likely as its weight says."""
    point = share(*key) * sum(weight for _, weight in options)
    for option, weight in options:
        point -= weight
        if point < 0:
            return option
    return options[-1][0]
