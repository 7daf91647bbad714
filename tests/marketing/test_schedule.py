"""marketing.webhooks.schedule: the pauses of the Standard Webhooks specification."""

from datetime import UTC, datetime

import pytest

from marketing.webhooks.schedule import PAUSES_SECONDS, pause_seconds, read_retry_after

MINUTE, HOUR = 60, 3_600
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def middle() -> float:
    return 0.5


def test_ten_attempts_in_three_days() -> None:
    pauses = [pause_seconds(step=step, retry_after=None, dice=middle) for step in range(1, 11)]
    assert pauses == [
        5,
        5 * MINUTE,
        30 * MINUTE,
        2 * HOUR,
        5 * HOUR,
        10 * HOUR,
        14 * HOUR,
        20 * HOUR,
        24 * HOUR,
        None,
    ]
    assert PAUSES_SECONDS[0] == 0
    # 75 h 35 min 5 s, as the specification's table ends.
    assert sum(PAUSES_SECONDS) == 75 * HOUR + 35 * MINUTE + 5


@pytest.mark.parametrize(("dice", "pause"), [(0.0, 240), (0.5, 300), (1.0, 360)])
def test_a_fifth_less_to_a_fifth_more(dice: float, pause: float) -> None:
    assert pause_seconds(step=2, retry_after=None, dice=lambda: dice) == pytest.approx(pause)


@pytest.mark.parametrize(
    ("asked", "pause"), [(0, 300), (200, 300), (400, 400), (600, 600), (601, 600), (1e9, 600)]
)
def test_a_receiver_may_ask_for_twice_the_step_at_most(asked: float, pause: float) -> None:
    assert pause_seconds(step=2, retry_after=asked, dice=middle) == pytest.approx(pause)


def test_asking_for_more_does_not_begin_the_schedule_anew() -> None:
    assert pause_seconds(step=10, retry_after=60, dice=middle) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("99999999999999999999", 999_999_999),
        ("Mon, 01 Jun 2026 12:01:00 GMT", 60),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 0),
        ("Mon, 01 Jun 2026 12:01:00", 60),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert read_retry_after(header, at=NOON) == seconds
