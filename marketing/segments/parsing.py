"""From JSON to a rule, or to everything that is wrong with it, each with the JSON pointer of its node.

`schema.RULE_SCHEMA` says the same for editors, all but what a schema cannot say: the number of conditions, that a calendar has
such a day, and that a range begins before it ends.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from cloudpos.api.errors import BadRequest, FieldError
from cloudpos.api.fields import clean_line
from cloudpos.api.parsing import storable
from customers.event_types import EVENT_TYPE, EVENT_TYPE_CHARS_MAX
from customers.identity import normal_tags
from customers.models import Channel, Purpose
from marketing.segments.fields import FIELDS, OPS, Kind
from marketing.segments.language import (
    CONDITION_KEYS,
    CONDITIONS_MAX,
    DAY_OPS,
    DEPTH_MAX,
    EVENT_MEASURES,
    JUNCTIONS,
    NUMBER_OPS,
    POINTS_DAYS_MAX,
    PURCHASE_MEASURES,
    RADIUS_KM_MAX,
    SEGMENT_OPS,
    SEGMENTS_NAMED_MAX,
    SET_OPS,
    SPAN_MAX,
    STORES_NAMED_MAX,
    TEXT_CHARS_MAX,
    TEXTS_MAX,
    Condition,
    ConsentIs,
    Day,
    Events,
    ExpiringPoints,
    FieldIs,
    Group,
    HasAddress,
    InBucket,
    InSegments,
    Near,
    Node,
    Purchases,
    RelativeDay,
    Span,
    Window,
)

PROBLEMS_MAX = 20
WHOLE_MAX = 10**15
MONEY = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,2})?")
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
DAY = re.compile(r"(19[0-9]{2}|2[01][0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
COUNTRY = re.compile(r"[A-Z]{2}")
POSTAL_PREFIX = re.compile(r"[0-9A-Za-z][0-9A-Za-z -]{0,19}")
# Lists that may be given in any of these numbers.
FEW = 10
WINDOWED = frozenset({"window", "measure", "op", "value"})
DATA_KEYS_MAX = 5


class RuleRefused(BadRequest):
    """`errors` name the nodes: a JSON pointer below `rule`."""

    code = "invalid_rule"
    message = "This rule cannot be understood. Please correct the marked conditions."


def parse_rule(data: Any, *, root: str = "rule") -> Node:
    """The tree. Raises RuleRefused."""
    reader = _Reader(root)
    node = reader.node(data, "", depth=1)
    if reader.problems or node is None:
        raise RuleRefused(errors=reader.problems[:PROBLEMS_MAX])
    return node


class _Wrong(Exception):
    def __init__(self, pointer: str, message: str, code: str = "invalid") -> None:
        self.pointer, self.message, self.code = pointer, message, code


class _Reader:
    """Reads on after a mistake, so that one answer names all of them."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.problems: list[FieldError] = []
        self.conditions = 0

    def wrong(self, pointer: str, message: str, code: str = "invalid") -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(FieldError(f"{self.root}{pointer}", message, code))

    def node(self, data: Any, pointer: str, *, depth: int) -> Node | None:
        if type(data) is not dict or len(data) != 1:
            self.wrong(
                pointer,
                f"Say one of {', '.join(JUNCTIONS)} (a group) or {', '.join(CONDITION_KEYS)} (a condition).",
                "invalid_node",
            )
            return None
        (key, inside), here = next(iter(data.items())), pointer
        if key in JUNCTIONS:
            return self.group(key, inside, f"{here}/{key}", depth=depth)
        reader = _CONDITIONS.get(key)
        if reader is None:
            self.wrong(
                here,
                f"There is no condition named {_shown(key)}: say one of {', '.join((*JUNCTIONS, *CONDITION_KEYS))}.",
                "unknown_condition",
            )
            return None
        self.conditions += 1
        if self.conditions == CONDITIONS_MAX + 1:
            self.wrong(here, f"A rule has at most {CONDITIONS_MAX} conditions.", "too_many_conditions")
        if self.conditions > CONDITIONS_MAX:
            return None
        try:
            return reader(inside, f"{here}/{key}")
        except _Wrong as wrong:
            self.wrong(wrong.pointer, wrong.message, wrong.code)
            return None

    def group(self, junction: Any, data: Any, pointer: str, *, depth: int) -> Group | None:
        if depth > DEPTH_MAX:
            self.wrong(pointer, f"Groups nest {DEPTH_MAX} levels deep at most.", "too_deep")
            return None
        if type(data) is not list or not 1 <= len(data) <= CONDITIONS_MAX:
            self.wrong(pointer, f"A group is a list of 1 to {CONDITIONS_MAX} conditions.", "invalid_group")
            return None
        nodes = [self.node(each, f"{pointer}/{index}", depth=depth + 1) for index, each in enumerate(data)]
        return Group(junction, tuple(node for node in nodes if node is not None))


