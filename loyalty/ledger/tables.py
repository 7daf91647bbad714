"""The ledger's tables as SQL: a part of one statement, or the columns of a COPY."""

from cloudpos.tenancy.statements import Table
from loyalty.models import Allocation, Enrollment, LedgerEntry, Lot, PromotionAward, Shortfall

COLUMNS = {
    "loyalty_transactions": (
        "id", "merchant_id", "enrollment_id", "version", "type", "points", "balance_before", "balance_after",
        "description", "purchase_id", "purchase_return_id", "reverses_id", "transaction_id", "actor_id", "store_id",
        "content_hash", "occurred_at", "recorded_at",
    ),
    "loyalty_lots": (
        "id", "merchant_id", "enrollment_id", "entry_id", "purchase_id", "points", "remaining", "earned_at",
        "expires_at", "available_at", "while_active",
    ),
    "loyalty_allocations": ("id", "merchant_id", "entry_id", "lot_id", "points", "expired"),
    "loyalty_shortfalls": (
        "id", "merchant_id", "enrollment_id", "purchase_id", "purchase_return_id", "points", "expired",
        "recorded_at",
    ),
    "loyalty_awards": (
        "id", "merchant_id", "promotion_id", "customer_id", "purchase_id", "entry_id", "points", "occurred_at",
        "recorded_at",
    ),
    "loyalty_enrollments": (
        "id", "merchant_id", "customer_id", "program_id", "balance", "version", "tier", "net_spend",
        "last_activity_at", "debt_allowed", "inactive_at", "enrolled_at", "qualifying_amount", "amount_until", "tier_until",
        "tier_at", "tier_revision",
    ),
}  # fmt: skip

TABLES = {
    "loyalty_transactions": Table(LedgerEntry),
    "loyalty_lots": Table(Lot),
    "loyalty_allocations": Table(Allocation),
    "loyalty_shortfalls": Table(Shortfall),
    "loyalty_awards": Table(PromotionAward),
    "loyalty_enrollments": Table(Enrollment),
}

# Nothing when this transaction id is on record: then nothing else of the statement is written either.
NEW_EFFECT = """
ON CONFLICT (merchant_id, store_id, type, transaction_id) WHERE transaction_id <> '' DO NOTHING RETURNING id
"""
USE_LOT = "UPDATE loyalty_lots SET remaining = %s WHERE merchant_id = %s AND id = %s AND {condition}"
USE_LOTS = """
UPDATE loyalty_lots SET remaining = v.remaining FROM unnest(%s::uuid[], %s::bigint[]) v (id, remaining)
WHERE loyalty_lots.merchant_id = %s AND loyalty_lots.id = v.id AND {condition}
"""
UPDATE_ENROLLMENT = """
UPDATE loyalty_enrollments SET balance = %s, version = %s, tier = %s, net_spend = %s, last_activity_at = %s,
    debt_allowed = %s, inactive_at = %s,
    qualifying_amount = %s, amount_until = %s, tier_until = %s, tier_at = %s, tier_revision = %s
WHERE merchant_id = %s AND id = %s AND version = %s AND {condition} RETURNING id
"""
UPDATE_POINTS = """
UPDATE loyalty_enrollments SET balance = %s, version = %s, debt_allowed = %s, inactive_at = %s
WHERE merchant_id = %s AND id = %s AND version = %s AND {condition} RETURNING id
"""
