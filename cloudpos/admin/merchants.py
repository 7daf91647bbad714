"""What a superuser sees of several merchants at once."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.db.models import Sum

from cloudpos.tenancy.models import Merchant
from customers.models import CustomerCount

DAYS = 30


@dataclass(frozen=True, slots=True)
class MerchantRow:
    merchant: Merchant
    customers: int
    sales: int
    revenue: Decimal


def merchant_rows(merchants: list[Merchant], *, now: datetime) -> list[MerchantRow]:
    """Customers, and the sales of the last DAYS days."""
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