# --- Conditions ---------------------------------------------------------------------------------------------


def _field(data: Any, at: str) -> FieldIs:
    said = _object(data, at, required={"name", "op"}, optional={"value"})
    field = FIELDS.get(said["name"]) if type(said["name"]) is str else None
    if field is None:
        raise _Wrong(f"{at}/name", f"There is no field named {_shown(said['name'])}.", "unknown_field")
    op = _one_of(said["op"], OPS[field.kind], f"{at}/op")
    if op in SET_OPS:
        if "value" in said:
            raise _Wrong(f"{at}/value", f"{op} takes no value.", "unexpected_value")
        return FieldIs(field.name, op)
    if "value" not in said:
        raise _Wrong(at, f"{op} needs a value.", "value_missing")
    return FieldIs(field.name, op, _field_value(field.kind, field.choices, op, said["value"], f"{at}/value"))


def _field_value(kind: Kind, choices: tuple[tuple[str, str], ...], op: str, value: Any, at: str) -> Any:
    if kind is Kind.TEXT:
        return _texts(value, at) if op in ("in", "not_in") else _text(value, at)
    if kind is Kind.CHOICE:
        known = [choice for choice, _ in choices]
        listed = _texts(value, at)
        for index, each in enumerate(listed):
            if known and each not in known:
                raise _Wrong(f"{at}/{index}", f"Say one of {', '.join(known)}.", "invalid_choice")
        return listed
    if kind is Kind.STORE:
        return _ids(value, at, most=STORES_NAMED_MAX)
    if kind is Kind.TAGS:
        tags = tuple(normal_tags(_texts(value, at)))
        if not tags:
            raise _Wrong(at, "Name at least one tag.", "invalid")
        return tags
    if kind is Kind.BIRTHDAY:
        if op == "in_next":
            return _whole(_object(value, at, required={"days"})["days"], f"{at}/days", 0, 366)
        return tuple(
            _whole(each, f"{at}/{index}", 1, 12) for index, each in enumerate(_list(value, at, most=12))
        )
    if kind in (Kind.INSTANT, Kind.DAY):
        return _day_value(op, value, at)
    return _number_value(kind, op, value, at)


def _consent(data: Any, at: str) -> ConsentIs:
    said = _object(data, at, required={"channel", "purpose", "granted"})
    if type(said["granted"]) is not bool:
        raise _Wrong(f"{at}/granted", "This is true or false.")
    return ConsentIs(
        _one_of(said["channel"], Channel.values, f"{at}/channel"),
        _one_of(said["purpose"], Purpose.values, f"{at}/purpose"),
        said["granted"],
    )


def _address(data: Any, at: str) -> HasAddress:
    said = _object(data, at, optional={"countries", "cities", "postalCodePrefixes", "near"})
    if not said:
        raise _Wrong(at, "Say something about the address.", "value_missing")
    return HasAddress(
        countries=_matching(said, "countries", at, COUNTRY, "This must be a country such as GB."),
        cities=_texts(said["cities"], f"{at}/cities") if "cities" in said else (),
        postal_code_prefixes=_matching(
            said,
            "postalCodePrefixes",
            at,
            POSTAL_PREFIX,
            "This must be the start of a postal code such as N1.",
        ),
        near=_near(said["near"], f"{at}/near") if "near" in said else None,
    )


