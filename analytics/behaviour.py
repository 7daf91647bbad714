"""How one customer buys: favourites, hours, weekdays, and what to expect next. From SQL, one customer at a time."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from analytics.facts import histories
from analytics.metrics import History
from analytics.models import SegmentRefresh
from analytics.refresh import day_of
from analytics.segments import Decision, decide
from cloudpos.tenancy.models import Merchant
from customers.models import Customer
from customers.services import find_customer

FAVOURITES_MAX = 5


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Everything that is shown of one customer. Money in the merchant's currency, days in the store's zone."""

    customer: Customer
    today: date
    history: History | None
    decision: Decision
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


def behaviour(*, merchant_id: uuid.UUID, customer_id: uuid.UUID, at: datetime) -> Behaviour:
    """Figures of one customer; a merged one's are those of the customer it became. Raises CustomerNotFound."""
    customer = find_customer(merchant_id=merchant_id, id=customer_id)
    merchant = Merchant.objects.get(pk=merchant_id)
    today = day_of(merchant, at=at)
    history = histories(merchant_id=merchant_id, customer_ids=[customer.pk], today=today).get(customer.pk)
    last_pass = SegmentRefresh.objects.for_merchant(merchant_id).first()
    parameters = {"merchant": merchant_id, "customer": customer.pk, "most": FAVOURITES_MAX}
    ((purchases, sold, discount, returned, returned_purchases),) = _rows(_TOTALS, parameters)
    times = _rows(_TIMES, parameters)
    return Behaviour(
        customer=customer,
        today=today,
        history=history,
        decision=decide(history, today=today, vip_value=last_pass.vip_value if last_pass else None),
        purchases=purchases,
        sold=sold,
        returned=returned,
        discount=discount,
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

_TOTALS = f"""
SELECT count(*), coalesce(sum(purchase.amount), 0)::numeric(14, 2), coalesce(sum(purchase.discount), 0)::numeric(14, 2),
       coalesce(sum(returned.amount), 0)::numeric(14, 2), count(returned.amount)
FROM purchases purchase
LEFT JOIN (
    SELECT purchase_id, sum(amount) AS amount FROM purchase_returns
    WHERE merchant_id = %(merchant)s AND customer_id = %(customer)s GROUP BY purchase_id
) returned ON returned.purchase_id = purchase.id
WHERE {_MINE}
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
FROM (
    SELECT purchase.occurred_at AT TIME ZONE coalesce(nullif(store.timezone, ''), merchant.timezone) AS local
    FROM purchases purchase
    JOIN stores store ON store.merchant_id = purchase.merchant_id AND store.id = purchase.store_id
    JOIN merchants merchant ON merchant.id = purchase.merchant_id
    WHERE {_MINE}
) bought
GROUP BY 1, 2
"""
