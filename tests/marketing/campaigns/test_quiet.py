"""Hours in which nobody is written to."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from marketing.campaigns.quiet import Hours, quiet_until

LONDON, AUCKLAND, LOS_ANGELES = (
    ZoneInfo("Europe/London"), ZoneInfo("Pacific/Auckland"), ZoneInfo("America/Los_Angeles")
)  # fmt: skip
NIGHT: Hours = (time(21), time(8))
NOON: Hours = (time(12), time(14))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "hours", "zone", "expected"),
    [
        ("2026-01-15 20:59:59", [NIGHT], LONDON, None),
        ("2026-01-15 21:00", [NIGHT], LONDON, "2026-01-16 08:00"),
        ("2026-01-16 07:59:59", [NIGHT], LONDON, "2026-01-16 08:00"),
        ("2026-01-16 08:00", [NIGHT], LONDON, None),
        ("2026-01-15 13:00", [NOON], LONDON, "2026-01-15 14:00"),
        # The hours of the customer's store, not ours.
        ("2026-01-15 09:00", [NIGHT], AUCKLAND, "2026-01-15 19:00"),
        ("2026-01-15 05:00", [NIGHT], LOS_ANGELES, "2026-01-15 16:00"),
        # Hours that follow each other.
        ("2026-01-15 13:00", [NOON, (time(14), time(15))], LONDON, "2026-01-15 15:00"),
        # No hours at all.
        ("2026-01-15 13:00", [(time(9), time(9))], LONDON, None),
        ("2026-01-15 13:00", [], LONDON, None),
        # The clock goes forward at 1:00 UTC: 1:30 is skipped, and is 2:30 by the clock.
        ("2026-03-29 00:30", [(time(0), time(1, 30))], LONDON, "2026-03-29 01:30"),
        # It goes back at 1:00 UTC: of the two 1:30 the later one.
        ("2026-10-24 23:30", [(time(0), time(1, 30))], LONDON, "2026-10-25 01:30"),
    ],
)  # fmt: skip
def test_until_when(at: str, hours: list[Hours], zone: ZoneInfo, expected: str | None) -> None:
    found = quiet_until(utc(at), hours, zone)
    assert found == (None if expected is None else utc(expected))


def test_hours_around_the_clock_wait_a_day() -> None:
    at = utc("2026-01-15 13:00")
    found = quiet_until(at, [(time(0), time(12)), (time(12), time(0))], LONDON)
    assert found is not None
    assert found > at
