"""The values of conditions: each reader takes what JSON has and its pointer, and raises Wrong for anything else."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from cloudpos.api.fields import clean_line
from cloudpos.api.parsing import storable
from marketing.segments.fields import Kind
from marketing.segments.language import (
    DAY_OPS,
    NUMBER_OPS,
    SPAN_MAX,
    TEXT_CHARS_MAX,
    TEXTS_MAX,
    Day,
    RelativeDay,
    Span,
    Window,
)

WHOLE_MAX = 10**15
MONEY = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,2})?")
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
DAY = re.compile(r"(19[0-9]{2}|2[01][0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
COUNTRY = re.compile(r"[A-Z]{2}")
POSTAL_PREFIX = re.compile(r"[0-9A-Za-z][0-9A-Za-z -]{0,19}")


class Wrong(Exception):
    def __init__(self, pointer: str, message: str, code: str = "invalid") -> None:
        self.pointer, self.message, self.code = pointer, message, code


def measured(said: Mapping[str, Any], measures: Mapping[str, str], at: str) -> tuple[str, str, Any]:
    measure = one_of(said["measure"], measures, f"{at}/measure")
    kind = measures[measure]
    op = one_of(said["op"], DAY_OPS if kind == "day" else NUMBER_OPS, f"{at}/op")
    if kind == "day":
        return measure, op, day_value(op, said["value"], f"{at}/value")
    return measure, op, number_value(Kind(kind), op, said["value"], f"{at}/value")


def number_value(kind: Kind, op: str, value: Any, at: str) -> Any:
    read: Callable[[Any, str], Any] = {
        Kind.WHOLE: lambda each, where: whole(each, where, -WHOLE_MAX, WHOLE_MAX),
        Kind.SHARE: lambda each, where: real(each, where, 0, 1),
    }.get(kind, amount)
    return pair(value, at, read) if op == "between" else read(value, at)


def day_value(op: str, value: Any, at: str) -> Any:
    if op in ("in_last", "not_in_last", "in_next"):
        return span(value, at)
    return pair(value, at, day) if op == "between" else day(value, at)


def pair(value: Any, at: str, read: Callable[[Any, str], Any]) -> tuple[Any, Any]:
    if type(value) is not list or len(value) != 2:
        raise Wrong(at, "This is a list of two: from and to.", "invalid_range")
    low, high = read(value[0], f"{at}/0"), read(value[1], f"{at}/1")
    in_order(low, high, f"{at}/1")
    return low, high


def in_order(low: Any, high: Any, at: str) -> None:
    if not isinstance(low, RelativeDay) and not isinstance(high, RelativeDay) and low > high:
        raise Wrong(at, "A range ends after it begins.", "range_order")


def window(data: Any, at: str) -> Window:
    said = mapping(data, at, optional={"last", "from", "to"})
    if not said or ("last" in said and len(said) > 1):
        raise Wrong(at, "A window is `last`, or `from` and `to` or one of them.", "invalid_window")
    if "last" in said:
        return Window(last=span(said["last"], f"{at}/last"))
    first, last = (day(said[key], f"{at}/{key}") if key in said else None for key in ("from", "to"))
    if first is not None and last is not None:
        in_order(first, last, f"{at}/to")
    return Window(first_day=first, last_day=last)


def day(value: Any, at: str) -> Day:
    if type(value) is dict:
        said = mapping(value, at, optional={"ago", "ahead"})
        if len(said) != 1:
            raise Wrong(at, 'Say one of {"ago": ...} and {"ahead": ...}.', "invalid_day")
        way = next(iter(said))
        return RelativeDay(span(said[way], f"{at}/{way}"), ahead=way == "ahead")
    if type(value) is str and DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise Wrong(at, 'This must be a day such as "2026-01-31" or {"ago": {"days": 30}}.', "invalid_day")


def span(value: Any, at: str) -> Span:
    if type(value) is not dict or len(value) != 1 or next(iter(value)) not in SPAN_MAX:
        raise Wrong(
            at, 'This must be a span such as {"days": 90}: days, weeks, months or years.', "invalid_span"
        )
    unit = next(iter(value))
    return Span(unit, whole(value[unit], f"{at}/{unit}", 0, SPAN_MAX[unit]))


def mapping(
    data: Any, at: str, *, required: Iterable[str] = (), optional: Iterable[str] = ()
) -> Mapping[str, Any]:
    if type(data) is not dict:
        raise Wrong(at, "This must be an object.", "not_an_object")
    required = set(required)
    for key in data:
        if key not in required and key not in set(optional):
            raise Wrong(f"{at}/{escaped(key)}", "This is not known here.", "unknown_field")
    for key in sorted(required):
        if key not in data:
            raise Wrong(at, f"{key} is missing.", "required")
    return data


def items(value: Any, at: str, *, most: int) -> list[Any]:
    if type(value) is not list or not 1 <= len(value) <= most:
        raise Wrong(at, f"This must be a list of 1 to {most} values.", "invalid_list")
    return value


def text(value: Any, at: str) -> str:
    if type(value) is not str or not 1 <= len(value) <= TEXT_CHARS_MAX or not storable(value):
        raise Wrong(at, f"This must be text of 1 to {TEXT_CHARS_MAX} characters.", "invalid_text")
    cleaned = clean_line(value)
    if not cleaned:
        raise Wrong(at, "This must be text that can be seen.", "blank")
    return cleaned


def texts(value: Any, at: str) -> tuple[str, ...]:
    return tuple(text(each, f"{at}/{index}") for index, each in enumerate(items(value, at, most=TEXTS_MAX)))


def matching(
    said: Mapping[str, Any], name: str, at: str, pattern: re.Pattern[str], message: str
) -> tuple[str, ...]:
    if name not in said:
        return ()
    for index, each in enumerate(items(said[name], f"{at}/{name}", most=TEXTS_MAX)):
        if type(each) is not str or pattern.fullmatch(each) is None:
            raise Wrong(f"{at}/{name}/{index}", message, "invalid")
    return tuple(said[name])


def ids(value: Any, at: str, *, most: int) -> tuple[uuid.UUID, ...]:
    for index, each in enumerate(items(value, at, most=most)):
        if type(each) is not str or UUID.fullmatch(each) is None:
            raise Wrong(f"{at}/{index}", "This must be an id.", "invalid_id")
    return tuple(uuid.UUID(each) for each in value)


def one_of(value: Any, known: Iterable[str], at: str) -> str:
    if type(value) is not str or value not in set(known):
        raise Wrong(at, f"Say one of {', '.join(known)}.", "invalid_choice")
    return value


def whole(value: Any, at: str, low: int, high: int) -> int:
    # 3.0 is a whole number in JSON.
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise Wrong(at, f"This must be a whole number from {low} to {high}.", "out_of_range")
    return value


def real(value: Any, at: str, low: float, high: float) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
        raise Wrong(at, f"This must be a number from {low} to {high}.", "out_of_range")
    return float(value)


def figure(value: Any, at: str) -> Decimal:
    """As it is written: 0.1 is a tenth."""
    real(value, at, -WHOLE_MAX, WHOLE_MAX)
    return Decimal(str(value))


def truth(value: Any, at: str) -> bool:
    if type(value) is not bool:
        raise Wrong(at, "This is true or false.")
    return value


def amount(value: Any, at: str) -> Decimal:
    if type(value) is not str or MONEY.fullmatch(value) is None:
        raise Wrong(at, 'This must be an amount such as "12.50".', "invalid_amount")
    return Decimal(value)


def escaped(key: str) -> str:
    """A key in a JSON pointer, shortened."""
    return shown(key).replace("~", "~0").replace("/", "~1")


def shown(value: Any) -> str:
    """What was written, as far as it can be said again."""
    word = value if type(value) is str else type(value).__name__
    return word[:60].encode("utf-8", "backslashreplace").decode().replace("\x00", "\\u0000")
