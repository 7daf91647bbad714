"""The merchant's figures for a period, beside those of the period before. From SQL, in a handful of queries.

Revenue is what was sold less what was given back, each on its own day. A day is a day of the store where it happened.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from cloudpos.api.errors import BadRequest, NotFound
from cloudpos.tenancy.access import Access

INTERVALS = ("day", "week", "month")
PERIOD_DAYS_DEFAULT = 30
PERIOD_DAYS_MAX = 3_660
BUCKETS_MAX = 400
# Without an interval: days for up to this long, then weeks, then months.
DAYS_SHOWN_MAX = 92
WEEKS_SHOWN_MAX = 366
WORK_MEMORY = "32MB"

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
    merchant = {"merchant": access.merchant_id, "store": store_id}
    zones = [zone for (zone,) in _rows(_ZONES, merchant)]
    if not zones:
        raise StoreNotFound()
    buckets = list(_buckets(period, interval))
    # Where the steps begin in each zone, the period before as one step in front of them: a row's step is found by
    # comparing its time, without converting it.
    starts = [
        period.previous.first,
        *(bucket.period.first for bucket in buckets),
        period.last + timedelta(days=1),
    ]
    edges = {zone: [datetime.combine(day, time.min, ZoneInfo(zone)) for day in starts] for zone in zones}
    parameters = {
        **merchant,
        "zones": zones,
        # Each an array in text: SQL has no arrays of arrays.
        "edges": ["{" + ",".join(edge.isoformat() for edge in edges[zone]) + "}" for zone in zones],
        "begin": min(steps[0] for steps in edges.values()),
        "end": max(steps[-1] for steps in edges.values()),
        "last": len(buckets) + 1,
    }
    totals = {True: Totals(), False: Totals()}
    with transaction.atomic():
        # Grouping by customer and step takes more than the few MB that a till's statements need.
        _rows("SELECT set_config('work_mem', %(memory)s, true)", {"memory": WORK_MEMORY})
        current, before = totals[True], totals[False]
        for step, sold, purchases, active, *people in _rows(_SALES, parameters):
            if step is None:
                current.active = active
                current.new, current.repeat, before.new, before.repeat = people
            elif step == 1:
                before.sold, before.purchases, before.active = sold, purchases, active
            elif 1 < step <= parameters["last"]:
                bucket = buckets[step - 2]
                bucket.sold, bucket.purchases, bucket.customers = sold, purchases, active
                current.sold += sold
                current.purchases += purchases
        for step, returned in _rows(_RETURNS, parameters):
            totals[step > 1].returned += returned
            if step > 1:
                buckets[step - 2].returned += returned
        for is_current, kind, points in _rows(_POINTS, parameters):
            totals[is_current].points[kind] += points
        ((customers,),) = _rows(_CUSTOMERS, parameters)
    return Overview(period, interval, totals[True], totals[False], buckets, customers)


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


# The merchant's own zone is among them: what a person books at no store is of the merchant's day.
_ZONES = """
SELECT coalesce(nullif(store.timezone, ''), merchant.timezone)
FROM stores store JOIN merchants merchant ON merchant.id = store.merchant_id
WHERE store.merchant_id = %(merchant)s AND (%(store)s::uuid IS NULL OR store.id = %(store)s)
UNION
SELECT timezone FROM merchants WHERE id = %(merchant)s AND %(store)s::uuid IS NULL
"""

_STORES = """
zone AS (
    SELECT name, edges::timestamptz[] AS edges FROM unnest(%(zones)s::text[], %(edges)s::text[]) AS zone (name, edges)
), store AS MATERIALIZED (
    SELECT store.id, zone.edges
    FROM stores store
    JOIN merchants merchant ON merchant.id = store.merchant_id
    JOIN zone ON zone.name = coalesce(nullif(store.timezone, ''), merchant.timezone)
    WHERE store.merchant_id = %(merchant)s AND (%(store)s::uuid IS NULL OR store.id = %(store)s)
)
"""

# Step 1 is the period before, 2 to `last` are the series; what stands outside of both falls into other steps and is left out by
# the reader: a condition on the step would make the planner expect a two-hundredth of the rows, and sort where it should hash.
# The row without a step is about people: how many bought in the period, new and returning, and the same of the one before. New
# is whose first purchase ever is among the period's.
_SALES = f"""
WITH {_STORES}, bought AS MATERIALIZED (
    SELECT width_bucket(purchase.occurred_at, store.edges) AS step, purchase.customer_id,
           count(*) AS purchases, sum(purchase.amount) AS sold, min(purchase.occurred_at) AS since
    FROM purchases purchase JOIN store ON store.id = purchase.store_id
    WHERE purchase.merchant_id = %(merchant)s
      AND purchase.occurred_at >= %(begin)s AND purchase.occurred_at < %(end)s
    GROUP BY 1, 2
), buyer AS (
    SELECT customer_id,
           sum(purchases::int) FILTER (WHERE step BETWEEN 2 AND %(last)s) AS purchases,
           min(since) FILTER (WHERE step BETWEEN 2 AND %(last)s) AS since,
           sum(purchases::int) FILTER (WHERE step = 1) AS purchases_before,
           min(since) FILTER (WHERE step = 1) AS since_before
    FROM bought GROUP BY 1
)
SELECT step, sum(sold), sum(purchases)::bigint, count(*), 0::bigint, 0::bigint, 0::bigint, 0::bigint
FROM bought GROUP BY step
UNION ALL
SELECT NULL, 0, 0, count(buyer.since),
       count(*) FILTER (WHERE buyer.since <= customer.first_visit_at),
       count(*) FILTER (WHERE buyer.since > customer.first_visit_at OR buyer.purchases > 1),
       count(*) FILTER (WHERE buyer.since_before <= customer.first_visit_at),
       count(*) FILTER (WHERE buyer.since_before > customer.first_visit_at OR buyer.purchases_before > 1)
FROM buyer
JOIN customers customer ON customer.merchant_id = %(merchant)s AND customer.id = buyer.customer_id
"""

_RETURNS = f"""
WITH {_STORES}
SELECT step, sum(amount)
FROM (
    SELECT width_bucket(returned.occurred_at, store.edges) AS step, returned.amount
    FROM purchase_returns returned JOIN store ON store.id = returned.store_id
    WHERE returned.merchant_id = %(merchant)s
      AND returned.occurred_at >= %(begin)s AND returned.occurred_at < %(end)s
) given_back
WHERE step BETWEEN 1 AND %(last)s
GROUP BY 1
"""

_POINTS = f"""
WITH {_STORES}
SELECT step > 1, type, sum(points)::bigint
FROM (
    SELECT width_bucket(entry.occurred_at, coalesce(store.edges, zone.edges)) AS step, entry.type, entry.points
    FROM loyalty_transactions entry
    JOIN merchants merchant ON merchant.id = entry.merchant_id
    LEFT JOIN store ON store.id = entry.store_id
    LEFT JOIN zone ON zone.name = merchant.timezone
    WHERE entry.merchant_id = %(merchant)s AND (%(store)s::uuid IS NULL OR entry.store_id = %(store)s)
      AND entry.occurred_at >= %(begin)s AND entry.occurred_at < %(end)s
) booked
WHERE step BETWEEN 1 AND %(last)s
GROUP BY 1, 2
"""

_CUSTOMERS = "SELECT coalesce(sum(n), 0)::bigint FROM customer_counts WHERE merchant_id = %(merchant)s"
