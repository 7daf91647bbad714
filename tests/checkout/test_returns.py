"""POST /purchases/{transactionId}/returns"""

from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from cloudpos.checkout import returns
from cloudpos.tenancy.models import Store
from customers.models import Customer, Event, Purchase, PurchaseItem, PurchaseReturn, PurchaseReturnItem
from customers.services import delete_customer
from loyalty.models import LedgerEntry, Lot, Program, Shortfall
from tests.fixtures import ApiClient, Shop, meanwhile
from tests.tills import books, bring_back, findings, minutes, move, register, sell

pytestmark = pytest.mark.django_db

ITEMS = [
    {"sku": "TEA", "name": "Tea", "quantity": "3", "unit_price": "10"},
    {"sku": "HAM", "name": "Ham", "quantity": "0.5", "unit_price": "40"},
]


@pytest.fixture
def sold(shop: Shop, program: Program, alice: Customer) -> None:
    """50.00 in two lines, 50 points."""
    items = [
        {**item, "quantity": Decimal(item["quantity"]), "unit_price": Decimal(item["unit_price"])}
        for item in ITEMS
    ]
    sell(shop.access, alice, "T-1", "50", minutes(0), items=items)


def back(client: ApiClient, number: str = "R-1", purchase: str = "T-1", **fields: Any) -> Any:
    sent = {"transactionId": number, "occurredAt": "2026-03-02T12:00:00Z", **fields}
    return client.post(f"/purchases/{purchase}/returns", sent)


def errors(response: Any) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in response.json()["errors"]]


def test_a_whole_return(shop: Shop, sold: None, alice: Customer) -> None:
    response = back(shop.cashier, reason="Broken")
    assert response.status_code == 201
    stored = PurchaseReturn.objects.get()
    assert response.json()["data"] == {
        "return": {
            "id": str(stored.pk),
            "purchaseId": str(stored.purchase_id),
            "purchaseTransactionId": "T-1",
            "customerId": str(alice.pk),
            "storeId": str(shop.store.pk),
            "transactionId": "R-1",
            "amount": "50.00",
            "reason": "Broken",
            "items": [],
            "occurredAt": "2026-03-02T12:00:00Z",
            "recordedAt": stored.recorded_at.isoformat().replace("+00:00", "Z"),
        },
        "pointsTaken": 50,
        "pointsShortfall": 0,
        "balance": 0,
        "pending": 0,
        "tier": "bronze",
        "nextTier": {"tier": "silver", "name": "Silver", "threshold": "500.00", "spendToReach": "500.00"},
        "explanation": [
            {
                "code": "proportion",
                "message": "50.00 of 50.00 returned: its share of the purchase's points",
                "points": -50,
            }
        ],
    }
    alice.refresh_from_db()
    # A visit stays a visit.
    assert (str(alice.total_spent), alice.visit_count, alice.points) == ("0.00", 1, 0)
    again = back(shop.cashier, "R-2")
    assert (again.status_code, again.json()["code"], again.json()["returnable"]) == (
        409,
        "already_returned",
        "0.00",
    )


def test_each_change_is_told_once(shop: Shop, sold: None, alice: Customer) -> None:
    Event.objects.all().delete()
    back(shop.cashier, amount="20")
    back(shop.cashier, amount="20")
    assert sorted(Event.objects.values_list("type", flat=True)) == ["points.reversed", "purchase.returned"]
    told = Event.objects.get(type="purchase.returned").data
    stored = PurchaseReturn.objects.get()
    assert told == {
        "returnId": str(stored.pk),
        "purchaseId": str(stored.purchase_id),
        "storeId": str(shop.store.pk),
        "amount": "20.00",
        "currency": "GBP",
        "transactionId": "R-1",
        "purchaseTransactionId": "T-1",
    }


def test_the_same_return_again_gets_the_same_receipt(shop: Shop, sold: None, alice: Customer) -> None:
    first = back(shop.cashier, items=[{"line": 1, "quantity": 1}])
    back(shop.cashier, "R-2", amount="5")
    again = back(shop.cashier, items=[{"line": 1, "quantity": "1.000"}])
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["data"] == first.json()["data"]
    other = back(shop.cashier, amount="6")
    assert (other.status_code, errors(other)) == (409, [("transactionId", "transaction_conflict")])


def test_ten_small_returns_take_what_one_takes(
    shop: Shop, program: Program, alice: Customer, bob: Customer
) -> None:
    sell(shop.access, alice, "A", "25.50", minutes(0))
    sell(shop.access, bob, "B", "25.50", minutes(0))
    for number in range(10):
        assert back(shop.cashier, f"A-{number}", "A", amount="1").status_code == 201
    back(shop.cashier, "B-0", "B", amount="10")
    assert books(alice)["balance"] == books(bob)["balance"] == 16
    for number in range(10, 25):
        back(shop.cashier, f"A-{number}", "A", amount="1")
    back(shop.cashier, "A-rest", "A")
    assert books(alice)["balance"] == 0


