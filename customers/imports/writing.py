"""Doing what was decided for a chunk of rows: its lines are made without the database, and written in a handful of statements."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError

from cloudpos.ids import new_id
from cloudpos.tenancy.drafting import draft
from customers.events import event
from customers.imports.deciding import Decision, Outcome
from customers.imports.knowing import ChangedMeanwhile, Context
from customers.models import (
    Address,
    Consent,
    ConsentState,
    Customer,
    Event,
    ExternalId,
    Import,
    ImportRow,
    Purpose,
)
from customers.services.bulk import Ready, insert_ready, ready
from customers.services.consents import build_consent
from customers.services.copying import copy_in, copy_lines, line_like, update_lines
from customers.services.profile import index_customer
from customers.services.withdrawals import append_withdrawals


@dataclass(slots=True)
class Changes:
    """Rows of one table that change, as lines, and the columns in which any of them does."""

    lines: str = ""
    columns: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Writing:
    """What `write` sends for a chunk. `counts`: of the rows by what becomes of them, and of what was said."""

    counts: dict[str, int]
    rows: str
    created: list[Ready]
    customers: Changes
    addresses: Changes
    new_addresses: str
    withdrawals: list[Consent]
    external_ids: str
    events: str


def writing_of(decisions: Sequence[Decision], source: Import, context: Context) -> Writing:
    """Turn decisions into lines, without a statement: while PostgreSQL is at work on other lines."""
    created = [each for each in decisions if each.outcome == Outcome.CREATED]
    updated = [each for each in decisions if each.outcome == Outcome.UPDATED]
    withdrawals = _touch(updated, context)
    addresses = [each for each in updated if each.address is not None]
    new_addresses = [each.address for each in addresses if each.address_is_new]
    return Writing(
        counts=counts_of(decisions),
        # After `_touch`: a row keeps the version that its import made.
        rows=_row_lines(decisions, source, ImportRow.Phase.RUN),
        created=[ready(each.draft) for each in created if each.draft is not None],
        customers=_customer_changes(updated),
        addresses=_address_changes([each for each in addresses if not each.address_is_new], context),
        new_addresses=copy_lines(Address, new_addresses),
        withdrawals=withdrawals,
        external_ids=_external_id_lines([*created, *updated], context),
        events=_event_lines(created, updated, context),
    )


def write(writing: Writing, context: Context, draw: Callable[[], str]) -> None:
    """Create and change customers, and keep what became of each row, inside the caller's transaction. `draw` gives numbers anew.

    Raises ChangedMeanwhile: then begin the chunk again.
    """
    try:
        made = insert_ready(writing.created, search_key=context.access.search_key, draw=draw)
        if len(made) < len(writing.created):
            raise ChangedMeanwhile
        update_lines(Customer, writing.customers.lines, writing.customers.columns)
        copy_in(ExternalId, [writing.external_ids])
    except IntegrityError as error:
        # An e-mail, phone or ID that somebody has taken since we looked.
        raise ChangedMeanwhile from error
    copy_in(Address, [writing.new_addresses])
    update_lines(Address, writing.addresses.lines, writing.addresses.columns)
    append_withdrawals(writing.withdrawals)
    copy_in(Event, [writing.events])
    copy_in(ImportRow, [writing.rows])


def keep_rows(decisions: Sequence[Decision], source: Import, phase: str) -> None:
    """What became of these rows, inside the caller's transaction."""
    copy_in(ImportRow, [_row_lines(decisions, source, phase)])


def counts_of(decisions: Sequence[Decision]) -> dict[str, int]:
    """How many rows have each outcome, and how often consent was withdrawn, granted and passed over in those that do not fail."""
    counts: dict[str, int] = {}

    def add(name: str, number: int = 1) -> None:
        if number:
            counts[name] = counts.get(name, 0) + number

    for each in decisions:
        add(str(each.outcome))
        if each.outcome == Outcome.FAILED:
            continue
        drafted = each.draft.consents if each.draft is not None else ()
        add("withdrawn", len(each.withdrawn) + sum(said.state == "withdrawn" for said in drafted))
        add("granted", sum(said.state == "granted" for said in drafted))
        add("consentsIgnored", each.consents_ignored)
    return counts


