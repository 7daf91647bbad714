"""How amounts, counts and times are written for people. Pure functions; the API has its own forms."""

from datetime import date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal

import phonenumbers
from phonenumbers import PhoneNumberFormat

# Where the sign is unmistakable; every other currency is written with its code.
_SIGNS = {
    "GBP": "£",
    "USD": "$",
    "EUR": "€",
    "JPY": "¥",
    "AUD": "A$",
    "NZD": "NZ$",
    "CAD": "C$",
    "INR": "₹",
    "KRW": "₩",
}
# ISO 4217 minor units other than two.
_DECIMALS = {
    "JPY": 0,
    "KRW": 0,
    "VND": 0,
    "CLP": 0,
    "ISK": 0,
    "HUF": 2,
    "KWD": 3,
    "BHD": 3,
    "OMR": 3,
    "JOD": 3,
    "TND": 3,
}


def money(amount: Decimal | int | None, currency: str) -> str:
    """£1,234.50, -$3.00, CHF 12.00; an empty amount is an en dash."""
    if amount is None:
        return "–"
    places = _DECIMALS.get(currency, 2)
    rounded = Decimal(amount).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    sign = "-" if rounded < 0 else ""
    digits = f"{abs(rounded):,.{places}f}"
    return f"{sign}{_SIGNS[currency]}{digits}" if currency in _SIGNS else f"{sign}{currency} {digits}".strip()


def short_money(amount: Decimal | int | None, currency: str) -> str:
    """For a heading: £1.2M, £34.5k, and exact below ten thousand."""
    if amount is None:
        return "–"
    size = abs(Decimal(amount))
    for limit, letter in ((Decimal(1_000_000_000), "B"), (Decimal(1_000_000), "M"), (Decimal(10_000), "k")):
        if size >= limit:
            unit = Decimal(1_000) if letter == "k" else limit
            text = f"{size / unit:.1f}".removesuffix(".0") + letter
            sign = "-" if amount < 0 else ""
            return f"{sign}{_SIGNS[currency]}{text}" if currency in _SIGNS else f"{sign}{currency} {text}"
    return money(amount, currency)


def rough_money(amount: Decimal | int | None, currency: str) -> str:
    """Where there is little room: as `short_money`, below ten thousand without what follows the point."""
    if amount is None or abs(Decimal(amount)) >= 10_000:
        return short_money(amount, currency)
    whole = Decimal(amount).quantize(Decimal(1), ROUND_HALF_UP)
    return money(whole, currency).partition(".")[0]


def count(number: int | None) -> str:
    """12,345; nothing is an en dash."""
    return "–" if number is None else f"{number:,}"


def counted(number: int | None, noun: str) -> str:
    """1 purchase, 1,200 purchases; for nouns that take an s."""
    return f"{count(number)} {noun}" if number in (1, -1) else f"{count(number)} {noun}s"


def quantity(number: Decimal | None) -> str:
    """12, 0.25 or 1,200: a number of pieces or kilograms without the zeros that mean nothing."""
    return "–" if number is None else f"{number.normalize():,f}"


def signed(number: int) -> str:
    """+1,200 or -300, as ledgers show points."""
    return f"{number:+,}"


def day(moment: date | datetime | None, tz: tzinfo | None = None) -> str:
    """22 Nov 2026, in `tz` when a time is given."""
    if moment is None:
        return "–"
    if isinstance(moment, datetime) and tz is not None:
        moment = moment.astimezone(tz)
    return f"{moment.day} {moment:%b %Y}"


def moment(at: datetime | None, tz: tzinfo) -> str:
    """22 Nov 2026, 15:04 on the clock of `tz`."""
    if at is None:
        return "–"
    local = at.astimezone(tz)
    return f"{day(local)}, {local:%H:%M}"


def ago(at: datetime | None, *, now: datetime) -> str:
    """How long before `now`: "just now", "3 hours ago", "12 days ago", "5 months ago"; the future is "in ..."."""
    if at is None:
        return ""
    distance = now - at
    future = distance < timedelta(0)
    seconds = int(abs(distance).total_seconds())
    for size, unit in (
        (31_557_600, "year"),
        (2_629_800, "month"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
    ):
        if seconds >= size:
            number = seconds // size
            text = f"{number} {unit}{'s' if number != 1 else ''}"
            return f"in {text}" if future else f"{text} ago"
    return "just now"


def phone(number: str) -> str:
    """E.164 the way it is printed internationally: +44 20 7183 8750."""
    if not number:
        return "–"
    try:
        return str(phonenumbers.format_number(phonenumbers.parse(number), PhoneNumberFormat.INTERNATIONAL))
    except phonenumbers.NumberParseException:
        return number


def change_percent(now: Decimal | int, before: Decimal | int) -> int | None:
    """Whole percent by which `now` differs from `before`; None when there was nothing before."""
    if not before:
        return None
    return int(((Decimal(now) - Decimal(before)) * 100 / Decimal(before)).quantize(Decimal(1), ROUND_HALF_UP))
