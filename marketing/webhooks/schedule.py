"""When a delivery is tried again. Pure: the clock and the dice are given."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# The pause before each attempt, the first one included: those that the Standard Webhooks specification suggests.
PAUSES_SECONDS: tuple[float, ...] = (
    0,
    5,
    5 * 60,
    30 * 60,
    2 * 3_600,
    5 * 3_600,
    10 * 3_600,
    14 * 3_600,
    20 * 3_600,
    24 * 3_600,
)
JITTER = 0.2
# A receiver may ask for a later attempt, by up to so many times the step.
RETRY_AFTER_STEPS_MAX = 2


def pause_seconds(*, step: int, retry_after: float | None, dice: Callable[[], float]) -> float | None:
    """The pause after the failure of attempt number `step` (from 1); None: that was the last one.

    `dice` gives numbers from 0 to 1: the pause is the schedule's, 20 % less to 20 % more. `retry_after` are the seconds
    that the receiver asked for.
    """
    if step >= len(PAUSES_SECONDS):
        return None
    planned = PAUSES_SECONDS[step]
    pause = planned * (1 - JITTER + 2 * JITTER * dice())
    if retry_after is not None:
        pause = max(pause, min(retry_after, planned * RETRY_AFTER_STEPS_MAX))
    return pause


def read_retry_after(value: str, *, at: datetime) -> float | None:
    """The seconds that a Retry-After header asks for: a number of them, or a date. None: it makes no sense."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - at).total_seconds())