def test_never_more_than_was_sold(shop: Shop, sold: None, alice: Customer) -> None:
    assert back(shop.cashier, "R-1", amount="30").status_code == 201
    response = back(shop.cashier, "R-2", amount="20.01")
    assert (response.status_code, errors(response)) == (409, [("amount", "return_exceeds_purchase")])
    assert response.json()["returnable"] == "20.00"
    assert back(shop.cashier, "R-3", amount="20").status_code == 201


def test_items_come_back_for_their_share(shop: Shop, sold: None, alice: Customer) -> None:
    receipt = back(shop.cashier, items=[{"line": 1, "quantity": 2}]).json()["data"]
    assert (receipt["return"]["amount"], receipt["return"]["items"]) == (
        "20.00",
        [{"line": 1, "quantity": "2"}],
    )
    by_sku = back(shop.cashier, "R-2", items=[{"sku": "HAM", "quantity": "0.25"}]).json()["data"]
    assert (by_sku["return"]["amount"], by_sku["return"]["items"]) == (
        "10.00",
        [{"line": 2, "quantity": "0.25"}],
    )
    # The last ones bring whatever is left.
    rest = back(shop.cashier, "R-3", items=[{"line": 1, "quantity": 1}, {"line": 2, "quantity": "0.25"}])
    assert rest.json()["data"]["return"]["amount"] == "20.00"
    assert PurchaseReturnItem.objects.count() == 4


def test_a_discount_is_shared_by_the_items(shop: Shop, program: Program, alice: Customer) -> None:
    items = [{"sku": sku, "quantity": 1, "unitPrice": price} for sku, price in (("A", 30), ("B", 10))]
    sale = {"customerId": str(alice.pk), "transactionId": "T-1", "amount": 20, "discount": 20, "items": items}
    shop.cashier.post("/purchases", {**sale, "occurredAt": minutes(0).isoformat()})
    receipt = back(shop.cashier, items=[{"line": 1, "quantity": 1}]).json()["data"]
    assert receipt["return"]["amount"] == "15.00"


