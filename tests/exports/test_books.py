"""The points ledger and the purchases of a period as files."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from customers.models import Customer
from loyalty.services import create_program
from loyalty.services.rewards import create_reward
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
        ("T-2", "30.00", "0.00", "30.00", "0", "30", "GBP"),
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


def test_returns_and_what_they_took_back(shop: Shop, books: None, export: Export) -> None:
    columns = ["transactionId", "purchaseTransactionId", "amount", "points", "items", "reason", "storeCode"]
    rows = export("returns", columns=columns).rows()
    assert [list(row.values()) for row in rows] == [["R-1", "T-1", "5.00", "-5", "0", "", "HIGH"]]
    assert export("returns", filters={"occurredTo": "2026-06-01"}).rows() == []
    assert export("returns", filters={"amountMin": "5.01"}).rows() == []


def test_a_return_says_what_came_back(shop: Shop, books: None, export: Export) -> None:
    body = {
        "transactionId": "R-2",
        "items": [{"line": 1, "quantity": "0.5"}, {"line": 2, "quantity": "1"}],
        "reason": "=too much",
        "occurredAt": "2026-06-03T10:00:00Z",
    }
    assert shop.cashier.post("/purchases/T-1/returns", body).status_code == 201
    found = export("returns", columns=["items", "products", "reason"], filters={"occurredFrom": "2026-06-03"})
    assert found.table()[1:] == [["2", "0.5 x =Apple; 1 x Bread", "'=too much"]]


def test_redemptions_and_what_became_of_them(
    shop: Shop, alice: Customer, books: None, export: Export
) -> None:
    values = {"name": "Five off", "kind": "fixed", "value": Decimal(5), "points": 10}
    reward = create_reward(merchant_id=shop.merchant.pk, values=values)
    for number in ("X-1", "X-2"):
        path = f"/customers/{alice.pk}/loyalty/rewards/{reward.pk}/redeem"
        answer = shop.manager.post(path, {"transactionId": number})
        assert answer.status_code == 201, answer.content
    second = answer.json()["data"]["id"]
    assert shop.manager.post(f"/loyalty/redemptions/{second}/cancel").status_code == 200
    names = ("Transaction", "Reward", "Kind", "Points", "Money off", "Currency", "State", "By", "Store")
    rows = export("redemptions").rows()
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("X-1", "Five off", "fixed", "10", "5.00", "GBP", "redeemed", "manager of Corner Shop", "HIGH"),
        ("X-2", "Five off", "fixed", "10", "5.00", "GBP", "cancelled", "manager of Corner Shop", "HIGH"),
    ]
    assert rows[0]["Customer number"] == alice.customer_number
    assert (rows[0]["Cancelled"], bool(rows[1]["Cancelled"])) == ("", True)
    for filters, numbers in (
        ({"state": "cancelled"}, ["X-2"]),
        ({"rewardId": str(reward.pk)}, ["X-1", "X-2"]),
        ({"rewardId": str(alice.pk)}, []),
        ({"occurredTo": "2026-01-01"}, []),
    ):
        assert [row["Transaction"] for row in export("redemptions", filters=filters).rows()] == numbers


def test_the_books_of_nobody_else(shop: Shop, foreign_shop: Shop, books: None, export: Export) -> None:
    create_program(merchant_id=foreign_shop.merchant.pk)
    bob = register(foreign_shop, "Bob")
    sell(foreign_shop.access, bob, "F-1", "99.00", currency="USD")
    bring_back(foreign_shop.access, "F-1", "FR-1", "9.00")
    move(foreign_shop.access, bob, "redeemed", 10)
    numbers = {"ledger": 4, "purchases": 2, "purchase_items": 2, "returns": 1, "redemptions": 0}
    for kind, rows in numbers.items():
        assert len(export(kind).rows()) == rows
        asked = {"customerId": str(bob.pk)}
        assert export(kind, filters=asked).rows() == []


@pytest.mark.parametrize(
    ("kind", "alices", "bobs"),
    [
        ("purchases", ["20.00", "30.00"], ["20.00"]),
        ("purchase_items", ["2", "15"], []),
        ("returns", ["5.00"], ["20.00"]),
        ("ledger", ["20", "30", "-5", "7"], ["20", "-20"]),
    ],
)
def test_what_a_search_finds(
    shop: Shop, foreign_shop: Shop, books: None, export: Export, kind: str, alices: list[str], bobs: list[str]
) -> None:
    bob = register(shop, "Bob")
    sell(shop.access, bob, "T-9", "20.00", MIDNIGHT)
    bring_back(shop.access, "T-9", "R-9", None, MIDNIGHT.replace(minute=9))
    sell(foreign_shop.access, register(foreign_shop, "Alice"), "T-1", "99.00", MIDNIGHT)
    column = {"ledger": "points", "purchase_items": "unitPrice"}.get(kind, "amount")

    def found(query: str) -> list[str]:
        _, *rows = export(kind, columns=[column], filters={"query": query}).table()
        return [row[0] for row in rows]

    assert found("ali") == alices
    assert found(bob.customer_number) == bobs
    assert found("nobody") == found("?") == []


def test_a_search_finds_numbers_of_tills(shop: Shop, books: None, export: Export) -> None:
    for kind, query, amounts in (
        ("purchases", "T-2", ["30.00"]),
        ("returns", "R-1", ["5.00"]),
        ("returns", "R-", []),
    ):
        _, *rows = export(kind, columns=["amount"], filters={"query": query}).table()
        assert [row[0] for row in rows] == amounts


def test_a_search_of_redemptions(shop: Shop, alice: Customer, books: None, export: Export) -> None:
    values = {"name": "Five off", "kind": "fixed", "value": Decimal(5), "points": 10}
    reward = create_reward(merchant_id=shop.merchant.pk, values=values)
    path = f"/customers/{alice.pk}/loyalty/rewards/{reward.pk}/redeem"
    assert shop.manager.post(path, {"transactionId": "X-1"}).status_code == 201
    assert [row["Transaction"] for row in export("redemptions", filters={"query": "alice"}).rows()] == ["X-1"]
    assert export("redemptions", filters={"query": "bob"}).rows() == []