def _near(data: Any, at: str) -> Near:
    said = _object(data, at, required={"latitude", "longitude", "radiusKm"})
    return Near(
        _real(said["latitude"], f"{at}/latitude", -90, 90),
        _real(said["longitude"], f"{at}/longitude", -180, 180),
        _real(said["radiusKm"], f"{at}/radiusKm", 0.001, RADIUS_KM_MAX),
    )


def _purchases(data: Any, at: str) -> Purchases:
    lists = {"storeIds", "categories", "skus", "channels"}
    said = _object(
        data, at, required={"measure", "op", "value"}, optional={"window", "amountAtLeast", *lists}
    )
    measure, op, value = _measured(said, PURCHASE_MEASURES, at)
    texts = {
        name: _texts(said[name], f"{at}/{name}") if name in said else ()
        for name in ("categories", "skus", "channels")
    }
    return Purchases(
        measure, op, value,
        window=_window(said["window"], f"{at}/window") if "window" in said else Window(),
        store_ids=_ids(said["storeIds"], f"{at}/storeIds", most=STORES_NAMED_MAX) if "storeIds" in said else (),
        amount_at_least=_money(said["amountAtLeast"], f"{at}/amountAtLeast") if "amountAtLeast" in said else None,
        **texts,
    )  # fmt: skip


def _events(data: Any, at: str) -> Events:
    said = _object(data, at, required={"type", "measure", "op", "value"}, optional={"window", "data"})
    type_ = said["type"]
    if type(type_) is not str or len(type_) > EVENT_TYPE_CHARS_MAX or not EVENT_TYPE.fullmatch(type_):
        raise _Wrong(f"{at}/type", "This must be a type of event such as page.viewed.", "invalid_event_type")
    measure, op, value = _measured(said, EVENT_MEASURES, at)
    return Events(
        type_, measure, op, value,
        window=_window(said["window"], f"{at}/window") if "window" in said else Window(),
        data=_data(said["data"], f"{at}/data") if "data" in said else None,
    )  # fmt: skip


def _data(value: Any, at: str) -> tuple[tuple[str, Any], ...]:
    """Keys and plain values that the data of an event must have."""
    if type(value) is not dict or not 1 <= len(value) <= DATA_KEYS_MAX:
        raise _Wrong(at, f"This is an object of 1 to {DATA_KEYS_MAX} plain values.", "invalid_data")
    found = []
    for key, each in value.items():
        if type(each) is float and each.is_integer():
            each = int(each)
        if not 1 <= len(key) <= 100 or not storable(key) or type(each) not in (str, int, bool):
            raise _Wrong(
                f"{at}/{_escaped(key)}", "This is text, a whole number, true or false.", "invalid_data"
            )
        if type(each) is str and (len(each) > TEXT_CHARS_MAX or not storable(each)):
            raise _Wrong(f"{at}/{_escaped(key)}", f"At most {TEXT_CHARS_MAX} characters.", "max_length")
        if type(each) is int and abs(each) > WHOLE_MAX:
            raise _Wrong(f"{at}/{_escaped(key)}", "This number is too large.", "out_of_range")
        found.append((key, each))
    return tuple(found)


def _expiring(data: Any, at: str) -> ExpiringPoints:
    said = _object(data, at, required={"withinDays", "op", "value"})
    days = _whole(said["withinDays"], f"{at}/withinDays", 0, POINTS_DAYS_MAX)
    op = _one_of(said["op"], NUMBER_OPS, f"{at}/op")
    return ExpiringPoints(days, op, _number_value(Kind.WHOLE, op, said["value"], f"{at}/value"))


