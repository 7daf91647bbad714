"""The public purchase histories beside this file, as the models take them."""

import csv
import gzip
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path

from analytics.prediction.features import PurchaseTable, purchase_table

HERE = Path(__file__).parent
# The last day of each.
CDNOW_UNTIL = date(1998, 6, 30).toordinal()
ONLINE_RETAIL_UNTIL = date(2011, 12, 9).toordinal()


@lru_cache
def cdnow() -> PurchaseTable:
    """All 23,570 customers; a day with an amount of 0 is a purchase day."""
    return _table(_rows("cdnow/cdnow.csv.gz"))


@lru_cache
def cdnow_sample() -> PurchaseTable:
    """The 2,357 customers of the papers."""
    return _table(_rows("cdnow/cdnow_sample.csv.gz"))


@lru_cache
def online_retail() -> PurchaseTable:
    """The 5,878 customers with a paid sale; a purchase day has an invoice, no cancellation, of a positive amount."""
    return _table(
        row
        for row in _rows("online_retail_ii/invoices.csv.gz")
        if not row["invoice"].startswith("C") and float(row["amount"]) > 0
    )


def _rows(name: str) -> Iterator[dict[str, str]]:
    with gzip.open(HERE / name, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _table(rows: Iterator[dict[str, str]]) -> PurchaseTable:
    numbers: dict[str, int] = {}
    customers, days, amounts, quantities = [], [], [], []
    for row in rows:
        customers.append(numbers.setdefault(row["customer_id"], len(numbers)))
        days.append(date.fromisoformat(row["date"][:10]).toordinal())
        amounts.append(float(row["amount"]))
        quantities.append(float(row["quantity"]))
    return purchase_table(
        customer=customers, day=days, amount=amounts, quantity=quantities, customers=len(numbers)
    )
