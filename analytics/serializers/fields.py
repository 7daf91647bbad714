"""Shapes that the resources of analytics share."""

from decimal import Decimal

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


def share(part: Decimal | int, whole: Decimal | int) -> float | None:
    return round(float(part / whole), 4) if whole else None
