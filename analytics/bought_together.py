"""Which products are bought together: among the latest purchases of a period, so many that the work is bounded."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from itertools import combinations

from analytics.periods import Period
from analytics.rollups.database import rows
from analytics.rollups.reading import PURCHASES_PER_REQUEST_MAX, Books
from analytics.rollups.sales import instants_of

# The latest purchases of the period, of one store or of all, that are looked into.
BASKETS_MAX = 10_000
# The first lines of each: a wholesaler's receipt may have 500.
LINES_PER_BASKET_MAX = 50
# The latest purchases at any store that are read to find those of one store.
SEARCHED_MAX = PURCHASES_PER_REQUEST_MAX
# The most frequent products of these, and so many of one purchase: pairs grow with the square.
PAIRED_PRODUCTS_MAX = 200
PAIRED_PER_BASKET_MAX = 30
# Fewer purchases with both say nothing.
PAIR_BASKETS_MIN = 3
PAIR_SHARE_MIN = 0.001

# (sku, label): the label is the name where there is no sku.
Product = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two products and the purchases with the one, the other and both, of all that were looked into.

    Support, confidence and lift: Agrawal, Imielinski and Swami (1993), Brin et al. (1997).
    """

    first: Product
    second: Product
    with_first: int
    with_second: int
    with_both: int
    baskets: int

    @property
    def support(self) -> float:
        """The share of purchases with both."""
        return self.with_both / self.baskets

    @property
    def confidence(self) -> float:
        """Of the purchases with the first product, the share that has the second too."""
        return self.with_both / self.with_first

    @property
    def confidence_back(self) -> float:
        return self.with_both / self.with_second

    @property
    def lift(self) -> float:
        """How much more often they are together than if the one had nothing to do with the other."""
        return self.with_both * self.baskets / (self.with_first * self.with_second)


def read_baskets(
    books: Books, period: Period, store_id: uuid.UUID | None
) -> tuple[list[list[Product]], bool]:
    """(the products of the latest purchases that have any, whether the period has more purchases than were looked at)"""
    begin, end = instants_of(period, set(books.standing.zones.values()))
    found = rows(
        _BASKETS,
        {
            "merchant": books.merchant_id,
            "store": store_id,
            "zone": books.standing.zones["merchant"],
            "begin": begin,
            "end": end,
            "first": period.first,
            "last": period.last,
            "searched": SEARCHED_MAX,
            "most": BASKETS_MAX,
            "lines": LINES_PER_BASKET_MAX,
        },
    )
    baskets = [[*map(tuple, zip(skus, labels, strict=True))] for _, skus, labels in found if skus is not None]
    return baskets, len(found) == BASKETS_MAX or not books.are_few([period], most=SEARCHED_MAX)


def pairs_of(baskets: list[list[Product]]) -> list[Pair]:
    """Those with the highest lift first. Pure; the work is bounded."""
    with_one = Counter(product for basket in baskets for product in basket)
    frequent = {product for product, _ in with_one.most_common(PAIRED_PRODUCTS_MAX)}
    together: Counter[tuple[Product, Product]] = Counter()
    for basket in baskets:
        paired = sorted(frequent.intersection(basket))[:PAIRED_PER_BASKET_MAX]
        together.update(combinations(paired, 2))
    least = max(PAIR_BASKETS_MIN, PAIR_SHARE_MIN * len(baskets))
    found = [
        Pair(first, second, with_one[first], with_one[second], both, len(baskets))
        for (first, second), both in together.items()
        if both >= least
    ]
    return sorted(found, key=lambda pair: (-pair.lift, -pair.with_both, pair.first, pair.second))


# A row for each purchase, also for those without items: they are counted as looked at.
_BASKETS = """
WITH store AS MATERIALIZED (
    SELECT id, coalesce(nullif(timezone, ''), %(zone)s) AS zone FROM stores
    WHERE merchant_id = %(merchant)s AND (%(store)s::uuid IS NULL OR id = %(store)s)
), latest AS MATERIALIZED (
    SELECT near.id FROM (
        SELECT id, store_id, occurred_at FROM purchases
        WHERE merchant_id = %(merchant)s AND occurred_at >= %(begin)s AND occurred_at < %(end)s
        ORDER BY occurred_at DESC LIMIT %(searched)s
    ) near JOIN store ON store.id = near.store_id
    WHERE (near.occurred_at AT TIME ZONE store.zone)::date BETWEEN %(first)s AND %(last)s
    ORDER BY near.occurred_at DESC LIMIT %(most)s
)
SELECT latest.id, basket.skus, basket.labels FROM latest
CROSS JOIN LATERAL (
    SELECT array_agg(sku) AS skus, array_agg(label) AS labels FROM (
        SELECT DISTINCT sku, CASE WHEN sku = '' THEN name ELSE '' END AS label FROM (
            SELECT sku, name FROM purchase_items
            WHERE merchant_id = %(merchant)s AND purchase_id = latest.id ORDER BY line LIMIT %(lines)s
        ) item WHERE sku <> '' OR name <> ''
    ) product
) basket
"""
