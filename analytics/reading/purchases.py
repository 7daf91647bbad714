"""How one customer buys: purchase days and gaps, favourites, hours, weekdays. From SQL, one customer at a time."""

import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from statistics import mean, stdev
from typing import Any

from django.db import connection

FAVOURITES_MAX = 5
VALUE_DAYS = 365
# The later gaps are compared with the earlier ones from so many on.
TREND_GAPS_MIN = 4
TREND_FACTOR = 1.25


@dataclass(frozen=True, slots=True)
class PurchaseDays:
    """The days of a customer's stores with a sale that was not wholly taken back, ascending, and the net spend of each."""

    days: list[date]
    spent: list[Decimal]
    today: date

    @property
    def value_12_months(self) -> Decimal:
        """Net spend of the last VALUE_DAYS days."""
        since = self.today - timedelta(days=VALUE_DAYS)
        return sum(
            (spent for day, spent in zip(self.days, self.spent, strict=True) if day > since), Decimal(0)
        )

    @property
    def gaps(self) -> list[int]:
        """Days from each purchase day to the next."""
        return [(later - earlier).days for earlier, later in zip(self.days, self.days[1:], strict=False)]

    @property
    def usual_gap_days(self) -> float | None:
        """The mean gap; None before the second purchase day."""
        return mean(self.gaps) if len(self.days) > 1 else None

    @property
    def gap_deviation_days(self) -> float | None:
        """The sample standard deviation of the gaps; None before the third purchase day."""
        return stdev(self.gaps) if len(self.days) > 2 else None

    @property
    def next_expected_day(self) -> date | None:
        """One usual gap after the last purchase day; None before the second."""
        gap = self.usual_gap_days
        return None if gap is None else self.days[-1] + timedelta(days=round(gap))

    @property
    def trend(self) -> str | None:
        """ "more_often", "less_often" or "steady": the later half of the gaps beside the earlier; None with too few of them."""
        gaps = self.gaps
        if len(gaps) < TREND_GAPS_MIN:
            return None
        half = len(gaps) // 2
        earlier, later = mean(gaps[:half]), mean(gaps[half:])
        if later > earlier * TREND_FACTOR:
            return "less_often"
        return "more_often" if later * TREND_FACTOR < earlier else "steady"


@dataclass(frozen=True, slots=True)
class Habits:
    """What was bought, where, when and how; money in the merchant's currency."""

    days: PurchaseDays
    purchases: int
    sold: Decimal
    returned: Decimal
    discount: Decimal
    returned_purchases: int
    items: Decimal
    categories: list[dict[str, Any]]
    products: list[dict[str, Any]]
    stores: list[dict[str, Any]]
    payment_methods: list[dict[str, Any]]
    hours: list[int]
    weekdays: list[int]


def habits(*, merchant_id: uuid.UUID, customer_id: uuid.UUID, today: date) -> Habits:
    """Of all purchases up to now. What a store's clock dates after `today` is of today."""
    parameters = {"merchant": merchant_id, "customer": customer_id, "most": FAVOURITES_MAX, "today": today}
    ((purchases, sold, discount, returned, returned_purchases),) = _rows(_TOTALS, parameters)
    times = _rows(_TIMES, parameters)
    days = _rows(_DAYS, parameters)
    return Habits(
        days=PurchaseDays([day for day, _ in days], [spent for _, spent in days], today),
        purchases=purchases,
        sold=sold,
        discount=discount,
        returned=returned,
        returned_purchases=returned_purchases,
        items=_rows(_ITEMS, parameters)[0][0],
        categories=_named(_CATEGORIES, parameters, "category", "quantity", "spent", "purchases"),
        products=_named(_PRODUCTS, parameters, "sku", "name", "quantity", "spent", "purchases"),
        stores=_named(_STORES, parameters, "storeId", "name", "purchases", "spent"),
        payment_methods=_named(_PAYMENT_METHODS, parameters, "paymentMethod", "purchases", "spent"),
        hours=[sum(count for _, hour, count in times if hour == each) for each in range(24)],
        weekdays=[sum(count for weekday, _, count in times if weekday == each) for each in range(1, 8)],
    )


def _rows(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def _named(sql: str, parameters: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in _rows(sql, parameters)]


_MINE = "purchase.merchant_id = %(merchant)s AND purchase.customer_id = %(customer)s"

_LOCAL_TIME = "purchase.occurred_at AT TIME ZONE coalesce(nullif(store.timezone, ''), merchant.timezone)"
_AT_STORES = """
JOIN stores store ON store.merchant_id = purchase.merchant_id AND store.id = purchase.store_id
JOIN merchants merchant ON merchant.id = purchase.merchant_id
"""

_TOTALS = f"""
SELECT count(*), coalesce(sum(purchase.amount), 0)::numeric(14, 2), coalesce(sum(purchase.discount), 0)::numeric(14, 2),
       coalesce(sum(purchase.returned), 0)::numeric(14, 2), count(*) FILTER (WHERE purchase.returned > 0)
FROM purchases purchase WHERE {_MINE}
"""

_DAYS = f"""
SELECT least(({_LOCAL_TIME})::date, %(today)s), sum(purchase.amount - purchase.returned)
FROM purchases purchase {_AT_STORES}
WHERE {_MINE} AND purchase.amount > purchase.returned
GROUP BY 1 ORDER BY 1
"""

_SOLD_ITEMS = f"""
FROM purchases purchase
JOIN purchase_items item ON item.merchant_id = purchase.merchant_id AND item.purchase_id = purchase.id
WHERE {_MINE}
"""

_ITEMS = f"SELECT coalesce(sum(item.quantity), 0) {_SOLD_ITEMS}"

_FIGURES = (
    "sum(item.quantity), sum(item.quantity * item.unit_price)::numeric(14, 2), count(DISTINCT purchase.id)"
)

_CATEGORIES = f"""
SELECT item.category, {_FIGURES} {_SOLD_ITEMS} AND item.category <> ''
GROUP BY item.category ORDER BY 3 DESC, 1 LIMIT %(most)s
"""

# A product is known by its sku; its name may have been spelled differently over time.
_PRODUCTS = f"""
SELECT item.sku, max(item.name), {_FIGURES} {_SOLD_ITEMS} AND (item.sku <> '' OR item.name <> '')
GROUP BY item.sku, CASE WHEN item.sku = '' THEN item.name END ORDER BY 5 DESC, 4 DESC, 1, 2 LIMIT %(most)s
"""

_STORES = f"""
SELECT store.id, store.name, count(*), sum(purchase.amount)
FROM purchases purchase JOIN stores store ON store.merchant_id = purchase.merchant_id AND store.id = purchase.store_id
WHERE {_MINE} GROUP BY store.id, store.name ORDER BY 3 DESC, 2 LIMIT %(most)s
"""

_PAYMENT_METHODS = f"""
SELECT purchase.payment_method, count(*), sum(purchase.amount) FROM purchases purchase
WHERE {_MINE} AND purchase.payment_method <> '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(most)s
"""

_TIMES = f"""
SELECT extract(isodow FROM local)::int, extract(hour FROM local)::int, count(*)
FROM (SELECT {_LOCAL_TIME} AS local FROM purchases purchase {_AT_STORES} WHERE {_MINE}) bought
GROUP BY 1, 2
"""
