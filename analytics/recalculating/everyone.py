"""The sales of all customers of a merchant, read once and then handed out customer by customer.

Probing ten million purchases takes ten times as long as reading them from end to end. The statement's rows, one for each
customer, stay with the database session (a cursor that outlives its transaction); they are as of when they were read, so
`current` reads again what has changed since. A session that ends takes them along: whoever goes on reads anew.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection

from analytics.recalculating import sales
from analytics.recalculating.columns import binary, layout, packed
from analytics.recalculating.sales import Buyers, Sales, read_buyers, read_sales
from analytics.statements import long_statements

# What is joined and grouped is as large as the tables; the few MB of a till's statements would do it in many passes on disk.
_SETTINGS = {"jit": "off", "work_mem": "128MB"}
_NAME = "analytics_everyone"

_DECLARE = f"""
DECLARE {_NAME} SCROLL CURSOR WITH HOLD FOR
SELECT buyer.id, buyer.visit_count, (buyer.total_spent * 100)::int8, coalesce(sold.sales, '')
FROM customers buyer
LEFT JOIN (
    SELECT sale.customer_id, {packed(sales.SALE, "sale")} AS sales
    FROM (
        SELECT purchase.customer_id, {sales.DAY}, {sales.CENTS}, coalesce(item.milli_units, 0) AS milli_units
        FROM purchases purchase
        JOIN {sales.ZONE} ON zone.id = purchase.store_id
        LEFT JOIN (
            SELECT purchase_id, (sum(quantity) * 1000)::int8 AS milli_units FROM purchase_items
            WHERE merchant_id = %(merchant)s GROUP BY 1
        ) item ON item.purchase_id = purchase.id
        WHERE purchase.merchant_id = %(merchant)s AND purchase.amount > purchase.returned
            AND (%(after)s::uuid IS NULL OR purchase.customer_id > %(after)s)
    ) sale GROUP BY 1
) sold ON sold.customer_id = buyer.id
WHERE buyer.merchant_id = %(merchant)s AND buyer.deleted_at IS NULL AND buyer.visit_count > 0
    AND (%(after)s::uuid IS NULL OR buyer.id > %(after)s)
ORDER BY buyer.id
"""  # noqa: S608 - words of ours


@dataclass(frozen=True, slots=True, eq=False)
class Everyone:
    """Open in this session, after `read_everyone`. Visible customers with purchases, in order of id."""

    merchant_id: uuid.UUID
    as_of: date

    def rewind(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"MOVE ABSOLUTE 0 FROM {_NAME}")

    def next(self, number: int) -> tuple[Buyers, Sales]:
        """At most so many who come next, and their sales, as they were read."""
        rows = binary(f"FETCH FORWARD {number:d} FROM {_NAME}")
        content = [row[3] for row in rows]
        found = np.frombuffer(b"".join(content), dtype=layout(sales.SALE))
        numbers = np.array([len(each) for each in content], dtype=np.int64) // found.dtype.itemsize
        return sales.buyers_of(rows), Sales.of_rows(np.repeat(np.arange(len(rows)), numbers), found)

    def current(self, buyers: Buyers, sold: Sales) -> tuple[Buyers, Sales]:
        """The same of this moment: without who is hidden by now, and read again of whom something was sold or returned."""
        now = read_buyers(merchant_id=self.merchant_id, customer_ids=buyers.ids)
        before = {id_: number for number, id_ in enumerate(buyers.ids)}
        old = np.array([before[id_] for id_ in now.ids], dtype=np.int64)
        same = (buyers.visit_count[old] == now.visit_count) & (
            buyers.total_spent_cents[old] == now.total_spent_cents
        )
        numbers = np.full(len(buyers), -1, dtype=np.int64)
        numbers[old[same]] = np.flatnonzero(same)
        parts = [sold.renumbered(numbers)]
        changed = np.flatnonzero(~same)
        if len(changed):
            ids = [now.ids[number] for number in changed.tolist()]
            again = read_sales(merchant_id=self.merchant_id, customer_ids=ids, as_of=self.as_of)
            parts.append(again.renumbered(changed))
        return now, Sales.joined(parts)


@contextmanager
def read_everyone(
    *, merchant_id: uuid.UUID, as_of: date, after: uuid.UUID | None = None
) -> Iterator[Everyone]:
    """Read the sales of all customers, or of those after an id. Not within a transaction that is rolled back later."""
    with long_statements(**_SETTINGS), connection.cursor() as cursor:
        cursor.execute(_DECLARE, {"merchant": merchant_id, "as_of": as_of, "after": after})
    try:
        yield Everyone(merchant_id, as_of)
    finally:
        _close()


def _close() -> None:
    # A session that has ended, or a transaction that has failed, has closed it.
    if connection.connection is not None and connection.is_usable() and not connection.needs_rollback:
        with connection.cursor() as cursor:
            cursor.execute(f"CLOSE {_NAME}")
