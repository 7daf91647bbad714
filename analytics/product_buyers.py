"""The customers who bought a product, or of a category, in a period; those who spent most on it first."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from analytics.overview import CENT
from analytics.periods import Period, ranges_of
from analytics.rollups.database import rows
from analytics.rollups.goods import MONEY_UNIT, QUANTITY_UNIT, Article
from analytics.rollups.packing import unpack
from analytics.rollups.reading import PURCHASES_PER_REQUEST_MAX, Books, one_instant
from analytics.rollups.sales import SALES, sales_of
from customers.models import Customer

# Purchases at all stores of the days that are looked into, the latest ones first.
SEARCHED_MAX = PURCHASES_PER_REQUEST_MAX


@dataclass(frozen=True, slots=True)
class ProductBuyer:
    """What a customer bought of it: receipts, quantity and money as on them, before anything came back."""

    customer: Customer
    purchases: int
    quantity: Decimal
    spent: Decimal
    last_day: date


@dataclass(frozen=True, slots=True)
class ProductBuyersFound:
    """A page of them, of `total` in all. `looked_into` is the whole period, or the latest part of it if that is too much."""

    name: str
    looked_into: Period
    total: int
    rows: list[ProductBuyer]


def product_buyers(
    *,
    merchant_id: uuid.UUID,
    period: Period,
    article: Article,
    store_id: uuid.UUID | None = None,
    offset: int = 0,
    limit: int,
) -> ProductBuyersFound:
    """Only the purchases of days on which it was sold are read, and of these the latest: the work is bounded.

    Raises StoreNotFound, and AnalyticsBeingPrepared after a large import.
    """
    with one_instant():
        books = Books(merchant_id, until=period.last, without_people=True)
        scope_id = books.scope_id(store_id)
        name, number = _known(merchant_id, article)
        days, looked_into = _days_with(books, scope_id, number, period)
        changed = [day for each in books.changed for day in each if day in looked_into]
        found = rows(
            _BUYERS,
            {
                **sales_of(merchant_id, ranges_of([*days, *changed]), books.standing.zones),
                "store": store_id,
                "is_category": article.is_category,
                "sku": article.sku,
                "label": article.label,
                "offset": offset,
                "limit": limit,
            },
        )
        people = Customer.objects.for_merchant(merchant_id).defer("search", "metadata", "notes")
        customers = people.in_bulk([row[2] for row in found if row[2] is not None])
    return ProductBuyersFound(
        name=name or found[0][1] or article.label or article.sku,
        looked_into=looked_into,
        total=found[0][0],
        rows=[
            ProductBuyer(
                customers[customer_id],
                purchases,
                Decimal(quantity) / QUANTITY_UNIT,
                (Decimal(money) / MONEY_UNIT).quantize(CENT),
                last_day,
            )
            for _, _, customer_id, purchases, quantity, money, last_day in found
            if customer_id in customers
        ],
    )


def _known(merchant_id: uuid.UUID, article: Article) -> tuple[str, int | None]:
    """(what it is called, its number); empty and None while it is in no sums."""
    for name, number in rows(
        "SELECT name, number FROM analytics_articles WHERE merchant_id = %(merchant)s"
        " AND is_category = %(is_category)s AND sku = %(sku)s AND label = %(label)s",
        {"merchant": merchant_id, **article._asdict()},
    ):
        return name, number
    return "", None


def _days_with(
    books: Books, scope_id: uuid.UUID, number: int | None, period: Period
) -> tuple[list[date], Period]:
    """(days whose sums hold and have the article, the part of the period that is looked into: at least one such day)"""
    if not books.standing.is_summed_up:
        return [], period
    days: list[date] = []
    room = SEARCHED_MAX
    for day, goods, purchases in rows(
        _DAYS,
        {"merchant": books.merchant_id, "scope": scope_id, "first": period.first, "last": period.last},
    ):
        if books.has_changed(Period(day, day)):
            continue
        # Days that were summed up before goods were may have anything.
        if goods is not None and (number is None or number not in unpack(goods, 4)[0]):
            continue
        room -= purchases
        if room < 0 and days:
            return days, Period(days[-1], period.last)
        days.append(day)
    return days, period


# With the purchases of all stores: those are what has to be gone through.
_DAYS = """
SELECT sold.day, sold.goods, whole.purchases FROM analytics_days sold
JOIN analytics_days whole ON whole.merchant_id = sold.merchant_id AND whole.scope_id = %(merchant)s AND whole.day = sold.day
WHERE sold.merchant_id = %(merchant)s AND sold.scope_id = %(scope)s AND sold.day BETWEEN %(first)s AND %(last)s
ORDER BY sold.day DESC
"""

# One row with the total even where the page is empty.
_BUYERS = f"""
{SALES}, bought AS MATERIALIZED (
    SELECT sale.customer_id, count(DISTINCT sale.id)::int AS purchases, (sum(item.quantity) * 1000)::bigint AS quantity,
        sum(round(item.quantity * item.unit_price * 10000))::bigint AS money, max(sale.day) AS last_day,
        max(item.name) AS name
    FROM sale
    JOIN purchase_items item ON item.merchant_id = %(merchant)s AND item.purchase_id = sale.id
    WHERE (%(store)s::uuid IS NULL OR sale.store_id = %(store)s)
        AND CASE WHEN %(is_category)s THEN item.category = %(label)s::text
            WHEN %(sku)s::text <> '' THEN item.sku = %(sku)s
            ELSE item.sku = '' AND item.name = %(label)s END
    GROUP BY sale.customer_id
)
SELECT total.*, page.*
FROM (SELECT count(*), CASE WHEN %(is_category)s THEN '' ELSE max(name) END FROM bought) total
LEFT JOIN (
    SELECT customer_id, purchases, quantity, money, last_day FROM bought
    ORDER BY money DESC, customer_id OFFSET %(offset)s LIMIT %(limit)s
) page ON true
"""  # noqa: S608 - words of ours
