"""Days in a shop's own time: around changes of clocks, ends of months and leap years."""

import uuid
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from marketing.segments.days import Clock, moved, start_of
from marketing.segments.language import RelativeDay, Span, Window

NEW_YORK = ZoneInfo("America/New_York")
AUCKLAND = ZoneInfo("Pacific/Auckland")
# Clocks go forward at midnight: 6 September 2026 has none.
SANTIAGO = ZoneInfo("America/Santiago")


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


def test_today_is_the_shop_s() -> None:
    clock = Clock(at(2026, 3, 8, 4, 30), NEW_YORK)
    assert clock.today(NEW_YORK) == date(2026, 3, 7)
    assert clock.today(AUCKLAND) == date(2026, 3, 8)


def test_the_day_of_the_change_has_23_hours() -> None:
    assert start_of(date(2026, 3, 8), NEW_YORK).astimezone(UTC) == at(2026, 3, 8, 5)
    assert start_of(date(2026, 3, 9), NEW_YORK).astimezone(UTC) == at(2026, 3, 9, 4)
    assert start_of(date(2026, 11, 2), NEW_YORK).astimezone(UTC) == at(2026, 11, 2, 5)


def test_a_day_without_a_midnight_begins_when_the_clocks_change() -> None:
    first = start_of(date(2026, 9, 6), SANTIAGO).astimezone(UTC)
    assert first.astimezone(SANTIAGO).date() == date(2026, 9, 6)
    assert first == at(2026, 9, 6, 4)


@pytest.mark.parametrize(
    ("day", "span", "ahead", "expected"),
    [
        (date(2026, 3, 31), Span("months", 1), False, date(2026, 2, 28)),
        (date(2024, 3, 31), Span("months", 1), False, date(2024, 2, 29)),
        (date(2026, 1, 31), Span("months", 13), True, date(2027, 2, 28)),
        (date(2024, 2, 29), Span("years", 1), True, date(2025, 2, 28)),
        (date(2026, 1, 1), Span("weeks", 2), False, date(2025, 12, 18)),
        (date(2026, 1, 1), Span("months", 1), False, date(2025, 12, 1)),
        (date(2026, 12, 5), Span("months", 1), True, date(2027, 1, 5)),
    ],
)
def test_moving_by_the_calendar(day: date, span: Span, ahead: bool, expected: date) -> None:
    assert moved(day, span, ahead=ahead) == expected


def test_the_last_seven_days_begin_at_a_midnight_and_hold_today() -> None:
    clock = Clock(at(2026, 3, 10, 15), NEW_YORK)
    assert clock.window(Window(last=Span("days", 7)), NEW_YORK) == (date(2026, 3, 3), date(2026, 3, 11))
    assert clock.window(Window(last=Span("days", 0)), NEW_YORK) == (date(2026, 3, 10), date(2026, 3, 11))


def test_both_ends_of_a_window_belong_to_it() -> None:
    clock = Clock(at(2026, 3, 10, 15), NEW_YORK)
    window = Window(first_day=date(2026, 1, 1), last_day=RelativeDay(Span("days", 1)))
    assert clock.window(window, NEW_YORK) == (date(2026, 1, 1), date(2026, 3, 10))


def test_stores_of_one_zone_are_asked_in_it() -> None:
    here, there, third = (uuid.uuid4() for _ in range(3))
    clock = Clock(at(2026, 3, 10), NEW_YORK, {here: NEW_YORK, there: AUCKLAND, third: AUCKLAND})
    assert clock.zone_of([there, third]) == AUCKLAND
    assert clock.zone_of([here, there]) == NEW_YORK
    assert clock.zone_of([]) == NEW_YORK


def test_a_birthday_on_29_february_is_the_28th_in_other_years() -> None:
    assert 229 in Clock(at(2026, 2, 27, 12), NEW_YORK).birthdays(1)
    assert 229 not in Clock(at(2028, 2, 27, 12), NEW_YORK).birthdays(1)
    assert 229 in Clock(at(2028, 2, 27, 12), NEW_YORK).birthdays(2)
    assert len(Clock(at(2026, 1, 1, 12), NEW_YORK).birthdays(366)) == 366
