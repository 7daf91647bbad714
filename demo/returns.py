"""Which purchase each line of a return invoice gives back.

The source does not say; it only knows the customer, the code, the quantity and the price. A line is matched
to earlier purchases of the same customer with the same code at the same price, as far as those still have
pieces left.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from demo.source import Invoice

Article = tuple[str, Decimal]
"""Code and unit price."""


@dataclass
class Sold:
    """A purchase with the pieces of each line that have not come back. Lines are numbered from 1."""

    invoice: Invoice
    left: dict[Article, list[list[int]]]

    @classmethod
    def of(cls, invoice: Invoice) -> Sold:
        left: dict[Article, list[list[int]]] = defaultdict(list)
        for number, line in enumerate(invoice.lines, start=1):
            left[line.code, line.unit_price].append([number, line.quantity])
        return cls(invoice, dict(left))

    def available(self, article: Article) -> int:
        return sum(pieces for _, pieces in self.left.get(article, []))

    def take(self, article: Article, quantity: int) -> list[tuple[int, int]]:
        """Take up to `quantity` pieces back, as (line, pieces)."""
        taken = []
        for entry in self.left.get(article, []):
            pieces = min(quantity, entry[1])
            if pieces:
                entry[1] -= pieces
                quantity -= pieces
                taken.append((entry[0], pieces))
        return taken


@dataclass
class Return:
    """What one return invoice gives back of one purchase. `amount` is positive, in pounds."""

    number: str
    invoice: str
    purchase: Invoice
    at: dt.datetime
    amount: Decimal
    items: list[tuple[int, int]]
    """(line of the purchase from 1, pieces), each line once, in order."""


@dataclass
class Unmatched:
    """What found no purchase: number of lines (a line may be matched in part) and pounds."""

    lines: int = 0
    amount: Decimal = Decimal("0.00")


@dataclass
class Matching:
    returns: list[Return] = field(default_factory=list)
    unmatched_goods: Unmatched = field(default_factory=Unmatched)
    unmatched_other: Unmatched = field(default_factory=Unmatched)
    """Discounts, manual entries and postage given back."""


def match_returns(invoices: Iterable[Invoice], *, services: frozenset[str]) -> Matching:
    """Match the return invoices among one customer's `invoices`, given in the order they happened.

    Within one return invoice the purchase that covers most of its lines is taken first (the later one when
    two cover as many), because goods usually come back from one parcel; what no purchase covers alone is
    spread over the latest ones. A return of several purchases becomes several returns, numbered C1-1, C1-2.
    `services` are codes that are not goods; they only decide under which heading an unmatched line counts.
    """
    result = Matching()
    purchases: list[Sold] = []
    for invoice in invoices:
        if not invoice.is_return:
            purchases.append(Sold.of(invoice))
            continue
        wanted: dict[Article, int] = defaultdict(int)
        for line in invoice.lines:
            # A free piece given back moves no money and would make a return of nothing.
            if line.unit_price:
                wanted[line.code, line.unit_price] -= line.quantity
        earlier = [sold for sold in purchases if sold.invoice.at < invoice.at]
        taken = _take(wanted, earlier)
        for position, (index, items) in enumerate(sorted(taken.items()), start=1):
            purchase = earlier[index].invoice
            merged: dict[int, int] = defaultdict(int)
            for number, pieces in items:
                merged[number] += pieces
            result.returns.append(
                Return(
                    number=invoice.number if len(taken) == 1 else f"{invoice.number}-{position}",
                    invoice=invoice.number,
                    purchase=purchase,
                    at=invoice.at,
                    amount=sum(
                        (purchase.lines[number - 1].unit_price * pieces for number, pieces in merged.items()),
                        Decimal("0.00"),
                    ),
                    items=sorted(merged.items()),
                )
            )
        for (code, price), pieces in wanted.items():
            if pieces:
                bucket = result.unmatched_other if code in services else result.unmatched_goods
                bucket.lines += 1
                bucket.amount += price * pieces
    return result


def _take(wanted: dict[Article, int], earlier: list[Sold]) -> dict[int, list[tuple[int, int]]]:
    """Take what is wanted from the earlier purchases; `wanted` keeps what was not found."""
    taken: dict[int, list[tuple[int, int]]] = defaultdict(list)
    open_articles = {article for article, pieces in wanted.items() if pieces}
    while open_articles:
        covered, index = max(
            (
                (sum(sold.available(article) >= wanted[article] for article in open_articles), index)
                for index, sold in enumerate(earlier)
            ),
            default=(0, -1),
        )
        if not covered:
            break
        for article in sorted(open_articles):
            if earlier[index].available(article) >= wanted[article]:
                taken[index] += earlier[index].take(article, wanted[article])
                wanted[article] = 0
                open_articles.discard(article)
    for article in sorted(open_articles):
        for index in range(len(earlier) - 1, -1, -1):
            items = earlier[index].take(article, wanted[article])
            if items:
                taken[index] += items
                wanted[article] -= sum(pieces for _, pieces in items)
    return taken
