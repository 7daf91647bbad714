"""`load_history`: as many sales as you like, the same books as one by one."""

import uuid
from decimal import Decimal
from typing import Any

import pytest

from cloudpos.checkout.bulk import load_history
from customers.models import Customer, Event, Purchase, PurchaseItem, PurchaseReturn
from customers.services import CustomerNotFound
from loyalty.models import Enrollment, LedgerEntry, Lot, Program
from loyalty.services import create_program
from tests.fixtures import Shop
from tests.tills import books, bring_back, findings, minutes, move, register, sell

pytestmark = pytest.mark.django_db


def row(
    shop: Shop, customer: Customer, number: str, amount: str, minute: int, **fields: Any
) -> dict[str, Any]:
    return {
        "customer_id": customer.pk,
        "store_id": shop.store.pk,
        "transaction_id": number,
        "amount": amount,
        "occurred_at": minutes(minute),
        **fields,
    }


def back(shop: Shop, number: str, amount: str, minute: int, **fields: Any) -> dict[str, Any]:
    return {
        "store_id": shop.store.pk,
        "transaction_id": number,
        "amount": amount,
        "occurred_at": minutes(minute),
        **fields,
    }


def test_a_loaded_purchase_is_a_sold_one(
    shop: Shop, program: Program, alice: Customer, bob: Customer
) -> None:
    """Row by row: everything but ids and the moment of recording."""
    items = [
        {
            "sku": "TEA",
            "name": "Tea",
            "category": "Drinks",
            "quantity": 2,
            "unit_price": "10.50",
            "tax": "3.50",
        }
    ]
    fields = {"tax": "3.50", "discount": "1", "payment_method": "card", "channel": "web", "items": items}
    load_history(
        access=shop.access,
        sales=[
            row(
                shop, alice, "A-1", "600", 0, **fields,
                returns=[back(shop, "RA-1", "20", 5, reason="Broken", items=[{"line": 1, "quantity": 1}])],
            ),
            row(shop, alice, "A-2", "10", 9),
        ],
    )  # fmt: skip
    for body in (
        {"transactionId": "B-1", "amount": "600", "tax": "3.50", "discount": "1", "paymentMethod": "card",
         "channel": "web", "occurredAt": minutes(0).isoformat(),
         "items": [{"sku": "TEA", "name": "Tea", "category": "Drinks", "quantity": 2, "unitPrice": "10.50", "tax": "3.50"}]},
        {"transactionId": "B-2", "amount": "10", "occurredAt": minutes(9).isoformat()},
    ):  # fmt: skip
        assert shop.cashier.post("/purchases", {"customerId": str(bob.pk), **body}).status_code == 201
        if body["transactionId"] == "B-1":
            sent = {"transactionId": "RB-1", "amount": "20", "reason": "Broken", "occurredAt": minutes(5).isoformat(),
                    "items": [{"line": 1, "quantity": 1}]}  # fmt: skip
            assert shop.cashier.post("/purchases/B-1/returns", sent).status_code == 201

    def content(customer: Customer) -> list[Any]:
        hidden = {"id", "purchase_id", "purchase_return_id", "recorded_at", "customer_id", "enrollment_id", "actor_id",
                  "description", "dispatched_at", "request_id", "data", "content_hash", "receipt"}  # fmt: skip
        found: list[Any] = []
        for rows in (
            Purchase.objects.filter(customer_id=customer.pk).order_by("occurred_at"),
            PurchaseItem.objects.filter(purchase__customer_id=customer.pk).order_by("line"),
            PurchaseReturn.objects.filter(customer_id=customer.pk),
            LedgerEntry.objects.filter(enrollment__customer_id=customer.pk).order_by("version"),
            Event.objects.filter(customer_id=customer.pk).exclude(type="customer.created").order_by("id"),
        ):
            for values in rows.values():
                kept = {key: value for key, value in values.items() if key not in hidden}
                kept["transaction_id"] = str(kept.get("transaction_id", "")).replace("A-", "B-")
                found.append(kept)
        for stored in Purchase.objects.filter(customer_id=customer.pk).order_by("occurred_at"):
            found.append({**stored.receipt, "customerId": ""})
        for stored in PurchaseReturn.objects.filter(customer_id=customer.pk):
            found.append({**stored.receipt, "customerId": ""})
        return found

    alices, bobs = content(alice), content(bob)
    assert alices == bobs
    assert findings(shop) == []


