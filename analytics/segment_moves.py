"""Customers who changed from one segment to another, by the merchant's months: counted once when a month is over.

Whose purchases were looked at for the first time, after an import, is placed in a segment and has not moved.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from analytics.rollups.database import rows, run
from analytics.rollups.spans import nth
from analytics.segmenting import FIRST
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
    """For each of `months_shown`, the most frequent first. Two statements."""
    months = months_shown(today)
    known = _counted(merchant_id, months)
    known |= _count(merchant_id, zone, [month for month in months if month not in known])
    return {
        month: sorted(known[month], key=lambda move: (-move.customers, move.origin, move.target))
        for month in months
    }


def count_months(*, merchant_id: uuid.UUID, zone: ZoneInfo, at: datetime) -> int:
    """Count the months that are over and were not counted. Returns how many; most times there are none."""
    today = (at - OVER_AFTER).astimezone(zone).date()
    over = months_shown(today)[:-1]
    counted = _counted(merchant_id, over)
    missing = [month for month in over if month not in counted]
    if not missing:
        return 0
    with long_statements():
        moves = [
            (month, move)
            for month, found in _count(merchant_id, zone, missing).items()
            for move in [*found, Move("", "", 0)]
        ]
        # Two that count at the same time count the same.
        run(
            "INSERT INTO analytics_segment_moves (merchant_id, month, origin, target, n)"
            " SELECT %(merchant)s, month, origin, target, n FROM unnest("
            "%(months)s::date[], %(origins)s::text[], %(targets)s::text[], %(ns)s::int[]) AS move (month, origin, target, n)"
            " ON CONFLICT DO NOTHING",
            {
                "merchant": merchant_id,
                "months": [month for month, _ in moves],
                "origins": [move.origin for _, move in moves],
                "targets": [move.target for _, move in moves],
                "ns": [move.customers for _, move in moves],
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


def _count(merchant_id: uuid.UUID, zone: ZoneInfo, months: list[date]) -> dict[date, list[Move]]:
    """From the events, of all of these months at once."""
    found: dict[date, list[Move]] = {month: [] for month in months}
    for month, *move in rows(
        "SELECT asked.month, data ->> 'from', data ->> 'to', count(*)"
        " FROM unnest(%(months)s::date[], %(begins)s::timestamptz[], %(ends)s::timestamptz[]) AS asked (month, begins, ends)"
        " JOIN customer_events ON merchant_id = %(merchant)s AND type = 'segment.changed'"
        " AND occurred_at >= asked.begins AND occurred_at < asked.ends AND data ->> %(first)s::text IS NULL"
        " GROUP BY 1, 2, 3",
        {
            "merchant": merchant_id,
            "months": months,
            "begins": [_midnight(month, zone) for month in months],
            "ends": [_midnight(nth(month, "month", 1).first, zone) for month in months],
            "first": FIRST,
        },
    ):
        found[month].append(Move(*move))
    return found


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone)
