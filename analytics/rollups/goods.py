"""What was sold, by product and category and day: beside the sums of the days, and as exact as they are."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from analytics.periods import Period
from analytics.rollups.database import more_memory, rows, run
from analytics.rollups.packing import pack, unpack
from analytics.rollups.sales import SALES, sales_of

# Quantities have three decimals, prices four: whole numbers of these are added without rounding.
QUANTITY_UNIT = 1_000
MONEY_UNIT = 10_000


class Article(NamedTuple):
    """A product by its sku or, without one, its name (`label`); or a category."""

    is_category: bool
    sku: str
    label: str


@dataclass(slots=True)
class Sold:
    """Receipts, quantity in thousandths, money in ten-thousandths before returns, and the quantity that came back of it."""

    receipts: int = 0
    quantity: int = 0
    money: int = 0
    returned: int = 0

    def add(self, receipts: int, quantity: int, money: int, returned: int) -> None:
        self.receipts += receipts
        self.quantity += quantity
        self.money += money
        self.returned += returned

    def include(self, other: Sold) -> None:
        self.add(other.receipts, other.quantity, other.money, other.returned)


Goods = dict[Article, Sold]


@dataclass(slots=True)
class GoodsSheets:
    """By (scope, day), and how each article was called last: (name, category)."""

    by_day: dict[tuple[uuid.UUID, date], Goods] = field(default_factory=lambda: defaultdict(dict))
    called: dict[Article, tuple[str, str]] = field(default_factory=dict)


def read_goods(*, merchant_id: uuid.UUID, ranges: Sequence[Period], zones: Mapping[str, str]) -> GoodsSheets:
    """What was sold on these days, by store and in all, from the receipts. `ranges` must not overlap."""
    found = GoodsSheets()
    if not ranges:
        return found
    more_memory()
    answer = rows(_GOODS, sales_of(merchant_id, ranges, zones))
    for day, store_id, is_category, sku, label, name, category, *figures in answer:
        article = Article(is_category, sku, label)
        found.called[article] = (name, category)
        for scope_id in (store_id, merchant_id):
            found.by_day[scope_id, day].setdefault(article, Sold()).add(*figures)
    return found


def number_articles(merchant_id: uuid.UUID, called: Mapping[Article, tuple[str, str]]) -> dict[Article, int]:
    """The numbers of these articles, new ones for those that had none. Under the lock of the merchant's sums."""
    listed = list(called)
    parameters = {
        "merchant": merchant_id,
        "is_category": [article.is_category for article in listed],
        "skus": [article.sku for article in listed],
        "labels": [article.label for article in listed],
        "names": [called[article][0] for article in listed],
        "categories": [called[article][1] for article in listed],
    }
    run(_NUMBER, parameters)
    return {Article(*article): number for number, *article in rows(_NUMBERS, parameters)}


def pack_goods(goods: Goods, numbers: Mapping[Article, int]) -> bytes:
    ordered = sorted((numbers[article], sold) for article, sold in goods.items())
    return pack(
        [number for number, _ in ordered],
        [sold.receipts for _, sold in ordered],
        [sold.quantity for _, sold in ordered],
        [sold.money for _, sold in ordered],
        [sold.returned for _, sold in ordered],
    )


def add_packed(sums: dict[int, Sold], packed: Iterable[bytes]) -> None:
    """Add days' goods to sums by number."""
    for each in packed:
        for number, *figures in zip(*unpack(each, 4), strict=True):
            if number not in sums:
                sums[number] = Sold()
            sums[number].add(*figures)


# Of a purchase that was taken back altogether everything came back, whether its returns name lines or not.
_GOODS = f"""
{SALES}, line AS MATERIALIZED (
    SELECT sale.day, sale.store_id, sale.id, item.sku, item.name, item.category,
        CASE WHEN item.sku = '' THEN item.name ELSE '' END AS label, (item.quantity * 1000)::bigint AS quantity,
        round(item.quantity * item.unit_price * 10000)::bigint AS money,
        (CASE WHEN sale.returned > 0 AND sale.returned >= sale.amount THEN item.quantity ELSE item.returned END * 1000)::bigint
            AS returned
    FROM sale
    JOIN purchase_items item ON item.merchant_id = %(merchant)s AND item.purchase_id = sale.id
)
SELECT day, store_id, false, sku, label, max(name), max(category), count(DISTINCT id)::int,
    sum(quantity)::bigint, sum(money)::bigint, sum(returned)::bigint
FROM line WHERE sku <> '' OR name <> '' GROUP BY day, store_id, sku, label
UNION ALL
SELECT day, store_id, true, '', category, category, category, count(DISTINCT id)::int,
    sum(quantity)::bigint, sum(money)::bigint, sum(returned)::bigint
FROM line WHERE category <> '' GROUP BY day, store_id, category
"""

_CALLED = """
WITH called AS (
    SELECT * FROM unnest(%(is_category)s::bool[], %(skus)s::text[], %(labels)s::text[], %(names)s::text[],
        %(categories)s::text[]) AS called (is_category, sku, label, name, category)
)
"""

_NUMBERS = f"""
{_CALLED}
SELECT number, is_category, sku, label FROM called JOIN analytics_articles article USING (is_category, sku, label)
WHERE article.merchant_id = %(merchant)s
"""

_NUMBER = f"""
{_CALLED}, changed AS (
    UPDATE analytics_articles article SET name = called.name, category = called.category
    FROM called
    WHERE article.merchant_id = %(merchant)s AND article.is_category = called.is_category
        AND article.sku = called.sku AND article.label = called.label
        AND (article.name, article.category) <> (called.name, called.category)
)
INSERT INTO analytics_articles (merchant_id, number, is_category, sku, label, name, category)
SELECT %(merchant)s, row_number() OVER (ORDER BY called.is_category, called.sku, called.label) - 1 + (
        SELECT coalesce(max(number) + 1, 0) FROM analytics_articles WHERE merchant_id = %(merchant)s
    ), called.*
FROM called
LEFT JOIN analytics_articles article ON article.merchant_id = %(merchant)s
    AND article.is_category = called.is_category AND article.sku = called.sku AND article.label = called.label
WHERE article.number IS NULL
"""
