"""The ledger's tables as SQL: one statement writes a posting, COPY loads many."""

from __future__ import annotations

COLUMNS = {
    "loyalty_transactions": (
        "id", "merchant_id", "enrollment_id", "version", "type", "points", "balance_before", "balance_after",
        "description", "purchase_id", "purchase_return_id", "reverses_id", "transaction_id", "actor_id", "store_id",
        "content_hash", "occurred_at", "recorded_at",
    ),
    "loyalty_lots": (
        "id", "merchant_id", "enrollment_id", "entry_id", "purchase_id", "points", "remaining", "earned_at",
        "expires_at",
    ),
    "loyalty_allocations": ("id", "merchant_id", "entry_id", "lot_id", "points"),
    "loyalty_shortfalls": (
        "id", "merchant_id", "enrollment_id", "purchase_id", "purchase_return_id", "points", "recorded_at",
    ),
    "loyalty_enrollments": (
        "id", "merchant_id", "customer_id", "program_id", "balance", "version", "tier", "qualifying_spend",
        "last_activity_at", "enrolled_at",
    ),
}  # fmt: skip
_INSERTS = {
    table: (f"INSERT INTO {table} ({','.join(columns)}) VALUES ", f"({','.join(['%s'] * len(columns))})")  # noqa: S608
    for table, columns in COLUMNS.items()
}

USE_LOTS = """
used AS (
    UPDATE loyalty_lots SET remaining = v.remaining FROM unnest(%s::uuid[], %s::bigint[]) v (id, remaining)
    WHERE loyalty_lots.merchant_id = %s AND loyalty_lots.id = v.id
)
"""
UPDATE_ENROLLMENT = """
UPDATE loyalty_enrollments SET balance = %s, version = %s, tier = %s, qualifying_spend = %s, last_activity_at = %s
WHERE merchant_id = %s AND id = %s AND version = %s
"""


def insert(table: str, rows: int) -> str:
    """INSERT of so many rows, with placeholders in the order of COLUMNS."""
    head, row = _INSERTS[table]
    return head + ",".join([row] * rows)
