"""From JSON to a rule, or to everything that is wrong with it, each with the JSON pointer of its node.

`schema.RULE_SCHEMA` says the same for editors, all but what a schema cannot say: the number of conditions, that a calendar has
such a day, and that a range begins before it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloudpos.api.errors import BadRequest, FieldError
from cloudpos.api.parsing import storable
from customers.event_types import EVENT_TYPE, EVENT_TYPE_CHARS_MAX
from customers.identity import normal_tags
from customers.models import Channel, Purpose
from marketing.segments import values
from marketing.segments.fields import FIELDS, OPS, Kind
from marketing.segments.language import (
    CONDITION_KEYS,
    CONDITIONS_MAX,
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
    STORES_NAMED_MAX,
    TEXT_CHARS_MAX,
    Condition,
    ConsentIs,
    Events,
    ExpiringPoints,
    FieldIs,
    Group,
    HasAddress,
    InBucket,
    InSegments,
    MetadataIs,
    Near,
    Node,
    Purchases,
    Window,
)

PROBLEMS_MAX = 20
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
                f"There is no condition named {values.shown(key)}: say one of {', '.join((*JUNCTIONS, *CONDITION_KEYS))}.",
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
        except values.Wrong as wrong:
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
    said = values.mapping(data, at, required={"name", "op"}, optional={"value"})
    field = FIELDS.get(said["name"]) if type(said["name"]) is str else None
    if field is None:
        raise values.Wrong(
            f"{at}/name", f"There is no field named {values.shown(said['name'])}.", "unknown_field"
        )
    op = values.one_of(said["op"], OPS[field.kind], f"{at}/op")
    if not _has_value(said, op, at):
        return FieldIs(field.name, op)
    return FieldIs(field.name, op, _field_value(field.kind, field.choices, op, said["value"], f"{at}/value"))


def _has_value(said: Mapping[str, Any], op: str, at: str) -> bool:
    if op in SET_OPS and "value" in said:
        raise values.Wrong(f"{at}/value", f"{op} takes no value.", "unexpected_value")
    if op not in SET_OPS and "value" not in said:
        raise values.Wrong(at, f"{op} needs a value.", "value_missing")
    return op not in SET_OPS


def _field_value(kind: Kind, choices: tuple[tuple[str, str], ...], op: str, value: Any, at: str) -> Any:
    if kind is Kind.TEXT:
        return values.texts(value, at) if op in ("in", "not_in") else values.text(value, at)
    if kind is Kind.CHOICE:
        known = [choice for choice, _ in choices]
        listed = values.texts(value, at)
        for index, each in enumerate(listed):
            if known and each not in known:
                raise values.Wrong(f"{at}/{index}", f"Say one of {', '.join(known)}.", "invalid_choice")
        return listed
    if kind is Kind.STORE:
        return values.ids(value, at, most=STORES_NAMED_MAX)
    if kind is Kind.TAGS:
        tags = tuple(normal_tags(values.texts(value, at)))
        if not tags:
            raise values.Wrong(at, "Name at least one tag.", "invalid")
        return tags
    if kind is Kind.BIRTHDAY:
        if op == "in_next":
            return values.whole(values.mapping(value, at, required={"days"})["days"], f"{at}/days", 0, 366)
        return tuple(
            values.whole(each, f"{at}/{index}", 1, 12)
            for index, each in enumerate(values.items(value, at, most=12))
        )
    if kind in (Kind.INSTANT, Kind.DAY):
        return values.day_value(op, value, at)
    return values.number_value(kind, op, value, at)


def _metadata(data: Any, at: str) -> MetadataIs:
    said = values.mapping(data, at, required={"key", "type", "op"}, optional={"value"})
    key = said["key"]
    if type(key) is not str or not 1 <= len(key) <= METADATA_KEY_CHARS_MAX or not storable(key):
        raise values.Wrong(
            f"{at}/key", f"This must be text of 1 to {METADATA_KEY_CHARS_MAX} characters.", "invalid_text"
        )
    kind = values.one_of(said["type"], METADATA_OPS, f"{at}/type")
    op = values.one_of(said["op"], METADATA_OPS[kind], f"{at}/op")
    if not _has_value(said, op, at):
        return MetadataIs(key, kind, op)
    return MetadataIs(key, kind, op, _metadata_value(kind, op, said["value"], f"{at}/value"))


def _metadata_value(kind: str, op: str, value: Any, at: str) -> Any:
    if kind == "text":
        return _field_value(Kind.TEXT, (), op, value, at)
    if kind == "list":
        return values.texts(value, at)
    if kind == "day":
        return values.day_value(op, value, at)
    if kind == "number":
        return values.pair(value, at, values.figure) if op == "between" else values.figure(value, at)
    return values.truth(value, at)


def _consent(data: Any, at: str) -> ConsentIs:
    said = values.mapping(data, at, required={"channel", "purpose", "granted"})
    return ConsentIs(
        values.one_of(said["channel"], Channel.values, f"{at}/channel"),
        values.one_of(said["purpose"], Purpose.values, f"{at}/purpose"),
        values.truth(said["granted"], f"{at}/granted"),
    )


def _address(data: Any, at: str) -> HasAddress:
    said = values.mapping(data, at, optional={"countries", "cities", "postalCodePrefixes", "near"})
    if not said:
        raise values.Wrong(at, "Say something about the address.", "value_missing")
    return HasAddress(
        countries=values.matching(
            said, "countries", at, values.COUNTRY, "This must be a country such as GB."
        ),
        cities=values.texts(said["cities"], f"{at}/cities") if "cities" in said else (),
        postal_code_prefixes=values.matching(
            said,
            "postalCodePrefixes",
            at,
            values.POSTAL_PREFIX,
            "This must be the start of a postal code such as N1.",
        ),
        near=_near(said["near"], f"{at}/near") if "near" in said else None,
    )


def _near(data: Any, at: str) -> Near:
    said = values.mapping(data, at, required={"latitude", "longitude", "radiusKm"})
    return Near(
        values.real(said["latitude"], f"{at}/latitude", -90, 90),
        values.real(said["longitude"], f"{at}/longitude", -180, 180),
        values.real(said["radiusKm"], f"{at}/radiusKm", 0.001, RADIUS_KM_MAX),
    )


def _purchases(data: Any, at: str) -> Purchases:
    lists = {"storeIds", "categories", "skus", "channels"}
    said = values.mapping(
        data, at, required={"measure", "op", "value"}, optional={"window", "amountAtLeast", *lists}
    )
    measure, op, value = values.measured(said, PURCHASE_MEASURES, at)
    texts = {
        name: values.texts(said[name], f"{at}/{name}") if name in said else ()
        for name in ("categories", "skus", "channels")
    }
    return Purchases(
        measure, op, value,
        window=values.window(said["window"], f"{at}/window") if "window" in said else Window(),
        store_ids=values.ids(said["storeIds"], f"{at}/storeIds", most=STORES_NAMED_MAX) if "storeIds" in said else (),
        amount_at_least=values.amount(said["amountAtLeast"], f"{at}/amountAtLeast") if "amountAtLeast" in said else None,
        **texts,
    )  # fmt: skip


def _events(data: Any, at: str) -> Events:
    said = values.mapping(data, at, required={"type", "measure", "op", "value"}, optional={"window", "data"})
    type_ = said["type"]
    if type(type_) is not str or len(type_) > EVENT_TYPE_CHARS_MAX or not EVENT_TYPE.fullmatch(type_):
        raise values.Wrong(
            f"{at}/type", "This must be a type of event such as page.viewed.", "invalid_event_type"
        )
    measure, op, value = values.measured(said, EVENT_MEASURES, at)
    return Events(
        type_, measure, op, value,
        window=values.window(said["window"], f"{at}/window") if "window" in said else Window(),
        data=_data(said["data"], f"{at}/data") if "data" in said else None,
    )  # fmt: skip


def _data(value: Any, at: str) -> tuple[tuple[str, Any], ...]:
    """Keys and plain values that the data of an event must have."""
    if type(value) is not dict or not 1 <= len(value) <= DATA_KEYS_MAX:
        raise values.Wrong(at, f"This is an object of 1 to {DATA_KEYS_MAX} plain values.", "invalid_data")
    found = []
    for key, each in value.items():
        if type(each) is float and each.is_integer():
            each = int(each)
        if not 1 <= len(key) <= 100 or not storable(key) or type(each) not in (str, int, bool):
            raise values.Wrong(
                f"{at}/{values.escaped(key)}", "This is text, a whole number, true or false.", "invalid_data"
            )
        if type(each) is str and (len(each) > TEXT_CHARS_MAX or not storable(each)):
            raise values.Wrong(
                f"{at}/{values.escaped(key)}", f"At most {TEXT_CHARS_MAX} characters.", "max_length"
            )
        if type(each) is int and abs(each) > values.WHOLE_MAX:
            raise values.Wrong(f"{at}/{values.escaped(key)}", "This number is too large.", "out_of_range")
        found.append((key, each))
    return tuple(found)


def _expiring(data: Any, at: str) -> ExpiringPoints:
    said = values.mapping(data, at, required={"withinDays", "op", "value"})
    days = values.whole(said["withinDays"], f"{at}/withinDays", 0, POINTS_DAYS_MAX)
    op = values.one_of(said["op"], NUMBER_OPS, f"{at}/op")
    return ExpiringPoints(days, op, values.number_value(Kind.WHOLE, op, said["value"], f"{at}/value"))


def _segments(data: Any, at: str) -> InSegments:
    said = values.mapping(data, at, required={"op", "ids"})
    return InSegments(
        values.one_of(said["op"], SEGMENT_OPS, f"{at}/op"),
        values.ids(said["ids"], f"{at}/ids", most=SEGMENTS_NAMED_MAX),
    )


def _bucket(data: Any, at: str) -> InBucket:
    said = values.mapping(data, at, required={"salt", "from", "to"})
    start, end = values.whole(said["from"], f"{at}/from", 0, 99), values.whole(said["to"], f"{at}/to", 1, 100)
    if start >= end:
        raise values.Wrong(f"{at}/to", "A range ends after it begins.", "range_order")
    return InBucket(values.text(said["salt"], f"{at}/salt"), start, end)


_CONDITIONS: Mapping[str, Callable[[Any, str], Condition]] = {
    "field": _field,
    "metadata": _metadata,
    "consent": _consent,
    "address": _address,
    "purchases": _purchases,
    "events": _events,
    "expiringPoints": _expiring,
    "segments": _segments,
    "bucket": _bucket,
}
