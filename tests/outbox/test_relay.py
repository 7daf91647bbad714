"""outbox.relay: every pending event is handed on once, whatever dies in between."""

import threading
from typing import Any

import pytest
from django.db import OperationalError, close_old_connections, connection, transaction

from cloudpos import outbox, wiring
from cloudpos.models import EventTask
from customers.events import EventRef, emit, event
from customers.models import Event
from tests.fixtures import Shop, make_shop
from tests.outbox.conftest import PROBE, Probe, open_tasks, pending, send


@pytest.mark.django_db
def test_an_event_becomes_a_task_per_handler_and_is_stamped(
    shop: Shop, probe: Probe, rung: list[Any]
) -> None:
    (sent,) = send(shop)
    assert outbox.relay() == 1
    sent.refresh_from_db()
    assert sent.dispatched_at is not None
    task = EventTask.objects.get()
    assert (task.merchant_id, task.event_id, task.handler, task.attempts) == (
        shop.merchant.pk,
        sent.pk,
        PROBE,
        0,
    )
    assert rung == [(outbox.RUN_TASK, str(shop.merchant.pk), PROBE)]
    assert probe.calls == [], "the relay runs nothing itself"


@pytest.mark.django_db
def test_an_event_that_wakes_nobody_is_stamped_all_the_same(shop: Shop, rung: list[Any]) -> None:
    send(shop, type="nobody.listens")
    assert outbox.relay() == 1
    assert (pending(), open_tasks(), rung) == (0, 0, [])


@pytest.mark.django_db
def test_more_events_than_a_transaction_takes_are_all_relayed(
    shop: Shop, probe: Probe, rung: list[Any]
) -> None:
    send(shop, count=outbox.EVENTS_PER_MERCHANT * 2 + 1)
    assert outbox.relay() == outbox.EVENTS_PER_MERCHANT * 2 + 1
    assert (pending(), open_tasks()) == (0, outbox.EVENTS_PER_MERCHANT * 2 + 1)


@pytest.mark.django_db
def test_a_merchant_with_much_to_do_does_not_hold_another_up(
    shop: Shop, foreign_shop: Shop, probe: Probe, rung: list[Any]
) -> None:
    send(shop, count=outbox.EVENTS_PER_MERCHANT * 3)
    (waiting,) = send(foreign_shop)
    outbox._relay_some(outbox._merchants_with_pending_events())
    waiting.refresh_from_db()
    assert waiting.dispatched_at is not None, "it came last and is in the first transaction"
    assert pending() == outbox.EVENTS_PER_MERCHANT * 2


@pytest.mark.django_db
def test_finding_what_is_pending_reads_no_event_twice(
    shop: Shop, foreign_shop: Shop, django_assert_num_queries: Any
) -> None:
    send(shop, count=30, type="nobody.listens")
    send(foreign_shop, type="nobody.listens")
    with django_assert_num_queries(1):
        found = outbox._merchants_with_pending_events()
    assert sorted(found) == sorted([shop.merchant.pk, foreign_shop.merchant.pk])


@pytest.mark.django_db
def test_nothing_pending_costs_one_query(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert outbox.relay() == 0


@pytest.mark.django_db
def test_an_event_outside_of_a_transaction_is_refused(shop: Shop) -> None:
    # The test's own transaction is what emit() would accept: look at its rule from outside of one.
    assert connection.in_atomic_block
    connection.in_atomic_block = False
    try:
        with pytest.raises(transaction.TransactionManagementError):
            emit(event(merchant_id=shop.merchant.pk, type="probe.sent", data={}))
    finally:
        connection.in_atomic_block = True


@pytest.mark.django_db
def test_a_recorder_that_fails_for_one_event_costs_the_others_nothing(
    shop: Shop, rung: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad, fine = send(shop, count=3, type="nobody.listens")
    recorded: list[EventRef] = []

    def record(events: list[EventRef]) -> int:
        if any(each.id == bad.pk for each in events):
            raise ValueError("poison")
        recorded.extend(events)
        return len(events)

    monkeypatch.setattr(wiring, "RECORDERS", (wiring.Recorder(record, "some.task", fallback=PROBE),))
    assert outbox.relay() == 3
    assert {each.id for each in recorded} == {good.pk, fine.pk}
    task = EventTask.objects.get()
    assert (task.event_id, task.handler) == (bad.pk, PROBE), "what failed is tried again as a task"
    assert ("some.task",) in rung


@pytest.mark.django_db(transaction=True)
def test_a_database_that_goes_away_in_the_middle_leaves_everything_pending(
    shop: Shop, rung: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    send(shop)

    def record(events: list[EventRef]) -> int:
        raise OperationalError("gone")

    monkeypatch.setattr(wiring, "RECORDERS", (wiring.Recorder(record, "some.task", fallback=PROBE),))
    with pytest.raises(OperationalError):
        outbox.relay()
    assert (pending(), open_tasks(), rung) == (1, 0, [])


@pytest.mark.django_db(transaction=True)
def test_relays_side_by_side_hand_each_event_on_once(rung: list[Any], probe: Probe) -> None:
    shops = [make_shop("Corner Shop"), make_shop("Far Away Traders")]
    for each in shops:
        send(each, count=300)
    counts: list[int] = []

    def run() -> None:
        try:
            counts.append(outbox.relay())
        finally:
            close_old_connections()
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 600, "an event that two relays claim would be counted twice"
    assert pending() == 0
    assert EventTask.objects.values("event_id").distinct().count() == open_tasks() == 600


@pytest.mark.django_db(transaction=True)
def test_a_relay_does_not_wait_for_one_that_is_slow(shop: Shop, probe: Probe, rung: list[Any]) -> None:
    send(shop, count=2)
    claimed, release = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            Event.objects.select_for_update(no_key=True).get(pk=first)
            claimed.set()
            release.wait(10)
        connection.close()

    first = Event.objects.order_by("recorded_at").values_list("pk", flat=True)[0]
    thread = threading.Thread(target=slow)
    thread.start()
    claimed.wait(10)
    try:
        assert outbox.relay() == 1, "the other one"
    finally:
        release.set()
        thread.join()
    assert outbox.relay() == 1
