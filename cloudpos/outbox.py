"""From the event log to the handlers, at least once each, whatever dies in between.

Two steps, each a short transaction. The relay takes pending events, writes one `EventTask` per (event, handler) and the rows
of `wiring.RECORDERS`, and stamps `dispatched_at`: all of it commits, or none. Then tasks are run from their rows, and a row
goes when its handler has returned. Messages of the broker only wake somebody up: `sweep` finds everything without them.
See docs/adr/0006-outbox.md.
"""

import logging
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models.functions import Now
from psycopg.errors import DeadlockDetected, LockNotAvailable, QueryCanceled

from cloudpos import wiring
from cloudpos.celery import app, enqueue
from cloudpos.ids import new_id
from cloudpos.models import EventTask
from customers.events import EventRef

logger = logging.getLogger(__name__)

# A relay transaction takes this many events of each of this many merchants: who imports a year waits in line like all.
EVENTS_PER_MERCHANT = 100
MERCHANTS_PER_TRANSACTION = 10
MERCHANTS_PER_ROUND = 5_000
# How many events a handler gets at once.
EVENTS_PER_CALL = 100
# A worker that died holding tasks gives them up after this long; must exceed what a handler takes.
LEASE_SECONDS = 120
ATTEMPTS_MAX = 12
RETRY_SECONDS_FIRST = 5
RETRY_SECONDS_MAX = 3_600
# One call of relay, run_tasks or sweep ends after this long even if there is more; the next one goes on.
RUN_SECONDS_MAX = 20.0

RELAY_TASK = "cloudpos.tasks.relay_events"
RUN_TASK = "cloudpos.tasks.run_event_tasks"


class Turn(NamedTuple):
    """One merchant's tasks for one handler."""

    merchant_id: uuid.UUID
    handler: str


def relay(*, seconds_max: float = RUN_SECONDS_MAX) -> int:
    """Hand pending events on until there are none. Returns how many. Any number of relays may run at once."""
    deadline = time.monotonic() + seconds_max
    relayed = 0
    while time.monotonic() < deadline:
        merchants = _merchants_with_pending_events()
        # No merchant is always the last one.
        random.shuffle(merchants)
        found = 0
        for start in range(0, len(merchants), MERCHANTS_PER_TRANSACTION):
            found += _relay_some(merchants[start : start + MERCHANTS_PER_TRANSACTION])
            if time.monotonic() > deadline:
                break
        relayed += found
        if not found:
            break
    return relayed


# A loose index scan: one probe per merchant, however many events are pending.
_PENDING_MERCHANTS = """
WITH RECURSIVE merchants AS (
    (SELECT merchant_id FROM customer_events WHERE dispatched_at IS NULL ORDER BY merchant_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT event.merchant_id FROM customer_events event
        WHERE event.dispatched_at IS NULL AND event.merchant_id > merchants.merchant_id
        ORDER BY event.merchant_id LIMIT 1
    )
    FROM merchants WHERE merchants.merchant_id IS NOT NULL
)
SELECT merchant_id FROM merchants WHERE merchant_id IS NOT NULL LIMIT %s
"""

# NO KEY: rows that refer to an event may be written meanwhile.
_CLAIM_EVENTS = """
SELECT event.merchant_id, event.id, event.type
FROM unnest(%s::uuid[]) AS turn (merchant_id)
CROSS JOIN LATERAL (
    SELECT merchant_id, id, type FROM customer_events
    WHERE merchant_id = turn.merchant_id AND dispatched_at IS NULL
    ORDER BY recorded_at LIMIT %s
    FOR NO KEY UPDATE SKIP LOCKED
) AS event
"""

_INSERT_TASKS = """
INSERT INTO event_tasks (id, merchant_id, event_id, handler, attempts, next_attempt_at, error, created_at)
SELECT id, merchant_id, event_id, handler, 0, statement_timestamp(), '', statement_timestamp()
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[]) AS task (id, merchant_id, event_id, handler)
ON CONFLICT (merchant_id, event_id, handler) DO NOTHING
"""

_STAMP = """
UPDATE customer_events SET dispatched_at = statement_timestamp()
FROM unnest(%s::uuid[], %s::uuid[]) AS claimed (merchant_id, id)
WHERE customer_events.merchant_id = claimed.merchant_id AND customer_events.id = claimed.id
"""


