"""Why a sale earns its points, in words for the receipt."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from loyalty.rules.arithmetic import from_cents, plain
from loyalty.rules.fold import Sale, SalePoints, eligible_cents
from loyalty.rules.program import Rules


def explain(rules: Rules | None, sale: Sale, earned: SalePoints, *, currency: str) -> list[dict[str, Any]]:
    """Lines that say why a sale earns its points; their points add up to `earned.base`."""
    if rules is None:
        return [_line("not_started", "The loyalty program had not begun at the time of this purchase", 0)]
    eligible = eligible_cents(rules, sale)
    base = rules.points_for(eligible, None)
    amount = f"{from_cents(eligible)} {currency}"
    if eligible != sale.cents:
        amount = f"{amount} of {from_cents(sale.cents)} {currency}"
    rate = plain(rules.points_per_unit)
    lines = [_line("base", f"{amount} at {rate} {_points(rules.points_per_unit)} per {currency}", base)]
    if earned.tier is not None and earned.tier.multiplier != 1:
        multiplier = plain(earned.tier.multiplier)
        lines.append(_line("tier", f"{earned.tier.name}: times {multiplier}", earned.base - base))
    return lines


def _line(code: str, message: str, points: int) -> dict[str, Any]:
    return {"code": code, "points": points, "message": message}


def _points(number: Decimal) -> str:
    return "point" if number == 1 else "points"
