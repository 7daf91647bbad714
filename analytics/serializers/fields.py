"""Shapes that the resources of analytics share."""

from decimal import Decimal
from typing import Any

from cloudpos.api.rendering import Schema

COUNT: Schema = {"type": "integer"}
MONEY: Schema = {
    "type": "string",
    "examples": ["12.50"],
    "description": "Decimal, in the merchant's currency.",
}
RATE: Schema = {"type": "number"}
DAY: Schema = {"type": "string", "format": "date"}
TEXT: Schema = {"type": "string"}
AS_OF: Schema = {
    "type": ["string", "null"],
    "format": "date-time",
    "description": "Null when everything on record is in the figures; else what came since is not, yet.",
}
NOTES: Schema = {
    "type": "array",
    "items": TEXT,
    "description": "What the figures cannot say by themselves.",
}
# The note beside an `asOf`.
BEING_PREPARED = "A large change is being summed up: what came since `asOf` is not in these figures yet."


def one_or_none(described: Any) -> Schema:
    """A shape or null."""
    return {"oneOf": [described, {"type": "null"}]}


def share(part: Decimal | int, whole: Decimal | int) -> float | None:
    return round(float(part / whole), 4) if whole else None
