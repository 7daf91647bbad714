"""Sweeps beside each other, beside tills, and killed: threads with connections of their own."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import InterfaceError, OperationalError, connection, transaction

from customers.models import Customer, Event
from customers.services import lock_customers
from loyalty.models import Allocation, LedgerEntry, Lot
from loyalty.services import Expired, InsufficientPoints, create_program, expire_lots
from loyalty.services import expiry as expiry_service
from loyalty.services.announcing import announce_expiring
from tests.fixtures import Shop, meanwhile
from tests.loyalty.test_concurrency import at_once
from tests.tills import books, findings, move, register

pytestmark = pytest.mark.django_db(transaction=True)

EARNED = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
LATER = EARNED + timedelta(days=40)
AFTER = datetime(2026, 4, 16, tzinfo=UTC)
MEMBERS = 12


@pytest.fixture
def members(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[Customer]:
    """Each has two lots of 10 that are over at AFTER, and one of 30 that is not; sweeps take four lots at a time."""
    create_program(merchant_id=shop.merchant.pk, expiry="after_earning", expiry_months=3)
    found = [register(shop, f"Member {number}") for number in range(MEMBERS)]
    for at, points in ((EARNED, 10), (EARNED + timedelta(hours=1), 10), (LATER, 30)):
        with time_machine.travel(at, tick=False):
            for member in found:
                move(shop.access, member, "earned", points)
    monkeypatch.setattr(expiry_service, "CHUNK_LOTS", 4)
    return found


def check(shop: Shop, members: list[Customer], left: int) -> None:
    assert Allocation.objects.filter(expired=True).count() == 2 * MEMBERS
    assert LedgerEntry.objects.filter(type="expired").count() == MEMBERS
    assert Event.objects.filter(type="points.expired").count() == MEMBERS
    assert sum(Lot.objects.values_list("remaining", flat=True)) == left
    assert sum(books(member)["shown"] for member in members) == left
    assert findings(shop) == []


def test_three_sweeps_and_three_tills_at_once(shop: Shop, members: list[Customer]) -> None:
    access = shop.access

    def work(number: int) -> Any:
        if number < 3:
            return expire_lots(merchant_id=shop.merchant.pk)
        redeemed = 0
        for member in members:
            try:
                move(access, member, "redeemed", 12)
            except InsufficientPoints:
                continue
            redeemed += 12
        return redeemed

    with time_machine.travel(AFTER, tick=False):
        results = at_once(work)
        # Each has 30 to spend, whoever comes first: twelve twice, and not thrice.
        assert sum(results[3:]) == 24 * MEMBERS
        swept = sum(results[:3], Expired())
        again = expire_lots(merchant_id=shop.merchant.pk)
        assert again == Expired()
    assert swept.lots <= 2 * MEMBERS
    check(shop, members, 6 * MEMBERS)


def test_a_lot_that_changes_without_the_lock_stops_the_sweep(shop: Shop, members: list[Customer]) -> None:
    """By hand, or by code that forgot the customer's lock: rather nothing than an expiry of what is not there."""
    lot = Lot.objects.filter(enrollment__customer_id=members[0].pk).order_by("expires_at", "earned_at")[0]
    waits = threading.Event()

    def meddle() -> None:
        with transaction.atomic():
            Lot.objects.filter(pk=lot.pk).update(remaining=4)
            waits.set()
            time.sleep(0.3)

    def sweep() -> None:
        assert waits.wait(20)
        expire_lots(merchant_id=shop.merchant.pk)

    with time_machine.travel(AFTER, tick=True):
        swept, meddled = at_once(lambda number: meddle() if number else sweep(), 2)
    assert "under its customer's lock" in str(swept) and meddled is None
    assert not LedgerEntry.objects.filter(type="expired", enrollment__customer_id=members[0].pk).exists()


