"""Rules in words, as a shopkeeper would say them."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from marketing.segments.fields import FIELDS, Kind
from marketing.segments.language import (
    Condition,
    ConsentIs,
    Day,
    Events,
    ExpiringPoints,
    FieldIs,
    HasAddress,
    InBucket,
    InSegments,
    MetadataIs,
    Purchases,
    RelativeDay,
    Span,
    Window,
)

OP_WORDS = {
    "is": "is", "is_not": "is not", "in": "is one of", "not_in": "is none of", "contains": "contains",
    "not_contains": "does not contain", "starts_with": "starts with", "ends_with": "ends with", "is_set": "is known",
    "is_not_set": "is not known", "gte": "at least", "lte": "at most", "gt": "more than", "lt": "less than", "eq": "exactly",
    "ne": "not", "between": "between", "in_last": "in the last", "not_in_last": "not in the last", "in_next": "in the next",
    "on": "on", "before": "before", "after": "after", "on_or_before": "on or before", "on_or_after": "on or after",
    "any_of": "any of", "all_of": "all of", "none_of": "none of", "in_month": "in the month",
}  # fmt: skip
_MEASURES = {
    "count": "number of purchases", "sum": "money spent", "quantity": "pieces bought", "first": "first purchase",
    "last": "last purchase",
}  # fmt: skip
_EVENT_MEASURES = {"count": "how often", "first": "the first time", "last": "the last time"}


def in_words(condition: Condition, names: Mapping[Any, str] | None = None) -> str:
    """One condition as a phrase. `names` are those of stores and segments by id."""
    names = names or {}
    if isinstance(condition, FieldIs):
        field = FIELDS[condition.name]
        if condition.value is None:
            return f"{field.label} {OP_WORDS[condition.op]}"
        if field.kind is Kind.BIRTHDAY and condition.op == "in_next":
            return f"Birthday in the next {condition.value} days"
        labels = dict(field.choices)
        value = condition.value
        if isinstance(value, tuple) and labels:
            value = tuple(labels.get(each, each) for each in value)
        return f"{field.label} {OP_WORDS[condition.op]} {_value(value, names, condition.op)}"
    if isinstance(condition, MetadataIs):
        about = f"{condition.key} {OP_WORDS[condition.op]}"
        return about if condition.value is None else f"{about} {_value(condition.value, names, condition.op)}"
    if isinstance(condition, ConsentIs):
        allowed = "allows" if condition.granted else "does not allow"
        return f"{allowed} {condition.purpose} by {condition.channel}".capitalize()
    if isinstance(condition, HasAddress):
        return f"Has an address {_address(condition)}"
    if isinstance(condition, Purchases):
        return _purchases(condition, names)
    if isinstance(condition, Events):
        value = f"{OP_WORDS[condition.op]} {_value(condition.value, names, condition.op)}"
        about = "".join(f", {key} {each}" for key, each in condition.data or ())
        return f"{condition.type}{about}: {_EVENT_MEASURES[condition.measure]} {value}{_window(condition.window)}"
    if isinstance(condition, ExpiringPoints):
        value = f"{OP_WORDS[condition.op]} {_value(condition.value, names, condition.op)}"
        return f"Points that end within {condition.within_days} days: {value}"
    if isinstance(condition, InSegments):
        inside = "Is in any of" if condition.op == "any_of" else "Is in none of"
        return f"{inside} {_value(condition.ids, names)}"
    assert isinstance(condition, InBucket)
    return f"By chance, {condition.start}% to {condition.end}% of {condition.salt}"


def _address(condition: HasAddress) -> str:
    parts = []
    if condition.cities:
        parts.append(f"in {_value(condition.cities)}")
    if condition.countries:
        parts.append(f"in {_value(condition.countries)}")
    if condition.postal_code_prefixes:
        parts.append(f"with a postal code from {_value(condition.postal_code_prefixes)}")
    if condition.near:
        near = condition.near
        parts.append(f"within {near.radius_km:g} km of {near.latitude:g}, {near.longitude:g}")
    return ", ".join(parts)


def _purchases(condition: Purchases, names: Mapping[Any, str]) -> str:
    parts = [_MEASURES[condition.measure]]
    for listed, word in (
        (condition.categories, "in category"),
        (condition.skus, "of article"),
        (condition.store_ids, "at"),
        (condition.channels, "by"),
    ):
        if listed:
            parts.append(f"{word} {_value(listed, names)}")
    if condition.amount_at_least is not None:
        parts.append(f"of {condition.amount_at_least} or more")
    parts.append(f"{OP_WORDS[condition.op]} {_value(condition.value, names, condition.op)}")
    text = " ".join(parts) + _window(condition.window)
    return text[:1].upper() + text[1:]


def _window(window: Window) -> str:
    if window.last is not None:
        return f" in the last {_span(window.last)}"
    since = f" from {_day(window.first_day)}" if window.first_day is not None else ""
    until = f" until {_day(window.last_day)}" if window.last_day is not None else ""
    return since + until


def _span(span: Span) -> str:
    unit = span.unit if span.amount != 1 else span.unit.removesuffix("s")
    return f"{span.amount} {unit}"


def _day(day: Day) -> str:
    if isinstance(day, RelativeDay):
        if day.span.amount == 0:
            return "today"
        return f"{_span(day.span)} {'from now' if day.ahead else 'ago'}"
    return day.isoformat()


def _value(value: Any, names: Mapping[Any, str] | None = None, op: str = "") -> str:
    if isinstance(value, tuple):
        joint = " and " if op == "between" else ", "
        return joint.join(_value(each, names) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Span):
        return _span(value)
    if isinstance(value, date | RelativeDay):
        return _day(value)
    return str((names or {}).get(value, value))
