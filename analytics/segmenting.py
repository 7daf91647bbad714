"""Scores and lifecycle segments of many customers at once: the rules of `analytics.segments`, said in SQL."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from django.db import connection

from analytics.models import CutPoints
from analytics.segments import GAP_DAYS_UNKNOWN, SEGMENT_OF, Reason, Rules
from customers.events import emit_all, event
from customers.services import write_segments

# Of those whose segment changes at most so many are locked per transaction: a till may wait for one of them.
MOVES_MAX = 500

# In the data of a `segment.changed` that is no move: the customer's purchases were looked at for the first time.
FIRST = "isFirst"

# Which line decides, by the columns of `f`, which are all NULL for who has not bought. In the order of `decide`.
REASON = f"""
CASE
    WHEN f.id IS NULL THEN '{Reason.NO_PURCHASE}'
    WHEN f.as_of - f.first_day <= %(new_days)s THEN '{Reason.FIRST_PURCHASE_RECENT}'
    WHEN f.as_of - f.last_day <= %(active_days)s AND f.spend_365d_cents >= %(vip_cents)s::bigint
        THEN '{Reason.TOP_SHARE}'
    WHEN f.churn >= %(churned_probability)s THEN '{Reason.UNLIKELY_TO_RETURN}'
    WHEN f.as_of - f.last_day > %(churned_days)s AND f.as_of - f.last_day > %(churned_gaps)s * coalesce(
        (f.last_day - f.first_day)::float8 / nullif(f.purchase_days - 1, 0), {GAP_DAYS_UNKNOWN}
    ) THEN '{Reason.SILENT_FOR_LONG}'
    WHEN f.churn >= %(at_risk_probability)s AND f.purchase_days >= %(at_risk_purchase_days)s
        THEN '{Reason.MAY_NOT_RETURN}'
    ELSE '{Reason.AS_USUAL}'
END
"""
_SEGMENTS = " ".join(f"WHEN '{reason}' THEN '{segment}'" for reason, segment in SEGMENT_OF.items())
SEGMENT = f"CASE ({REASON}) {_SEGMENTS} END"

# Thresholds that lie below a whole number are those that are at most the number before it.
SCORES = {
    "recency_score": "1 + width_bucket(f.last_day - 1, %(recency_cuts)s::date[])",
    "frequency_score": "1 + width_bucket(f.purchase_days - 1, %(frequency_cuts)s::int[])",
    "monetary_score": "1 + width_bucket(f.total_cents - 1, %(monetary_cuts)s::bigint[])",
}
_SCORES = ", ".join(f"{sql} AS {name}" for name, sql in SCORES.items())

# Locked in order of id, and looked at again once locked: who was merged away or erased meanwhile is not among them. Figures whose
# reason is empty were never settled: who is new and has them comes with a history, out of an import, and is placed, not moved.
_MOVING = f"""
SELECT c.id, c.segment, {REASON}, coalesce(c.segment = 'new' AND f.segment_reason = '', false)
FROM customers c
LEFT JOIN analytics_customers f ON f.merchant_id = c.merchant_id AND f.customer_id = c.id
WHERE c.merchant_id = %(merchant)s AND c.deleted_at IS NULL AND c.id = ANY(%(ids)s) AND c.segment <> {SEGMENT}
ORDER BY c.id LIMIT %(most)s FOR NO KEY UPDATE OF c
"""  # noqa: S608 - words of ours

_SETTLE = f"""
UPDATE analytics_customers SET segment = s.segment, segment_reason = s.reason, recency_score = s.recency_score,
    frequency_score = s.frequency_score, monetary_score = s.monetary_score
FROM (
    SELECT f.id, {SEGMENT} AS segment, {REASON} AS reason, {_SCORES}
    FROM analytics_customers f WHERE f.merchant_id = %(merchant)s AND f.customer_id = ANY(%(ids)s)
) s
WHERE analytics_customers.merchant_id = %(merchant)s AND analytics_customers.id = s.id AND (
    analytics_customers.segment, analytics_customers.segment_reason, analytics_customers.recency_score,
    analytics_customers.frequency_score, analytics_customers.monetary_score
) <> (s.segment, s.reason, s.recency_score, s.frequency_score, s.monetary_score)
"""  # noqa: S608

_SNAPSHOTS = """
INSERT INTO analytics_snapshots (id, merchant_id, customer_id, month, as_of, segment, churn, churn_band, recency_score,
    frequency_score, monetary_score, purchase_days, total_cents, spend_365d_cents, expected_365d_cents, recorded_at)
SELECT gen_random_uuid(), merchant_id, customer_id, %(month)s, as_of, segment, churn, churn_band, recency_score,
    frequency_score, monetary_score, purchase_days, total_cents, spend_365d_cents, expected_365d_cents, statement_timestamp()
FROM analytics_customers WHERE merchant_id = %(merchant)s AND customer_id = ANY(%(ids)s)
ON CONFLICT (merchant_id, customer_id, month) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Moving:
    """A customer whose segment is not `segment` any more; `is_first` when nobody has looked at their purchases before."""

    customer_id: uuid.UUID
    segment: str
    reason: Reason
    is_first: bool


def rule_parameters(rules: Rules, *, vip_cents: int | None) -> dict[str, Any]:
    """What REASON and SEGMENT are executed with."""
    return {**asdict(rules), "vip_cents": vip_cents}


def settle(cuts: CutPoints, rules: Rules, customer_ids: Sequence[uuid.UUID]) -> tuple[int, bool]:
    """Put these customers into the segments and fifths where their figures belong, with an event for each change.

    (how many changed their segment, whether that was all): at most MOVES_MAX at once, so call it again in another transaction.
    Under `locked`. Who is not visible is left alone.
    """
    parameters = {
        **rule_parameters(rules, vip_cents=cuts.vip_cents),
        "merchant": cuts.merchant_id,
        "ids": list(customer_ids),
        "most": MOVES_MAX,
        "recency_cuts": cuts.recency_cuts,
        "frequency_cuts": cuts.frequency_cuts,
        "monetary_cuts": cuts.monetary_cuts,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVING, parameters)
        moving = [
            Moving(id_, segment, Reason(reason), first) for id_, segment, reason, first in cursor.fetchall()
        ]
    if moving:
        _move(cuts.merchant_id, moving)
    is_done = len(moving) < MOVES_MAX
    if not is_done:
        parameters["ids"] = [each.customer_id for each in moving]
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, parameters)
    return len(moving), is_done


def _move(merchant_id: uuid.UUID, moving: Sequence[Moving]) -> None:
    write_segments(
        merchant_id=merchant_id,
        segments={each.customer_id: SEGMENT_OF[each.reason].value for each in moving},
    )
    emit_all(
        [
            event(
                merchant_id=merchant_id,
                customer_id=each.customer_id,
                type="segment.changed",
                data={
                    "from": each.segment,
                    "to": SEGMENT_OF[each.reason].value,
                    "reason": each.reason.value,
                    **({FIRST: True} if each.is_first else {}),
                },
            )
            for each in moving
        ]
    )


def write_snapshots(*, merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID], month: date) -> None:
    """Keep how these customers stand as the end of a month, given by its first day. What is there stays."""
    with connection.cursor() as cursor:
        cursor.execute(_SNAPSHOTS, {"merchant": merchant_id, "ids": list(customer_ids), "month": month})
