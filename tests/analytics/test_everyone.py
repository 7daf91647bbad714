"""The sales of all customers, read at once: the same as read one by one, and never older than they are."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from analytics.models import CustomerFigures
from analytics.recalculating import everyone
from analytics.recalculating.columns import read
from analytics.recalculating.everyone import read_everyone
from analytics.recalculating.job import refresh_customers
from cloudpos.tenancy.models import Store
from customers.models import Customer
from customers.services import delete_customer
from tests.analytics.conftest import buy, give_back, new_customer, recalculate
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock() -> Any:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def days_ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def item(quantity: str) -> dict[str, Any]:
    return {"sku": "A", "name": "Apples", "quantity": Decimal(quantity), "unit_price": Decimal("1.00")}


def as_written(shop: Shop) -> list[dict[str, Any]]:
    return list(
        CustomerFigures.objects.for_merchant(shop.merchant)
        .order_by("pk")
        .values(*(field.attname for field in CustomerFigures._meta.fields if field.name != "updated_at"))
    )


def test_all_at_once_is_the_same_as_one_by_one(shop: Shop, foreign_shop: Shop) -> None:
    Store.objects.filter(pk=shop.store.pk).update(timezone="Pacific/Auckland")
    customers = [new_customer(shop, f"C{number}") for number in range(8)]
    for number, customer in enumerate(customers):
        for visit in range(number):
            at = days_ago(200 - 20 * visit) - timedelta(minutes=37 * number)
            sold = buy(shop, customer, f"{5 + visit}.50", at, items=[item("1.250"), item(f"{visit}.5")])
            if visit % 3 == 1:
                give_back(shop, sold, at + timedelta(hours=1), "2.25" if visit == 1 else None)
    whole = buy(shop, customers[0], "9.00", days_ago(3))
    give_back(shop, whole, days_ago(2))
    buy(foreign_shop, new_customer(foreign_shop, "Stranger"), "10.00", days_ago(3))
    assert recalculate(shop).counts["figures"] == 7
    at_once = as_written(shop)
    CustomerFigures.objects.update(purchase_days=1, churn_reasons=[], milli_units=0, total_cents=0)
    refresh_customers(
        merchant_id=shop.merchant.pk, customer_ids=[customer.pk for customer in customers], at=NOW
    )
    assert as_written(shop) == at_once
    assert any(len(row["churn_reasons"]) > 1 and row["milli_units"] > 1_000 for row in at_once)


def test_who_bought_or_went_since_is_read_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob, carol, late = (new_customer(shop, name) for name in ("Alice", "Bob", "Carol", "Late"))
    for customer in (alice, bob, carol):
        buy(shop, customer, "10.00", days_ago(50))
    again: list[Any] = []
    read_sales = everyone.read_sales

    def reading(**arguments: Any) -> Any:
        again.extend(arguments["customer_ids"])
        return read_sales(**arguments)

    monkeypatch.setattr(everyone, "read_sales", reading)
    with read_everyone(merchant_id=shop.merchant.pk, as_of=NOW.date()) as found:
        buyers, sold = found.next(10)
        assert (buyers.ids, sold.cents.tolist()) == ([alice.pk, bob.pk, carol.pk], [1_000] * 3)
        buy(shop, bob, "7.00", days_ago(20))
        delete_customer(access=shop.access, customer_id=alice.pk)
        buy(shop, late, "5.00", days_ago(20))
        now, sales = found.current(buyers, sold)
    assert now.ids == [bob.pk, carol.pk]
    assert again == [bob.pk]
    assert sorted(zip(sales.customer.tolist(), sales.cents.tolist(), strict=True)) == [
        (0, 700),
        (0, 1_000),
        (1, 1_000),
    ]


def test_it_goes_on_after_a_customer(shop: Shop) -> None:
    customers = [new_customer(shop, name) for name in "ABC"]
    for number, customer in enumerate(customers, start=1):
        buy(shop, customer, f"{number}.00", days_ago(5))
    with read_everyone(merchant_id=shop.merchant.pk, as_of=NOW.date(), after=customers[0].pk) as found:
        buyers, sold = found.next(1)
        rest, _ = found.next(10)
        nobody, nothing = found.next(10)
        found.rewind()
        assert found.next(1)[0].ids == buyers.ids
    assert (buyers.ids, sold.cents.tolist()) == ([customers[1].pk], [200])
    assert rest.ids == [customers[2].pk]
    assert (len(nobody), len(nothing.day)) == (0, 0)
    # Closed: its name is free again.
    with read_everyone(merchant_id=shop.merchant.pk, as_of=NOW.date()) as found:
        assert len(found.next(10)[0]) == 3


def test_a_null_is_not_overlooked() -> None:
    statement = "SELECT v::int4 AS n FROM unnest(ARRAY[1, {0}, 3]) v"
    assert read(statement.format(2), {}, [("n", "i4")])["n"].tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="NULL"):
        read(statement.format("NULL"), {}, [("n", "i4")])


def test_a_merchant_without_customers(shop: Shop) -> None:
    assert Customer.objects.for_merchant(shop.merchant).count() == 0
    with read_everyone(merchant_id=shop.merchant.pk, as_of=NOW.date()) as found:
        assert len(found.next(10)[0]) == 0