def _merchants_with_pending_events() -> list[uuid.UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_PENDING_MERCHANTS, [MERCHANTS_PER_ROUND])
        return [merchant_id for (merchant_id,) in cursor.fetchall()]


def _relay_some(merchants: Sequence[uuid.UUID]) -> int:
    """One transaction: claim, write what follows, stamp. Rings afterwards."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_CLAIM_EVENTS, [list(merchants), EVENTS_PER_MERCHANT])
            events = [EventRef(*row) for row in cursor.fetchall()]
        if not events:
            return 0
        tasks = wiring.tasks_for(events)
        bells: set[tuple[str, ...]] = set()
        for recorder in wiring.RECORDERS:
            recorded, failed = _record(recorder, events)
            tasks += [(event, recorder.fallback) for event in failed]
            if recorded and recorder.task is not None:
                bells.add((recorder.task,))
        with connection.cursor() as cursor:
            if tasks:
                cursor.execute(
                    _INSERT_TASKS,
                    [
                        [new_id() for _ in tasks],
                        [event.merchant_id for event, _ in tasks],
                        [event.id for event, _ in tasks],
                        [handler for _, handler in tasks],
                    ],
                )
            cursor.execute(_STAMP, [[event.merchant_id for event in events], [event.id for event in events]])
    bells |= {(RUN_TASK, str(event.merchant_id), handler) for event, handler in tasks}
    for task_name, *arguments in sorted(bells):
        if not enqueue(task_name, *arguments):
            # No broker: it would refuse the others too. The rows wait for the sweep.
            break
    return len(events)


def _record(recorder: wiring.Recorder, events: Sequence[EventRef]) -> tuple[int, list[EventRef]]:
    """How many rows were written, and the events for which that failed: one bad event holds no other up."""
    try:
        with transaction.atomic():
            return recorder.record(events), []
    except (OperationalError, InterfaceError):
        # The database itself: the whole transaction rolls back and the events stay pending.
        raise
    except Exception as error:
        if len(events) == 1:
            logger.exception(
                "event_recorder_failed", extra={"event_id": str(events[0].id), "error": type(error).__name__}
            )
            return 0, [events[0]]
    recorded = 0
    failed: list[EventRef] = []
    for event in events:
        one, bad = _record(recorder, [event])
        recorded += one
        failed += bad
    return recorded, failed


_DUE_TURNS = """
WITH RECURSIVE turns AS (
    (SELECT merchant_id, handler FROM event_tasks WHERE next_attempt_at IS NOT NULL
     ORDER BY merchant_id, handler LIMIT 1)
    UNION ALL
    SELECT following.merchant_id, following.handler
    FROM turns CROSS JOIN LATERAL (
        SELECT task.merchant_id, task.handler FROM event_tasks task
        WHERE task.next_attempt_at IS NOT NULL
          AND (task.merchant_id, task.handler) > (turns.merchant_id, turns.handler)
        ORDER BY task.merchant_id, task.handler LIMIT 1
    ) AS following
)
SELECT merchant_id, handler FROM turns
WHERE EXISTS (
    SELECT 1 FROM event_tasks task
    WHERE task.merchant_id = turns.merchant_id AND task.handler = turns.handler AND task.next_attempt_at <= statement_timestamp()
)
LIMIT %s
"""

# Leased, not locked: no transaction stays open while handlers run.
_CLAIM_TASKS = """
WITH due AS (
    SELECT merchant_id, id FROM event_tasks
    WHERE merchant_id = %s AND handler = %s AND next_attempt_at <= statement_timestamp()
    ORDER BY next_attempt_at LIMIT %s
    FOR UPDATE SKIP LOCKED
)
UPDATE event_tasks SET attempts = attempts + 1, next_attempt_at = statement_timestamp() + %s * interval '1 second'
FROM due WHERE event_tasks.merchant_id = due.merchant_id AND event_tasks.id = due.id
RETURNING event_tasks.id, event_tasks.event_id, event_tasks.attempts
"""


class ClaimedTask(NamedTuple):
    id: uuid.UUID
    event_id: uuid.UUID
    attempts: int


def due_turns() -> list[Turn]:
    """Which merchants have tasks due for which handlers."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE_TURNS, [MERCHANTS_PER_ROUND])
        return [Turn(*row) for row in cursor.fetchall()]


