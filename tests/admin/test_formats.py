"""Amounts, counts and times as people write them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from cloudpos.tenancy import formats

NOW = datetime(2026, 11, 22, 15, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (Decimal("1234.5"), "GBP", "£1,234.50"),
        (Decimal("-3"), "USD", "-$3.00"),
        (Decimal("-0.001"), "USD", "$0.00"),
        (Decimal("12.345"), "CHF", "CHF 12.35"),
        (Decimal("-12"), "CHF", "-CHF 12.00"),
        (Decimal("1234.6"), "JPY", "¥1,235"),
        (Decimal("1.2345"), "KWD", "KWD 1.235"),
        (0, "EUR", "€0.00"),
        (None, "EUR", "–"),
    ],
)
def test_money(amount: Decimal | None, currency: str, text: str) -> None:
    assert formats.money(amount, currency) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("9999.99", "£9,999.99"),
        ("15400", "£15.4k"),
        ("-20000", "-£20k"),
        ("1200000", "£1.2M"),
        ("3000000000", "£3B"),
    ],
)
def test_short_money(amount: str, text: str) -> None:
    assert formats.short_money(Decimal(amount), "GBP") == text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("9999.49", "GBP", "£9,999"),
        ("-3.50", "GBP", "-£4"),
        ("0", "CHF", "CHF 0"),
        ("15400.99", "GBP", "£15.4k"),
        ("980", "JPY", "¥980"),
    ],
)
def test_rough_money(amount: str, currency: str, text: str) -> None:
    assert formats.rough_money(Decimal(amount), currency) == text


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=3), "3 hours ago"),
        (timedelta(days=12), "12 days ago"),
        (timedelta(days=70), "2 months ago"),
        (timedelta(days=800), "2 years ago"),
        (-timedelta(days=2), "in 2 days"),
    ],
)
def test_ago(distance: timedelta, text: str) -> None:
    assert formats.ago(NOW - distance, now=NOW) == text


def test_moments_are_local() -> None:
    assert formats.moment(NOW, ZoneInfo("Pacific/Auckland")) == "23 Nov 2026, 04:04"
    assert formats.day(NOW, ZoneInfo("Pacific/Auckland")) == "23 Nov 2026"
    assert formats.day(None) == "–"


def test_change() -> None:
    assert formats.change_percent(Decimal(110), Decimal(100)) == 10
    assert formats.change_percent(0, 100) == -100
    assert formats.change_percent(5, 0) is None


def test_phone() -> None:
    assert formats.phone("+442071838750") == "+44 20 7183 8750"
    assert formats.phone("") == "–"
    assert formats.phone("odd") == "odd"
