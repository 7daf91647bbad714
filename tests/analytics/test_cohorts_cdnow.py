"""The cohorts of a public data set, against published figures: CDNOW, everybody who first bought in January 1997."""

import csv
import gzip
from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection

from analytics.cohorts import CUMULATIVE_VALUE, RETENTION, cohorts, read_cohorts
from analytics.rollups.refresh import refresh
from cloudpos.checkout.bulk import load_history
from customers.models import Customer
from customers.services.bulk import load_customers
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

CDNOW = Path(__file__).parents[1] / "data" / "cdnow" / "cdnow.csv.gz"
JANUARY = date(1997, 1, 31)


def histories() -> dict[str, list[tuple[date, str]]]:
    found = defaultdict(list)
    with gzip.open(CDNOW, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["customer_id"]].append((date.fromisoformat(row["date"]), row["amount"]))
    return {who: sales for who, sales in found.items() if min(sales)[0] <= JANUARY}


def test_january_1997(shop: Shop) -> None:
    bought = histories()
    load_customers(access=shop.access, rows=[{"first_name": f"Customer {who}"} for who in bought])
    ids = Customer.objects.for_merchant(shop.merchant).order_by("id").values_list("id", flat=True)
    sales = [
        {
            "customer_id": customer_id,
            "store_id": shop.store.pk,
            "transaction_id": f"{who}-{number}",
            "amount": Decimal(amount).quantize(Decimal("0.01")),
            "occurred_at": datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
        }
        for customer_id, (who, history) in zip(ids, bought.items(), strict=True)
        for number, (day, amount) in enumerate(history)
    ]
    load_history(access=shop.access, sales=sales)
    with connection.cursor() as cursor:
        # Keys are checked at the end, by plans that were made when the tables were as good as empty.
        cursor.execute("ANALYZE")
    refresh(merchant_id=shop.merchant.pk)
    # The data end with June 1998, which is month 17.
    today = date(1998, 6, 30)
    wanted = read_cohorts(first=JANUARY, last=JANUARY, granularity="month", today=today)
    found = cohorts(merchant_id=shop.merchant.pk, wanted=wanted, granularity="month", today=today)
    (january,) = found.cohorts
    assert (january.size, january.active[:3]) == (7_846, [7_846, 1_157, 964])
    assert [round(cell, 4) for cell in found.cells(january, RETENTION)[:2]] == [1.0, 0.1475]
    value = [round(cents / 100, 2) for cents in found.cells(january, CUMULATIVE_VALUE)]
    assert (value[0], value[17], len(value)) == (38.12, 113.07, 18)
