"""What customers bought, as the models take it: one row per sale that was not wholly taken back."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from analytics.prediction.arrays import Integers
from analytics.prediction.features import PurchaseTable, purchase_table
from analytics.recalculating.columns import Rows, binary, read, uuids
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

    @classmethod
    def of_rows(cls, customer: Integers, rows: Rows) -> "Sales":
        """Of rows of SALE, whose customers have these numbers."""
        return cls(
            customer,
            rows["day"].astype(np.int64) + EPOCH,
            rows["cents"].astype(np.int64),
            rows["milli_units"].astype(np.int64),
        )

    def numbered_from(self, first: int) -> "Sales":
        """With `first` added to the customers' numbers."""
        return replace(self, customer=self.customer + first)

    def renumbered(self, numbers: Integers) -> "Sales":
        """Customer n becomes numbers[n]; who becomes -1 is left out."""
        customer = numbers[self.customer]
        kept = customer >= 0
        return Sales(customer[kept], self.day[kept], self.cents[kept], self.milli_units[kept])

    def table(self, customers: int) -> PurchaseTable:
        """By purchase day, in units of money."""
        return purchase_table(
            customer=self.customer,
            day=self.day,
            amount=self.cents / 100.0,
            quantity=self.milli_units / 1_000.0,
            customers=customers,
        )


def read_buyers(*, merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID]) -> Buyers:
    """Who of these customers is visible and has bought."""
    return buyers_of(
        binary(
            "SELECT id, visit_count, (total_spent * 100)::int8 FROM customers WHERE merchant_id = %(merchant)s"
            " AND deleted_at IS NULL AND visit_count > 0 AND id = ANY(%(ids)s) ORDER BY id",
            {"merchant": merchant_id, "ids": uuids(customer_ids)},
        )
    )


def buyers_of(rows: Sequence[tuple[Any, ...]]) -> Buyers:
    return Buyers(
        [row[0] for row in rows],
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.int64),
    )


def count_buyers(merchant_id: uuid.UUID) -> int:
    return Customer.objects.for_merchant(merchant_id).visible().filter(visit_count__gt=0).count()


# A sale by what is asked of it, in terms of `purchase` and `zone`.
SALE = [("day", "i4"), ("cents", "i8"), ("milli_units", "i8")]
DAY = "least((purchase.occurred_at AT TIME ZONE zone.name)::date, %(as_of)s) - date '1970-01-01' AS day"
CENTS = "((purchase.amount - purchase.returned) * 100)::int8 AS cents"
ZONE = """(
    SELECT store.id, coalesce(nullif(store.timezone, ''), merchant.timezone) AS name
    FROM stores store JOIN merchants merchant ON merchant.id = store.merchant_id
    WHERE store.merchant_id = %(merchant)s
) zone"""

# Customer by customer, so that the plan is index probes however many are asked for.
_SALES = f"""
SELECT buyer.number::int4, sale.day, sale.cents, sale.milli_units
FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS buyer (id, number)
CROSS JOIN LATERAL (
    SELECT {DAY}, {CENTS},
           coalesce((SELECT sum(item.quantity) * 1000 FROM purchase_items item
                     WHERE item.merchant_id = %(merchant)s AND item.purchase_id = purchase.id), 0)::int8 AS milli_units
    FROM purchases purchase
    JOIN {ZONE} ON zone.id = purchase.store_id
    WHERE purchase.merchant_id = %(merchant)s AND purchase.customer_id = buyer.id
      AND purchase.amount > purchase.returned
) AS sale
"""  # noqa: S608 - words of ours


def read_sales(*, merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID], as_of: date) -> Sales:
    """The sales of these customers, numbered in their order. What a store's clock dates after `as_of` is of that day."""
    rows = read(
        _SALES,
        {"merchant": merchant_id, "ids": uuids(customer_ids), "as_of": as_of},
        [("number", "i4"), *SALE],
    )
    return Sales.of_rows(rows["number"].astype(np.int64) - 1, rows)
