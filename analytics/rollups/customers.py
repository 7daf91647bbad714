"""From numbers back to people."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from analytics.rollups.database import rows
from analytics.rollups.reading import Books
from customers.models import Customer


def customers_of(books: Books, numbers: Sequence[int]) -> dict[int, Customer]:
    """By number, also those who were deleted: what they bought is in the figures. Two queries."""
    asked = set(numbers)
    by_id: dict[uuid.UUID, int] = dict(
        rows(
            "SELECT customer_id, number FROM analytics_members"
            " WHERE merchant_id = %(merchant)s AND number = ANY(%(numbers)s)",
            {"merchant": books.merchant_id, "numbers": list(asked)},
        )
    )
    by_id |= {customer_id: number for customer_id, number in books.live.fresh.items() if number in asked}
    found = (
        Customer.objects.for_merchant(books.merchant_id)
        .filter(pk__in=list(by_id))
        .defer("search", "metadata", "notes")
    )
    return {by_id[customer.pk]: customer for customer in found}
