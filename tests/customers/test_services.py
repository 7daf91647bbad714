"""What other parts build on: locks, look-ups, standing, counters, the bulk path."""

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections, transaction

from cloudpos.api.errors import BadRequest
from customers.counting import compact_counts, count_customers
from customers.models import Consent, Customer, CustomerCount, Preferences
from customers.services import (
    CustomerNotFound,
    find_customer,
    hide_customer,
    lock_customer,
    lock_customers,
    write_standing,
)
from customers.services.bulk import load_customers
from tests.customers.conftest import ABSENT, HOME, Make
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


# --- finding and locking ------------------------------------------------------------------------------------


def test_find(shop: Shop, alice: Customer, mallory: Customer) -> None:
    merchant = {"merchant_id": shop.merchant.pk}
    assert find_customer(**merchant, id=alice.pk) == alice
    assert find_customer(**merchant, number=alice.customer_number) == alice
    assert find_customer(**merchant, email="ALICE@example.com") == alice
    assert find_customer(**merchant, phone="020 7183 8750", country="GB") == alice
    for nobody in (
        {"id": mallory.pk},
        {"id": ABSENT},
        {"email": "mallory@example.com"},
        {"phone": ""},
        {"email": ""},
    ):
        with pytest.raises(CustomerNotFound):
            find_customer(**merchant, **nobody)
        with pytest.raises(CustomerNotFound), transaction.atomic():
            lock_customer(**merchant, **{("customer_id" if k == "id" else k): v for k, v in nobody.items()})
    for wrong in ({}, {"id": alice.pk, "number": "1"}, {"email": "x"}, {"phone": "x"}):
        with pytest.raises(BadRequest):
            find_customer(**merchant, **wrong)


def test_ids_and_numbers_of_a_merged_customer_lead_on(shop: Shop, alice: Customer, bob: Customer) -> None:
    merchant = {"merchant_id": shop.merchant.pk}
    hide_customer(lock_customer(**merchant, customer_id=bob.pk), merged_into=alice)
    for found in (
        find_customer(**merchant, id=bob.pk),
        find_customer(**merchant, number=bob.customer_number),
        lock_customer(**merchant, customer_id=bob.pk),
        lock_customer(**merchant, number=bob.customer_number),
    ):
        assert found == alice
    with pytest.raises(CustomerNotFound):
        find_customer(**merchant, email=bob.email)


def test_several_locks_come_in_the_order_asked_for(shop: Shop, alice: Customer, bob: Customer) -> None:
    ids = [bob.pk, alice.pk]
    assert lock_customers(merchant_id=shop.merchant.pk, customer_ids=ids) == [bob, alice]
    with pytest.raises(CustomerNotFound):
        lock_customers(merchant_id=shop.merchant.pk, customer_ids=[bob.pk, ABSENT])


@pytest.mark.django_db(transaction=True)
def test_a_lock_holds(shop: Shop, alice: Customer) -> None:
    order: list[str] = []
    locked = threading.Event()

    def second() -> None:
        locked.wait(5)
        with transaction.atomic():
            lock_customer(merchant_id=shop.merchant.pk, customer_id=alice.pk)
            order.append("second")
        connections.close_all()

    thread = threading.Thread(target=second)
    thread.start()
    with transaction.atomic():
        lock_customer(merchant_id=shop.merchant.pk, customer_id=alice.pk)
        locked.set()
        thread.join(0.3)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


# --- standing -----------------------------------------------------------------------------------------------


def test_standing(shop: Shop, alice: Customer) -> None:
    write_standing(alice, tier="gold", total_spent=Decimal("12.50"))
    assert (alice.tier, alice.version) == ("gold", 2)
    fresh = Customer.objects.get(pk=alice.pk)
    assert (fresh.tier, fresh.total_spent, fresh.version, fresh.updated_at) == (
        "gold",
        Decimal("12.50"),
        2,
        alice.updated_at,
    )
    write_standing(alice, tier="gold")
    assert Customer.objects.get(pk=alice.pk).version == 2
    with pytest.raises(TypeError):
        write_standing(alice, first_name="Eve")