@pytest.mark.django_db(transaction=True)
def test_a_return_sent_twice_at_once_gets_one_receipt(
    shop: Shop, sold: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second looks for itself before the first has committed, and then waits for the customer's lock."""
    seen: list[int] = []
    lock = returns._lock_owner

    def first_is_quicker(purchase: Any) -> Customer:
        monkeypatch.setattr(returns, "_lock_owner", lock)
        seen.append(meanwhile(lambda: back(shop.cashier)).status_code)
        return lock(purchase)

    monkeypatch.setattr(returns, "_lock_owner", first_is_quicker)
    second = back(shop.cashier)
    assert (seen, second.status_code) == ([201], 200)
    assert second.json()["data"]["return"]["id"] == str(PurchaseReturn.objects.get().pk)


@pytest.mark.parametrize(
    ("items", "status", "field", "code"),
    [
        ([{"line": 3, "quantity": 1}], 400, "items.0.line", "unknown_line"),
        ([{"sku": "NONE", "quantity": 1}], 400, "items.0.sku", "unknown_line"),
        ([], 400, "items", "empty"),
        ([{"line": 1, "sku": "HAM", "quantity": 1}], 400, "items.0.line", "unknown_line"),
        ([{"quantity": 1}], 400, "items.0.line", "unknown_line"),
        ([{"line": 1, "quantity": 4}], 409, "items.0.quantity", "return_exceeds_purchase"),
        (
            [{"line": 1, "quantity": 2}, {"line": 1, "quantity": 2}],
            409,
            "items.1.quantity",
            "return_exceeds_purchase",
        ),
        ([{"line": 0, "quantity": 1}], 400, "items.0.line", "min_value"),
        ([{"line": 1, "quantity": -1}], 400, "items.0.quantity", "min_value"),
    ],
)
def test_items_are_checked_against_the_sale(
    shop: Shop, sold: None, items: list[Any], status: int, field: str, code: str
) -> None:
    response = back(shop.cashier, items=items)
    assert (response.status_code, errors(response)) == (status, [(field, code)])
    assert PurchaseReturn.objects.count() == 0


@pytest.mark.parametrize(
    ("changed", "field", "code"),
    [
        ({"transactionId": ""}, "transactionId", "blank"),
        ({"amount": "0"}, "amount", "min_value"),
        ({"amount": "-5"}, "amount", "min_value"),
        ({"occurredAt": "2099-01-01T00:00:00Z"}, "occurredAt", "in_the_future"),
        ({"refund": 1}, "refund", "unknown_field"),
    ],
)
def test_what_is_wrong_is_named(
    shop: Shop, sold: None, changed: dict[str, Any], field: str, code: str
) -> None:
    response = back(shop.cashier, **{"number": "R-1", **changed}) if "transactionId" not in changed else None
    if response is None:
        response = shop.cashier.post("/purchases/T-1/returns", changed)
    assert response.status_code == 400
    assert (field, code) in errors(response)


def test_a_return_for_which_no_money_goes_back_is_refused(
    shop: Shop, program: Program, alice: Customer
) -> None:
    """What came along for nothing, or a part of a cent."""
    items: Any = [
        {"sku": "CARD", "quantity": Decimal(1), "unit_price": Decimal("0.00")},
        {"sku": "PIN", "quantity": Decimal(1), "unit_price": Decimal("0.0049")},
        {"sku": "TEA", "quantity": Decimal(1), "unit_price": Decimal("10.00")},
    ]
    sell(shop.access, alice, "T-1", "10", minutes(0), items=items)
    for sku in ("CARD", "PIN"):
        refused = back(shop.cashier, items=[{"sku": sku, "quantity": "1"}])
        assert (refused.status_code, errors(refused)) == (400, [("amount", "required")])
    assert not PurchaseReturn.objects.exists()
    assert books(alice)["balance"] == 10
    assert back(shop.cashier, items=[{"sku": "CARD", "quantity": "1"}], amount="1").status_code == 201


def test_an_unknown_purchase_is_not_found(shop: Shop, program: Program, foreign_shop: Shop) -> None:
    mallory = register(foreign_shop, "Mallory")
    sell(foreign_shop.access, mallory, "F-1", "10", minutes(0))
    absent, foreign = back(shop.cashier, purchase="T-9"), back(shop.cashier, purchase="F-1")
    assert (absent.status_code, absent.json()["code"]) == (404, "purchase_not_found")
    assert {**absent.json(), "requestId": ""} == {**foreign.json(), "requestId": ""}


def test_at_another_store_of_the_merchant(shop: Shop, sold: None, alice: Customer) -> None:
    second = Store.objects.create(merchant=shop.merchant, name="Station", code="STN")
    third = Store.objects.create(merchant=shop.merchant, name="Harbour", code="HBR")
    station = ApiClient(user_id=shop.cashier.user_id, store_id=second.pk)
    harbour = ApiClient(user_id=shop.cashier.user_id, store_id=third.pk)
    response = back(station, amount="10")
    assert (response.status_code, response.json()["data"]["return"]["storeId"]) == (201, str(second.pk))
    # The same number at another store is another return.
    assert back(harbour, amount="10").status_code == 201

    sell(harbour.access, alice, "T-1", "5", minutes(5))
    ambiguous = back(station, "R-9", amount="1")
    assert (ambiguous.status_code, errors(ambiguous)) == (409, [("purchaseStoreId", "ambiguous_purchase")])
    named = back(station, "R-9", amount="5", purchaseStoreId=str(third.pk))
    assert named.status_code == 201
    # At the store that has one of its own, that one is meant.
    assert back(harbour, "R-10", amount="1").json()["code"] == "already_returned"


def test_points_that_are_spent_are_a_shortfall(shop: Shop, sold: None, alice: Customer) -> None:
    move(shop.access, alice, "redeemed", 40)
    receipt = back(shop.cashier).json()["data"]
    assert (receipt["pointsTaken"], receipt["pointsShortfall"], receipt["balance"]) == (10, 40, 0)
    assert [line["code"] for line in receipt["explanation"]] == ["proportion", "shortfall"]
    shortfall = Shortfall.objects.get()
    assert (shortfall.points, shortfall.purchase_return_id) == (40, PurchaseReturn.objects.get().pk)
    # Later earnings are the customer's.
    sell(shop.access, alice, "T-2", "7", minutes(300))
    assert books(alice)["balance"] == 7
    assert findings(shop) == []


def test_a_late_gain_makes_good_the_shortfall_of_its_own_purchase(
    shop: Shop, sold: None, alice: Customer
) -> None:
    move(shop.access, alice, "redeemed", 50)
    back(shop.cashier, amount="40")
    assert books(alice)["shortfall"] == 40
    # Had it been known in time: 62 earned, 50 redeemed, 49 to take and 12 there: 37 short.
    sell(shop.access, alice, "T-0", "500", minutes(-60))
    found = books(alice)
    assert (found["balance"], found["shortfall"]) == (500, 37)
    assert findings(shop) == []


def test_a_return_takes_from_its_own_purchase_first(shop: Shop, sold: None, alice: Customer) -> None:
    sell(shop.access, alice, "T-0", "30", minutes(-60))
    back(shop.cashier, amount="20")
    entry = LedgerEntry.objects.get(type="reversed")
    (allocation,) = entry.allocations.all()
    assert (allocation.lot.purchase.transaction_id, allocation.points) == ("T-1", 20)


def test_the_books_outlive_the_customer(shop: Shop, sold: None, alice: Customer) -> None:
    delete_customer(access=shop.access, customer_id=alice.pk)
    assert back(shop.cashier, amount="20").status_code == 201
    assert findings(shop) == []


def test_without_a_program(shop: Shop, alice: Customer) -> None:
    sell(shop.access, alice, "T-1", "10", minutes(0))
    receipt = back(shop.cashier, amount="4").json()["data"]
    assert (receipt["pointsTaken"], receipt["balance"], receipt["tier"]) == (0, 0, None)
    assert [line["code"] for line in receipt["explanation"]] == ["no_program"]


def test_a_number_with_slashes(shop: Shop, program: Program, alice: Customer) -> None:
    sell(shop.access, alice, "2026/03/02/7", "10", minutes(0))
    assert back(shop.cashier, purchase="2026/03/02/7").status_code == 201
    assert back(shop.cashier, "R-2", purchase="2026%2F03%2F02%2F7").status_code == 409


def test_it_takes_a_bounded_number_of_statements(shop: Shop, sold: None, alice: Customer) -> None:
    for number in range(2, 12):
        sell(shop.access, alice, f"T-{number}", "10", minutes(number))
    back(shop.cashier, "R-0", amount="1")
    with CaptureQueriesContext(connection) as queries:
        assert back(shop.cashier, amount="10").status_code == 201
    statements = [query["sql"] for query in queries.captured_queries if "SAVEPOINT" not in query["sql"]]
    assert len(statements) <= 14


def test_what_its_own_lots_lack_comes_from_the_earliest_others(
    shop: Shop, program: Program, alice: Customer
) -> None:
    """A late return takes the tier from two later purchases; the points of the second are spent already."""
    for name, amount, minute in (
        ("T-0", "50", -10),
        ("T-1", "500", 0),
        ("T-2", "100", 20),
        ("T-3", "100", 30),
    ):
        sell(shop.access, alice, name, amount, minutes(minute))
    Lot.objects.filter(purchase__transaction_id="T-3").update(expires_at=now() + timedelta(days=1))
    move(shop.access, alice, "redeemed", 125)
    bring_back(shop.access, "T-1", "R-1", "500", minutes(10))
    taken = [
        (entry.purchase.transaction_id, allocation.lot.purchase.transaction_id, allocation.points)
        for entry in LedgerEntry.objects.filter(points__lt=0, purchase__isnull=False).order_by("version")
        for allocation in entry.allocations.all()
    ]
    assert taken == [("T-1", "T-1", 500), ("T-2", "T-2", 25), ("T-3", "T-0", 25)]
    assert findings(shop) == []


def kept() -> tuple[list[Decimal], list[Decimal]]:
    """What the database says came back, of purchases and of their lines."""
    sums = Purchase.objects.order_by("occurred_at").values_list("returned", flat=True)
    return list(sums), list(
        PurchaseItem.objects.order_by("purchase", "line").values_list("returned", flat=True)
    )


def test_the_database_adds_up_what_came_back(shop: Shop, sold: None) -> None:
    assert kept() == ([0], [0, 0])
    back(shop.cashier, items=[{"line": 1, "quantity": "1"}], amount="10.00")
    back(
        shop.cashier,
        "R-2",
        items=[{"line": 1, "quantity": "1"}, {"line": 2, "quantity": "0.25"}],
        amount="20.00",
    )
    assert kept() == ([Decimal(30)], [Decimal(2), Decimal("0.25")])


@pytest.mark.parametrize("table", ["purchases", "purchase_items"])
def test_nobody_else_says_what_came_back(sold: None, table: str) -> None:
    with (
        pytest.raises(IntegrityError, match="immutable"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE {table} SET returned = 1")
    with (
        pytest.raises(IntegrityError, match="immutable"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE {table} SET id = gen_random_uuid()")


def test_what_came_back_before_is_added_up_by_the_migration(shop: Shop, sold: None) -> None:
    back(shop.cashier, items=[{"line": 1, "quantity": "1"}], amount="10.00")
    back(shop.cashier, "R-2", items=[{"line": 1, "quantity": "0.5"}], amount="5.00")
    migration = import_module("customers.migrations.0018_returned")
    with connection.cursor() as cursor:
        cursor.execute(migration.ANYBODY)
        cursor.execute("UPDATE purchases SET returned = 0; UPDATE purchase_items SET returned = 0")
    migration.fill(None, None)
    with connection.cursor() as cursor:
        cursor.execute(migration.TRIGGERS_ALONE)
    assert kept() == ([Decimal(15)], [Decimal("1.5"), 0])
