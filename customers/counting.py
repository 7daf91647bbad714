"""Totals without a scan: sums of the deltas that triggers write into `customer_counts`, and their folding."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, transaction

# The columns that deltas are kept by.
KEYS = ("status", "type", "segment", "tier")
_LOCK_KEY = 4_002_001


def count_customers(*, merchant_id: uuid.UUID, among: Mapping[str, Sequence[str]]) -> tuple[int, int]:
    """(visible customers whose KEYS are `among` these values, all visible customers). Exact. One query."""
    sql, params = counted_sql(merchant_id=merchant_id, among=among)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        counted, everybody = cursor.fetchone()
    return int(counted), int(everybody)


def counted_sql(*, merchant_id: uuid.UUID, among: Mapping[str, Sequence[str]]) -> tuple[str, list[Any]]:
    """(SELECT of one row `total`, `everybody`, its parameters): what `count_customers` asks, for a larger statement."""
    conditions = [f"{key} = ANY(%s)" for key in KEYS if key in among]
    matching = f"FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""
    return (
        f"SELECT coalesce(sum(n) {matching}, 0)::bigint AS total, coalesce(sum(n), 0)::bigint AS everybody "  # noqa: S608
        "FROM customer_counts WHERE merchant_id = %s",
        [*(list(among[key]) for key in KEYS if key in among), merchant_id],
    )


def counts_by_key(*, merchant_id: uuid.UUID) -> dict[str, dict[str, int]]:
    """{"status": {"active": 3, ...}, ...} of the visible customers. One query."""
    sets = ", ".join(f"({key})" for key in KEYS)
    picked = ", ".join(f"GROUPING({key})" for key in KEYS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {picked}, {', '.join(KEYS)}, sum(n) FROM customer_counts WHERE merchant_id = %s "  # noqa: S608
            f"GROUP BY GROUPING SETS ({sets}) HAVING sum(n) <> 0",
            [merchant_id],
        )
        rows = cursor.fetchall()
    counted: dict[str, dict[str, int]] = {key: {} for key in KEYS}
    for row in rows:
        for place, key in enumerate(KEYS):
            if row[place] == 0:
                counted[key][row[len(KEYS) + place]] = int(row[-1])
    return counted


def compact_counts() -> int:
    """Fold the deltas of every merchant that has any. Returns how many rows went away.

    One statement deletes rows and inserts their sum, so that a reader sees the rows or the sum, never both and never
    neither. What commits meanwhile is not seen, not deleted, and folded the next time. A second caller goes home.
    """
    gone = 0
    for merchant_id in _uncompacted():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK_KEY])
            if not cursor.fetchone()[0]:
                return gone
            cursor.execute(
                "WITH gone AS (DELETE FROM customer_counts WHERE merchant_id = %s RETURNING status, type, segment, tier, n), "
                "kept AS (INSERT INTO customer_counts (merchant_id, status, type, segment, tier, n) "
                "SELECT %s, status, type, segment, tier, sum(n) FROM gone GROUP BY status, type, segment, tier "
                "HAVING sum(n) <> 0 RETURNING 1) "
                "SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM kept)",
                [merchant_id, merchant_id],
            )
            gone += cursor.fetchone()[0]
    return gone


def _uncompacted() -> list[uuid.UUID]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT merchant_id FROM (SELECT merchant_id FROM customer_counts "
            "GROUP BY merchant_id, status, type, segment, tier HAVING count(*) > 1 OR sum(n) = 0) AS untidy"
        )
        return [row[0] for row in cursor.fetchall()]
