"""A segment rule as a tree: groups of conditions, and conditions about one customer. Plain values, read-only.

A rule says of every customer whether it holds, never "unknown": what is missing fulfils no condition, and so each negative
operator (`is_not`, `not_in_last`, `none`, ...) is the exact opposite of its positive one.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, TypeAlias

DEPTH_MAX = 5
CONDITIONS_MAX = 50
TEXTS_MAX = 100
TEXT_CHARS_MAX = 200
SEGMENTS_NAMED_MAX = 20
STORES_NAMED_MAX = 100
POINTS_DAYS_MAX = 3_660
RADIUS_KM_MAX = 5_000
# The most of each unit that a span may have: sixty years of shopping, a lifetime since a birth.
SPAN_MAX = {"days": 3_660, "weeks": 520, "months": 600, "years": 120}

Junction: TypeAlias = Literal["all", "any", "none"]
JUNCTIONS: tuple[Junction, ...] = ("all", "any", "none")

# By kind of value, in the order in which an editor offers them.
TEXT_OPS = ("is", "is_not", "in", "not_in", "contains", "not_contains", "starts_with", "ends_with")
SET_OPS = ("is_set", "is_not_set")
CHOICE_OPS = ("in", "not_in")
NUMBER_OPS = ("gte", "lte", "gt", "lt", "eq", "ne", "between")
DAY_OPS = (
    "in_last", "not_in_last", "in_next", "on", "before", "after", "on_or_before", "on_or_after", "between",
)  # fmt: skip
TAG_OPS = ("any_of", "all_of", "none_of")
BIRTHDAY_OPS = ("in_next", "in_month")
SEGMENT_OPS = ("any_of", "none_of")
# Of what a merchant keeps about customers in fields of its own, by how it is read.
METADATA_OPS: dict[str, tuple[str, ...]] = {
    "text": (*TEXT_OPS, *SET_OPS),
    "number": (*NUMBER_OPS, *SET_OPS),
    "day": (*DAY_OPS, *SET_OPS),
    "boolean": ("is", "is_not", *SET_OPS),
    "list": (*TAG_OPS, *SET_OPS),
}
METADATA_KEY_CHARS_MAX = 100


@dataclass(frozen=True, slots=True)
class Span:
    """So many days, weeks, months or years of the calendar."""

    unit: str
    amount: int


@dataclass(frozen=True, slots=True)
class RelativeDay:
    """The day that is a span before today, or after it."""

    span: Span
    ahead: bool = False


Day: TypeAlias = date | RelativeDay


@dataclass(frozen=True, slots=True)
class Window:
    """Whole days: the last so many and today; or from one day to another, both included and either open."""

    last: Span | None = None
    first_day: Day | None = None
    last_day: Day | None = None


@dataclass(frozen=True, slots=True)
class Group:
    junction: Junction
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class FieldIs:
    """A figure or fact of the customer's own: `name` is one of `fields.FIELDS`."""

    name: str
    op: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class MetadataIs:
    """A value of the customer's `metadata`, at its first level, read as one of METADATA_OPS."""

    key: str
    type: str
    op: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class ConsentIs:
    channel: str
    purpose: str
    granted: bool


@dataclass(frozen=True, slots=True)
class Near:
    latitude: float
    longitude: float
    radius_km: float


@dataclass(frozen=True, slots=True)
class HasAddress:
    """One address that fulfils all that is said."""

    countries: tuple[str, ...] = ()
    cities: tuple[str, ...] = ()
    postal_code_prefixes: tuple[str, ...] = ()
    near: Near | None = None


@dataclass(frozen=True, slots=True)
class Purchases:
    """A measure of the purchases that fulfil all that is said and were not wholly taken back."""

    measure: str
    op: str
    value: Any
    window: Window = Window()
    store_ids: tuple[uuid.UUID, ...] = ()
    categories: tuple[str, ...] = ()
    skus: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    amount_at_least: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Events:
    """A measure of the customer's events of one type whose data contains `data`."""

    type: str
    measure: str
    op: str
    value: Any
    window: Window = Window()
    data: Any = None


@dataclass(frozen=True, slots=True)
class ExpiringPoints:
    """Loyalty points that will be over by the end of the day `within_days` from today."""

    within_days: int
    op: str
    value: Any


@dataclass(frozen=True, slots=True)
class InSegments:
    op: str
    ids: tuple[uuid.UUID, ...]


@dataclass(frozen=True, slots=True)
class InBucket:
    """A part of all customers by chance, always the same for the same salt: from `start` to `end` percent."""

    salt: str
    start: int
    end: int


Condition: TypeAlias = (
    FieldIs
    | MetadataIs
    | ConsentIs
    | HasAddress
    | Purchases
    | Events
    | ExpiringPoints
    | InSegments
    | InBucket
)
Node: TypeAlias = Group | Condition
CONDITION_KEYS = (
    "field", "metadata", "consent", "address", "purchases", "events", "expiringPoints", "segments", "bucket",
)  # fmt: skip
# By measure the kind of its value.
PURCHASE_MEASURES = {"count": "whole", "sum": "money", "quantity": "whole", "first": "day", "last": "day"}
EVENT_MEASURES = {"count": "whole", "first": "day", "last": "day"}


def conditions(node: Node, pointer: str = "") -> Iterator[tuple[str, Condition]]:
    """Every condition with its JSON pointer (RFC 6901), in reading order."""
    if isinstance(node, Group):
        for index, child in enumerate(node.nodes):
            yield from conditions(child, f"{pointer}/{node.junction}/{index}")
    else:
        yield pointer, node


def named_segments(node: Node) -> frozenset[uuid.UUID]:
    """The other segments that a rule speaks of."""
    return frozenset(
        id_ for _, found in conditions(node) if isinstance(found, InSegments) for id_ in found.ids
    )


def named_stores(node: Node) -> Iterator[tuple[str, uuid.UUID]]:
    """The stores that a rule speaks of, each with its pointer."""
    for pointer, found in conditions(node):
        if isinstance(found, Purchases):
            for index, id_ in enumerate(found.store_ids):
                yield f"{pointer}/purchases/storeIds/{index}", id_
        elif isinstance(found, FieldIs) and found.name == "homeStoreId" and found.value:
            for index, id_ in enumerate(found.value):
                yield f"{pointer}/field/value/{index}", id_