def test_a_till_that_sends_it_again_gets_the_receipt(shop: Shop, program: Program, alice: Customer) -> None:
    items = [{"sku": "TEA", "quantity": "1.5", "unit_price": "7"}]
    load_history(
        access=shop.access,
        sales=[row(shop, alice, "A-1", "10.50", 0, items=items, returns=[back(shop, "R-1", "5", 5)])],
    )
    sent = {
        "customerId": str(alice.pk),
        "transactionId": "A-1",
        "amount": 10.5,
        "occurredAt": minutes(0).isoformat(),
        "items": [{"sku": "TEA", "quantity": 1.5, "unitPrice": 7}],
    }
    response = shop.cashier.post("/purchases", sent)
    assert (response.status_code, response.json()["data"]["pointsEarned"]) == (200, 10)
    returned = {"transactionId": "R-1", "amount": "5.00", "occurredAt": minutes(5).isoformat()}
    assert shop.cashier.post("/purchases/A-1/returns", returned).status_code == 200


def test_history_is_no_news(shop: Shop, program: Program, alice: Customer) -> None:
    Event.objects.all().delete()
    load_history(access=shop.access, sales=[row(shop, alice, "A-1", "10", 0)])
    assert sorted(Event.objects.values_list("type", flat=True)) == [
        "points.earned",
        "purchase.recorded",
        "tier.changed",
    ]
    assert not Event.objects.filter(dispatched_at=None).exists()


def test_a_second_load_changes_nothing(shop: Shop, program: Program, alice: Customer, bob: Customer) -> None:
    rows = [
        row(shop, alice, "A-1", "100", 0, returns=[back(shop, "R-1", "10", 5)]),
        row(shop, bob, "B-1", "50", 1),
    ]
    first = load_history(access=shop.access, sales=rows)
    before = (books(alice), books(bob), LedgerEntry.objects.count(), Event.objects.count())
    again = load_history(access=shop.access, sales=rows)
    assert (first.purchases, first.returns, first.repeated) == (2, 1, 0)
    assert (again.purchases, again.returns, again.repeated, again.conflicting) == (0, 0, 3, 0)
    assert (books(alice), books(bob), LedgerEntry.objects.count(), Event.objects.count()) == before


def test_other_content_is_left_as_it_is(shop: Shop, program: Program, alice: Customer) -> None:
    load_history(access=shop.access, sales=[row(shop, alice, "A-1", "100", 0)])
    report = load_history(
        access=shop.access, sales=[row(shop, alice, "A-1", "101", 0), row(shop, alice, "A-2", "1", 1)]
    )
    assert (report.purchases, report.conflicting) == (1, 1)
    assert books(alice)["points"] == {"A-1": 100, "A-2": 1}


def test_what_is_there_twice_counts_once(shop: Shop, program: Program, alice: Customer) -> None:
    sale = row(shop, alice, "A-1", "100", 0)
    report = load_history(
        access=shop.access,
        sales=[
            sale,
            {**sale, "returns": [back(shop, "R-1", "10", 5), back(shop, "R-1", "10", 5)]},
            {**sale, "amount": "7"},
        ],
    )
    assert (report.purchases, report.returns, report.repeated, report.conflicting) == (1, 1, 2, 1)
    assert books(alice)["balance"] == 90
    assert findings(shop) == []


def test_a_customer_merged_away_buys_as_the_other(
    shop: Shop, program: Program, alice: Customer, bob: Customer
) -> None:
    Customer.objects.filter(pk=alice.pk).update(deleted_at=minutes(0), merged_into_id=bob.pk)
    load_history(access=shop.access, sales=[row(shop, alice, "A-1", "100", 0)])
    assert books(bob)["points"] == {"A-1": 100}


def test_a_customer_whose_rows_do_not_stand_together(
    shop: Shop, program: Program, alice: Customer, bob: Customer
) -> None:
    load_history(
        access=shop.access,
        sales=[
            row(shop, alice, "A-2", "100", 10),
            row(shop, bob, "B-1", "1", 0),
            row(shop, alice, "A-1", "500", 5),
        ],
    )
    assert books(alice)["points"] == {"A-1": 500, "A-2": 125}
    assert findings(shop) == []


