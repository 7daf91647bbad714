"""Writing to the event log, which is also the outbox: in the caller's transaction, dispatched after its commit."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.timezone import now

from cloudpos.tenancy.drafting import draft
from cloudpos.tenancy.rows import Rows
from cloudpos.tenancy.statements import Statement, Table
from customers.models import Event


class EventRef(NamedTuple):
    """An event by its key, as the outbox hands it on."""

    merchant_id: uuid.UUID
    id: uuid.UUID
    type: str


# As many as one request emits: their INSERT is prepared, a batch's is not worth it.
FEW_EVENTS = 8
_TABLE = Table(Event)
_EVENTS = Rows(Event)

# Rung after a commit that wrote events; `cloudpos.apps` hangs the relay's task on it. Losing a ring loses
# nothing: a sweep finds pending rows within seconds.
_doorbells: list[Callable[[], None]] = []


def on_new_events(ring: Callable[[], None]) -> None:
    """Register what is called after a commit that recorded events."""
    _doorbells.append(ring)


def event(
    *,
    merchant_id: uuid.UUID,
    type: str,
    data: dict[str, Any],
    customer_id: uuid.UUID | None = None,
    store_id: uuid.UUID | None = None,
    actor_id: uuid.UUID | None = None,
    request_id: str = "",
    occurred_at: datetime | None = None,
    external_id: str = "",
) -> Event:
    """An unsaved event. `data` holds ids, numbers and words of ours, never personal data."""
    return draft(
        Event,
        merchant_id=merchant_id,
        type=type,
        data=data,
        customer_id=customer_id,
        store_id=store_id,
        actor_id=actor_id,
        request_id=request_id,
        occurred_at=occurred_at or now(),
        external_id=external_id,
    )


def emit(*events: Event) -> None:
    """Insert events in the caller's transaction, in one statement, and ring after its commit."""
    emit_all(events)


def emit_all(events: Sequence[Event]) -> None:
    """`emit` for a list. Raises TransactionManagementError outside of a transaction: an event alone would lie."""
    if not events:
        return
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(
            "events are emitted inside the transaction that they report"
        )
    if len(events) <= FEW_EVENTS:
        _EVENTS.insert(events)
    else:
        Event.objects.bulk_create(events)
    _ring_after_commit()


def add_events(statement: Statement, events: Sequence[Event], *, of: str = "") -> None:
    """`emit_all` as a part of the statement that they report, which the caller sends; `of` as in `Statement.insert`."""
    statement.insert(_TABLE, [_TABLE.row(each) for each in events], of=of)
    statement.after_commit.extend(_doorbells)


def add_events_from(
    statement: Statement, source: str, *, merchant_id: uuid.UUID, type: str, at: datetime, once: bool = False
) -> None:
    """Events of one type out of a part of the statement, which has `id`, `customer_id`, `data` and `occurred_at`.

    With `once` it has an `external_id` too, and events whose id is taken are left out. The new part is `<source>_events`.
    """
    external_id, unless_taken = "''", ""
    if once:
        external_id = "external_id"
        unless_taken = " ON CONFLICT (merchant_id, external_id) WHERE external_id <> '' DO NOTHING"
    statement.add(
        f"{source}_events",
        "INSERT INTO customer_events (id, merchant_id, customer_id, type, data, external_id, request_id,"  # noqa: S608
        " occurred_at, recorded_at)"
        f" SELECT id, %s, customer_id, %s, data, {external_id}, '', occurred_at, %s FROM {source}{unless_taken}"
        " RETURNING id",
        [merchant_id, type, at],
    )
    _ring_after_commit()


def emit_once(events: Sequence[Event]) -> list[Event]:
    """`emit` for events of one merchant that carry an `external_id`: those whose id is taken are left out.

    Returns, in the given order, the rows that now stand in the log under these ids: ours or the earlier ones.
    """
    if not events:
        return []
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(
            "events are emitted inside the transaction that they report"
        )
    # Sorted: two batches with the same ids in another order wait for each other, never for ever.
    Event.objects.bulk_create(sorted(events, key=lambda each: each.external_id), ignore_conflicts=True)
    stored = {
        found.external_id: found
        for found in Event.objects.for_merchant(events[0].merchant_id).filter(
            external_id__in=[each.external_id for each in events]
        )
    }
    _ring_after_commit()
    return [stored[each.external_id] for each in events]


def _ring_after_commit() -> None:
    for ring in _doorbells:
        # robust: a broker that is down must not fail the till's request.
        transaction.on_commit(ring, robust=True)
