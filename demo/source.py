"""Reading the source files of Online Retail II (see README.md for their columns)."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Line:
    """One line of an invoice. `quantity` is negative on a return; `unit_price` is in pounds."""

    code: str
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True)
class Invoice:
    """One invoice with all its lines. `at` is UK local time without a zone; `amount` is in pounds."""

    number: str
    customer: int
    at: dt.datetime
    amount: Decimal
    country: str
    lines: tuple[Line, ...]

    @property
    def is_return(self) -> bool:
        return self.number.startswith("C")

    @property
    def codes(self) -> set[str]:
        return {line.code for line in self.lines}


def rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    with gzip.open(folder / f"online_retail_ii_{name}.csv.gz", "rt", encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


def read_invoices(folder: Path) -> list[Invoice]:
    """All invoices in the order they happened.

    Eighteen lines of the source cost 0.001; a till has no tenth of a penny, so prices are rounded to the
    cent. The source's own sums per invoice are rounded likewise, which is checked here for every invoice.

    Raises ValueError when the lines of an invoice do not add up to its amount.
    """
    lines: dict[str, list[Line]] = defaultdict(list)
    for row in rows(folder, "lines"):
        price = Decimal(row["unit_price"]).quantize(CENT)
        lines[row["invoice"]].append(Line(row["stock_code"], int(row["quantity"]), price))
    invoices = []
    for row in rows(folder, "invoices"):
        invoice = Invoice(
            number=row["invoice"],
            customer=int(row["customer_id"]),
            at=dt.datetime.fromisoformat(row["date"]),
            amount=Decimal(row["amount"]).quantize(CENT),
            country=row["country"],
            lines=tuple(lines[row["invoice"]]),
        )
        if sum(line.quantity * line.unit_price for line in invoice.lines) != invoice.amount:
            raise ValueError(f"invoice {invoice.number}: the lines do not add up to {invoice.amount}")
        invoices.append(invoice)
    return sorted(invoices, key=lambda invoice: (invoice.at, invoice.number))


def read_descriptions(folder: Path) -> dict[str, str]:
    return {row["stock_code"]: row["description"] for row in rows(folder, "products")}
