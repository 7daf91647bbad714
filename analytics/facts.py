"""Purchase histories from SQL aggregates: one pass, days in the store's zone, returns taken off."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction

from analytics.metrics import VALUE_DAYS, History
from analytics.segments import VIP_CUSTOMERS_MIN, VIP_SHARE

# Jobs may take longer than a till's request; still bounded.
JOB_STATEMENT_SECONDS_MAX = 600

# Customer by customer, so that the plan is an index probe each however many are asked for: for some thousands of ids at
# once the planner would read the whole table.
_HISTORIES = """
SELECT customer.id, history.*
FROM unnest(%(customers)s::uuid[]) AS customer (id)
CROSS JOIN LATERAL (
    SELECT min(sale.day) AS first_day, max(sale.day), count(DISTINCT sale.day),
           coalesce(sum(sale.net) FILTER (WHERE sale.day > %(since)s), 0)
    FROM (
        SELECT (purchase.occurred_at AT TIME ZONE coalesce(
                   nullif(store.timezone, ''), (SELECT timezone FROM merchants WHERE id = %(merchant)s)
               ))::date AS day,
               purchase.amount - coalesce(returned.amount, 0) AS net
        FROM purchases purchase
        JOIN stores store ON store.merchant_id = %(merchant)s AND store.id = purchase.store_id
        LEFT JOIN (
            SELECT purchase_id, sum(amount) AS amount FROM purchase_returns
            WHERE merchant_id = %(merchant)s AND customer_id = customer.id
            GROUP BY purchase_id
        ) returned ON returned.purchase_id = purchase.id
        WHERE purchase.merchant_id = %(merchant)s AND purchase.customer_id = customer.id
    ) sale
    WHERE sale.net > 0
) AS history
WHERE history.first_day IS NOT NULL
"""

# The least value within the top tenth: that of the ceil(n / 10)-th customer by value.
_VIP_VALUE = """
SELECT count(*), percentile_disc(%(share)s) WITHIN GROUP (ORDER BY value DESC)
FROM (
    SELECT purchase.customer_id, sum(purchase.amount - coalesce(returned.amount, 0)) AS value
    FROM purchases purchase
    LEFT JOIN (
        SELECT purchase_id, sum(amount) AS amount FROM purchase_returns
        WHERE merchant_id = %(merchant)s AND occurred_at > %(since)s
        GROUP BY purchase_id
    ) returned ON returned.purchase_id = purchase.id
    WHERE purchase.merchant_id = %(merchant)s AND purchase.occurred_at > %(since)s
    GROUP BY purchase.customer_id
) spent
WHERE value > 0
"""


def histories(
    *, merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID], today: date
) -> dict[uuid.UUID, History]:
    """The purchase histories of these customers as of `today`; who never bought is not in it. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            _HISTORIES,
            {
                "merchant": merchant_id,
                "customers": list(customer_ids),
                "since": today - timedelta(days=VALUE_DAYS),
            },
        )
        return {customer_id: History(*figures) for customer_id, *figures in cursor.fetchall()}


def vip_value(*, merchant_id: uuid.UUID, at: datetime) -> Decimal | None:
    """From which 12-month value on a customer is in the top tenth; None with too few customers to say."""
    with long_statements(), connection.cursor() as cursor:
        cursor.execute(
            _VIP_VALUE,
            {"merchant": merchant_id, "since": at - timedelta(days=VALUE_DAYS), "share": float(VIP_SHARE)},
        )
        customers, value = cursor.fetchone()
    return value if customers >= VIP_CUSTOMERS_MIN else None


@contextmanager
def long_statements() -> Iterator[None]:
    """A transaction whose statements may take as long as a job's may."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, true)", [f"{JOB_STATEMENT_SECONDS_MAX}s"]
            )
        yield
