"""Merging one customer into another. The preview is the same function, rolled back: what it says is what happens."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.utils.timezone import now

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import BadRequest, Conflict
from cloudpos.api.transactions import use_case
from cloudpos.lifecycle.declaring import Table
from cloudpos.lifecycle.fields import Choice, combine
from cloudpos.lifecycle.tables import MOVING
from cloudpos.tenancy.access import Access
from customers.events import emit, event
from customers.models import Address, Consent, ConsentState, Customer, Merge, Preferences
from customers.purchases import standing_on_record
from customers.services import (
    CustomerNotFound,
    append_consents,
    hide_customer,
    index_customer,
    keep_one_default,
    lock_customers,
    refold_consents,
    visible_customer_id,
    write_standing,
)
from customers.services.consents import build_consent, fold_log
from customers.services.profile import SEARCHED
from loyalty.models import Enrollment
from loyalty.services import settle, transfer_for_merge

MERGE_SOURCE = "merge"
# Rows of one merge: more would hold locks, and the answer, for longer than a statement may take.
MERGE_ROWS_MAX = 50_000

STYLE = ("language", "quiet_hours_start", "quiet_hours_end", "max_messages_per_week")


class SameCustomer(BadRequest):
    code = "same_customer"
    message = "A customer cannot be merged into itself"


class SourceNotFound(CustomerNotFound):
    message = "There is no such customer to merge"


class AlreadyMerged(Conflict):
    code = "already_merged"
    message = "This customer was merged already"


class TooMuchToMerge(Conflict):
    code = "too_much_to_merge"
    message = f"A customer with more than {MERGE_ROWS_MAX} records of history cannot be merged"


@dataclass(frozen=True, slots=True)
class ConsentChoice:
    """What counts for one channel and purpose: True granted, False withdrawn, None never said."""

    channel: str
    purpose: str
    target: bool | None
    source: bool | None
    result: bool


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge did, or would do. `moved` counts rows by their key in the export."""

    merge_id: uuid.UUID | None
    customer_id: uuid.UUID
    source_id: uuid.UUID
    fields: list[Choice]
    moved: dict[str, int]
    consents: list[ConsentChoice]
    points: dict[str, int]
    tier: dict[str, str]
    total_spent: dict[str, Any]
    merged_at: datetime


def merge_customers(
    *,
    access: Access,
    customer_id: uuid.UUID,
    source_id: uuid.UUID,
    from_source: Collection[str] = (),
    preview: bool = False,
) -> MergeReport:
    """Fold `source_id` into `customer_id`, or say what that would do.

    Points, consent, purchases, returns, events, tags and addresses follow; a withdrawal of consent on either side
    stays one; the source's id answers with the target from then on. `from_source` names the fields (fields.UNITS)
    where the source's value wins over the target's. Raises CustomerNotFound, SourceNotFound, SameCustomer,
    AlreadyMerged, TooMuchToMerge.
    """
    run = _preview if preview else _merge
    return run(access=access, customer_id=customer_id, source_id=source_id, from_source=from_source)


@use_case
def _merge(**arguments: Any) -> MergeReport:
    return _do_merge(**arguments)


@use_case
def _preview(**arguments: Any) -> MergeReport:
    # A savepoint of its own: an idempotent request's transaction goes on after it.
    with transaction.atomic():
        report = _do_merge(**arguments)
        transaction.set_rollback(True)
    return replace(report, merge_id=None)


