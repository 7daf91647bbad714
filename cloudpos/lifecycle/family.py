"""The records that are one customer: the one that stayed, and those that were merged into it."""

import uuid

from django.db import connection

from customers.models import Customer
from customers.services import CustomerNotFound

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


def top_of(*, merchant_id: uuid.UUID, customer_id: uuid.UUID) -> tuple[uuid.UUID, bool]:
    """(the record at the end of the merges, whether it was erased). Also a deleted one. Raises CustomerNotFound."""
    seen: set[uuid.UUID] = set()
    while customer_id not in seen:
        seen.add(customer_id)
        row = (
            Customer.objects.for_merchant(merchant_id)
            .filter(pk=customer_id)
            .values_list("merged_into_id", "erased_at")
            .first()
        )
        if row is None:
            break
        merged_into_id, erased_at = row
        if merged_into_id is None:
            return customer_id, erased_at is not None
        customer_id = merged_into_id
    raise CustomerNotFound()


def family_of(*, merchant_id: uuid.UUID, customer_id: uuid.UUID) -> list[uuid.UUID]:
    """`customer_id` and the ids of every record that was merged into it, directly or not. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_FAMILY, [customer_id, merchant_id, FAMILY_RECORDS_MAX])
        return [row[0] for row in cursor.fetchall()]