def test_it_joins_what_is_on_record(shop: Shop, program: Program, alice: Customer, bob: Customer) -> None:
    """After it, before it, and returning it."""
    for customer, letter in ((alice, "A"), (bob, "B")):
        sell(shop.access, customer, f"{letter}-1", "300", minutes(10))
        move(shop.access, customer, "redeemed", 250)
    load_history(
        access=shop.access,
        sales=[
            row(shop, alice, "A-2", "300", 20),
            row(shop, alice, "A-3", "100", 30, returns=[back(shop, "RA-3", "100", 40)]),
            row(shop, bob, "B-0", "300", 0),
            row(shop, bob, "B-1", "300", 10, returns=[back(shop, "RB-1", "300", 40)]),
        ],
    )
    assert books(alice)["points"] == {"A-1": 300, "A-2": 300, "A-3": 0}
    assert books(alice)["balance"] == 350
    assert books(bob)["points"]["B-0"] == 300
    assert books(bob)["balance"] == 50
    assert findings(shop) == []


def test_without_a_program(shop: Shop, alice: Customer) -> None:
    load_history(
        access=shop.access, sales=[row(shop, alice, "A-1", "100", 0, returns=[back(shop, "R-1", "10", 5)])]
    )
    alice.refresh_from_db()
    assert (str(alice.total_spent), alice.visit_count, alice.points) == ("90.00", 1, 0)
    assert Enrollment.objects.count() == 0


def test_more_returned_than_sold_is_refused(shop: Shop, program: Program, alice: Customer) -> None:
    with pytest.raises(ValueError, match="A-1"):
        load_history(
            access=shop.access, sales=[row(shop, alice, "A-1", "10", 0, returns=[back(shop, "R-1", "11", 5)])]
        )


def test_a_stranger_is_refused(shop: Shop, foreign_shop: Shop, program: Program) -> None:
    mallory = register(foreign_shop, "Mallory")
    for customer in (mallory, Customer(pk=uuid.uuid4())):
        with pytest.raises(CustomerNotFound):
            load_history(access=shop.access, sales=[row(shop, customer, "A-1", "10", 0)])


@pytest.mark.django_db(transaction=True)
def test_chunks_are_loaded_by_workers(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from cloudpos.checkout import bulk
    from loyalty.services import create_program

    create_program(merchant_id=shop.merchant.pk)
    monkeypatch.setattr(bulk, "CHUNK_ROWS", 7)
    people = [register(shop, f"Guest {number}") for number in range(9)]
    rows = [
        row(shop, person, f"T-{place}-{number}", "100", number)
        for place, person in enumerate(people)
        for number in range(5)
    ]
    done: list[int] = []
    report = load_history(access=shop.access, sales=iter(rows), progress=done.append)
    assert (report.purchases, sum(done), len(done) > 2) == (45, 45, True)
    assert all(books(person)["balance"] == 500 for person in people)
    assert sum(Purchase.objects.values_list("amount", flat=True)) == Decimal(4500)
    assert findings(shop) == []


def test_lines_that_earn_are_told_apart(shop: Shop, alice: Customer, bob: Customer) -> None:
    """As one by one: what earns of a sale, and what returned goods take of it."""
    create_program(
        merchant_id=shop.merchant.pk, categories_out=["Gift cards"], earns_on_tax=False, pending_days=3
    )
    items = [
        {"sku": "TEA", "category": "Drinks", "quantity": Decimal(2), "unit_price": Decimal("10.50")},
        {"sku": "G-1", "category": "gift cards", "quantity": Decimal(1), "unit_price": Decimal("30.00")},
    ]
    fields = {"tax": Decimal("3.50"), "items": items}
    returns = [
        back(shop, "RA-1", "30", 5, items=[{"line": 2, "quantity": 1}]),
        back(shop, "RA-2", "10.50", 6, items=[{"line": 1, "quantity": 1}]),
    ]
    load_history(access=shop.access, sales=[row(shop, alice, "A-1", "51", 0, **fields, returns=returns)])
    sell(shop.access, bob, "B-1", "51", minutes(0), **fields)
    for number, line, minute in (("RB-1", 2, 5), ("RB-2", 1, 6)):
        bring_back(
            shop.access, "B-1", number, at=minutes(minute), items=[{"line": line, "quantity": Decimal(1)}]
        )
    assert list(books(alice)["points"].values()) == list(books(bob)["points"].values()) == [10]
    columns = ("points", "remaining", "earned_at", "expires_at", "available_at", "while_active")
    lots = Lot.objects.order_by("points")
    assert list(lots.filter(enrollment__customer_id=alice.pk).values(*columns)) == list(
        lots.filter(enrollment__customer_id=bob.pk).values(*columns)
    )
    assert findings(shop) == []