# --- counters -----------------------------------------------------------------------------------------------


def counted(shop: Shop, **among: list[str]) -> int:
    return count_customers(merchant_id=shop.merchant.pk, among=among)[0]


def test_counters_follow_every_change(shop: Shop, alice: Customer, bob: Customer, mallory: Customer) -> None:
    assert counted(shop) == 2
    write_standing(alice, tier="gold", segment="vip")
    assert (counted(shop, tier=["gold"]), counted(shop, segment=["vip"]), counted(shop, tier=[""])) == (
        1,
        1,
        1,
    )
    hide_customer(bob)
    assert (counted(shop), counted(shop, status=["active"], tier=["gold", "silver"])) == (1, 1)
    Customer.objects.filter(pk=bob.pk).update(deleted_at=None, status="suspended")
    assert (counted(shop), counted(shop, status=["suspended"])) == (2, 1)


def test_compacting_changes_no_sum(
    shop: Shop, foreign_shop: Shop, alice: Customer, bob: Customer, mallory: Customer
) -> None:
    for tier in ("gold", "silver", "gold"):
        write_standing(alice, tier=tier)
    before = [counted(shop), counted(shop, tier=["gold"]), counted(foreign_shop)]
    rows = CustomerCount.objects.count()
    gone = compact_counts()
    assert gone == rows - CustomerCount.objects.count() > 0
    assert [counted(shop), counted(shop, tier=["gold"]), counted(foreign_shop)] == before == [2, 1, 1]
    # Groups that came to nothing are no rows.
    assert not CustomerCount.objects.filter(tier="silver").exists()
    assert compact_counts() == 0


@pytest.mark.django_db(transaction=True)
def test_nobody_ever_reads_half_a_compaction(shop: Shop, make: Make) -> None:
    for n in range(30):
        make(f"N{n}")
    stop = threading.Event()
    wrong: list[int] = []

    def read() -> Iterator[None]:
        try:
            while not stop.is_set():
                total = counted(shop)
                if total != 30:
                    wrong.append(total)
        finally:
            connections.close_all()

    readers = [threading.Thread(target=lambda: list(read() or [])) for _ in range(2)]
    for reader in readers:
        reader.start()
    alice = Customer.objects.for_merchant(shop.merchant).first()
    for n in range(15):
        write_standing(alice, tier="gold" if n % 2 else "silver")
        compact_counts()
    stop.set()
    for reader in readers:
        reader.join(5)
    assert wrong == []
    assert CustomerCount.objects.filter(merchant_id=shop.merchant.pk).count() == 2


# --- bulk ---------------------------------------------------------------------------------------------------


def test_a_load_equals_creating(shop: Shop, foreign_shop: Shop) -> None:
    row: dict[str, Any] = {
        "first_name": "Zoë",
        "last_name": "O’Neil",
        "email": "Zoe@EXAMPLE.com",
        "phone": "020 7183 8750",
        "tags": ["VIP", "it's \\ 'quoted'"],
        "metadata": {"a": [1, {"b": None}], "tab": "\t", "text": 'x"\\'},
        "notes": "two\nlines\tand \\N",
        "addresses": [
            HOME,
            {**HOME, "city": "York", "is_default": True, "latitude": 53.9576, "longitude": -1.08},
        ],
        "preferences": {"email": {"marketing": True}, "language": "de"},
        "home_store_id": shop.store.pk,
    }
    theirs = {**row, "home_store_id": foreign_shop.store.pk}
    report = load_customers(access=shop.access, rows=[row])
    assert (report.loaded, report.skipped, report.refused) == (1, 0, 0)
    from customers.services import create_customer

    create_customer(access=foreign_shop.access, data={**theirs, "phone_country": "GB"})

    def shown(client: Any) -> dict[str, Any]:
        (data,) = client.get("/customers", {"query": "zoe", "tags": "it's \\ 'quoted'"}).json()["data"][
            "customers"
        ]
        for name in ("id", "customerNumber", "homeStoreId", "createdAt", "updatedAt"):
            assert data.pop(name)
        for address in data["addresses"]:
            address.pop("id")
        return dict(data)

    assert shown(shop.cashier) == shown(foreign_shop.cashier)
    assert shop.cashier.get("/customers").json()["data"]["total"] == 1


