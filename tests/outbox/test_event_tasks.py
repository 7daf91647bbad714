"""outbox.run_tasks and sweep: tasks run from their rows, at least once, bounded when they can't."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils.timezone import now
from psycopg.errors import QueryCanceled

from cloudpos import outbox
from cloudpos.models import EventTask
from tests.fixtures import Shop
from tests.outbox.conftest import PROBE, Probe, open_tasks, pending, send

pytestmark = pytest.mark.django_db


def due_again() -> None:
    """As if the pause after the last attempt were over."""
    EventTask.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=now() - timedelta(hours=1))


def test_a_handler_gets_all_that_is_due_at_once_and_the_rows_go(
    shop: Shop, probe: Probe, rung: list[Any]
) -> None:
    sent = {each.pk for each in send(shop, count=3)}
    outbox.relay()
    assert outbox.run_tasks(merchant_id=shop.merchant.pk, handler=PROBE) == 3
    assert [set(call) for call in probe.calls] == [sent]
    assert open_tasks() == 0


def test_every_message_lost_loses_nothing(
    shop: Shop, foreign_shop: Shop, probe: Probe, rung: list[Any]
) -> None:
    sent = [*send(shop, count=3), *send(foreign_shop, count=2)]
    outbox.relay()
    assert rung, "the relay did ring, and nobody heard"
    assert probe.calls == []
    assert outbox.sweep() == 5
    assert probe.seen == {each.pk: 1 for each in sent}
    assert (pending(), open_tasks()) == (0, 0)


def test_sweep_alone_is_enough(shop: Shop, probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "enqueue", lambda *_: False)
    (sent,) = send(shop)
    assert outbox.sweep() == 2, "one event relayed, one task done"
    assert probe.seen == {sent.pk: 1}
    assert outbox.sweep() == 0


def test_one_bad_event_holds_no_other_up(shop: Shop, probe: Probe, rung: list[Any]) -> None:
    good, bad, fine = send(shop, count=3)
    probe.poisoned[bad.pk] = ValueError("poison: bob@example.com")
    outbox.sweep()
    assert probe.seen == {good.pk: 1, fine.pk: 1}
    task = EventTask.objects.get()
    assert (task.event_id, task.attempts) == (bad.pk, 1)
    assert task.error == "ValueError", "the message may quote a customer"
    assert task.next_attempt_at is not None
    assert 3 < (task.next_attempt_at - now()).total_seconds() <= outbox.RETRY_SECONDS_FIRST


def test_a_task_that_keeps_failing_is_given_up_and_stays_to_be_seen(
    shop: Shop, probe: Probe, rung: list[Any]
) -> None:
    (bad,) = send(shop)
    probe.poisoned[bad.pk] = ValueError("poison")
    for _ in range(outbox.ATTEMPTS_MAX + 5):
        outbox.sweep()
        due_again()
    task = EventTask.objects.get()
    assert (task.attempts, task.next_attempt_at) == (outbox.ATTEMPTS_MAX, None)
    assert len(probe.calls) == outbox.ATTEMPTS_MAX

    del probe.poisoned[bad.pk]
    assert outbox.retry_given_up() == 1
    outbox.sweep()
    assert probe.seen == {bad.pk: 1}


def test_pauses_double_and_are_bounded() -> None:
    assert [outbox.retry_seconds(attempts) for attempts in (1, 2, 3, 11, 12)] == [5, 10, 20, 3600, 3600]


def test_a_database_error_is_not_blamed_on_the_events(shop: Shop, probe: Probe, rung: list[Any]) -> None:
    sent = send(shop, count=3)
    probe.poisoned[sent[0].pk] = OperationalError("the database is restarting")
    outbox.sweep()
    assert len(probe.calls) == 1, "trying each event alone would only wait three times as long"
    del probe.poisoned[sent[0].pk]
    due_again()
    outbox.sweep()
    assert probe.seen == {each.pk: 1 for each in sent}


def test_an_event_that_takes_too_long_holds_no_other_up(shop: Shop, probe: Probe, rung: list[Any]) -> None:
    slow, *others = send(shop, count=3)
    timeout = OperationalError("canceling statement due to statement timeout")
    timeout.__cause__ = QueryCanceled()
    probe.poisoned[slow.pk] = timeout
    outbox.sweep()
    assert probe.seen == {each.pk: 1 for each in others}
    assert EventTask.objects.get().event_id == slow.pk


def test_a_worker_that_died_with_its_tasks_gives_them_up_after_the_lease(
    shop: Shop, probe: Probe, rung: list[Any]
) -> None:
    send(shop)
    outbox.relay()
    with connection.cursor() as cursor:
        cursor.execute(outbox._CLAIM_TASKS, [shop.merchant.pk, PROBE, 10, outbox.LEASE_SECONDS])
        assert len(cursor.fetchall()) == 1
    outbox.sweep()
    assert probe.calls == [], "somebody has it"
    due_again()
    outbox.sweep()
    assert len(probe.calls) == 1


def test_each_merchant_gets_its_turn(shop: Shop, foreign_shop: Shop, probe: Probe, rung: list[Any]) -> None:
    send(shop, count=outbox.EVENTS_PER_CALL * 3)
    (waiting,) = send(foreign_shop)
    outbox.relay()
    assert len(outbox.due_turns()) == 2
    outbox.sweep()
    position = next(index for index, call in enumerate(probe.calls) if waiting.pk in call)
    assert position <= 1, "one call for each merchant, then the next round"


@pytest.mark.django_db(transaction=True)
def test_workers_side_by_side_run_each_task_once(shop: Shop, probe: Probe, rung: list[Any]) -> None:
    sent = send(shop, count=500)
    outbox.relay()

    def run() -> None:
        outbox.run_tasks(merchant_id=shop.merchant.pk, handler=PROBE)
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outbox.sweep()
    assert probe.seen == {each.pk: 1 for each in sent}
    assert open_tasks() == 0
