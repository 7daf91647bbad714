"""Customers who changed from one segment to another, by the merchant's months: counted once when a month is over."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from analytics.rollups.database import rows, run
from analytics.rollups.spans import nth
from analytics.statements import long_statements

MONTHS_SHOWN = 12
# What is written in the last second of a month commits a little after it.
OVER_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Move:
    origin: str
    target: str
    customers: int


def months_shown(today: date) -> list[date]:
    """The first days of the latest months, the running one last."""
    return [nth(today.replace(day=1), "month", n).first for n in range(1 - MONTHS_SHOWN, 1)]


def moves_by_month(*, merchant_id: uuid.UUID, zone: ZoneInfo, today: date) -> dict[date, list[Move]]:
    """For each of `months_shown`, the most frequent first."""
    months = months_shown(today)
    known = _counted(merchant_id, months)
    found: dict[date, list[Move]] = {month: [] for month in months}
    for month in months:
        moves = known[month] if month in known else _count(merchant_id, zone, month)
        found[month] = sorted(moves, key=lambda move: (-move.customers, move.origin, move.target))
    return found


def count_months(*, merchant_id: uuid.UUID, zone: ZoneInfo, at: datetime) -> int:
    """Count the months that are over and were not counted. Returns how many; most times there are none."""
    today = (at - OVER_AFTER).astimezone(zone).date()
    over = months_shown(today)[:-1]
    missing = [month for month in over if month not in _counted(merchant_id, over)]
    for month in missing:
        with long_statements():
            moves = [*_count(merchant_id, zone, month), Move("", "", 0)]
            # Two that count at the same time count the same.
            run(
                "INSERT INTO analytics_segment_moves (merchant_id, month, origin, target, n)"
                " SELECT %(merchant)s, %(month)s, origin, target, n"
                " FROM unnest(%(origins)s::text[], %(targets)s::text[], %(ns)s::int[]) AS move (origin, target, n)"
                " ON CONFLICT DO NOTHING",
                {
                    "merchant": merchant_id,
                    "month": month,
                    "origins": [move.origin for move in moves],
                    "targets": [move.target for move in moves],
                    "ns": [move.customers for move in moves],
                },
            )
    return len(missing)


def _counted(merchant_id: uuid.UUID, months: list[date]) -> dict[date, list[Move]]:
    found: dict[date, list[Move]] = {}
    for month, origin, target, n in rows(
        "SELECT month, origin, target, n FROM analytics_segment_moves"
        " WHERE merchant_id = %(merchant)s AND month = ANY(%(months)s)",
        {"merchant": merchant_id, "months": months},
    ):
        moves = found.setdefault(month, [])
        if n:
            moves.append(Move(origin, target, n))
    return found


def _count(merchant_id: uuid.UUID, zone: ZoneInfo, month: date) -> list[Move]:
    following = nth(month, "month", 1).first
    return [
        Move(*row)
        for row in rows(
            "SELECT data ->> 'from', data ->> 'to', count(*) FROM customer_events"
            " WHERE merchant_id = %(merchant)s AND type = 'segment.changed'"
            " AND occurred_at >= %(begin)s AND occurred_at < %(end)s GROUP BY 1, 2",
            {
                "merchant": merchant_id,
                "begin": datetime.combine(month, time.min, zone),
                "end": datetime.combine(following, time.min, zone),
            },
        )
    ]
