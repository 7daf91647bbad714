"""Rows of a sale have no foreign key on the merchant: what they refer to proves it."""

import uuid
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from psycopg.types.json import Jsonb

from loyalty.models import Program
from tests.fixtures import Shop
from tests.tills import bring_back, move, register, sell

pytestmark = pytest.mark.django_db

TABLES = [
    "purchases",
    "purchase_items",
    "purchase_returns",
    "purchase_return_items",
    "customer_consents",
    "customer_preferences",
    "loyalty_enrollments",
    "loyalty_transactions",
    "loyalty_lots",
    "loyalty_allocations",
    "loyalty_shortfalls",
]


@pytest.fixture
def sold(shop: Shop, program: Program) -> None:
    """A row in each table: a sale whose points were spent before it was taken back."""
    alice = register(shop, "Alice", preferences={"email": {"marketing": True}})
    tea = {"sku": "TEA", "quantity": Decimal(1), "unit_price": Decimal(50)}
    sell(shop.access, alice, "T-1", "50", items=[tea])
    move(shop.access, alice, "redeemed", 40)
    bring_back(shop.access, "T-1", "R-1", items=[{"line": 1, "quantity": Decimal(1)}])


def copy_row(table: str, merchant_id: uuid.UUID) -> None:
    changes = {"id": str(uuid.uuid4()), "merchant_id": str(merchant_id)}
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} SELECT (jsonb_populate_record(t, %s)).* FROM {table} t LIMIT 1",
            [Jsonb(changes)],
        )
        assert cursor.rowcount == 1
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("table", TABLES)
def test_the_database_refuses_another_merchants_row(
    shop: Shop, foreign_shop: Shop, sold: None, table: str
) -> None:
    for merchant_id in (foreign_shop.merchant.pk, uuid.uuid4()):
        with pytest.raises(IntegrityError, match="_tenant_fk"), transaction.atomic():
            copy_row(table, merchant_id)
