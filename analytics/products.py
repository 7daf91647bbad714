"""What a merchant sells: the products and categories of a period, and which products are bought together."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from heapq import nsmallest

from django.core.cache import cache

from analytics.bought_together import Pair, Product, pairs_of, read_baskets
from analytics.periods import NONE, Period, compared_with, ranges_of
from analytics.rollups.changes import standing
from analytics.rollups.database import rows
from analytics.rollups.goods import Article, Sold, add_packed, read_goods
from analytics.rollups.reading import AnalyticsBeingPrepared, Books, one_instant

REVENUE, QUANTITY = ORDERS = ("revenue", "quantity")
LIMIT_MAX = 100
CACHE_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Figures:
    """An article and what was sold of it; named and in the category that a late receipt had.

    `before` is what was sold in the period compared with, None when there is none.
    """

    article: Article
    name: str
    category: str
    sold: Sold
    before: Sold | None = None


@dataclass(slots=True)
class Total:
    """How many articles were sold, and what of all of them; the receipts are those of each article added up."""

    articles: int = 0
    sold: Sold = field(default_factory=Sold)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Articles of one kind: those with the most, in each of ORDERS. `before` is None when nothing was compared."""

    top: dict[str, list[Figures]]
    total: Total
    before: Total | None


@dataclass(frozen=True, slots=True)
class Products:
    """`names` are those of the products in `pairs`. `baskets` purchases with items were looked into for these; `is_sample` when
    the period has more.
    """

    products: Ranking
    categories: Ranking
    pairs: list[Pair]
    names: dict[Product, str]
    baskets: int
    is_sample: bool
    compared: Period | None
    as_of: datetime | None


@dataclass(slots=True)
class _Goods:
    """What was sold in a period, and how each article was called."""

    sold: dict[Article, Sold] = field(default_factory=dict)
    called: dict[Article, tuple[str, str]] = field(default_factory=dict)


def products(
    *, merchant_id: uuid.UUID, period: Period, store_id: uuid.UUID | None = None, compare: str = NONE
) -> Products:
    """What was sold in the period; from the cache while nothing has changed.

    Raises StoreNotFound, and AnalyticsBeingPrepared after a large import.
    """
    asked = (merchant_id, standing(merchant_id).mark, store_id, period, compare)
    key = "analytics-products:" + hashlib.sha256(repr(asked).encode()).hexdigest()
    known: Products | None = cache.get(key)
    if known is None:
        with one_instant():
            known = _read(merchant_id, period, store_id, compare)
        cache.set(key, known, CACHE_SECONDS)
    return known


def _read(merchant_id: uuid.UUID, period: Period, store_id: uuid.UUID | None, compare: str) -> Products:
    books = Books(merchant_id, until=period.last, without_people=True)
    scope_id = books.scope_id(store_id)
    goods = _goods(books, scope_id, period)
    compared = compared_with(period, compare)
    before = _goods(books, scope_id, compared).sold if compared else None
    baskets, is_sample = read_baskets(books, period, store_id)
    pairs = pairs_of(baskets)[:LIMIT_MAX]
    paired = {product for pair in pairs for product in (pair.first, pair.second)}
    return Products(
        products=_ranking(goods, before, is_category=False),
        categories=_ranking(goods, before, is_category=True),
        pairs=pairs,
        names={
            article[1:]: name
            for article, (name, _) in goods.called.items()
            if not article.is_category and article[1:] in paired
        },
        baskets=len(baskets),
        is_sample=is_sample,
        compared=compared,
        as_of=books.as_of,
    )


def _goods(books: Books, scope_id: uuid.UUID, period: Period) -> _Goods:
    """From the sums, and from the receipts of the days whose sums do not hold."""
    found = _Goods()
    packed, missing = _stored(books, scope_id, period)
    summed: dict[int, Sold] = {}
    add_packed(summed, packed)
    for article, called, number in _named(books.merchant_id, summed):
        found.sold[article], found.called[article] = summed[number], called
    changed = [
        Period(max(days.first, period.first), min(days.last, period.last))
        for days in books.changed
        if days.first <= period.last and period.first <= days.last
    ]
    asked = ranges_of([*missing, *(day for days in changed for day in days)])
    if missing and not books.are_few(asked):
        raise AnalyticsBeingPrepared()
    read = read_goods(merchant_id=books.merchant_id, ranges=asked, zones=books.standing.zones)
    for (scope, _), goods in read.by_day.items():
        if scope == scope_id:
            for article, sold in goods.items():
                found.called.setdefault(article, read.called[article])
                found.sold.setdefault(article, Sold()).include(sold)
    return found


def _ranking(goods: _Goods, before: dict[Article, Sold] | None, *, is_category: bool) -> Ranking:
    figures = [
        Figures(
            article, *goods.called[article], sold, None if before is None else before.get(article, Sold())
        )
        for article, sold in goods.sold.items()
        if article.is_category == is_category
    ]
    by_revenue = nsmallest(LIMIT_MAX, figures, key=lambda each: (-each.sold.money, each.article))
    by_quantity = nsmallest(LIMIT_MAX, figures, key=lambda each: (-each.sold.quantity, each.article))
    return Ranking(
        top={REVENUE: by_revenue, QUANTITY: by_quantity},
        total=_total(goods.sold, is_category),
        before=None if before is None else _total(before, is_category),
    )


def _total(sold: dict[Article, Sold], is_category: bool) -> Total:
    found = Total()
    for article, each in sold.items():
        if article.is_category == is_category:
            found.articles += 1
            found.sold.include(each)
    return found


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


def _named(merchant_id: uuid.UUID, numbers: Iterable[int]) -> Iterable[tuple[Article, tuple[str, str], int]]:
    for number, is_category, sku, label, name, category in rows(
        "SELECT number, is_category, sku, label, name, category FROM analytics_articles"
        " WHERE merchant_id = %(merchant)s AND number = ANY(%(numbers)s)",
        {"merchant": merchant_id, "numbers": list(numbers)},
    ):
        yield Article(is_category, sku, label), (name, category), number
