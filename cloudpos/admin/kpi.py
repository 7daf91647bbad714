"""One figure on a card: what it is, how it moved, and where the customers behind it are."""

from dataclasses import dataclass
from decimal import Decimal

from cloudpos.tenancy.formats import change_percent


@dataclass(frozen=True, slots=True)
class Kpi:
    """`tone` is "up" for a change to the better, "down" for one to the worse, empty for one that is neither.

    `exact` is the whole number where `value` is a short form; `url` leads to what is behind it.
    """

    title: str
    value: str
    detail: str
    change: str = ""
    tone: str = ""
    exact: str | None = None
    url: str = ""


def percent_change(now: Decimal | int, before: Decimal | int, *, neutral: bool = False) -> dict[str, str]:
    """`change` and `tone` of a card whose figure is better when it is larger; none when there was nothing before."""
    percent = change_percent(now, before)
    if percent is None:
        return {}
    return {"change": f"{percent:+d}%" if percent else "0%", "tone": "" if neutral else _tone(percent)}


def point_change(
    now: float | None, before: float | None, *, better_when_lower: bool = False
) -> dict[str, str]:
    """The same of a share between 0 and 1, in percentage points."""
    if now is None or before is None:
        return {}
    points = round(100 * (now - before), 1)
    tone = _tone(-points if better_when_lower else points)
    return {"change": f"{points:+.1f} pts" if points else "0 pts", "tone": tone}


def _tone(change: float) -> str:
    return "up" if change > 0 else "down" if change < 0 else ""
