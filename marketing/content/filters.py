"""The filters of campaign texts: an allow-list, each bounded in what it makes, whatever it is given.

Under autoescape liquid hands literals of the template over as Markup and values as plain text: what is put together of both
is escaped by Markup's own operators, and what is cut out of plain text stays plain.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

from liquid.exceptions import FilterArgumentError, ResourceLimitError
from liquid.undefined import Undefined
from markupsafe import Markup, escape

TEXT_CHARS_MAX = 5_000
NUMBER_MAX = 10**15
PLACES_MAX = 6
ITEMS_MAX = 200
_DIRECTIVE = re.compile(r"%(.)?", re.DOTALL)
# Of strftime, what is the same everywhere. `%-d` is `%d` without a leading zero.
_DIRECTIVES = "aAbBdeHIjmMpSyY"


class FilterTooBig(ResourceLimitError):
    """What a filter would make is beyond its bound."""

    def __init__(self) -> None:
        super().__init__("a text or a number grows too big", token=None)


def _text(value: Any) -> str:
    if value is None or isinstance(value, Undefined):
        return ""
    text = value if isinstance(value, str) else str(value)
    if len(text) > TEXT_CHARS_MAX:
        raise FilterTooBig
    return text


def _joined(*parts: str) -> str:
    if sum(map(len, parts)) > TEXT_CHARS_MAX:
        raise FilterTooBig
    first, *rest = parts
    for part in rest:
        first = first + part
    return first


def _number(value: Any) -> Decimal:
    """What is no number counts as 0, as everywhere in Liquid."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return Decimal(0)
    if isinstance(value, int) and abs(value) > NUMBER_MAX:
        raise FilterTooBig
    text = str(value)
    if len(text) > 40:
        raise FilterTooBig
    try:
        number = Decimal(text)
    except InvalidOperation:
        return Decimal(0)
    if not number.is_finite():
        return Decimal(0)
    if abs(number) > NUMBER_MAX:
        raise FilterTooBig
    return number


def _shown(number: Decimal) -> int | float:
    if abs(number) > NUMBER_MAX:
        raise FilterTooBig
    if number == number.to_integral_value():
        return int(number)
    return float(round(number, PLACES_MAX))


def _count(value: Any) -> int:
    return int(max(Decimal(-TEXT_CHARS_MAX), min(Decimal(TEXT_CHARS_MAX), _number(value))))


def _divided(number: Any, other: Any) -> tuple[Decimal, Decimal]:
    divisor = _number(other)
    if not divisor:
        raise FilterArgumentError("nothing can be divided by 0", token=None)
    return _number(number), divisor


def divided_by(number: Any, other: Any) -> int | float:
    """Whole numbers give a whole number, as everywhere in Liquid."""
    dividend, divisor = _divided(number, other)
    if dividend == int(dividend) and divisor == int(divisor) and not isinstance(other, float):
        return int(dividend) // int(divisor)
    return _shown(dividend / divisor)


