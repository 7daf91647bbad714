"""The points ledger and the purchases of a period as files."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from customers.models import Customer
from loyalty.services import create_program
from tests.exports.conftest import Export
from tests.fixtures import Shop
from tests.tills import bring_back, move, register, sell

pytestmark = pytest.mark.django_db

# A midnight of London in summer.
MIDNIGHT = datetime(2026, 6, 1, 23, 0, tzinfo=UTC)


@pytest.fixture
def alice(shop: Shop) -> Customer:
    create_program(merchant_id=shop.merchant.pk)
    return register(shop, "Alice")


@pytest.fixture
def books(shop: Shop, alice: Customer) -> None:
    items = [
        {
            "sku": "A-1",
            "name": "=Apple",
            "category": "Fruit",
            "quantity": Decimal("2.5"),
            "unit_price": Decimal("2.00"),
            "tax": Decimal("0.50"),
        },
        {"sku": "B-1", "name": "Bread", "quantity": Decimal(1), "unit_price": Decimal(15)},
    ]
    sell(shop.access, alice, "T-1", "20.00", MIDNIGHT.replace(hour=22, minute=59), items=items)
    sell(shop.access, alice, "T-2", "30.00", MIDNIGHT)
    bring_back(shop.access, "T-1", "R-1", "5.00", MIDNIGHT.replace(minute=5))
    move(shop.access, alice, "adjusted", 7, description="=sorry")


def test_every_entry_of_the_ledger(shop: Shop, alice: Customer, books: None, export: Export) -> None:
    rows = export("ledger").rows()
    told = [(row["Type"], row["Cause"], row["Purchase"], row["Return"], row["Store"]) for row in rows]
    assert told == [
        ("earned", "purchase", "T-1", "", "HIGH"),
        ("earned", "purchase", "T-2", "", "HIGH"),
        ("reversed", "return", "T-1", "R-1", "HIGH"),
        ("adjusted", "person", "", "", "HIGH"),
    ]
    assert [row["Time"] for row in rows][:2] == ["2026-06-01T23:59:00+01:00", "2026-06-02T00:00:00+01:00"]
    balance = 0
    for row in rows:
        assert int(row["Balance before"]) == balance
        balance += int(row["Points"])
        assert int(row["Balance after"]) == balance
        assert row["Customer number"] == alice.customer_number
    assert (rows[-1]["Description"], rows[-1]["By"]) == ("'=sorry", "manager of Corner Shop")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"occurredTo": "2026-06-01"}, ["20"]),
        ({"occurredFrom": "2026-06-02", "type": "earned"}, ["30"]),
        ({"type": ["reversed", "adjusted"]}, ["-5", "7"]),
        ({"storeId": "00000000-0000-0000-0000-000000000000"}, []),
    ],
)
def test_a_period_in_the_stores_own_days(
    books: None, export: Export, filters: dict[str, object], expected: list[str]
) -> None:
    assert [row["Points"] for row in export("ledger", filters=filters).rows()] == expected


def test_a_promotion_is_named(shop: Shop, alice: Customer, export: Export) -> None:
    doubled = {"name": "Doubled", "kind": "multiplier", "multiplier": "2", "status": "active"}
    assert shop.manager.post("/loyalty/promotions", doubled).status_code == 201
    sell(shop.access, alice, "T-1", "20.00")
    rows = export("ledger", filters={"customerId": str(alice.pk)}).rows()
    assert [(row["Cause"], row["Promotion"]) for row in rows] == [("purchase", ""), ("promotion", "Doubled")]


def test_purchases_and_what_came_back(books: None, export: Export) -> None:
    rows = export("purchases").rows()
    names = ("Transaction", "Amount", "Returned", "Net", "Items", "Points", "Currency")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("T-1", "20.00", "5.00", "15.00", "2", "15", "GBP"),
        ("T-2", "30.00", "0", "30.00", "0", "30", "GBP"),
    ]


def test_items_have_a_row_each(books: None, export: Export) -> None:
    rows = export("purchase_items", filters={"occurredTo": "2026-06-01"}).rows()
    names = ("Transaction", "Line", "SKU", "Product", "Quantity", "Unit price")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("T-1", "1", "A-1", "'=Apple", "2.5", "2"),
        ("T-1", "2", "B-1", "Bread", "1", "15"),
    ]
    sheet = export("purchase_items", format="xlsx", columns=["name", "quantity"]).book()["Purchases by item"]
    assert [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)] == [
        ["=Apple", 2.5],
        ["Bread", 1],
    ]


def test_the_books_of_nobody_else(shop: Shop, foreign_shop: Shop, books: None, export: Export) -> None:
    create_program(merchant_id=foreign_shop.merchant.pk)
    bob = register(foreign_shop, "Bob")
    sell(foreign_shop.access, bob, "F-1", "99.00", currency="USD")
    for kind, rows in (("ledger", 4), ("purchases", 2), ("purchase_items", 2)):
        assert len(export(kind).rows()) == rows
        asked = {"customerId": str(bob.pk)}
        assert export(kind, filters=asked).rows() == []
