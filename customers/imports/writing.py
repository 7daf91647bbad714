"""Doing what was decided for a chunk of rows: in the caller's transaction, in a handful of statements."""

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError

from cloudpos.tenancy.drafting import draft
from customers.events import event
from customers.imports.deciding import ChangedMeanwhile, Context, Decision, Outcome
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
from customers.services.bulk import insert_drafts
from customers.services.consents import build_consent
from customers.services.copying import copy_in, copy_lines, update_in
from customers.services.profile import index_customer
from customers.services.withdrawals import append_withdrawals


def write(decisions: Sequence[Decision], source: Import, context: Context) -> None:
    """Create and change customers, and keep what became of each row. Raises ChangedMeanwhile: then begin the chunk again."""
    created = [each for each in decisions if each.outcome == Outcome.CREATED]
    updated = [each for each in decisions if each.outcome == Outcome.UPDATED]
    try:
        _create(created, context)
        _update(updated, context)
        _keep_external_ids([*created, *updated], context)
    except IntegrityError as error:
        # An e-mail, phone or ID that somebody has taken since we looked.
        raise ChangedMeanwhile from error
    _log(created, updated, context)
    keep_rows(decisions, source, ImportRow.Phase.RUN)


def keep_rows(decisions: Sequence[Decision], source: Import, phase: str) -> None:
    """What became of these rows, inside the caller's transaction."""
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
                customer_id=customer.pk if customer is not None and not failed else None,
                before=each.before if each.outcome == Outcome.UPDATED else {},
                after=each.after if each.outcome == Outcome.UPDATED else {},
                version=customer.version if customer is not None and not failed else None,
                problems=each.row.problems,
            )
        )
    copy_in(ImportRow, [copy_lines(ImportRow, rows)])


def _create(created: Sequence[Decision], context: Context) -> None:
    drafts = [each.draft for each in created if each.draft is not None]
    if drafts and len(insert_drafts(drafts, search_key=context.access.search_key)) < len(drafts):
        raise ChangedMeanwhile


def _update(updated: Sequence[Decision], context: Context) -> None:
    columns: set[str] = set()
    customers: list[Customer] = []
    statements: list[Consent] = []
    for each in updated:
        customer = each.customer
        assert customer is not None
        index_customer(customer, search_key=context.access.search_key)
        customer.version += 1
        customer.updated_at = context.at
        columns |= each.changed
        customers.append(customer)
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
    # `columns` are those that changed of anybody: of the others the same is written again.
    update_in(Customer, customers, sorted({*columns, "search", "sort_name", "version", "updated_at"}))
    new = [each.address for each in updated if each.address is not None and each.address_is_new]
    copy_in(Address, [copy_lines(Address, new)])
    changed = [each for each in updated if each.address is not None and not each.address_is_new]
    for each in changed:
        assert each.address is not None
        each.address.updated_at = context.at
    update_in(
        Address,
        [each.address for each in changed],
        sorted({"updated_at", *(name for each in changed for name in each.address_changed)}),
    )
    append_withdrawals(statements)


def _keep_external_ids(decisions: Sequence[Decision], context: Context) -> None:
    rows = []
    for each in decisions:
        if each.external_id:
            customer = each.draft.customer if each.draft is not None else each.customer
            assert customer is not None
            rows.append(
                draft(
                    ExternalId,
                    merchant_id=customer.merchant_id,
                    customer_id=customer.pk,
                    external_id=each.external_id,
                    created_at=context.at,
                )
            )
    copy_in(ExternalId, [copy_lines(ExternalId, rows)])


def _log(created: Sequence[Decision], updated: Sequence[Decision], context: Context) -> None:
    """The customers' log says what happened. Nobody is woken for each of a million: `import.finished` wakes them once."""
    named = {"importId": str(context.import_id)}
    events: list[Event] = []

    def add(customer: Customer, type: str, data: dict[str, Any]) -> None:
        made = event(
            merchant_id=customer.merchant_id,
            customer_id=customer.pk,
            store_id=context.access.store_id,
            actor_id=context.access.user_id,
            type=type,
            data=data,
            occurred_at=context.at,
        )
        made.dispatched_at = context.at
        events.append(made)

    def add_consent(customer: Customer, channel: str, state: str) -> None:
        data = {"channel": channel, "purpose": Purpose.MARKETING.value, "state": state}
        add(customer, "consent.changed", {**data, **named})

    for each in created:
        assert each.draft is not None
        customer = each.draft.customer
        add(customer, "customer.created", {"type": customer.type, **named})
        for statement in each.draft.consents:
            add_consent(customer, statement.channel, statement.state)
    for each in updated:
        assert each.customer is not None
        add(each.customer, "customer.updated", {"fields": each.fields, **named})
        for channel in each.withdrawn:
            add_consent(each.customer, channel, ConsentState.WITHDRAWN.value)
    copy_in(Event, [copy_lines(Event, events)])
