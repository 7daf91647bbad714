"""Tills at the same moment, on real PostgreSQL: threads with connections of their own."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils.timezone import now

from customers.models import Customer, Purchase
from customers.purchases import standing_on_record
from customers.services import lock_customers, write_standing
from loyalty.ledger import Cause, StaleAccount
from loyalty.models import Enrollment, LedgerEntry
from loyalty.services import create_program, open_account, settle, transfer_for_merge
from tests.fixtures import Shop
from tests.tills import books, bring_back, findings, minutes, move, register, sell

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 6


@pytest.fixture
def alice(shop: Shop) -> Customer:
    create_program(merchant_id=shop.merchant.pk)
    return register(shop, "Alice")


def at_once(work: Callable[[int], Any], threads: int = THREADS) -> list[Any]:
    """What `work(0)`, `work(1)` ... return or raise, all begun at the same moment."""
    start = threading.Barrier(threads)
    results: list[Any] = [None] * threads

    def run(number: int) -> None:
        try:
            start.wait(timeout=10)
            results[number] = work(number)
        except Exception as exc:
            results[number] = exc
        finally:
            connection.close()

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=30)
    return results


def test_points_are_redeemed_once(shop: Shop, alice: Customer) -> None:
    access = shop.access
    for _ in range(10):
        move(access, alice, "earned", 10)

    def redeem(number: int) -> list[str]:
        outcomes = []
        for _ in range(5):
            try:
                move(access, alice, "redeemed", 7)
                outcomes.append("redeemed")
            except Exception as exc:
                outcomes.append(type(exc).__name__)
        return outcomes

    outcomes = Counter(outcome for each in at_once(redeem) for outcome in each)
    assert outcomes == {"redeemed": 14, "InsufficientPoints": 16}
    assert Enrollment.objects.get().balance == 2
    assert findings(shop) == []


def test_one_effect_per_transaction(shop: Shop, alice: Customer) -> None:
    access = shop.access
    answers = at_once(lambda number: move(access, alice, "earned", 50, "X-1"))
    assert Counter(answer.is_new for answer in answers) == {True: 1, False: THREADS - 1}
    assert len({answer.transaction["id"] for answer in answers}) == 1
    assert Enrollment.objects.get().balance == 50


def test_one_purchase_per_transaction(shop: Shop, alice: Customer) -> None:
    access = shop.access
    answers = at_once(lambda number: sell(access, alice, "T-1", "30", minutes(0)))
    assert Counter(taken.is_new for taken in answers) == {True: 1, False: THREADS - 1}
    assert len({taken.receipt["purchase"]["id"] for taken in answers}) == 1
    assert (Purchase.objects.count(), books(alice)["balance"]) == (1, 30)


def test_one_transaction_for_two_customers_is_one_sale_and_conflicts(shop: Shop, alice: Customer) -> None:
    access = shop.access
    people = [alice, *(register(shop, f"Guest {number}") for number in range(THREADS - 1))]
    answers = at_once(lambda number: sell(access, people[number], "T-1", "30", minutes(0)))
    kinds = Counter(type(answer).__name__ for answer in answers)
    assert kinds == {"Taken": 1, "TransactionConflict": THREADS - 1}
    assert Purchase.objects.count() == LedgerEntry.objects.count() == 1
    assert findings(shop) == []


def test_a_customer_is_enrolled_once(shop: Shop, alice: Customer) -> None:
    access = shop.access
    at_once(lambda number: sell(access, alice, f"T-{number}", "10", minutes(number)))
    assert Enrollment.objects.count() == 1
    found = books(alice)
    assert (found["balance"], found["visits"][0]) == (10 * THREADS, THREADS)
    assert findings(shop) == []


def test_returns_never_exceed_the_sale(shop: Shop, alice: Customer) -> None:
    access = shop.access
    sell(access, alice, "T-1", "40", minutes(0))
    answers = at_once(lambda number: bring_back(access, "T-1", f"R-{number}", "15", minutes(1)))
    kinds = Counter(type(answer).__name__ for answer in answers)
    assert kinds == {"Taken": 2, "ReturnExceedsPurchase": THREADS - 2}
    assert books(alice)["balance"] == 10
    assert findings(shop) == []


def test_a_return_follows_a_purchase_that_is_being_moved(shop: Shop, alice: Customer) -> None:
    """A merge has the lock when the return comes; when it lets go, the purchase is somebody else's."""
    access = shop.access
    bob = register(shop, "Bob")
    sell(access, alice, "T-1", "40", minutes(0))
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(bring_back(access, "T-1", "R-1", "15", minutes(1)))
        finally:
            connection.close()

    till = threading.Thread(target=run)
    with transaction.atomic():
        source, target = lock_customers(merchant_id=alice.merchant_id, customer_ids=[alice.pk, bob.pk])
        till.start()
        wait_for_a_lock()
        transfer_for_merge(source=source, target=target, at=now())
        Purchase.objects.filter(customer_id=alice.pk).update(customer_id=bob.pk)
        for customer in (source, target):
            found = standing_on_record(merchant_id=customer.merchant_id, customer_id=customer.pk)
            write_standing(customer, **found)
            settle(customer=customer, cause="Merged")
    till.join(timeout=30)
    assert results[0].receipt["return"]["customerId"] == str(bob.pk)
    assert (books(alice)["balance"], books(bob)["balance"]) == (0, 25)
    assert findings(shop) == []


def wait_for_a_lock() -> None:
    """Until some session of this database waits for one."""
    for _ in range(100):
        with connection.cursor() as cursor:
            # A transaction sees the activity as it was at its first look.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.05)
    raise AssertionError("nobody waits")


def test_writing_without_the_lock_is_noticed(shop: Shop, alice: Customer) -> None:
    move(shop.access, alice, "earned", 10)
    mine, theirs = open_account(customer=alice, lock=False), open_account(customer=alice, lock=False)
    assert mine is not None and theirs is not None
    mine.credit(type="earned", points=5, cause=Cause(at=now()))
    theirs.spend_cents += 100
    with transaction.atomic():
        mine.write()
    with pytest.raises(StaleAccount), transaction.atomic():
        theirs.write()
    assert Enrollment.objects.get().balance == 15


def test_everything_at_once(shop: Shop, alice: Customer) -> None:
    access = shop.access
    sell(access, alice, "T", "400", minutes(0))

    def work(number: int) -> None:
        for step in range(4):
            sell(access, alice, f"T-{number}-{step}", "60", minutes(step * 7 - number))
            move(access, alice, "earned", 5)
            if step % 2:
                bring_back(access, f"T-{number}-{step}", f"R-{number}-{step}", "30", minutes(40 - number))
            try:
                move(access, alice, "redeemed", 20)
            except Exception as exc:
                assert type(exc).__name__ == "InsufficientPoints"

    assert at_once(work) == [None] * THREADS
    assert findings(shop) == []
