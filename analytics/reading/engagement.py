"""What a customer makes of the loyalty program."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection


@dataclass(frozen=True, slots=True)
class Engagement:
    """Points of the customer's account in the program that is or was active. Redeemed: less what was given back."""

    enrolled_at: datetime
    tier: str
    balance: int
    earned: int
    redeemed: int
    expired: int
    redemptions: int
    last_redeemed_at: datetime | None

    @property
    def redemption_share(self) -> float | None:
        """Points redeemed per point earned; None before any was earned."""
        return round(self.redeemed / self.earned, 4) if self.earned > 0 else None


# What a reversal undoes counts as if it had not been.
_ENGAGEMENT = """
SELECT account.enrolled_at, account.tier, account.balance,
    coalesce(sum(entry.points) FILTER (WHERE entry.kind IN ('earned', 'bonus')), 0)::bigint,
    coalesce(-sum(entry.points) FILTER (WHERE entry.kind = 'redeemed'), 0)::bigint,
    coalesce(-sum(entry.points) FILTER (WHERE entry.kind = 'expired'), 0)::bigint,
    count(*) FILTER (WHERE entry.type = 'redeemed' AND NOT entry.is_reversed),
    max(entry.occurred_at) FILTER (WHERE entry.type = 'redeemed' AND NOT entry.is_reversed)
FROM (
    SELECT * FROM loyalty_enrollments
    WHERE merchant_id = %(merchant)s AND customer_id = %(customer)s ORDER BY enrolled_at DESC LIMIT 1
) account
LEFT JOIN LATERAL (
    SELECT entry.type, coalesce(original.type, entry.type) AS kind, entry.points, entry.occurred_at,
        EXISTS (
            SELECT 1 FROM loyalty_transactions reversal
            WHERE reversal.merchant_id = entry.merchant_id AND reversal.reverses_id = entry.id
        ) AS is_reversed
    FROM loyalty_transactions entry
    LEFT JOIN loyalty_transactions original
        ON original.merchant_id = entry.merchant_id AND original.id = entry.reverses_id
    WHERE entry.merchant_id = account.merchant_id AND entry.enrollment_id = account.id
) entry ON true
GROUP BY account.enrolled_at, account.tier, account.balance
"""


def engagement(*, merchant_id: uuid.UUID, customer_id: uuid.UUID) -> Engagement | None:
    """None for who is no member of a program."""
    parameters: dict[str, Any] = {"merchant": merchant_id, "customer": customer_id}
    with connection.cursor() as cursor:
        cursor.execute(_ENGAGEMENT, parameters)
        row = cursor.fetchone()
    return None if row is None else Engagement(*row)
