"""What of a sale earns points: with tax or without, before discounts or after, without some categories and articles."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from loyalty.rules.arithmetic import divide


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a receipt: what all of it costs as sold, discounts that belong to the line already off."""

    sku: str
    category: str
    cents: int
    quantity: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Basis:
    """The part of a sale that earns.

    `with_tax`: what was paid, tax included, or without the tax. `with_discount`: the discount of the whole sale is added
    again, so that a customer with a voucher earns as without. `categories_out` and `skus_out` earn nothing (gift cards,
    shipping, tobacco); with `categories_in` or `skus_in` only those earn. Case of categories and article numbers counts
    not. A sale without lines earns on all of its amount. One for which nothing was paid earns nothing: no return could take
    it back.
    """

    with_tax: bool = True
    with_discount: bool = False
    categories_in: frozenset[str] = frozenset()
    categories_out: frozenset[str] = frozenset()
    skus_in: frozenset[str] = frozenset()
    skus_out: frozenset[str] = frozenset()

    @property
    def by_line(self) -> bool:
        """Whether it takes the lines to know."""
        return bool(self.categories_in or self.categories_out or self.skus_in or self.skus_out)

    def admits(self, line: Line) -> bool:
        category, sku = line.category.casefold(), line.sku.casefold()
        if category in self.categories_out or sku in self.skus_out:
            return False
        if self.categories_in or self.skus_in:
            return category in self.categories_in or sku in self.skus_in
        return True

    def eligible_cents(
        self, *, cents: int, tax_cents: int, discount_cents: int, lines: tuple[Line, ...]
    ) -> int:
        """What earns of a sale of `cents` (tax included, discount off): that of the whole, in proportion to its lines.

        Rounded half up. Never below 0, whatever a till says of its tax.
        """
        if cents <= 0:
            return 0
        whole = cents
        if not self.with_tax:
            whole -= tax_cents
        if self.with_discount:
            whole += discount_cents
        whole = max(whole, 0)
        if not self.by_line or not lines:
            return whole
        total = sum(line.cents for line in lines)
        if total <= 0:
            return 0
        admitted = sum(line.cents for line in lines if self.admits(line))
        return divide(whole * max(admitted, 0), total, "half_up")

    def left_out(self, lines: tuple[Line, ...]) -> list[str]:
        """What earns nothing of these lines, each once: the category, or the article where there is none."""
        names = [line.category or line.sku or "other lines" for line in lines if not self.admits(line)]
        return list(dict.fromkeys(names))

    def as_json(self) -> dict[str, Any]:
        return {
            "withTax": self.with_tax,
            "withDiscount": self.with_discount,
            "categoriesIn": sorted(self.categories_in),
            "categoriesOut": sorted(self.categories_out),
            "skusIn": sorted(self.skus_in),
            "skusOut": sorted(self.skus_out),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Basis:
        return cls(
            stored["withTax"],
            stored["withDiscount"],
            frozenset(stored["categoriesIn"]),
            frozenset(stored["categoriesOut"]),
            frozenset(stored["skusIn"]),
            frozenset(stored["skusOut"]),
        )


EVERYTHING = Basis()