def test_a_load_says_what_only_a_load_may_say(shop: Shop) -> None:
    own = uuid.UUID("018f0000-0000-7000-8000-000000000001")
    at = datetime(2020, 1, 1, tzinfo=UTC)
    row = {
        "id": own,
        "first_name": "Alice",
        "customer_number": "1000000009",
        "created_at": at,
        "tier": "gold",
        "total_spent": Decimal("12.50"),
        "addresses": [HOME],
        "consents": [
            {
                "channel": "sms",
                "purpose": "marketing",
                "state": "withdrawn",
                "source": "import",
                "occurred_at": at,
            },
            {"channel": "sms", "purpose": "marketing", "state": "granted", "source": "import"},
        ],
    }
    assert load_customers(access=shop.access, rows=[row]).loaded == 1
    data = shop.cashier.get(f"/customers/{own}").json()["data"]
    assert (data["customerNumber"], data["createdAt"], data["tier"]) == (
        "1000000009",
        "2020-01-01T00:00:00Z",
        "gold",
    )
    assert (data["totalSpent"], len(data["addresses"])) == ("12.50", 1)
    assert data["preferences"]["sms"]["marketing"] is True
    assert Consent.objects.filter(customer_id=own).count() == 2
    assert shop.cashier.get("/customers?tier=gold").json()["data"]["total"] == 1
    assert shop.cashier.get("/customers?query=1000000009").json()["data"]["total"] == 1


def test_a_load_may_be_run_again(shop: Shop, alice: Customer) -> None:
    rows = [
        {"id": uuid.UUID(int=n + 1), "first_name": f"N{n}", "email": f"n{n}@example.com", "addresses": [HOME],
         "preferences": {"email": {"marketing": True}}}
        for n in range(5)
    ]  # fmt: skip
    done: list[int] = []
    assert load_customers(access=shop.access, rows=iter(rows[:3]), progress=done.append).loaded == 3
    taken = {"first_name": "Twin", "email": "ALICE@example.com"}
    wrong = {"first_name": "Bad", "email": "nonsense"}
    report = load_customers(access=shop.access, rows=[*rows, taken, wrong], progress=done.append)
    assert (report.loaded, report.skipped, report.refused) == (2, 4, 1)
    ((place, why),) = report.refusals
    assert (place, [error.field for error in why.errors]) == (6, ["email"])
    assert done == [3, 7]
    assert Customer.objects.for_merchant(shop.merchant).count() == 6
    assert Preferences.objects.for_merchant(shop.merchant).count() == 5


def test_a_loads_random_number_that_is_taken_is_drawn_again(
    shop: Shop, alice: Customer, monkeypatch: Any
) -> None:
    draws = iter([alice.customer_number, "1000000009", "1000000017", "1000000009"])
    monkeypatch.setattr("customers.services.customers.new_customer_number", lambda: next(draws))
    monkeypatch.setattr("customers.services.bulk.new_customer_number", lambda: next(draws))
    report = load_customers(access=shop.access, rows=[{"first_name": "Ben"}, {"first_name": "Cat"}])
    assert report.loaded == 2
    numbers = set(Customer.objects.for_merchant(shop.merchant).values_list("customer_number", flat=True))
    assert numbers == {alice.customer_number, "1000000009", "1000000017"}


def test_a_given_number_is_never_replaced(shop: Shop, alice: Customer) -> None:
    rows = [{"first_name": "Ben", "customer_number": alice.customer_number}]
    assert load_customers(access=shop.access, rows=rows).skipped == 1


def test_chunks(shop: Shop, monkeypatch: Any) -> None:
    monkeypatch.setattr("customers.services.bulk.CHUNK_ROWS", 2)
    done: list[int] = []
    rows = ({"first_name": f"N{n}"} for n in range(5))
    assert load_customers(access=shop.access, rows=rows, progress=done.append).loaded == 5
    assert done == [2, 2, 1]
    assert connection.in_atomic_block  # the test's own