def _segments(data: Any, at: str) -> InSegments:
    said = _object(data, at, required={"op", "ids"})
    return InSegments(
        _one_of(said["op"], SEGMENT_OPS, f"{at}/op"), _ids(said["ids"], f"{at}/ids", most=SEGMENTS_NAMED_MAX)
    )


def _bucket(data: Any, at: str) -> InBucket:
    said = _object(data, at, required={"salt", "from", "to"})
    start, end = _whole(said["from"], f"{at}/from", 0, 99), _whole(said["to"], f"{at}/to", 1, 100)
    if start >= end:
        raise _Wrong(f"{at}/to", "A range ends after it begins.", "range_order")
    return InBucket(_text(said["salt"], f"{at}/salt"), start, end)


_CONDITIONS: Mapping[str, Callable[[Any, str], Condition]] = {
    "field": _field,
    "consent": _consent,
    "address": _address,
    "purchases": _purchases,
    "events": _events,
    "expiringPoints": _expiring,
    "segments": _segments,
    "bucket": _bucket,
}


# --- Values -------------------------------------------------------------------------------------------------


def _measured(said: Mapping[str, Any], measures: Mapping[str, str], at: str) -> tuple[str, str, Any]:
    measure = _one_of(said["measure"], measures, f"{at}/measure")
    kind = measures[measure]
    op = _one_of(said["op"], DAY_OPS if kind == "day" else NUMBER_OPS, f"{at}/op")
    if kind == "day":
        return measure, op, _day_value(op, said["value"], f"{at}/value")
    return measure, op, _number_value(Kind(kind), op, said["value"], f"{at}/value")


def _number_value(kind: Kind, op: str, value: Any, at: str) -> Any:
    read: Callable[[Any, str], Any] = {
        Kind.WHOLE: lambda each, where: _whole(each, where, -WHOLE_MAX, WHOLE_MAX),
        Kind.SHARE: lambda each, where: _real(each, where, 0, 1),
    }.get(kind, _money)
    return _pair(value, at, read) if op == "between" else read(value, at)


def _day_value(op: str, value: Any, at: str) -> Any:
    if op in ("in_last", "not_in_last", "in_next"):
        return _span(value, at)
    return _pair(value, at, _day) if op == "between" else _day(value, at)


def _pair(value: Any, at: str, read: Callable[[Any, str], Any]) -> tuple[Any, Any]:
    if type(value) is not list or len(value) != 2:
        raise _Wrong(at, "This is a list of two: from and to.", "invalid_range")
    low, high = read(value[0], f"{at}/0"), read(value[1], f"{at}/1")
    _in_order(low, high, f"{at}/1")
    return low, high


def _in_order(low: Any, high: Any, at: str) -> None:
    if not isinstance(low, RelativeDay) and not isinstance(high, RelativeDay) and low > high:
        raise _Wrong(at, "A range ends after it begins.", "range_order")


def _window(data: Any, at: str) -> Window:
    said = _object(data, at, optional={"last", "from", "to"})
    if not said or ("last" in said and len(said) > 1):
        raise _Wrong(at, "A window is `last`, or `from` and `to` or one of them.", "invalid_window")
    if "last" in said:
        return Window(last=_span(said["last"], f"{at}/last"))
    first, last = (_day(said[key], f"{at}/{key}") if key in said else None for key in ("from", "to"))
    if first is not None and last is not None:
        _in_order(first, last, f"{at}/to")
    return Window(first_day=first, last_day=last)


def _day(value: Any, at: str) -> Day:
    if type(value) is dict:
        said = _object(value, at, optional={"ago", "ahead"})
        if len(said) != 1:
            raise _Wrong(at, 'Say one of {"ago": ...} and {"ahead": ...}.', "invalid_day")
        way = next(iter(said))
        return RelativeDay(_span(said[way], f"{at}/{way}"), ahead=way == "ahead")
    if type(value) is str and DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise _Wrong(at, 'This must be a day such as "2026-01-31" or {"ago": {"days": 30}}.', "invalid_day")