def _touch(updated: Sequence[Decision], context: Context) -> list[Consent]:
    """Index known customers anew and give them their next version; the withdrawals that they are to have."""
    statements: list[Consent] = []
    for each in updated:
        customer = each.customer
        assert customer is not None
        index_customer(customer, search_key=context.access.search_key)
        customer.version += 1
        customer.updated_at = context.at
        statements.extend(
            build_consent(
                customer,
                channel=channel,
                purpose=Purpose.MARKETING.value,
                state=ConsentState.WITHDRAWN.value,
                source=context.source,
                actor_id=context.access.user_id,
            )
            for channel in each.withdrawn
        )
    return statements


def _customer_changes(updated: Sequence[Decision]) -> Changes:
    if not updated:
        return Changes()
    # Of who did not change in one of the columns, the same is written again.
    columns = set().union(*(each.changed for each in updated))
    return Changes(
        copy_lines(Customer, [each.customer for each in updated]),
        sorted({*columns, "search", "sort_name", "version", "updated_at"}),
    )


def _address_changes(changed: Sequence[Decision], context: Context) -> Changes:
    if not changed:
        return Changes()
    for each in changed:
        assert each.address is not None
        each.address.updated_at = context.at
    columns = set().union(*(each.address_changed for each in changed))
    return Changes(copy_lines(Address, [each.address for each in changed]), sorted({*columns, "updated_at"}))


def _external_id_lines(decisions: Sequence[Decision], context: Context) -> str:
    rows = []
    for each in decisions:
        if each.external_id:
            customer = each.draft.customer if each.draft is not None else each.customer
            assert customer is not None
            rows.append(
                draft(
                    ExternalId,
                    merchant_id=customer.merchant_id,
                    customer_id=customer.id,
                    external_id=each.external_id,
                    created_at=context.at,
                )
            )
    return copy_lines(ExternalId, rows)


def _row_lines(decisions: Sequence[Decision], source: Import, phase: str) -> str:
    rows = []
    for each in decisions:
        customer = each.draft.customer if each.draft is not None else each.customer
        failed = each.outcome == Outcome.FAILED
        rows.append(
            draft(
                ImportRow,
                merchant_id=source.merchant_id,
                source_id=source.pk,
                phase=str(phase),
                number=each.row.number,
                outcome=str(each.outcome),
                customer_id=customer.id if customer is not None and not failed else None,
                before=each.before if each.outcome == Outcome.UPDATED else {},
                after=each.after if each.outcome == Outcome.UPDATED else {},
                version=customer.version if customer is not None and not failed else None,
                problems=each.row.problems,
            )
        )
    return copy_lines(ImportRow, rows)


def _event_lines(created: Sequence[Decision], updated: Sequence[Decision], context: Context) -> str:
    """The customers' log says what happened. Nobody is woken for each of a million: `import.finished` wakes them once."""
    named = {"importId": str(context.import_id)}
    # Most say the same of one customer or another.
    likes: dict[tuple[str, ...], str] = {}
    lines: list[str] = []

    def add(customer_id: uuid.UUID, type: str, said: tuple[str, ...], data: dict[str, Any]) -> None:
        like = likes.get((type, *said))
        if like is None:
            made = event(
                merchant_id=context.access.merchant_id,
                customer_id=customer_id,
                store_id=context.access.store_id,
                actor_id=context.access.user_id,
                type=type,
                data={**data, **named},
                occurred_at=context.at,
            )
            made.dispatched_at = context.at
            like = likes[type, *said] = line_like(Event, made, ("id", "customer_id"))
        lines.append(like % {"id": new_id().int, "customer_id": customer_id.int})

    def add_consent(customer_id: uuid.UUID, channel: str, state: str) -> None:
        data = {"channel": channel, "purpose": Purpose.MARKETING.value, "state": state}
        add(customer_id, "consent.changed", (channel, state), data)

    for each in created:
        assert each.draft is not None
        customer = each.draft.customer
        add(customer.id, "customer.created", (customer.type,), {"type": customer.type})
        for statement in each.draft.consents:
            add_consent(customer.id, statement.channel, statement.state)
    for each in updated:
        assert each.customer is not None
        fields = each.fields
        add(each.customer.id, "customer.updated", tuple(fields), {"fields": fields})
        for channel in each.withdrawn:
            add_consent(each.customer.id, channel, ConsentState.WITHDRAWN.value)
    return "".join(lines)
