"""The merchant's figures for a period, beside those of the period before. From SQL, in a handful of queries.

Revenue is what was sold less what was given back, each on its own day. A day is a day of the store where it happened.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import connection

from cloudpos.api.errors import BadRequest, NotFound
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Store

INTERVALS = ("day", "week", "month")
PERIOD_DAYS_DEFAULT = 30
PERIOD_DAYS_MAX = 3_660
BUCKETS_MAX = 400
# Without an interval: days for up to this long, then weeks, then months.
DAYS_SHOWN_MAX = 92
WEEKS_SHOWN_MAX = 366
# Zones lie between -12 and +14 hours of UTC: a day anywhere is within this much of the day in UTC.
ZONE_SPREAD = timedelta(hours=14)

CENT = Decimal("0.01")
ZERO = Decimal("0.00")


class StoreNotFound(NotFound):
    code = "store_not_found"
    message = "There is no such store"


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, both ends included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def previous(self) -> "Period":
        """As many days, right before."""
        return Period(self.first - timedelta(days=self.days), self.first - timedelta(days=1))


@dataclass(slots=True)
class Totals:
    """One period's figures; money in the merchant's currency."""

    sold: Decimal = ZERO
    returned: Decimal = ZERO
    purchases: int = 0
    active: int = 0
    new: int = 0
    repeat: int = 0
    points: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def revenue(self) -> Decimal:
        return self.sold - self.returned

    @property
    def average_order_value(self) -> Decimal | None:
        """What was paid per purchase, before returns; None without one."""
        if not self.purchases:
            return None
        return (self.sold / self.purchases).quantize(CENT, ROUND_HALF_UP)

    @property
    def repeat_rate(self) -> float | None:
        """The share of active customers who had bought before, or twice in the period; None without any."""
        return round(self.repeat / self.active, 4) if self.active else None


@dataclass(slots=True)
class Bucket:
    """One step of the series."""

    period: Period
    sold: Decimal = ZERO
    returned: Decimal = ZERO
    purchases: int = 0
    customers: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    period: Period
    interval: str
    current: Totals
    previous: Totals
    series: list[Bucket]
    customers: int


def read_period(*, first: date | None, last: date | None, today: date) -> Period:
    """The period asked for: the last 30 days when neither end is given, 30 days from or to a single end.

    Raises BadRequest for one that ends before it begins or is longer than PERIOD_DAYS_MAX.
    """
    span = timedelta(days=PERIOD_DAYS_DEFAULT - 1)
    if last is None:
        last = today if first is None else max(first, min(today, first + timedelta(days=PERIOD_DAYS_MAX - 1)))
    if first is None:
        first = last - span
    if last < first:
        raise BadRequest("The period ends before it begins.", field="to", code="invalid_period")
    period = Period(first, last)
    if period.days > PERIOD_DAYS_MAX:
        raise BadRequest(
            f"A period has at most {PERIOD_DAYS_MAX} days.", field="from", code="period_too_long"
        )
    return period


def read_interval(interval: str | None, period: Period) -> str:
    """The step of the series. Raises BadRequest when that would make more than BUCKETS_MAX of them."""
    if interval is None:
        return (
            "day" if period.days <= DAYS_SHOWN_MAX else "week" if period.days <= WEEKS_SHOWN_MAX else "month"
        )
    if period.days / {"day": 1, "week": 7, "month": 28}[interval] > BUCKETS_MAX:
        raise BadRequest(
            f"At most {BUCKETS_MAX} steps: choose a longer interval.", field="interval", code="too_many_steps"
        )
    return interval


def overview(*, access: Access, period: Period, interval: str, store_id: uuid.UUID | None = None) -> Overview:
    """The figures of all stores, or of one. Raises StoreNotFound."""
    if (
        store_id is not None
        and not Store.objects.for_merchant(access.merchant_id).filter(pk=store_id).exists()
    ):
        raise StoreNotFound()
    before = period.previous
    parameters = {
        "merchant": access.merchant_id,
        "store": store_id,
        "before": before.first,
        "first": period.first,
        "last": period.last,
        # The range that the index on the time is read with; the day itself decides.
        "begin": datetime.combine(before.first, time.min, UTC) - ZONE_SPREAD,
        "end": datetime.combine(period.last, time.min, UTC) + timedelta(days=1) + ZONE_SPREAD,
        "interval": interval,
    }
    totals = {True: Totals(), False: Totals()}
    buckets = {bucket.period.first: bucket for bucket in _buckets(period, interval)}
    for is_current, sold, purchases, active, new, repeat in _rows(_SALES, parameters):
        found = totals[is_current]
        found.sold, found.purchases, found.active, found.new, found.repeat = (
            sold,
            purchases,
            active,
            new,
            repeat,
        )
    for bucket, sold, purchases, customers in _rows(_SERIES, parameters):
        step = buckets[max(bucket, period.first)]
        step.sold, step.purchases, step.customers = sold, purchases, customers
    for is_current, bucket, returned in _rows(_RETURNS, parameters):
        totals[is_current].returned += returned
        if is_current:
            buckets[max(bucket, period.first)].returned += returned
    for is_current, kind, points in _rows(_POINTS, parameters):
        totals[is_current].points[kind] += points
    ((customers,),) = _rows(_CUSTOMERS, parameters)
    return Overview(period, interval, totals[True], totals[False], list(buckets.values()), customers)


def _buckets(period: Period, interval: str) -> Iterator[Bucket]:
    """Every step of the period, also those in which nothing happened; the first and last may be cut short."""
    first = period.first
    while first <= period.last:
        if interval == "day":
            following = first + timedelta(days=1)
        elif interval == "week":
            following = first + timedelta(days=7 - first.weekday())
        else:
            following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        yield Bucket(Period(first, min(following - timedelta(days=1), period.last)))
        first = following


def _rows(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


_STORES = """
store AS (
    SELECT store.id, coalesce(nullif(store.timezone, ''), merchant.timezone) AS zone
    FROM stores store JOIN merchants merchant ON merchant.id = store.merchant_id
    WHERE store.merchant_id = %(merchant)s AND (%(store)s::uuid IS NULL OR store.id = %(store)s)
)
"""

_SALE = """
sale AS (
    SELECT purchase.customer_id, purchase.amount, purchase.occurred_at,
           (purchase.occurred_at AT TIME ZONE store.zone)::date AS day
    FROM purchases purchase JOIN store ON store.id = purchase.store_id
    WHERE purchase.merchant_id = %(merchant)s
      AND purchase.occurred_at >= %(begin)s AND purchase.occurred_at < %(end)s
)
"""

# New is whose first purchase ever is among the period's.
_SALES = f"""
WITH {_STORES}, {_SALE}, buyer AS (
    SELECT day >= %(first)s AS is_current, customer_id,
           count(*) AS purchases, sum(amount) AS sold, min(occurred_at) AS since
    FROM sale WHERE day BETWEEN %(before)s AND %(last)s
    GROUP BY 1, 2
)
SELECT buyer.is_current, sum(buyer.sold), sum(buyer.purchases)::bigint, count(*),
       count(*) FILTER (WHERE buyer.since <= customer.first_visit_at),
       count(*) FILTER (WHERE buyer.since > customer.first_visit_at OR buyer.purchases > 1)
