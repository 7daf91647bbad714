"""Taking messages that are due, and giving back what a worker that died had in its hands."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

# Longer than a group of messages takes to be begun and sent.
LEASE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that this worker sends next."""

    id: uuid.UUID
    customer_id: uuid.UUID
    occasion: str
    variant: str
    due_at: datetime
    attempts: int
    incentive_given: bool


def claim(
    *, merchant_id: uuid.UUID, run_id: uuid.UUID, claim_id: uuid.UUID, at: datetime, most: int
) -> list[Claimed]:
    """Take up to `most` due messages of a run, those that wait longest first. Owns its transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "merchant": merchant_id,
                "run": run_id,
                "claim": claim_id,
                "at": at,
                "most": most,
                "lease": LEASE_SECONDS,
            },
        )
        return [Claimed(*row) for row in cursor.fetchall()]


def give_back(*, merchant_id: uuid.UUID, claim_id: uuid.UUID, at: datetime) -> int:
    """What was claimed and not begun waits again: the worker stops, or its campaign does."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, {"merchant": merchant_id, "claim": claim_id, "at": at})
        return cursor.rowcount


def end_leases(*, at: datetime) -> int:
    """After a worker's death: what it had claimed waits again, what it was sending is unknown. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_END_LEASES, {"at": at})
        return cursor.rowcount


_CLAIM = """
WITH due AS (
    SELECT id FROM campaign_messages
    WHERE merchant_id = %(merchant)s AND run_id = %(run)s AND state = 'pending' AND next_attempt_at <= %(at)s
    ORDER BY next_attempt_at LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE campaign_messages message SET state = 'claimed', claim = %(claim)s, next_attempt_at = NULL,
    leased_until = %(at)s + %(lease)s * interval '1 second'
FROM due WHERE message.merchant_id = %(merchant)s AND message.id = due.id
RETURNING message.id, message.customer_id, message.occasion, message.variant, message.due_at, message.attempts,
    message.incentive_given
"""
_GIVE_BACK = """
UPDATE campaign_messages SET state = 'pending', claim = NULL, leased_until = NULL, next_attempt_at = %(at)s
WHERE merchant_id = %(merchant)s AND claim = %(claim)s AND state = 'claimed'
"""
# The claim of an unknown one stays: a worker that was only slow may still say what came of it.
_END_LEASES = """
UPDATE campaign_messages SET
    state = CASE state WHEN 'claimed' THEN 'pending' ELSE 'unknown' END,
    reason = CASE state WHEN 'claimed' THEN reason ELSE 'worker_died' END,
    next_attempt_at = CASE state WHEN 'claimed' THEN %(at)s::timestamptz END,
    claim = CASE state WHEN 'claimed' THEN NULL ELSE claim END,
    leased_until = NULL
WHERE state IN ('claimed', 'sending') AND leased_until <= %(at)s
"""