def test_who_is_being_served_is_left_to_the_till(shop: Shop, members: list[Customer]) -> None:
    busy = members[3]
    with time_machine.travel(AFTER, tick=False):
        with transaction.atomic():
            lock_customers(merchant_id=shop.merchant.pk, customer_ids=[busy.pk])
            found = meanwhile(lambda: expire_lots(merchant_id=shop.merchant.pk))
        assert found == Expired(20 * (MEMBERS - 1), 2 * (MEMBERS - 1), MEMBERS - 1)
        assert books(busy)["balance"] == 50
        assert expire_lots(merchant_id=shop.merchant.pk) == Expired(20, 2, 1)
    check(shop, members, 30 * MEMBERS)


def test_a_sweep_that_dies_between_chunks_is_gone_on_with(shop: Shop, members: list[Customer]) -> None:
    class Killed(BaseException):
        pass

    chunks: list[int] = []

    def die(lots: int) -> None:
        chunks.append(lots)
        if len(chunks) == 2:
            raise Killed

    with time_machine.travel(AFTER, tick=False):
        with pytest.raises(Killed):
            expire_lots(merchant_id=shop.merchant.pk, progress=die)
        done = sum(chunks)
        assert 0 < done < 2 * MEMBERS
        assert LedgerEntry.objects.filter(type="expired").count() == done // 2
        assert findings(shop) == []
        assert expire_lots(merchant_id=shop.merchant.pk).lots == 2 * MEMBERS - done
    check(shop, members, 30 * MEMBERS)


def test_a_sweep_that_dies_inside_a_chunk_leaves_none_of_it(
    shop: Shop, members: list[Customer], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = expiry_service._expire_together
    calls: list[int] = []
    failed: list[BaseException] = []

    def killed_afterwards(*arguments: Any) -> Expired:
        found = together(*arguments)
        calls.append(found.lots)
        if len(calls) == 2:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return found

    def sweep() -> None:
        try:
            expire_lots(merchant_id=shop.merchant.pk)
        except (OperationalError, InterfaceError) as exc:
            failed.append(exc)
        finally:
            connection.close()

    with time_machine.travel(AFTER, tick=False):
        with monkeypatch.context() as patched:
            patched.setattr(expiry_service, "_expire_together", killed_afterwards)
            thread = threading.Thread(target=sweep)
            thread.start()
            thread.join(timeout=30)
        assert (len(calls), len(failed)) == (2, 1)
        # The first chunk is committed, the second is as if it had never begun.
        assert Allocation.objects.filter(expired=True).count() == calls[0]
        assert findings(shop) == []
        expire_lots(merchant_id=shop.merchant.pk)
    check(shop, members, 30 * MEMBERS)


def test_three_at_once_tell_of_each_once(shop: Shop, members: list[Customer]) -> None:
    at = AFTER - timedelta(days=3)
    told = at_once(lambda number: announce_expiring(merchant_id=shop.merchant.pk, at=at), threads=3)
    assert sum(told) == Event.objects.filter(type="points.expiring_soon").count() == MEMBERS


def test_several_transactions_at_once(shop: Shop, members: list[Customer]) -> None:
    used: set[int] = set()
    steps: list[int] = []
    together = expiry_service._expire_together

    def noted(*arguments: Any) -> Expired:
        used.add(threading.get_ident())
        return together(*arguments)

    with time_machine.travel(AFTER, tick=False), pytest.MonkeyPatch.context() as patched:
        patched.setattr(expiry_service, "_expire_together", noted)
        found = expire_lots(merchant_id=shop.merchant.pk, jobs=3, progress=steps.append)
    assert found == Expired(20 * MEMBERS, 2 * MEMBERS, MEMBERS)
    assert sum(steps) == 2 * MEMBERS
    assert len(used) > 1
    check(shop, members, 30 * MEMBERS)


def test_one_of_several_that_fails_stops_the_others(shop: Shop, members: list[Customer]) -> None:
    class Killed(BaseException):
        pass

    def die(lots: int) -> None:
        if threading.current_thread() is threading.main_thread():
            raise Killed

    with time_machine.travel(AFTER, tick=False):
        with pytest.raises(Killed):
            expire_lots(merchant_id=shop.merchant.pk, jobs=3, progress=die)
        expire_lots(merchant_id=shop.merchant.pk)
    check(shop, members, 30 * MEMBERS)
