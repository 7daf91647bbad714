"""What customers bought, as the models take it: one row per sale that was not wholly taken back."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from django.db import connection

from analytics.prediction.arrays import Integers
from analytics.prediction.features import PurchaseTable, purchase_table
from analytics.recalculating.columns import read
from customers.models import Customer

# `date.toordinal()` of 1970-01-01.
EPOCH = 719_163


@dataclass(frozen=True, slots=True, eq=False)
class Buyers:
    """Visible customers with purchases, in order of id, and what their rows said before the sales were read."""

    ids: list[uuid.UUID]
    visit_count: Integers
    total_spent_cents: Integers

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Sales:
    """Sales of the customers 0..n-1: day as an ordinal, never after the day asked for; money net of returns, in cents."""

    customer: Integers
    day: Integers
    cents: Integers
    milli_units: Integers

    @classmethod
    def joined(cls, parts: "Sequence[Sales]") -> "Sales":
        """Those of several chunks, whose customers have different numbers."""
        none = np.zeros(0, dtype=np.int64)
        return cls(
            np.concatenate([none, *(part.customer for part in parts)]),
            np.concatenate([none, *(part.day for part in parts)]),
            np.concatenate([none, *(part.cents for part in parts)]),
            np.concatenate([none, *(part.milli_units for part in parts)]),
        )

    def numbered_from(self, first: int) -> "Sales":
        """With `first` added to the customers' numbers."""
        return replace(self, customer=self.customer + first)

    def table(self, customers: int) -> PurchaseTable:
        """By purchase day, in units of money."""
        return purchase_table(
            customer=self.customer,
            day=self.day,
            amount=self.cents / 100.0,
            quantity=self.milli_units / 1_000.0,
            customers=customers,
        )


def read_buyers(
    *,
    merchant_id: uuid.UUID,
    customer_ids: Sequence[uuid.UUID] | None = None,
    after: uuid.UUID | None = None,
    limit: int | None = None,
    share: float = 1.0,
) -> Buyers:
    """Who of these customers, or of the next ones after an id, is visible and has bought; or about a `share` of them.

    Ids end in random bits, so the share is a sample, and the same every time.
    """
    conditions = ["merchant_id = %(merchant)s", "deleted_at IS NULL", "visit_count > 0"]
    if customer_ids is not None:
        conditions.append("id = ANY(%(ids)s)")
    if after is not None:
        conditions.append("id > %(after)s")
    if share < 1.0:
        conditions.append(
            "get_byte(uuid_send(id), 14) * 256 + get_byte(uuid_send(id), 15) < %(share)s * 65536"
        )
    parameters: dict[str, Any] = {
        "merchant": merchant_id,
        "ids": list(customer_ids or ()),
        "after": after,
        "limit": limit,
        "share": share,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, visit_count, (total_spent * 100)::bigint FROM customers"  # noqa: S608 - conditions of ours
            f" WHERE {' AND '.join(conditions)} ORDER BY id {'' if limit is None else 'LIMIT %(limit)s'}",
            parameters,
        )
        rows = cursor.fetchall()
    return Buyers(
        [row[0] for row in rows],
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.int64),
    )


def count_buyers(merchant_id: uuid.UUID) -> int:
    return Customer.objects.for_merchant(merchant_id).visible().filter(visit_count__gt=0).count()


# Customer by customer, so that the plan is index probes however many are asked for.
_SALES = """
SELECT buyer.number::int4, sale.day, sale.cents, sale.milli_units
FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS buyer (id, number)
CROSS JOIN LATERAL (
    SELECT least((purchase.occurred_at AT TIME ZONE zone.name)::date, %(as_of)s) - date '1970-01-01' AS day,
           ((purchase.amount - coalesce(returned.amount, 0)) * 100)::int8 AS cents,
           coalesce((SELECT sum(item.quantity) * 1000 FROM purchase_items item
                     WHERE item.merchant_id = %(merchant)s AND item.purchase_id = purchase.id), 0)::int8 AS milli_units
    FROM purchases purchase
    JOIN (
        SELECT store.id, coalesce(nullif(store.timezone, ''), merchant.timezone) AS name
        FROM stores store JOIN merchants merchant ON merchant.id = store.merchant_id
        WHERE store.merchant_id = %(merchant)s
    ) zone ON zone.id = purchase.store_id
    LEFT JOIN (
        SELECT purchase_id, sum(amount) AS amount FROM purchase_returns
        WHERE merchant_id = %(merchant)s AND customer_id = buyer.id
        GROUP BY purchase_id
    ) returned ON returned.purchase_id = purchase.id
    WHERE purchase.merchant_id = %(merchant)s AND purchase.customer_id = buyer.id
      AND purchase.amount > coalesce(returned.amount, 0)
) AS sale
"""


def read_sales(*, merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID], as_of: date) -> Sales:
    """The sales of these customers, numbered in their order. What a store's clock dates after `as_of` is of that day."""
    rows = read(
        _SALES,
        {"merchant": merchant_id, "ids": list(customer_ids), "as_of": as_of},
        [("customer", "i4"), ("day", "i4"), ("cents", "i8"), ("milli_units", "i8")],
    )
    return Sales(
        rows["customer"].astype(np.int64) - 1,
        rows["day"].astype(np.int64) + EPOCH,
        rows["cents"].astype(np.int64),
        rows["milli_units"].astype(np.int64),
    )