def run_tasks(*, merchant_id: uuid.UUID, handler: str, seconds_max: float = RUN_SECONDS_MAX) -> int:
    """Run one merchant's due tasks of one handler until there are none. Returns how many succeeded."""
    deadline = time.monotonic() + seconds_max
    done = 0
    while time.monotonic() < deadline:
        claimed, succeeded = _run_some(Turn(merchant_id, handler))
        done += succeeded
        if claimed < EVENTS_PER_CALL:
            break
    return done


def sweep(*, seconds_max: float = RUN_SECONDS_MAX) -> int:
    """Everything that is pending, right here: the guarantee behind lost messages, and all there is without a broker.

    Returns how many events were relayed and tasks succeeded.
    """
    deadline = time.monotonic() + seconds_max
    done = relay(seconds_max=seconds_max)
    while time.monotonic() < deadline:
        turns = due_turns()
        random.shuffle(turns)
        claimed_any = False
        for turn in turns:
            claimed, succeeded = _run_some(turn)
            claimed_any = claimed_any or claimed > 0
            done += succeeded
            if time.monotonic() > deadline:
                break
        if not claimed_any:
            break
    return done


def _run_some(turn: Turn) -> tuple[int, int]:
    """(tasks claimed, tasks succeeded)"""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM_TASKS, [*turn, EVENTS_PER_CALL, LEASE_SECONDS])
        tasks = [ClaimedTask(*row) for row in cursor.fetchall()]
    return len(tasks), _call(turn, tasks) if tasks else 0


def _call(turn: Turn, tasks: Sequence[ClaimedTask]) -> int:
    """Call the handler with all of them; when that fails, with each alone, so that one bad event holds no other up."""
    try:
        app.tasks[turn.handler](str(turn.merchant_id), [str(task.event_id) for task in tasks])
    except Exception as error:
        if len(tasks) > 1 and not _is_away(error):
            return sum(_call(turn, [task]) for task in tasks)
        _postpone(turn, tasks, error)
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM event_tasks WHERE merchant_id = %s AND id = ANY(%s)",
            [turn.merchant_id, [task.id for task in tasks]],
        )
    return len(tasks)


def _is_away(error: Exception) -> bool:
    """Whether the database failed and not the work: trying each alone would fail alike. A time limit or a lock is the work's."""
    if isinstance(error.__cause__, QueryCanceled | LockNotAvailable | DeadlockDetected):
        return False
    return isinstance(error, OperationalError | InterfaceError)


def retry_seconds(attempts: int) -> int:
    """The pause after a failed attempt: 5 s, doubled each time, at most an hour."""
    return min(RETRY_SECONDS_FIRST * 2 ** (attempts - 1), RETRY_SECONDS_MAX)


def _postpone(turn: Turn, tasks: Iterable[ClaimedTask], error: Exception) -> None:
    by_attempts: dict[int, list[ClaimedTask]] = defaultdict(list)
    for task in tasks:
        by_attempts[task.attempts].append(task)
    for attempts, same in by_attempts.items():
        given_up = attempts >= ATTEMPTS_MAX
        logger.log(
            logging.ERROR if given_up else logging.WARNING,
            "event_tasks_given_up" if given_up else "event_tasks_failed",
            extra={
                "handler": turn.handler,
                "merchant_id": str(turn.merchant_id),
                "event_ids": [str(task.event_id) for task in same],
                "attempts": attempts,
            },
            exc_info=error,
        )
        try:
            EventTask.objects.for_merchant(turn.merchant_id).filter(pk__in=[task.id for task in same]).update(
                next_attempt_at=None if given_up else Now() + timedelta(seconds=retry_seconds(attempts)),
                # The class alone: messages may quote values of a customer's row.
                error=type(error).__name__,
            )
        except DatabaseError:
            # The database is gone; the lease runs out and the tasks are tried again.
            logger.warning("event_tasks_not_postponed")


def retry_given_up(*, ids: Collection[uuid.UUID] | None = None) -> int:
    """Try the tasks that were given up again (these, or all), from the first attempt. Returns how many."""
    tasks = EventTask.objects.filter(next_attempt_at=None)
    if ids is not None:
        tasks = tasks.filter(pk__in=ids)
    return tasks.update(next_attempt_at=Now(), attempts=0)
