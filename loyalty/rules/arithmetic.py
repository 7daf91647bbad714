"""Exact arithmetic on whole numbers: money in hundredths of the currency unit ("cents" here, whatever the currency
calls them), rates and multipliers scaled by powers of ten.
"""

from __future__ import annotations

from decimal import Decimal

POINTS_PER_ENTRY_MAX = 1_000_000_000
CENTS = 100
RATE_SCALE = 10_000
MULTIPLIER_SCALE = 1_000
POINT_SCALE = CENTS * RATE_SCALE * MULTIPLIER_SCALE

ROUNDINGS = ("down", "half_up", "up")


def to_cents(amount: Decimal) -> int:
    """Hundredths of the currency unit. Raises ValueError when `amount` has more than two decimal places."""
    scaled = amount * CENTS
    cents = int(scaled)
    if cents != scaled:
        raise ValueError(f"{amount} is not a whole number of hundredths")
    return cents


def from_cents(cents: int) -> Decimal:
    """The amount with two decimal places."""
    return Decimal(cents).scaleb(-2)


def divide(numerator: int, denominator: int, rounding: str) -> int:
    """The quotient of two non-negative whole numbers, rounded `down`, `half_up` or `up`."""
    if rounding == "down":
        return numerator // denominator
    if rounding == "up":
        return -(-numerator // denominator)
    if rounding == "half_up":
        return (2 * numerator + denominator) // (2 * denominator)
    raise ValueError(f"{rounding!r} is not one of {', '.join(ROUNDINGS)}")


def plain(number: Decimal) -> str:
    """1.2500 as 1.25, 100.00 as 100."""
    return f"{number.normalize():f}"
