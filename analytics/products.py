"""What a merchant sells: the products and categories of a period, and which products are bought together."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from heapq import nsmallest
from itertools import combinations

from django.core.cache import cache

from analytics.periods import Period, ranges_of
from analytics.rollups.changes import standing
from analytics.rollups.database import rows
from analytics.rollups.goods import Article, Sold, add_packed, read_goods
from analytics.rollups.reading import AnalyticsBeingPrepared, Books, one_instant
from analytics.rollups.sheets import instants_of

REVENUE, QUANTITY = ORDERS = ("revenue", "quantity")
LIMIT_MAX = 100
CACHE_SECONDS = 3_600
# The latest purchases of the period that are looked into for what is bought together.
BASKETS_MAX = 20_000
# The most frequent products of these, and so many of one purchase: pairs grow with the square.
PAIRED_PRODUCTS_MAX = 200
PAIRED_PER_BASKET_MAX = 30
# Fewer purchases with both say nothing.
PAIR_BASKETS_MIN = 3
PAIR_SHARE_MIN = 0.001


@dataclass(frozen=True, slots=True)
class Figures:
    """An article and what was sold of it; named and in the category that a late receipt had."""

    article: Article
    name: str
    category: str
    sold: Sold


@dataclass(frozen=True, slots=True)
class Pair:
    """Two products (`first` and `second` as (sku, name)) and the purchases with the one, the other and both, of all that were
    looked into. Support, confidence and lift: Agrawal, Imielinski and Swami (1993), Brin et al. (1997).
    """

    first: tuple[str, str]
    second: tuple[str, str]
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


@dataclass(frozen=True, slots=True)
class Ranking:
    """Articles of one kind: those with the most, in each of ORDERS, of `articles` that were sold."""

    top: dict[str, list[Figures]]
    articles: int
    total: Sold


@dataclass(frozen=True, slots=True)
class Products:
    """`names` are those of the products in `pairs`. `baskets` purchases with items were looked into for these; `is_sample` when
    the period has more.
    """

    products: Ranking
    categories: Ranking
    pairs: list[Pair]
    names: dict[tuple[str, str], str]
    baskets: int
    is_sample: bool
    as_of: datetime | None


def products(*, merchant_id: uuid.UUID, period: Period, store_id: uuid.UUID | None = None) -> Products:
    """What was sold in the period; from the cache while nothing has changed.

    Raises StoreNotFound, and AnalyticsBeingPrepared after a large import.
    """
    asked = (merchant_id, standing(merchant_id).mark, store_id, period)
    key = "analytics-products:" + hashlib.sha256(repr(asked).encode()).hexdigest()
    known: Products | None = cache.get(key)
    if known is None:
        with one_instant():
            known = _read(merchant_id, period, store_id)
        cache.set(key, known, CACHE_SECONDS)
    return known


def _read(merchant_id: uuid.UUID, period: Period, store_id: uuid.UUID | None) -> Products:
    books = Books(merchant_id, until=period.last, without_people=True)
    scope_id = books.scope_id(store_id)
    summed: dict[int, Sold] = {}
    packed, missing = _stored(books, scope_id, period)
    add_packed(summed, packed)
    total = {article: (called, sold) for article, called, sold in _named(merchant_id, summed)}
    changed = [
        Period(max(days.first, period.first), min(days.last, period.last))
        for days in books.changed
        if days.first <= period.last and period.first <= days.last
    ]
    asked = ranges_of([*missing, *(day for days in changed for day in days)])
    if missing and not books.are_few(asked):
        raise AnalyticsBeingPrepared()
    read = read_goods(merchant_id=merchant_id, ranges=asked, zones=books.standing.zones)
    for (scope, _), goods in read.by_day.items():
        if scope == scope_id:
            for article, sold in goods.items():
                _, known = total.setdefault(article, (read.called[article], Sold()))
                known.add(sold.receipts, sold.quantity, sold.money, sold.returned)
    figures = [Figures(article, *called, sold) for article, (called, sold) in total.items()]
    baskets, is_sample = _baskets(books, period, store_id)
    pairs = pairs_of(baskets)[:LIMIT_MAX]
    paired = {product for pair in pairs for product in (pair.first, pair.second)}
    return Products(
        products=_ranking([each for each in figures if not each.article.is_category]),
        categories=_ranking([each for each in figures if each.article.is_category]),
        pairs=pairs,
        names={key: each.name for each in figures if (key := each.article[1:]) in paired},
        baskets=len(baskets),
        is_sample=is_sample,
        as_of=books.as_of,
    )


def _ranking(figures: list[Figures]) -> Ranking:
    total = Sold()
    for each in figures:
        sold = each.sold
        total.add(sold.receipts, sold.quantity, sold.money, sold.returned)
    by_revenue = nsmallest(LIMIT_MAX, figures, key=lambda each: (-each.sold.money, each.article))
    by_quantity = nsmallest(LIMIT_MAX, figures, key=lambda each: (-each.sold.quantity, each.article))
    return Ranking({REVENUE: by_revenue, QUANTITY: by_quantity}, len(figures), total)


def _stored(books: Books, scope_id: uuid.UUID, period: Period) -> tuple[list[bytes], list[date]]:
    """(goods of the days whose sums hold, days that were summed up before goods were)"""
    if not books.standing.is_summed_up:
        return [], []
    packed, missing = [], []
    for day, goods in rows(
        "SELECT day, goods FROM analytics_days WHERE merchant_id = %(merchant)s AND scope_id = %(scope)s"
        " AND day BETWEEN %(first)s AND %(last)s",
        {"merchant": books.merchant_id, "scope": scope_id, "first": period.first, "last": period.last},
    ):
        if books.has_changed(Period(day, day)):
            continue
        if goods is None:
            missing.append(day)
        else:
            packed.append(goods)
    return packed, missing


def _named(
    merchant_id: uuid.UUID, summed: dict[int, Sold]
) -> Iterable[tuple[Article, tuple[str, str], Sold]]:
    for number, is_category, sku, label, name, category in rows(
        "SELECT number, is_category, sku, label, name, category FROM analytics_articles"
        " WHERE merchant_id = %(merchant)s AND number = ANY(%(numbers)s)",
        {"merchant": merchant_id, "numbers": list(summed)},
    ):
        yield Article(is_category, sku, label), (name, category), summed[number]


def _baskets(
    books: Books, period: Period, store_id: uuid.UUID | None
) -> tuple[list[list[tuple[str, str]]], bool]:
    """The products of the latest purchases that have any, and whether there are more purchases than were looked at."""
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
            "most": BASKETS_MAX,
        },
    )
    baskets = [[*map(tuple, zip(skus, names, strict=True))] for _, skus, names in found if skus is not None]
    return baskets, len(found) == BASKETS_MAX


def pairs_of(baskets: list[list[tuple[str, str]]]) -> list[Pair]:
    """Products bought together, of each as (sku, label), those with the highest lift first. Pure; the work is bounded."""
    with_one = Counter(product for basket in baskets for product in basket)
    frequent = {product for product, _ in with_one.most_common(PAIRED_PRODUCTS_MAX)}
    together: Counter[tuple[tuple[str, str], tuple[str, str]]] = Counter()
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
    SELECT purchase.id FROM purchases purchase JOIN store ON store.id = purchase.store_id
    WHERE purchase.merchant_id = %(merchant)s
        AND purchase.occurred_at >= %(begin)s AND purchase.occurred_at < %(end)s
        AND (purchase.occurred_at AT TIME ZONE store.zone)::date BETWEEN %(first)s AND %(last)s
    ORDER BY purchase.occurred_at DESC LIMIT %(most)s
)
SELECT latest.id, basket.skus, basket.labels FROM latest
CROSS JOIN LATERAL (
    SELECT array_agg(sku) AS skus, array_agg(label) AS labels FROM (
        SELECT DISTINCT item.sku, CASE WHEN item.sku = '' THEN item.name ELSE '' END AS label
        FROM purchase_items item
        WHERE item.merchant_id = %(merchant)s AND item.purchase_id = latest.id AND (item.sku <> '' OR item.name <> '')
    ) product
) basket
"""
