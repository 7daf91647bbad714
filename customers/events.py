"""Writing to the event log, which is also the outbox: in the caller's transaction, dispatched after its commit."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.timezone import now

from customers.models import Event

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
    return Event(
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
        raise transaction.TransactionManagementError("events are emitted inside the transaction that they report")
    Event.objects.bulk_create(events)
    for ring in _doorbells:
        # robust: a broker that is down must not fail the till's request.
        transaction.on_commit(ring, robust=True)
