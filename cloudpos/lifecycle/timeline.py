"""What happened with a customer, newest first, from every table that tells it: one statement, one ordered list.

Each part reads at most one page from its own index before the parts are merged, so that a page costs the same for a
customer of ten years. Facts that have a row of their own (a sale, an entry of the ledger) come from that row; their
event is left out.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db import connection

from cloudpos.lifecycle.family import family_of
from customers.event_types import OUR_EVENTS
from customers.services import visible_customer_id

# Told by rows of their own.
_ELSEWHERE = sorted(
    type
    for type in OUR_EVENTS
    if type.partition(".")[0] in ("purchase", "points", "consent")
    or type in ("customer.merged", "customer.unmerged")
)

_PURCHASES = """
SELECT p.occurred_at AS at, p.id, 'purchase' AS kind, p.store_id, jsonb_build_object(
    'transactionId', p.transaction_id, 'amount', p.amount::text, 'currency', p.currency, 'channel', p.channel,
    'items', (SELECT count(*) FROM purchase_items i WHERE i.merchant_id = p.merchant_id AND i.purchase_id = p.id)
) AS facts
FROM purchases p WHERE p.merchant_id = %(merchant)s AND p.customer_id = %(customer)s {before_p}
ORDER BY p.occurred_at DESC, p.id DESC LIMIT %(limit)s
"""
_RETURNS = """
SELECT r.occurred_at, r.id, 'return', r.store_id, jsonb_build_object(
    'transactionId', r.transaction_id, 'amount', r.amount::text, 'reason', r.reason, 'purchaseId', r.purchase_id
)
FROM purchase_returns r WHERE r.merchant_id = %(merchant)s AND r.customer_id = %(customer)s {before_r}
ORDER BY r.occurred_at DESC, r.id DESC LIMIT %(limit)s
"""
_POINTS = """
SELECT t.occurred_at, t.id, 'points', t.store_id, jsonb_build_object(
    'type', t.type, 'points', t.points, 'balance', t.balance_after, 'description', t.description,
    'purchaseId', t.purchase_id, 'transactionId', t.transaction_id
)
FROM loyalty_transactions t JOIN loyalty_enrollments e ON e.merchant_id = t.merchant_id AND e.id = t.enrollment_id
WHERE e.merchant_id = %(merchant)s AND e.customer_id = ANY(%(family)s) {before_t}
ORDER BY t.occurred_at DESC, t.id DESC LIMIT %(limit)s
"""
_CONSENTS = """
SELECT c.occurred_at, c.id, 'consent', NULL::uuid, jsonb_build_object(
    'channel', c.channel, 'purpose', c.purpose, 'state', c.state, 'source', c.source,
    'wordingVersion', c.wording_version
)
FROM customer_consents c WHERE c.merchant_id = %(merchant)s AND c.customer_id = %(customer)s {before_c}
ORDER BY c.occurred_at DESC, c.id DESC LIMIT %(limit)s
"""
_EVENTS = """
SELECT v.occurred_at, v.id, 'event', v.store_id, jsonb_build_object('type', v.type, 'data', v.data)
FROM customer_events v WHERE v.merchant_id = %(merchant)s AND v.customer_id = %(customer)s
    AND v.type <> ALL(%(elsewhere)s) {before_v}
ORDER BY v.occurred_at DESC, v.id DESC LIMIT %(limit)s
"""
_MERGES = """
SELECT m.merged_at, m.id, 'merge', NULL::uuid, jsonb_build_object(
    'mergeId', m.id, 'sourceId', m.source_id, 'sourceNumber', s.customer_number, 'undoneAt', m.undone_at
)
FROM customer_merges m JOIN customers s ON s.merchant_id = m.merchant_id AND s.id = m.source_id
WHERE m.merchant_id = %(merchant)s AND m.target_id = %(customer)s {before_m}
ORDER BY m.merged_at DESC, m.id DESC LIMIT %(limit)s
"""
# kind -> (statement, its cursor condition)
PARTS = {
    "purchase": (_PURCHASES, "before_p", "p.occurred_at", "p.id"),
    "return": (_RETURNS, "before_r", "r.occurred_at", "r.id"),
    "points": (_POINTS, "before_t", "t.occurred_at", "t.id"),
    "consent": (_CONSENTS, "before_c", "c.occurred_at", "c.id"),
    "event": (_EVENTS, "before_v", "v.occurred_at", "v.id"),
    "merge": (_MERGES, "before_m", "m.merged_at", "m.id"),
}
KINDS = tuple(PARTS)


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened. `facts` have outside names."""

    id: uuid.UUID
    kind: str
    at: datetime
    store_id: uuid.UUID | None
    facts: dict[str, Any]


def read_timeline(
    *,
    merchant_id: uuid.UUID,
    customer_id: uuid.UUID,
    limit: int,
    kinds: Collection[str] = KINDS,
    before: tuple[datetime, uuid.UUID] | None = None,
) -> tuple[list[Moment], tuple[datetime, uuid.UUID] | None]:
    """Up to `limit` moments before a position, newest first, and the position of the next page (None: the end).

    Either id of a merge finds the one that is left. Raises CustomerNotFound.
    """
    visible = visible_customer_id(merchant_id=merchant_id, customer_id=customer_id)
    family = family_of(merchant_id=merchant_id, customer_id=visible) if "points" in kinds else [visible]
    parameters: dict[str, Any] = {
        "merchant": merchant_id,
        "customer": visible,
        "family": family,
        "elsewhere": _ELSEWHERE,
        # One more than asked for tells whether there is a next page.
        "limit": limit + 1,
    }
    if before is not None:
        parameters["at"], parameters["id"] = before
    parts = []
    for kind in KINDS:
        if kind in kinds:
            statement, name, at, row_id = PARTS[kind]
            # The first comparison is what the index can be entered at.
            condition = (
                f"AND {at} <= %(at)s AND ({at}, {row_id}) < (%(at)s, %(id)s)" if before is not None else ""
            )
            parts.append(f"({statement.format(**{name: condition})})")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS story ORDER BY 1 DESC, 2 DESC LIMIT %(limit)s",  # noqa: S608
            parameters,
        )
        found = [_moment(row) for row in cursor.fetchall()]
    if len(found) <= limit:
        return found, None
    found = found[:limit]
    return found, (found[-1].at, found[-1].id)


def _moment(row: Sequence[Any]) -> Moment:
    at, row_id, kind, store_id, facts = row
    return Moment(row_id, kind, at, store_id, orjson.loads(facts) if isinstance(facts, str) else facts)
