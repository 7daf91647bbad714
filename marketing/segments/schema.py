"""The language of rules as JSON Schema (draft 2020-12), made of the same tables that `parsing` reads by.

Depth is bounded by naming each level. What it cannot say: at most CONDITIONS_MAX conditions altogether, days that the calendar
has, ranges that begin before they end, text that can be seen, and stores and segments that exist.
"""

from typing import Any

from customers.event_types import EVENT_TYPE, EVENT_TYPE_CHARS_MAX
from customers.models import Channel, Purpose
from marketing.segments.fields import FIELDS, OPS, Field, Kind
from marketing.segments.language import (
    CONDITION_KEYS,
    CONDITIONS_MAX,
    DAY_OPS,
    DEPTH_MAX,
    EVENT_MEASURES,
    JUNCTIONS,
    METADATA_KEY_CHARS_MAX,
    METADATA_OPS,
    NUMBER_OPS,
    POINTS_DAYS_MAX,
    PURCHASE_MEASURES,
    RADIUS_KM_MAX,
    SEGMENT_OPS,
    SEGMENTS_NAMED_MAX,
    SET_OPS,
    SPAN_MAX,
    STORES_NAMED_MAX,
    TAG_OPS,
    TEXT_CHARS_MAX,
    TEXT_OPS,
    TEXTS_MAX,
)
from marketing.segments.parsing import DATA_KEYS_MAX
from marketing.segments.values import COUNTRY, DAY, MONEY, POSTAL_PREFIX, UUID, WHOLE_MAX

Schema = dict[str, Any]
SPANNING = ("in_last", "not_in_last", "in_next")


def _of(pattern: Any) -> str:
    return f"^({pattern.pattern})$"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None, **more: Any) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


def _list(item: Schema, most: int) -> Schema:
    return {"type": "array", "items": item, "minItems": 1, "maxItems": most}


