"""What clients tell of a customer's doings: events of their own types, each eventId accepted once."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.timezone import now

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import ApiError, BadRequest, Conflict
from cloudpos.api.transactions import use_case
from cloudpos.tenancy.access import Access
from customers.events import emit, emit_all, emit_once, event
from customers.models import Customer, Event
from customers.services.event_types import Schemas, check_data, schemas_of
from customers.services.finding import CustomerNotFound, lock_customer, visible_customer_id

# Clocks of tills differ by as much.
CLOCK_SKEW = timedelta(minutes=5)


class EventFromTheFuture(BadRequest):
    message = "This time is in the future."


class EventConflict(Conflict):
    code = "event_conflict"
    message = "This eventId was used before for another event."


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event of the log; `is_new` is False when the same event had been sent before."""

    event: Event
    is_new: bool


@use_case
def record_activity(*, access: Access, customer_id: uuid.UUID, data: Mapping[str, Any]) -> Recorded:
    """Append one event: `type`, and optionally `data`, `occurred_at`, `event_id`.

    Raises CustomerNotFound, EventFromTheFuture, BadRequest for data that do not fit the type's schema, and EventConflict when
    the event_id stands for another event.
    """
    # Locked: a merge that runs now moves the customer's events either before or after this one.
    customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    schemas = schemas_of(merchant_id=access.merchant_id, types=[data["type"]])
    sent = _build(access, customer.pk, data, schemas)
    if not sent.external_id:
        emit(sent)
        return Recorded(sent, is_new=True)
    (stored,) = emit_once([sent])
    return _compared(sent, stored, data)


@use_case
def record_activities(
    *, access: Access, rows: Sequence[Mapping[str, Any] | ApiError]
) -> list[Recorded | ApiError]:
    """`record_activity` for many customers (`customer_id` in each row), in a handful of statements.

    Per row the event, or why not; a row that is an error already stays it, and good rows don't suffer from it.
    """
    good = [row for row in rows if not isinstance(row, ApiError)]
    visible = _lock_visible(access.merchant_id, {row["customer_id"] for row in good})
    schemas = schemas_of(merchant_id=access.merchant_id, types=[row["type"] for row in good])
    outcomes: list[Recorded | ApiError] = []
    sent: dict[int, Event] = {}
    for index, row in enumerate(rows):
        if isinstance(row, ApiError):
            outcomes.append(row)
            continue
        customer_id = visible.get(row["customer_id"])
        try:
            if customer_id is None:
                raise CustomerNotFound(field="customerId")
            sent[index] = _build(access, customer_id, row, schemas)
            outcomes.append(Recorded(sent[index], is_new=True))
        except ApiError as refused:
            outcomes.append(refused)
    emit_all([each for each in sent.values() if not each.external_id])
    named = {index: each for index, each in sent.items() if each.external_id}
    for index, stored in zip(named, emit_once(list(named.values())), strict=True):
        row = rows[index]
        assert not isinstance(row, ApiError)
        try:
            outcomes[index] = _compared(named[index], stored, row)
        except EventConflict as conflict:
            outcomes[index] = conflict
    return outcomes


def _build(access: Access, customer_id: uuid.UUID, data: Mapping[str, Any], schemas: Schemas) -> Event:
    occurred_at: datetime | None = data.get("occurred_at")
    if occurred_at is not None and occurred_at > now() + CLOCK_SKEW:
        raise EventFromTheFuture(field="occurredAt")
    check_data(schemas, type=data["type"], data=data.get("data") or {})
    return event(
        merchant_id=access.merchant_id,
        customer_id=customer_id,
        store_id=access.store_id,
        type=data["type"],
        data=data.get("data") or {},
        actor_id=access.user_id,
        request_id=current_request_id(),
        occurred_at=occurred_at,
        external_id=data.get("event_id") or "",
    )


def _compared(sent: Event, stored: Event, data: Mapping[str, Any]) -> Recorded:
    """Raises EventConflict. A time that the sender left out is not compared: it was the time of arrival."""
    if stored.pk == sent.pk:
        return Recorded(stored, is_new=True)
    same = (stored.type, stored.customer_id, stored.data) == (sent.type, sent.customer_id, sent.data)
    if not same or (data.get("occurred_at") is not None and stored.occurred_at != sent.occurred_at):
        raise EventConflict(field="eventId")
    return Recorded(stored, is_new=False)


def _lock_visible(merchant_id: uuid.UUID, customer_ids: set[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """Asked-for id -> id of the visible customer, all locked in order of id; absent and foreign ones are left out."""
    customers = Customer.objects.for_merchant(merchant_id).visible()
    resolved = {found: found for found in customers.filter(pk__in=customer_ids).values_list("pk", flat=True)}
    for customer_id in customer_ids - resolved.keys():
        try:
            resolved[customer_id] = visible_customer_id(merchant_id=merchant_id, customer_id=customer_id)
        except CustomerNotFound:
            continue
    locked = customers.filter(pk__in=set(resolved.values())).order_by("pk").select_for_update(no_key=True)
    still = set(locked.values_list("pk", flat=True))
    return {asked: found for asked, found in resolved.items() if found in still}
