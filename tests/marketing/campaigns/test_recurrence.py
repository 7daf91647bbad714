"""When a recurring campaign goes out next."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from marketing.campaigns.recurrence import InvalidRecurrence, read_recurrence

LONDON, AUCKLAND = ZoneInfo("Europe/London"), ZoneInfo("Pacific/Auckland")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def following(said: dict[str, Any], after: str, first: str, zone: ZoneInfo = LONDON, n: int = 3) -> list[str]:
    recurrence, found, at = read_recurrence(said), [], utc(after)
    for _ in range(n):
        next_at = recurrence.next_after(at, first=date.fromisoformat(first), zone=zone)
        assert next_at is not None
        found.append(f"{next_at:%Y-%m-%d %H:%M}")
        at = next_at
    return found


@pytest.mark.parametrize(
    ("said", "after", "first", "expected"),
    [
        ({"every": "day", "at": "09:00"}, "2026-01-15 09:00", "2026-01-15",
         ["2026-01-16 09:00", "2026-01-17 09:00", "2026-01-18 09:00"]),
        ({"every": "day", "interval": 3, "at": "09:00"}, "2026-01-15 08:00", "2026-01-15",
         ["2026-01-15 09:00", "2026-01-18 09:00", "2026-01-21 09:00"]),
        # Tuesdays and Fridays of every second week, counted from Thursday the 15th: its own week, from Friday on.
        ({"every": "week", "interval": 2, "weekdays": [5, 2], "at": "09:00"}, "2026-01-15 08:00", "2026-01-15",
         ["2026-01-16 09:00", "2026-01-27 09:00", "2026-01-30 09:00"]),
        # A month that has no 31st has a last day.
        ({"every": "month", "day": 31, "at": "09:00"}, "2026-01-31 10:00", "2026-01-01",
         ["2026-02-28 09:00", "2026-03-31 08:00", "2026-04-30 08:00"]),
        ({"every": "month", "interval": 12, "day": 1, "at": "09:00"}, "2026-01-15 09:00", "2026-01-01",
         ["2027-01-01 09:00", "2028-01-01 09:00", "2029-01-01 09:00"]),
        # Long after its first day.
        ({"every": "day", "interval": 90, "at": "09:00"}, "2036-01-01 00:00", "2026-01-01",
         ["2036-02-08 09:00", "2036-05-08 08:00", "2036-08-06 08:00"]),
        # 1:30 is skipped on 29 March and there twice on 25 October.
        ({"every": "day", "at": "01:30"}, "2026-03-28 02:00", "2026-01-01",
         ["2026-03-29 01:30", "2026-03-30 00:30", "2026-03-31 00:30"]),
        ({"every": "day", "at": "01:30"}, "2026-10-24 02:00", "2026-01-01",
         ["2026-10-25 00:30", "2026-10-26 01:30", "2026-10-27 01:30"]),
    ],
)  # fmt: skip
def test_the_next_times(said: dict[str, Any], after: str, first: str, expected: list[str]) -> None:
    assert following(said, after, first) == expected


def test_days_are_the_stores() -> None:
    found = following({"every": "day", "at": "09:00"}, "2026-06-30 22:00", "2026-07-01", AUCKLAND, n=1)
    assert found == ["2026-07-01 21:00"]


def test_the_end_of_time() -> None:
    recurrence = read_recurrence({"every": "day", "at": "09:00"})
    after = datetime(9999, 12, 31, 12, tzinfo=UTC)
    assert recurrence.next_after(after, first=date(2026, 1, 1), zone=LONDON) is None


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (None, "recurrence"),
        ([], "recurrence"),
        ({"at": "09:00"}, "recurrence.every"),
        ({"every": "year", "at": "09:00"}, "recurrence.every"),
        ({"every": ["day"], "at": "09:00"}, "recurrence.every"),
        ({"every": "day"}, "recurrence.at"),
        ({"every": "day", "at": "9:00"}, "recurrence.at"),
        ({"every": "day", "at": "25:00"}, "recurrence.at"),
        ({"every": "day", "at": "09:00", "interval": 0}, "recurrence.interval"),
        ({"every": "day", "at": "09:00", "interval": True}, "recurrence.interval"),
        ({"every": "month", "at": "09:00", "interval": 13}, "recurrence.interval"),
        ({"every": "week", "at": "09:00"}, "recurrence.weekdays"),
        ({"every": "week", "at": "09:00", "weekdays": []}, "recurrence.weekdays"),
        ({"every": "week", "at": "09:00", "weekdays": [0]}, "recurrence.weekdays"),
        ({"every": "month", "at": "09:00", "day": 32}, "recurrence.day"),
        ({"every": "day", "at": "09:00", "day": 1}, "recurrence.day"),
        ({"every": "day", "at": "09:00", "cron": "* * * * *"}, "recurrence.cron"),
    ],
)
def test_what_is_refused(said: Any, field: str) -> None:
    with pytest.raises(InvalidRecurrence) as refused:
        read_recurrence(said)
    assert [error.field for error in refused.value.errors] == [field]
