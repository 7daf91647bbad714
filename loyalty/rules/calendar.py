"""Months and days of a merchant's zone: everything that ends, ends at one of its midnights."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo


def midnight(day: date, zone: tzinfo) -> datetime:
    """The first instant of a day of the zone, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def day_after_months(at: datetime, months: int, zone: ZoneInfo, *, month_end: bool = False) -> datetime:
    """The midnight that ends the day `months` after the day of `at`, or with `month_end` the month of that day.

    A month without that day counts to its last one: 31 January and a month is 28 February.
    """
    local = at.astimezone(zone)
    year, month = divmod(local.year * 12 + local.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    day = last if month_end else min(local.day, last)
    return midnight(date(year, month + 1, day) + timedelta(days=1), zone)


def months_before(day: date, months: int) -> date:
    """The same day so many months before, or the last of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def new_year(at: datetime, zone: ZoneInfo, *, years: int = 1) -> datetime:
    """The first instant of the year that comes `years` after that of `at`."""
    return midnight(date(at.astimezone(zone).year + years, 1, 1), zone)
