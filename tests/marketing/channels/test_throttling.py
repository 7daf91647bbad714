"""How fast messages leave."""

import uuid
from typing import Any

import pytest
import time_machine

from cloudpos.api.throttling import Limiter
from marketing.channels.throttling import throttle


def test_no_limit_is_no_wait() -> None:
    assert throttle(uuid.uuid4(), "email", 0) == 0.0


@pytest.mark.parametrize(
    ("per_second", "at_once", "wait"),
    [(3, 3, 1.0), (2.5, 2, 0.8), (1, 1, 1.0), (0.5, 1, 2.0), (0.01, 1, 100.0)],
)
def test_so_many_and_no_more(per_second: float, at_once: int, wait: float) -> None:
    limiter = Limiter("")
    # A moment shortly after which windows of all these lengths begin.
    with time_machine.travel(1_800_000_000.01, tick=False) as clock:
        found = [limiter.pace("messages", "alice", per_second) for _ in range(at_once + 1)]
        assert found[:-1] == [0.0] * at_once
        assert found[-1] == pytest.approx(wait, abs=0.011)
        clock.shift(wait)
        assert limiter.pace("messages", "alice", per_second) == 0.0
        # Nobody waits for another.
        assert limiter.pace("messages", "bob", per_second) == 0.0


def test_all_processes_count_together_where_there_is_redis(settings: Any) -> None:
    if not settings.REDIS_URL:
        pytest.skip("no Redis here")
    merchant = str(uuid.uuid4())
    one, other = Limiter(settings.REDIS_URL), Limiter(settings.REDIS_URL)
    with time_machine.travel(1_800_000_000, tick=False):
        found = [limiter.pace("messages", merchant, 4) for limiter in (one, other) * 3]
    assert [wait == 0.0 for wait in found] == [True] * 4 + [False] * 2


def test_counting_goes_on_without_redis() -> None:
    limiter = Limiter("redis://127.0.0.1:1/0")
    with time_machine.travel(1_800_000_000, tick=False):
        assert [limiter.pace("messages", "alice", 1) == 0.0 for _ in range(2)] == [True, False]


def test_a_channel_has_a_pace_of_its_own() -> None:
    merchant = uuid.uuid4()
    assert throttle(merchant, "email", 1) == 0.0
    assert throttle(merchant, "sms", 1) == 0.0
