"""A moment of the timeline in words that a store manager understands. Pure functions."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from cloudpos.lifecycle.timeline import Moment
from cloudpos.tenancy.formats import money, signed
from customers.models import Channel, Purpose
from loyalty.models import LedgerEntry


@dataclass(frozen=True, slots=True)
class Line:
    at: datetime
    icon: str
    title: str
    detail: str = ""
    shade: str = "grey"


def tell(moments: Sequence[Moment], *, currency: str, stores: Mapping[uuid.UUID, str]) -> list[Line]:
    """One line per moment, newest first; what belongs to one purchase or one correction shares a line."""
    earned: dict[str, int] = {}
    shown = {str(moment.id) for moment in moments if moment.kind == "purchase"}
    for moment in moments:
        if _is_earning(moment, shown):
            sale = moment.facts["purchaseId"]
            earned[sale] = earned.get(sale, 0) + moment.facts["points"]
    lines: list[Line] = []
    corrections: list[Moment] = []
    for moment in moments:
        if corrections and not (_is_correction(moment) and _cause(moment) == _cause(corrections[0])):
            lines.append(_corrected(corrections))
            corrections = []
        if _is_correction(moment):
            corrections.append(moment)
        elif not _is_earning(moment, shown):
            store = stores.get(moment.store_id, "") if moment.store_id else ""
            lines.append(_told(moment, currency=currency, store=store, points=earned.get(str(moment.id), 0)))
    if corrections:
        lines.append(_corrected(corrections))
    return lines


def _is_earning(moment: Moment, purchases: Collection[str]) -> bool:
    """Points of a purchase that has a line itself."""
    return (
        moment.kind == "points"
        and moment.facts["type"] == LedgerEntry.Type.EARNED
        and moment.facts["purchaseId"] in purchases
    )


def _is_correction(moment: Moment) -> bool:
    """An earlier purchase's points, worked out again: a late sale may cause one for each that followed it."""
    return (
        moment.kind == "points"
        and moment.facts["type"] == LedgerEntry.Type.ADJUSTED
        and bool(moment.facts["purchaseId"])
    )


def _cause(moment: Moment) -> tuple[datetime, str]:
    return moment.at, moment.facts["description"].split(": ")[0]


def _corrected(moments: Sequence[Moment]) -> Line:
    points = sum(moment.facts["points"] for moment in moments)
    return Line(
        moments[0].at, "toll", f"Points corrected by {signed(points)}", _cause(moments[0])[1], "violet"
    )


def _told(moment: Moment, *, currency: str, store: str, points: int) -> Line:
    """`store` is the name of where it happened, empty for nowhere; `points` what a purchase earned."""
    facts = moment.facts
    if moment.kind == "purchase":
        paid = money(Decimal(facts["amount"]), facts["currency"])
        items = f"{facts['items']} item{'s' if facts['items'] != 1 else ''}" if facts["items"] else ""
        gain = _points(points) if points else ""
        detail = _joined(items, store, facts["transactionId"], gain)
        return Line(moment.at, "shopping_bag", f"Bought for {paid}", detail, "green")
    if moment.kind == "return":
        back = money(Decimal(facts["amount"]), currency)
        return Line(moment.at, "undo", f"Returned {back}", _joined(facts["reason"], store), "orange")
    if moment.kind == "points":
        verb = LedgerEntry.Type(facts["type"]).label
        return Line(moment.at, "toll", f"{verb}: {_points(facts['points'])}", facts["description"], "violet")
    if moment.kind == "consent":
        verb = "Agreed to" if facts["state"] == "granted" else "Withdrew"
        what = f"{Purpose(facts['purpose']).label.lower()} by {Channel(facts['channel']).label}"
        return Line(moment.at, "verified_user", f"{verb} {what}", facts["source"].capitalize(), "blue")
    if moment.kind == "merge":
        undone = ", undone since" if facts["undoneAt"] else ""
        return Line(moment.at, "merge", f"Merged with customer {facts['sourceNumber']}{undone}")
    return _event(moment, store)


def _event(moment: Moment, store: str) -> Line:
    type, data = moment.facts["type"], moment.facts["data"]
    data = data if isinstance(data, dict) else {}
    if type == "customer.created":
        return Line(moment.at, "person_add", "Became a customer", store)
    if type == "tier.changed":
        return Line(moment.at, "military_tech", f"Tier is now {_word(data.get('to'))}", shade="violet")
    if type == "segment.changed":
        return Line(
            moment.at,
            "donut_small",
            f"Segment is now {_inline(data.get('to'))}",
            _joined(_word(data.get("reason")), "first assessment" if data.get("isFirst") else ""),
        )
    if type == "customer.updated":
        return Line(moment.at, "edit", "Record changed", _fields(data.get("fields")))
    if type == "address.changed":
        return Line(moment.at, "home_pin", f"Address {_word(data.get('action') or 'changed').lower()}")
    return Line(moment.at, "bolt", _word(type.replace(".", " ")), store)


def _points(number: int) -> str:
    """+1 point, -20 points."""
    return f"{signed(number)} {'point' if abs(number) == 1 else 'points'}"


def _fields(names: Any) -> str:
    words = [_word(name.removesuffix("_id")).lower() for name in names or [] if isinstance(name, str)]
    return ", ".join(words).capitalize()


def _word(code: Any) -> str:
    """at_risk as "At risk", vip as "VIP"."""
    text = str(code or "").replace("_", " ").strip()
    return text.upper() if text == "vip" else text[:1].upper() + text[1:]


def _inline(code: Any) -> str:
    """The same inside of a sentence: "at risk", but "VIP"."""
    word = _word(code)
    return word if word.isupper() else word.lower()


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