def modulo(number: Any, other: Any) -> int | float:
    dividend, divisor = _divided(number, other)
    return _shown(dividend - divisor * (dividend // divisor))


def rounded(number: Any, places: Any = 0) -> int | float:
    unit = Decimal(1).scaleb(-max(0, min(PLACES_MAX, int(_number(places)))))
    return _shown(_number(number).quantize(unit, ROUND_HALF_UP))


def money(number: Any) -> str:
    """1234.5 | money -> 1,234.50"""
    return f"{_number(number).quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


def thousands(number: Any) -> str:
    """1234 | thousands -> 1,234"""
    return f"{_shown(_number(number)):,}"


def capitalize(value: Any) -> str:
    text = _text(value)
    return text[:1].upper() + text[1:].lower()


def replace(value: Any, old: Any, new: Any = "") -> str:
    text, sought, put = _text(value), _text(old), _text(new)
    # Before it is made: a hundred characters for each of thousands.
    if len(text) + text.count(sought) * len(put) > TEXT_CHARS_MAX:
        raise FilterTooBig
    return text.replace(sought, put)


def truncate(value: Any, length: Any = 50, end: Any = "...") -> str:
    text, most, ending = _text(value), _count(length), _text(end)
    if len(text) <= most:
        return text
    return _joined(text[: max(0, most - len(ending))], ending)


def truncatewords(value: Any, count: Any = 15, end: Any = "...") -> str:
    text, most = _text(value), max(1, _count(count))
    words = text.split()
    return " ".join(words) if len(words) <= most else _joined(" ".join(words[:most]), _text(end))


def newline_to_br(value: Any) -> Markup:
    return Markup("<br>\n").join(escape(_text(value)).splitlines())


def url_encode(value: Any) -> Markup:
    # Nothing in it is left that HTML would have to escape.
    return Markup(quote(_text(value), safe=""))  # noqa: S704


def default(value: Any, otherwise: Any = "") -> Any:
    """What is missing, empty or false becomes the other. 0 is a number like any other."""
    if value is None or value is False or isinstance(value, Undefined):
        return otherwise
    if isinstance(value, str) and not value.strip():
        return otherwise
    return otherwise if isinstance(value, list | dict) and not value else value


def size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | dict) else 0


def split(value: Any, separator: Any = ",") -> list[str]:
    sought = _text(separator)
    if not sought:
        raise FilterArgumentError("split needs a text to split at", token=None)
    parts = _text(value).split(sought, ITEMS_MAX)
    if len(parts) > ITEMS_MAX:
        raise FilterTooBig
    return parts


def join(value: Any, separator: Any = " ") -> Any:
    if not isinstance(value, list):
        return value
    texts = [_text(item) for item in value[:ITEMS_MAX]]
    between = _text(separator)
    if sum(map(len, texts)) + len(between) * len(texts) > TEXT_CHARS_MAX:
        raise FilterTooBig
    return between.join(texts)


def first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def last(value: Any) -> Any:
    return value[-1] if isinstance(value, list) and value else None


def day_of(value: Any) -> date | None:
    if isinstance(value, date):
        return value
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= 40 else None
    except ValueError:
        return None


def format_date(value: Any, pattern: Any = "%d %b %Y") -> str:
    """What is no date becomes empty. Not strftime of the whole: its widths fill the memory."""
    shown = _text(pattern)
    if len(shown) > 100:
        raise FilterTooBig
    day = day_of(value)

    def directive(match: re.Match[str]) -> str:
        letter = match.group(1) or ""
        if letter == "%":
            return "%"
        if day is None:
            return ""
        if letter == "e":
            return str(day.day)
        if not letter or letter not in _DIRECTIVES:
            raise FilterArgumentError(
                f"a date cannot be written by %{letter}; %d %B %Y gives 31 January 2026", token=None
            )
        return day.strftime(f"%{letter}")

    text = _DIRECTIVE.sub(directive, re.sub(r"%-([dmHI])", lambda m: _unpadded(day, m.group(1)), shown))
    return text if day is not None else ""


def _unpadded(day: date | None, letter: str) -> str:
    return "" if day is None else day.strftime(f"%{letter}").lstrip("0") or "0"


FILTERS: dict[str, Callable[..., Any]] = {
    "append": lambda value, other: _joined(_text(value), _text(other)),
    "prepend": lambda value, other: _joined(_text(other), _text(value)),
    "capitalize": capitalize,
    "upcase": lambda value: _text(value).upper(),
    "downcase": lambda value: _text(value).lower(),
    "strip": lambda value: _text(value).strip(),
    "replace": replace,
    "remove": lambda value, old: replace(value, old, ""),
    "truncate": truncate,
    "truncatewords": truncatewords,
    "newline_to_br": newline_to_br,
    "escape": lambda value: escape(_text(value)),
    "url_encode": url_encode,
    "default": default,
    "size": size,
    "split": split,
    "join": join,
    "first": first,
    "last": last,
    "date": format_date,
    "money": money,
    "thousands": thousands,
    "plus": lambda number, other: _shown(_number(number) + _number(other)),
    "minus": lambda number, other: _shown(_number(number) - _number(other)),
    "times": lambda number, other: _shown(_number(number) * _number(other)),
    "divided_by": divided_by,
    "modulo": modulo,
    "round": rounded,
    "ceil": lambda number: _shown(_number(number).to_integral_value("ROUND_CEILING")),
    "floor": lambda number: _shown(_number(number).to_integral_value("ROUND_FLOOR")),
    "abs": lambda number: _shown(abs(_number(number))),
    "at_least": lambda number, other: _shown(max(_number(number), _number(other))),
    "at_most": lambda number, other: _shown(min(_number(number), _number(other))),
}