def _whole(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _enum(values: Any) -> Schema:
    return {"type": "string", "enum": list(values)}


def _pair(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 2, "maxItems": 2}


_NUMBERS: dict[str, Schema] = {
    "whole": _whole(-WHOLE_MAX, WHOLE_MAX),
    "money": _ref("money"),
    "cents": _ref("money"),
    "share": {"type": "number", "minimum": 0, "maximum": 1},
}


def _comparisons(kind: str) -> list[tuple[tuple[str, ...], Schema | None]]:
    """(operators, schema of their value) of a number or a day."""
    if kind == "day":
        single = tuple(op for op in DAY_OPS if op not in (*SPANNING, "between"))
        return [(SPANNING, _ref("span")), (single, _ref("day")), (("between",), _pair(_ref("day")))]
    number = _NUMBERS[kind]
    return [(tuple(op for op in NUMBER_OPS if op != "between"), number), (("between",), _pair(number))]


def _values(field: Field) -> list[tuple[tuple[str, ...], Schema | None]]:
    kind = field.kind
    if kind is Kind.TEXT:
        several = ("in", "not_in")
        single = tuple(op for op in OPS[kind] if op not in (*several, *SET_OPS))
        return [(single, _ref("text")), (several, _ref("texts")), (SET_OPS, None)]
    if kind is Kind.BIRTHDAY:
        return [
            (("in_next",), _object({"days": _whole(0, 366)})),
            (("in_month",), _list(_whole(1, 12), 12)),
        ]
    plain = tuple(op for op in OPS[kind] if op not in SET_OPS)
    if kind is Kind.CHOICE:
        item = _enum(value for value, _ in field.choices) if field.choices else _ref("text")
        return [(plain, _list(item, TEXTS_MAX)), (SET_OPS, None)]
    if kind is Kind.STORE:
        return [(plain, _list(_ref("id"), STORES_NAMED_MAX)), (SET_OPS, None)]
    if kind is Kind.TAGS:
        return [(plain, _ref("texts")), (SET_OPS, None)]
    shape = "day" if kind in (Kind.INSTANT, Kind.DAY) else kind.value
    return [*_comparisons(shape), (SET_OPS, None)]


def _field() -> Schema:
    found = []
    for field in FIELDS.values():
        for ops, value in _values(field):
            said = {"name": {"const": field.name}, "op": _enum(ops)}
            if value is not None:
                said["value"] = value
            found.append(_object(said, title=field.label))
    return {"oneOf": found}


def _metadata() -> Schema:
    """What stands in `metadata` has no shape that is known here, so a rule says how it is to be read."""
    key = {"type": "string", "minLength": 1, "maxLength": METADATA_KEY_CHARS_MAX}
    number = {"type": "number", "minimum": -WHOLE_MAX, "maximum": WHOLE_MAX}
    several = ("in", "not_in")
    shapes: dict[str, list[tuple[tuple[str, ...], Schema]]] = {
        "text": [
            (tuple(op for op in TEXT_OPS if op not in several), _ref("text")),
            (several, _ref("texts")),
        ],
        "number": [
            (tuple(op for op in NUMBER_OPS if op != "between"), number),
            (("between",), _pair(number)),
        ],
        "day": [(ops, value or {}) for ops, value in _comparisons("day")],
        "boolean": [(("is", "is_not"), {"type": "boolean"})],
        "list": [(TAG_OPS, _ref("texts"))],
    }
    found = []
    for type_ in METADATA_OPS:
        said: dict[str, Schema] = {"key": key, "type": {"const": type_}}
        found += [_object({**said, "op": _enum(ops), "value": value}) for ops, value in shapes[type_]]
        found.append(_object({**said, "op": _enum(SET_OPS)}))
    return {"oneOf": found}


def _measured(measures: dict[str, str], required: dict[str, Schema], optional: dict[str, Schema]) -> Schema:
    found = []
    for kind in dict.fromkeys(measures.values()):
        named = _enum(measure for measure, of in measures.items() if of == kind)
        for ops, value in _comparisons(kind):
            assert value is not None
            found.append(_object({**required, "measure": named, "op": _enum(ops), "value": value}, optional))
    return {"oneOf": found}


def _expiring() -> Schema:
    days = _whole(0, POINTS_DAYS_MAX)
    return {
        "oneOf": [
            _object({"withinDays": days, "op": _enum(ops), "value": value or {}})
            for ops, value in _comparisons("whole")
        ]
    }


def _address() -> Schema:
    near = _object(
        {
            "latitude": {"type": "number", "minimum": -90, "maximum": 90},
            "longitude": {"type": "number", "minimum": -180, "maximum": 180},
            "radiusKm": {"type": "number", "minimum": 0.001, "maximum": RADIUS_KM_MAX},
        }
    )
    return _object(
        {},
        {
            "countries": _list({"type": "string", "pattern": _of(COUNTRY)}, TEXTS_MAX),
            "cities": _ref("texts"),
            "postalCodePrefixes": _list({"type": "string", "pattern": _of(POSTAL_PREFIX)}, TEXTS_MAX),
            "near": near,
        },
        minProperties=1,
        description="One address that fulfils all of it.",
    )


def _conditions() -> dict[str, Schema]:
    plain = {"type": ["string", "integer", "boolean"], "maxLength": TEXT_CHARS_MAX,
             "minimum": -WHOLE_MAX, "maximum": WHOLE_MAX}  # fmt: skip
    window = {"window": _ref("window")}
    return {
        "field": _field(),
        "metadata": _metadata(),
        "consent": _object(
            {
                "channel": _enum(Channel.values),
                "purpose": _enum(Purpose.values),
                "granted": {"type": "boolean"},
            }
        ),
        "address": _address(),
        "purchases": _measured(
            PURCHASE_MEASURES,
            {},
            {
                **window,
                "storeIds": _list(_ref("id"), STORES_NAMED_MAX),
                "categories": _ref("texts"),
                "skus": _ref("texts"),
                "channels": _ref("texts"),
                "amountAtLeast": _ref("money"),
            },
        ),
        "events": _measured(
            EVENT_MEASURES,
            {"type": {"type": "string", "pattern": _of(EVENT_TYPE), "maxLength": EVENT_TYPE_CHARS_MAX}},
            {
                **window,
                "data": {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": DATA_KEYS_MAX,
                    "propertyNames": {"minLength": 1, "maxLength": 100},
                    "additionalProperties": plain,
                },
            },
        ),
        "expiringPoints": _expiring(),
        "segments": _object({"op": _enum(SEGMENT_OPS), "ids": _list(_ref("id"), SEGMENTS_NAMED_MAX)}),
        "bucket": _object({"salt": _ref("text"), "from": _whole(0, 99), "to": _whole(1, 100)}),
    }


def _definitions() -> dict[str, Schema]:
    text = {"type": "string", "minLength": 1, "maxLength": TEXT_CHARS_MAX}
    spans = [_object({unit: _whole(0, most)}) for unit, most in SPAN_MAX.items()]
    relative = [_object({way: _ref("span")}) for way in ("ago", "ahead")]
    found: dict[str, Schema] = {
        "text": text,
        "texts": _list(_ref("text"), TEXTS_MAX),
        "id": {"type": "string", "pattern": _of(UUID)},
        "money": {"type": "string", "pattern": _of(MONEY), "examples": ["12.50"]},
        "span": {"oneOf": spans, "description": "So many days, weeks, months or years of the calendar."},
        "day": {
            "oneOf": [{"type": "string", "format": "date", "pattern": _of(DAY)}, *relative],
            "description": "A day in the merchant's time; also counted from today.",
        },
        "window": {
            "oneOf": [
                _object({"last": _ref("span")}),
                _object({}, {"from": _ref("day"), "to": _ref("day")}, minProperties=1),
            ],
            "description": "Whole days: the last so many and today, or from one day to another, both included.",
        },
    }
    for key, condition in _conditions().items():
        found[key] = _object({key: condition})
    plain = [_ref(key) for key in CONDITION_KEYS]
    found["condition"] = {"oneOf": plain}
    for depth in range(1, DEPTH_MAX + 1):
        nodes: list[Schema] = [_ref("condition")]
        if depth < DEPTH_MAX:
            nodes.append(_ref(f"group{depth + 1}"))
        listed = _list({"oneOf": nodes}, CONDITIONS_MAX)
        found[f"group{depth}"] = {"oneOf": [_object({junction: listed}) for junction in JUNCTIONS]}
    return found


RULE_SCHEMA: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Segment rule",
    "description": f"A tree of conditions about one customer: groups (all, any, none) nest {DEPTH_MAX} levels deep, "
    f"with at most {CONDITIONS_MAX} conditions altogether.",
    "oneOf": [_ref("condition"), _ref("group1")],
    "$defs": _definitions(),
}
