"""Why a sale earns its points, in words for the receipt."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from loyalty.rules.arithmetic import from_cents, plain
from loyalty.rules.fold import Sale, SalePoints, eligible_cents
from loyalty.rules.program import Rules
from loyalty.rules.promotions import Award, said

LEFT_OUT_NAMED_MAX = 3


def explain(
    rules: Rules | None,
    sale: Sale,
    earned: SalePoints,
    *,
    currency: str,
    awards: Sequence[Award] = (),
) -> list[dict[str, Any]]:
    """Lines that say why a sale earns its points, one for each promotion; their points add up to `earned.gross`."""
    if rules is None:
        return [_line("not_started", "The loyalty program had not begun at the time of this purchase", 0)]
    if not rules.takes_part(sale.reference[1]):
        return [
            _line("store_takes_no_part", "This store does not take part: the purchase earns no points", 0)
        ]
    eligible = eligible_cents(rules, sale)
    base = rules.points_for(eligible, None)
    rate = plain(rules.points_per_unit)
    message = f"{from_cents(eligible)} {currency}"
    if why := _why(rules, sale, currency):
        of = f" of {from_cents(sale.cents)} {currency}" if eligible < sale.cents else ""
        message = f"{message}{of} earn: {'; '.join(why)};"
    lines = [_line("base", f"{message} at {rate} {_points(rules.points_per_unit)} per {currency}", base)]
    if earned.tier is not None and earned.tier.multiplier != 1:
        multiplier = plain(earned.tier.multiplier)
        lines.append(_line("tier", f"{earned.tier.name}: times {multiplier}", earned.base - base))
    lines += [
        _line("promotion", said(given, currency=currency), given.points) for given in awards if given.applies
    ]
    return lines


def _why(rules: Rules, sale: Sale, currency: str) -> list[str]:
    """What makes the part that earns another than the amount."""
    basis, found = rules.basis, []
    if not basis.with_tax and sale.tax_cents:
        found.append(f"no points on the tax ({from_cents(sale.tax_cents)} {currency})")
    if sale.cents <= 0 and basis.with_discount:
        found.append("nothing was paid")
    elif basis.with_discount and sale.discount_cents:
        found.append(f"points on the discount too ({from_cents(sale.discount_cents)} {currency})")
    if basis.by_line and (names := basis.left_out(sale.lines)):
        more = f" and {len(names) - LEFT_OUT_NAMED_MAX} more" if len(names) > LEFT_OUT_NAMED_MAX else ""
        found.append(f"no points on {', '.join(names[:LEFT_OUT_NAMED_MAX])}{more}")
    return found


def _line(code: str, message: str, points: int) -> dict[str, Any]:
    return {"code": code, "points": points, "message": message}


def _points(number: Decimal) -> str:
    return "point" if number == 1 else "points"
