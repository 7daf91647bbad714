"""Customers who buy and return through the till's use cases."""

from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from analytics.recalculations import Mode, start_recalculation
from cloudpos.checkout.returns import return_purchase
from cloudpos.checkout.sales import take_purchase
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import run_here
from cloudpos.tenancy.access import Access
from customers.models import Customer
from customers.services import create_customer
from tests.analytics.goods import item, may
from tests.fixtures import Shop

_numbers = count(1)


def new_customer(shop: Shop, name: str) -> Customer:
    return create_customer(access=shop.access, data={"first_name": name})


def buy(
    shop: Shop,
    customer: Customer,
    amount: str,
    at: datetime,
    *,
    access: Access | None = None,
    items: list[dict[str, Any]] | None = None,
    **fields: Any,
) -> str:
    """A purchase at `at`; returns its transaction id."""
    transaction_id = f"T{next(_numbers)}"
    sale: dict[str, Any] = {
        "customer_id": customer.pk,
        "transaction_id": transaction_id,
        "amount": Decimal(amount),
        "occurred_at": at,
        **fields,
    }
    if items is not None:
        sale["items"] = items
    take_purchase(access=access or shop.access, sale=sale)
    return transaction_id


def give_back(shop: Shop, transaction_id: str, at: datetime, amount: str | None = None) -> None:
    """A return of the whole purchase, or of a part of its amount."""
    back: dict[str, Any] = {"transaction_id": f"R{next(_numbers)}", "occurred_at": at}
    if amount is not None:
        back["amount"] = Decimal(amount)
    return_purchase(access=shop.access, purchase_transaction_id=transaction_id, back=back)


@pytest.fixture
def alice(shop: Shop) -> Customer:
    return new_customer(shop, "Alice")


@pytest.fixture
def bob(shop: Shop) -> Customer:
    return new_customer(shop, "Bob")


def recalculate(shop: Shop, mode: Mode = Mode.FULL) -> Job:
    """A recalculation from its request to its end, in this process."""
    return run_here(start_recalculation(merchant_id=shop.merchant.pk, mode=mode).pk)


@pytest.fixture
def fruit(shop: Shop, alice: Customer, bob: Customer) -> str:
    """Three purchases; of the first two of four apples came back. Returns its transaction."""
    first = buy(
        shop,
        alice,
        "9.00",
        may(1),
        items=[item("apple", "4", "1.50", category="Fruit"), item("bag", "1", "3.00")],
    )
    buy(shop, bob, "1.50", may(2), items=[item("apple", "0.500", "3.00", category="Fruit")])
    buy(
        shop,
        bob,
        "2.00",
        may(3),
        items=[{"name": "Gift wrap", "quantity": Decimal(1), "unit_price": Decimal(2)}],
    )
    back = {"transaction_id": "R-1", "occurred_at": may(20), "items": [{"line": 1, "quantity": Decimal(2)}]}
    return_purchase(access=shop.access, purchase_transaction_id=first, back=back)
    return first
