"""The figures of the overview, from SQL. Everything about money and days is in the merchant's currency and zone."""

import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Sum

from cloudpos.tenancy.models import Merchant
from customers.models import Customer, CustomerCount, Purchase
from loyalty.models import Tier
from loyalty.rules.calendar import midnight

DAYS = 30
PURCHASES_SHOWN = 8

# Net of what came back, by the day it came back; a store's own zone says which day a sale belongs to.
_DAYS = """
SELECT moved.day, sum(moved.amount), sum(moved.sales), sum(moved.returned)
FROM (
    SELECT (p.occurred_at AT TIME ZONE coalesce(nullif(s.timezone, ''), %(zone)s))::date AS day,
           sum(p.amount) AS amount, count(*) AS sales, 0 AS returned
    FROM purchases p JOIN stores s ON s.merchant_id = p.merchant_id AND s.id = p.store_id
    WHERE p.merchant_id = %(merchant)s AND p.occurred_at >= %(since)s AND p.occurred_at < %(until)s
    GROUP BY 1
    UNION ALL
    SELECT (r.occurred_at AT TIME ZONE coalesce(nullif(s.timezone, ''), %(zone)s))::date,
           -sum(r.amount), 0, sum(r.amount)
    FROM purchase_returns r JOIN stores s ON s.merchant_id = r.merchant_id AND s.id = r.store_id
    WHERE r.merchant_id = %(merchant)s AND r.occurred_at >= %(since)s AND r.occurred_at < %(until)s
    GROUP BY 1
) moved
GROUP BY 1
"""

_BUYERS = """
SELECT count(DISTINCT customer_id) FILTER (WHERE occurred_at >= %(half)s),
       count(DISTINCT customer_id) FILTER (WHERE occurred_at < %(half)s)
FROM purchases WHERE merchant_id = %(merchant)s AND occurred_at >= %(since)s AND occurred_at < %(until)s
"""

_POINTS = """
SELECT coalesce(sum(points) FILTER (WHERE points > 0 AND occurred_at >= %(half)s), 0),
       coalesce(-sum(points) FILTER (WHERE type = 'redeemed' AND occurred_at >= %(half)s), 0),
       coalesce(sum(points) FILTER (WHERE points > 0 AND occurred_at < %(half)s), 0),
       coalesce(-sum(points) FILTER (WHERE type = 'redeemed' AND occurred_at < %(half)s), 0)
FROM loyalty_transactions
WHERE merchant_id = %(merchant)s AND occurred_at >= %(since)s AND occurred_at < %(until)s
  AND type IN ('earned', 'bonus', 'redeemed')
"""

_OUTSTANDING = "SELECT coalesce(sum(balance), 0) FROM loyalty_enrollments WHERE merchant_id = %(merchant)s"


@dataclass(frozen=True, slots=True)
class Share:
    """One bar of a distribution."""

    code: str
    label: str
    n: int
    percent: int


@dataclass(slots=True)
class Figures:
    customers: int = 0
    joined: int = 0
    joined_before: int = 0
    revenue: Decimal = Decimal(0)
    revenue_before: Decimal = Decimal(0)
    returned: Decimal = Decimal(0)
    sales: int = 0
    sales_before: int = 0
    buyers: int = 0
    buyers_before: int = 0
    issued: int = 0
    issued_before: int = 0
    redeemed: int = 0
    redeemed_before: int = 0
    outstanding: int = 0
    days: list[tuple[date, Decimal, Decimal]] = field(default_factory=list)
    tiers: list[Share] = field(default_factory=list)
    segments: list[Share] = field(default_factory=list)