FROM buyer
JOIN customers customer ON customer.merchant_id = %(merchant)s AND customer.id = buyer.customer_id
GROUP BY 1
"""

_SERIES = f"""
WITH {_STORES}, {_SALE}
SELECT date_trunc(%(interval)s, day::timestamp)::date, sum(amount), count(*), count(DISTINCT customer_id)
FROM sale WHERE day BETWEEN %(first)s AND %(last)s
GROUP BY 1
"""

_RETURNS = f"""
WITH {_STORES}, given_back AS (
    SELECT returned.amount, (returned.occurred_at AT TIME ZONE store.zone)::date AS day
    FROM purchase_returns returned JOIN store ON store.id = returned.store_id
    WHERE returned.merchant_id = %(merchant)s
      AND returned.occurred_at >= %(begin)s AND returned.occurred_at < %(end)s
)
SELECT day >= %(first)s, date_trunc(%(interval)s, day::timestamp)::date, sum(amount)
FROM given_back WHERE day BETWEEN %(before)s AND %(last)s
GROUP BY 1, 2
"""

# What a person booked belongs to no store; its day is the merchant's.
_POINTS = """
SELECT day >= %(first)s, type, sum(points)::bigint
FROM (
    SELECT entry.type, entry.points,
           (entry.occurred_at AT TIME ZONE coalesce(nullif(store.timezone, ''), merchant.timezone))::date AS day
    FROM loyalty_transactions entry
    JOIN merchants merchant ON merchant.id = entry.merchant_id
    LEFT JOIN stores store ON store.merchant_id = entry.merchant_id AND store.id = entry.store_id
    WHERE entry.merchant_id = %(merchant)s AND (%(store)s::uuid IS NULL OR entry.store_id = %(store)s)
      AND entry.occurred_at >= %(begin)s AND entry.occurred_at < %(end)s
) booked
WHERE day BETWEEN %(before)s AND %(last)s
GROUP BY 1, 2
"""

_CUSTOMERS = "SELECT coalesce(sum(n), 0)::bigint FROM customer_counts WHERE merchant_id = %(merchant)s"