def _span(value: Any, at: str) -> Span:
    if type(value) is not dict or len(value) != 1 or next(iter(value)) not in SPAN_MAX:
        raise _Wrong(
            at, 'This must be a span such as {"days": 90}: days, weeks, months or years.', "invalid_span"
        )
    unit = next(iter(value))
    return Span(unit, _whole(value[unit], f"{at}/{unit}", 0, SPAN_MAX[unit]))


def _object(
    data: Any, at: str, *, required: Iterable[str] = (), optional: Iterable[str] = ()
) -> Mapping[str, Any]:
    if type(data) is not dict:
        raise _Wrong(at, "This must be an object.", "not_an_object")
    required = set(required)
    for key in data:
        if key not in required and key not in set(optional):
            raise _Wrong(f"{at}/{_escaped(key)}", "This is not known here.", "unknown_field")
    for key in sorted(required):
        if key not in data:
            raise _Wrong(at, f"{key} is missing.", "required")
    return data


def _list(value: Any, at: str, *, most: int) -> list[Any]:
    if type(value) is not list or not 1 <= len(value) <= most:
        raise _Wrong(at, f"This must be a list of 1 to {most} values.", "invalid_list")
    return value


def _text(value: Any, at: str) -> str:
    if type(value) is not str or not 1 <= len(value) <= TEXT_CHARS_MAX or not storable(value):
        raise _Wrong(at, f"This must be text of 1 to {TEXT_CHARS_MAX} characters.", "invalid_text")
    cleaned = clean_line(value)
    if not cleaned:
        raise _Wrong(at, "This must be text that can be seen.", "blank")
    return cleaned


def _texts(value: Any, at: str) -> tuple[str, ...]:
    return tuple(_text(each, f"{at}/{index}") for index, each in enumerate(_list(value, at, most=TEXTS_MAX)))


def _matching(
    said: Mapping[str, Any], name: str, at: str, pattern: re.Pattern[str], message: str
) -> tuple[str, ...]:
    if name not in said:
        return ()
    for index, each in enumerate(_list(said[name], f"{at}/{name}", most=TEXTS_MAX)):
        if type(each) is not str or pattern.fullmatch(each) is None:
            raise _Wrong(f"{at}/{name}/{index}", message, "invalid")
    return tuple(said[name])


def _ids(value: Any, at: str, *, most: int) -> tuple[uuid.UUID, ...]:
    for index, each in enumerate(_list(value, at, most=most)):
        if type(each) is not str or UUID.fullmatch(each) is None:
            raise _Wrong(f"{at}/{index}", "This must be an id.", "invalid_id")
    return tuple(uuid.UUID(each) for each in value)


def _one_of(value: Any, known: Iterable[str], at: str) -> str:
    if type(value) is not str or value not in set(known):
        raise _Wrong(at, f"Say one of {', '.join(known)}.", "invalid_choice")
    return value


def _whole(value: Any, at: str, low: int, high: int) -> int:
    # 3.0 is a whole number in JSON.
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise _Wrong(at, f"This must be a whole number from {low} to {high}.", "out_of_range")
    return value


def _real(value: Any, at: str, low: float, high: float) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
        raise _Wrong(at, f"This must be a number from {low} to {high}.", "out_of_range")
    return float(value)


def _money(value: Any, at: str) -> Decimal:
    if type(value) is not str or MONEY.fullmatch(value) is None:
        raise _Wrong(at, 'This must be an amount such as "12.50".', "invalid_amount")
    return Decimal(value)


def _escaped(key: str) -> str:
    """A key in a JSON pointer, shortened."""
    return _shown(key).replace("~", "~0").replace("/", "~1")


def _shown(value: Any) -> str:
    """What was written, as far as it can be said again."""
    text = value if type(value) is str else type(value).__name__
    return text[:60].encode("utf-8", "backslashreplace").decode().replace("\x00", "\\u0000")