def figures(merchant: Merchant, *, now: datetime) -> Figures:
    """The last DAYS whole days up to now, against as many before."""
    today = now.astimezone(merchant.tz).date()
    first = today - timedelta(days=DAYS - 1)
    before = first - timedelta(days=DAYS)
    period: dict[str, Any] = {
        "merchant": merchant.pk,
        "zone": merchant.timezone,
        "since": midnight(before, merchant.tz),
        "half": midnight(first, merchant.tz),
        "until": midnight(today + timedelta(days=1), merchant.tz),
    }
    found = Figures()
    with connection.cursor() as cursor:
        # A store east or west of the merchant has days that begin earlier or end later.
        edge = timedelta(days=1)
        cursor.execute(_DAYS, {**period, "since": period["since"] - edge, "until": period["until"] + edge})
        days = {day: (amount, sales, returned) for day, amount, sales, returned in cursor.fetchall()}
        cursor.execute(_BUYERS, period)
        found.buyers, found.buyers_before = cursor.fetchone()
        cursor.execute(_POINTS, period)
        issued, redeemed, issued_before, redeemed_before = cursor.fetchone()
        cursor.execute(_OUTSTANDING, period)
        (outstanding,) = cursor.fetchone()
    found.issued, found.redeemed = int(issued), int(redeemed)
    found.issued_before, found.redeemed_before = int(issued_before), int(redeemed_before)
    found.outstanding = int(outstanding)
    nothing = (Decimal(0), 0, Decimal(0))
    for offset in range(DAYS):
        amount, sales, returned = days.get(first + timedelta(days=offset), nothing)
        amount_before, sales_before, _ = days.get(before + timedelta(days=offset), nothing)
        found.revenue += amount
        found.revenue_before += amount_before
        found.sales += int(sales)
        found.sales_before += int(sales_before)
        found.returned += returned
        found.days.append((first + timedelta(days=offset), amount, amount_before))
    counts = _standing(merchant.pk)
    found.customers = sum(n for *_, n in counts)
    found.segments = _shares(
        [(segment.value, str(segment.label)) for segment in Customer.Segment], [(c[0], c[2]) for c in counts]
    )
    tiers = list(
        Tier.objects.for_merchant(merchant)
        .filter(program__is_active=True)
        .order_by("threshold")
        .values_list("code", "name")
    )
    found.tiers = _shares([*tiers, ("", "No tier")], [(c[1], c[2]) for c in counts])
    joined = Customer.objects.for_merchant(merchant).visible()
    found.joined = joined.filter(created_at__gte=period["half"], created_at__lt=period["until"]).count()
    found.joined_before = joined.filter(
        created_at__gte=period["since"], created_at__lt=period["half"]
    ).count()
    return found


def latest_purchases(merchant: Merchant) -> QuerySet[Purchase]:
    rows: QuerySet[Purchase] = (
        Purchase.objects.for_merchant(merchant)
        .select_related("customer", "store")
        .defer("receipt", "content_hash", "customer__search", "customer__metadata", "customer__notes")
        .order_by("-occurred_at")[:PURCHASES_SHOWN]
    )
    return rows


@dataclass(frozen=True, slots=True)
class MerchantRow:
    merchant: Merchant
    customers: int
    sales: int
    revenue: Decimal


def merchant_rows(merchants: list[Merchant], *, now: datetime) -> list[MerchantRow]:
    """What a superuser sees of several merchants at once: the last DAYS days."""
    ids = [merchant.pk for merchant in merchants]
    customers = dict(
        CustomerCount.objects.filter(merchant_id__in=ids).values_list("merchant_id").annotate(Sum("n"))
    )
    sold: dict[uuid.UUID, tuple[int, Decimal]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT merchant_id, count(*), sum(amount) FROM purchases"
            " WHERE merchant_id = ANY(%s) AND occurred_at >= %s GROUP BY 1",
            [ids, now - timedelta(days=DAYS)],
        )
        for merchant_id, sales, amount in cursor.fetchall():
            sold[merchant_id] = (sales, amount)
    return [
        MerchantRow(merchant, customers.get(merchant.pk) or 0, *sold.get(merchant.pk, (0, Decimal(0))))
        for merchant in merchants
    ]


def _standing(merchant_id: uuid.UUID) -> list[tuple[str, str, int]]:
    """(segment, tier, how many visible customers), from the counters."""
    rows = (
        CustomerCount.objects.filter(merchant_id=merchant_id)
        .values_list("segment", "tier")
        .annotate(total=Sum("n"))
    )
    return [(segment, tier, n) for segment, tier, n in rows if n > 0]


def _shares(known: list[tuple[Any, Any]], counted: list[tuple[str, int]]) -> list[Share]:
    """A bar for each known code, also an empty one; "no tier" and unknown codes only when somebody is there."""
    sums: dict[str, int] = {}
    for code, n in counted:
        sums[code] = sums.get(code, 0) + n
    total = sum(sums.values())
    rows = [(code, label) for code, label in known if code or sums.get("")]
    rows += [(code, code.capitalize()) for code in sums if code not in dict(known)]
    return [
        Share(code, label, sums.get(code, 0), round(sums.get(code, 0) * 100 / total) if total else 0)
        for code, label in rows
    ]