def _do_merge(
    *, access: Access, customer_id: uuid.UUID, source_id: uuid.UUID, from_source: Collection[str]
) -> MergeReport:
    at = now()
    target, source = _lock_both(access, customer_id, source_id)
    points_before = (target.points, source.points)
    spent_before = (target.total_spent, source.total_spent)
    tier_before = (target.tier, source.tier)
    said = (fold_log(target), fold_log(source))
    changed, choices = combine(target, source, from_source=from_source)
    previous = {column: getattr(target, column) for column in changed}

    # The source first: it gives its e-mail and phone free for the target.
    hide_customer(source, merged_into=target, at=at)
    write_fields(target, changed, search_key=access.search_key)
    default_address = _release_default_address(source)
    moved_ids = {table.key: _move(table, source, target) for table in MOVING}
    keep_one_default(target)
    style_before, style_merged = _merge_style(target, source)
    consents, statements = _merge_consents(target, said=said, actor_id=access.user_id)
    refold_consents(source)

    transfer = transfer_for_merge(source=source, target=target, at=at, actor_id=access.user_id)
    for customer in (target, source):
        restate(customer, cause=f"Merge of {source.customer_number}", access=access)
    merge = Merge(
        merchant_id=access.merchant_id,
        source=source,
        target=target,
        actor_id=access.user_id,
        merged_at=at,
        moved={
            "rows": {key: [str(row_id) for row_id in ids] for key, ids in moved_ids.items()},
            "before": _storable(previous),
            "merged": _storable(changed),
            "styleBefore": _storable(style_before),
            "styleMerged": _storable(style_merged),
            "defaultAddress": str(default_address) if default_address else None,
            "consents": statements,
            "transferEntries": [str(entry_id) for entry_id in transfer.target_entry_ids] if transfer else [],
        },
    )
    merge.save(force_insert=True)
    emit(
        event(
            merchant_id=access.merchant_id,
            customer_id=target.pk,
            store_id=access.store_id,
            actor_id=access.user_id,
            type="customer.merged",
            data={"mergeId": str(merge.pk), "sourceId": str(source.pk), "targetId": str(target.pk)},
            occurred_at=at,
            request_id=current_request_id(),
        )
    )
    return MergeReport(
        merge_id=merge.pk,
        customer_id=target.pk,
        source_id=source.pk,
        fields=choices,
        moved={key: len(ids) for key, ids in moved_ids.items()},
        consents=consents,
        points={"target": points_before[0], "source": points_before[1], "result": target.points},
        tier={"target": tier_before[0], "source": tier_before[1], "result": target.tier},
        total_spent={"target": spent_before[0], "source": spent_before[1], "result": target.total_spent},
        merged_at=at,
    )


def restate(customer: Customer, *, cause: str, access: Access) -> None:
    """Compute a locked customer's standing and points anew, after rows have moved to or from it."""
    write_standing(customer, **standing_on_record(merchant_id=access.merchant_id, customer_id=customer.pk))
    # A record without an account and without purchases gets none: it may be the one that was merged away.
    enrolled = Enrollment.objects.for_merchant(access.merchant_id).filter(customer_id=customer.pk).exists()
    if enrolled or customer.visit_count:
        settle(customer=customer, cause=cause, actor_id=access.user_id, store_id=access.store_id)


def _lock_both(access: Access, customer_id: uuid.UUID, source_id: uuid.UUID) -> tuple[Customer, Customer]:
    """(target, source), both visible and locked in order of id."""
    merchant_id = access.merchant_id
    target_id = visible_customer_id(merchant_id=merchant_id, customer_id=customer_id)
    try:
        visible_source_id = visible_customer_id(merchant_id=merchant_id, customer_id=source_id)
    except CustomerNotFound:
        raise SourceNotFound(field="sourceId") from None
    if source_id == target_id:
        raise SameCustomer(field="sourceId")
    if visible_source_id != source_id:
        raise AlreadyMerged(field="sourceId", extra={"mergedInto": visible_source_id})
    target, source = lock_customers(merchant_id=merchant_id, customer_ids=[target_id, source_id])
    # Merged, deleted or erased between the look and the lock.
    if target.deleted_at is not None:
        raise CustomerNotFound()
    if source.deleted_at is not None:
        raise AlreadyMerged(field="sourceId", extra={"mergedInto": source.merged_into_id})
    return target, source


def write_fields(customer: Customer, changed: dict[str, Any], *, search_key: str) -> None:
    """Save columns of a locked customer with what is derived from them, as one new version."""
    for column, value in changed.items():
        setattr(customer, column, value)
    columns = set(changed)
    if changed.keys() & SEARCHED:
        index_customer(customer, search_key=search_key)
        columns |= {"search", "sort_name"}
    customer.version += 1
    customer.updated_at = now()
    customer.save(update_fields=[*columns, "version", "updated_at"])


def _release_default_address(customer: Customer) -> uuid.UUID | None:
    """Take the default from a customer whose addresses are about to move; the id of what it was."""
    addresses = Address.objects.for_merchant(customer.merchant_id).filter(
        customer_id=customer.pk, is_default=True
    )
    default: uuid.UUID | None = addresses.values_list("pk", flat=True).first()
    if default is not None:
        addresses.update(is_default=False)
    return default


def _move(table: Table, source: Customer, target: Customer) -> list[uuid.UUID]:
    """Give the source's rows to the target. The ids of what moved. Raises TooMuchToMerge."""
    name = table.model._meta.db_table
    with connection.cursor() as cursor:
        # Counted before it is written: a refusal costs a look at the index.
        cursor.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {name}"  # noqa: S608 - a table of ours
            " WHERE merchant_id = %s AND customer_id = %s LIMIT %s) AS rows",
            [source.merchant_id, source.pk, MERGE_ROWS_MAX + 1],
        )
        if cursor.fetchone()[0] > MERGE_ROWS_MAX:
            raise TooMuchToMerge()
        cursor.execute(
            f"UPDATE {name} SET customer_id = %s"  # noqa: S608
            " WHERE merchant_id = %s AND customer_id = %s RETURNING id",
            [target.pk, source.merchant_id, source.pk],
        )
        return [row[0] for row in cursor.fetchall()]


