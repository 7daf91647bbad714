"""The records that are one customer: the visible one, and those that were merged into it."""

import uuid

from django.db import connection

# Rows that a person could not have made; also the end of a walk that a defect turned into a circle.
FAMILY_RECORDS_MAX = 1_000

_FAMILY = """
WITH RECURSIVE family (id) AS (
    SELECT %s::uuid
    UNION
    SELECT m.source_id FROM customer_merges m JOIN family f ON f.id = m.target_id
    WHERE m.merchant_id = %s AND m.undone_at IS NULL
)
SELECT id FROM family LIMIT %s
"""


def family_of(*, merchant_id: uuid.UUID, customer_id: uuid.UUID) -> list[uuid.UUID]:
    """`customer_id` and the ids of every record that was merged into it, directly or not. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_FAMILY, [customer_id, merchant_id, FAMILY_RECORDS_MAX])
        return [row[0] for row in cursor.fetchall()]