def _merge_style(target: Customer, source: Customer) -> tuple[dict[str, Any], dict[str, Any]]:
    """Language, quiet hours and frequency cap: the source fills what the target left open; the lower cap counts.

    (what the columns were, what they became), of those that changed.
    """
    rows = {
        row.customer_id: row
        for row in Preferences.objects.for_merchant(target.merchant_id).filter(
            customer_id__in=[target.pk, source.pk]
        )
    }
    theirs = rows.get(source.pk)
    if theirs is None:
        return {}, {}
    mine = rows.get(target.pk) or Preferences(merchant_id=target.merchant_id, customer=target)
    merged: dict[str, Any] = {}
    if not mine.language and theirs.language:
        merged["language"] = theirs.language
    if mine.quiet_hours_start is None and theirs.quiet_hours_start is not None:
        merged |= {"quiet_hours_start": theirs.quiet_hours_start, "quiet_hours_end": theirs.quiet_hours_end}
    caps = [cap for cap in (mine.max_messages_per_week, theirs.max_messages_per_week) if cap is not None]
    if caps and min(caps) != mine.max_messages_per_week:
        merged["max_messages_per_week"] = min(caps)
    if not merged:
        return {}, {}
    previous = {column: getattr(mine, column) for column in merged}
    for column, value in merged.items():
        setattr(mine, column, value)
    mine.updated_at = now()
    if mine._state.adding:
        mine.save(force_insert=True)
    else:
        mine.save(update_fields=[*merged, "updated_at"])
    return previous, merged


def _merge_consents(
    target: Customer,
    *,
    said: tuple[dict[str, dict[str, bool]], dict[str, dict[str, bool]]],
    actor_id: uuid.UUID,
) -> tuple[list[ConsentChoice], dict[str, str]]:
    """After the statements have moved: the strictest of both sides counts.

    Where the united log would end in a grant although one side had withdrawn, a withdrawal is appended.
    (what counts now, {id of an appended statement: the side that had withdrawn}).
    """
    mine, theirs = said
    united = fold_log(target)
    choices: list[ConsentChoice] = []
    statements: list[Consent] = []
    sides: dict[str, str] = {}
    # A till's clock may be ahead: of two statements of one instant the withdrawal counts.
    latest = (
        Consent.objects.for_merchant(target.merchant_id)
        .filter(customer_id=target.pk)
        .aggregate(at=Max("occurred_at"))["at"]
    )
    for channel, purposes in sorted(united.items()):
        for purpose, granted in sorted(purposes.items()):
            sides_said = (mine.get(channel, {}).get(purpose), theirs.get(channel, {}).get(purpose))
            result = granted and False not in sides_said
            choices.append(ConsentChoice(channel, purpose, *sides_said, result))
            if granted and not result:
                statement = build_consent(
                    target,
                    channel=channel,
                    purpose=purpose,
                    state=ConsentState.WITHDRAWN,
                    source=MERGE_SOURCE,
                    actor_id=actor_id,
                    occurred_at=max(now(), latest),
                )
                statements.append(statement)
                sides[str(statement.pk)] = "target" if sides_said[0] is False else "source"
    if statements:
        append_consents(target, statements)
    else:
        refold_consents(target)
    return choices, sides


def _storable(columns: dict[str, Any]) -> dict[str, Any]:
    """Column values as JSON; `restorable` reads them back."""
    return {
        column: value.isoformat()
        if hasattr(value, "isoformat")
        else str(value)
        if isinstance(value, uuid.UUID)
        else value
        for column, value in columns.items()
    }


def restorable(columns: dict[str, Any]) -> dict[str, Any]:
    """What `_storable` stored, as column values."""
    model_fields = {**_columns(Preferences), **_columns(Customer)}
    return {column: model_fields[column].to_python(value) for column, value in columns.items()}


def _columns(model: Any) -> dict[str, Any]:
    return {field.attname: field for field in model._meta.concrete_fields}


__all__ = [
    "AlreadyMerged",
    "ConsentChoice",
    "MergeReport",
    "SameCustomer",
    "SourceNotFound",
    "TooMuchToMerge",
    "merge_customers",
    "restate",
    "restorable",
    "write_fields",
]
