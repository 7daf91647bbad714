"""Taking a merge apart again: both sides as they were where that is possible, and in words where it is not."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q, Sum
from django.utils.timezone import now

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import Conflict, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.lifecycle.fields import take_apart
from cloudpos.lifecycle.merging import MERGE_SOURCE, restate, restorable, write_fields
from cloudpos.lifecycle.tables import MOVING
from cloudpos.tenancy.access import Access
from customers.events import emit_all, event
from customers.models import Address, Consent, ConsentState, Customer, Merge, Preferences, Purchase
from customers.services import (
    append_consents,
    index_customer,
    keep_one_default,
    lock_customers,
    refold_consents,
)
from customers.services.consents import build_consent, fold_log
from loyalty.models import LedgerEntry
from loyalty.services import undo_transfer

UNDO_SOURCE = "merge_undone"


class MergeNotFound(NotFound):
    code = "merge_not_found"
    message = "There is no such merge"


class MergeUndone(Conflict):
    code = "merge_already_undone"
    message = "This merge was undone already"


class LaterMergeFirst(Conflict):
    code = "later_merge_first"
    message = "This customer was merged into another one since: undo that merge first"


class MergeErased(Conflict):
    code = "merge_erased"
    message = "This customer was erased: a merge that is forgotten cannot be undone"


@dataclass(frozen=True, slots=True)
class UndoReport:
    """What came back, counted by key of the export, and what could not, in words."""

    merge_id: uuid.UUID
    customer_id: uuid.UUID
    source_id: uuid.UUID
    moved: dict[str, int]
    points: dict[str, int]
    tier: dict[str, str]
    not_restored: list[str]
    undone_at: datetime


@use_case
def undo_merge(*, access: Access, customer_id: uuid.UUID, merge_id: uuid.UUID) -> UndoReport:
    """Take a merge of `customer_id` (either of its two sides) apart.

    Rows that moved go back, fields that nobody changed since return to what they were, and what is left of the points
    goes back. What happened since the merge stays with the target, except that a return follows its purchase and a
    withdrawal of consent counts for both. Raises MergeNotFound, MergeUndone, LaterMergeFirst, MergeErased.
    """
    at = now()
    merge, target, source = _lock_merge(access, customer_id, merge_id)
    moved: dict[str, Any] = merge.moved
    report: list[str] = []
    rows = {key: [uuid.UUID(row_id) for row_id in ids] for key, ids in moved["rows"].items()}

    _take_default_from(target, rows["addresses"])
    withdrawn_since = _withdrawn_since(target, merge)
    counts = {
        table.key: _give_back(table.model._meta.db_table, target, source, rows[table.key]) for table in MOVING
    }
    if counts["addresses"] < len(rows["addresses"]):
        missing = len(rows["addresses"]) - counts["addresses"]
        report.append(f"Addresses deleted since the merge: {missing}")
    counts["returns"] += _returns_follow(target, source)
    _settle_addresses(target, source, moved["defaultAddress"])
    _divide_consents(target, source, moved["consents"], withdrawn_since, access, report)
    _restore_style(target, moved)
    _restore_fields(target, source, moved, access, report)

    entry_ids = [uuid.UUID(entry_id) for entry_id in moved["transferEntries"]]
    if entry_ids:
        undo_transfer(
            source=source, target=target, target_entry_ids=entry_ids, at=at, actor_id=access.user_id
        )
    for customer in (target, source):
        restate(customer, cause=f"Merge of {source.customer_number} undone", access=access)
    _tell_missing_points(access, entry_ids, source, report)
    _tell_new_purchases(target, merge, report)

    merge.undone_at = at
    # Two people again: what one of them brought along is nothing to keep beside the other.
    merge.moved = {}
    merge.save(update_fields=["undone_at", "moved"])
    facts = {"mergeId": str(merge.pk), "sourceId": str(source.pk), "targetId": str(target.pk)}
    emit_all(
        [
            event(
                merchant_id=access.merchant_id,
                customer_id=customer.pk,
                store_id=access.store_id,
                actor_id=access.user_id,
                type="customer.unmerged",
                data=facts,
                occurred_at=at,
                request_id=current_request_id(),
            )
            for customer in (target, source)
        ]
    )
    return UndoReport(
        merge_id=merge.pk,
        customer_id=target.pk,
        source_id=source.pk,
        moved=counts,
        points={"target": target.points, "source": source.points},
        tier={"target": target.tier, "source": source.tier},
        not_restored=report,
        undone_at=at,
    )


def _lock_merge(
    access: Access, customer_id: uuid.UUID, merge_id: uuid.UUID
) -> tuple[Merge, Customer, Customer]:
    merges = Merge.objects.for_merchant(access.merchant_id).filter(
        Q(target_id=customer_id) | Q(source_id=customer_id), pk=merge_id
    )
    found = merges.first()
    if found is None:
        raise MergeNotFound()
    target, source = lock_customers(
        merchant_id=access.merchant_id, customer_ids=[found.target_id, found.source_id]
    )
    # Read again under the lock: two people may undo at once.
    merge = merges.get()
    if target.erased_at is not None or source.erased_at is not None:
        raise MergeErased()
    if merge.undone_at is not None:
        raise MergeUndone()
    if target.merged_into_id is not None:
        raise LaterMergeFirst(extra={"mergedInto": target.merged_into_id})
    if target.deleted_at is not None:
        raise MergeNotFound()
    return merge, target, source


def _give_back(table: str, target: Customer, source: Customer, ids: list[uuid.UUID]) -> int:
    if not ids:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET customer_id = %s"  # noqa: S608 - a table of ours
            " WHERE merchant_id = %s AND customer_id = %s AND id = ANY(%s)",
            [source.pk, target.merchant_id, target.pk, ids],
        )
        return int(cursor.rowcount)


def _returns_follow(target: Customer, source: Customer) -> int:
    """Returns since the merge of purchases that are the source's again."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE purchase_returns r SET customer_id = %s FROM purchases p"
            " WHERE r.merchant_id = %s AND r.customer_id = %s"
            " AND p.merchant_id = r.merchant_id AND p.id = r.purchase_id AND p.customer_id = %s",
            [source.pk, target.merchant_id, target.pk, source.pk],
        )
        return int(cursor.rowcount)


def _take_default_from(target: Customer, address_ids: Iterable[uuid.UUID]) -> None:
    Address.objects.for_merchant(target.merchant_id).filter(
        customer_id=target.pk, pk__in=list(address_ids), is_default=True
    ).update(is_default=False)


def _settle_addresses(target: Customer, source: Customer, default_id: str | None) -> None:
    if default_id is not None:
        Address.objects.for_merchant(source.merchant_id).filter(pk=default_id, customer_id=source.pk).update(
            is_default=True
        )
    for customer in (target, source):
        keep_one_default(customer)


def _withdrawn_since(target: Customer, merge: Merge) -> list[tuple[str, str]]:
    """(channel, purpose) of what the merged customer has withdrawn since, and not granted again."""
    since = (
        Consent.objects.for_merchant(target.merchant_id)
        .filter(customer_id=target.pk, recorded_at__gt=merge.merged_at)
        .exclude(source=MERGE_SOURCE)
        .filter(state=ConsentState.WITHDRAWN)
        .values_list("channel", "purpose")
    )
    now_said = fold_log(target)
    return [(channel, purpose) for channel, purpose in set(since) if not now_said[channel][purpose]]


def _divide_consents(
    target: Customer,
    source: Customer,
    statements: dict[str, str],
    withdrawn_since: list[tuple[str, str]],
    access: Access,
    report: list[str],
) -> None:
    """Statements of the merge go to the side that had withdrawn; a withdrawal since the merge counts for both."""
    _give_back(
        Consent._meta.db_table,
        target,
        source,
        [uuid.UUID(pk) for pk, side in statements.items() if side == "source"],
    )
    refold_consents(target)
    refold_consents(source)
    theirs = fold_log(source)
    strict = [
        build_consent(
            source,
            channel=channel,
            purpose=purpose,
            state=ConsentState.WITHDRAWN,
            source=UNDO_SOURCE,
            actor_id=access.user_id,
        )
        for channel, purpose in sorted(withdrawn_since)
        if theirs.get(channel, {}).get(purpose)
    ]
    append_consents(source, strict, store_id=access.store_id)
    report.extend(
        f"Consent withdrawn since the merge counts for both: {statement.channel} {statement.purpose}"
        for statement in strict
    )


def _restore_style(target: Customer, moved: dict[str, Any]) -> None:
    row = Preferences.objects.for_merchant(target.merchant_id).filter(customer_id=target.pk).first()
    if row is None or not moved["styleMerged"]:
        return
    merged, before = restorable(moved["styleMerged"]), restorable(moved["styleBefore"])
    restored = {column: old for column, old in before.items() if getattr(row, column) == merged[column]}
    hours = {"quiet_hours_start", "quiet_hours_end"}
    if 0 < len(hours & restored.keys()) < len(hours):
        # One end of the quiet hours was changed since: both stay.
        restored = {column: old for column, old in restored.items() if column not in hours}
    for column, old in restored.items():
        setattr(row, column, old)
    row.updated_at = now()
    row.save(update_fields=[*restored, "updated_at"])


def _restore_fields(
    target: Customer, source: Customer, moved: dict[str, Any], access: Access, report: list[str]
) -> None:
    """The target first: it gives back the e-mail and phone that it took."""
    restored, kept = take_apart(
        target, before=restorable(moved["before"]), merged=restorable(moved["merged"])
    )
    report.extend(f"Changed since the merge and left as it is: {column}" for column in sorted(kept))
    write_fields(target, restored, search_key=access.search_key)
    for column, shown in (("email_key", "e-mail address"), ("phone", "phone number")):
        value = getattr(source, column)
        if value and _is_taken(source, column, value):
            setattr(source, column, "")
            if column == "email_key":
                source.email = ""
            report.append(f"The {shown} of {source.customer_number} belongs to another customer now")
    source.deleted_at = None
    source.merged_into = None
    index_customer(source, search_key=access.search_key)
    source.version += 1
    source.updated_at = now()
    source.save(
        update_fields=[
            "email", "email_key", "phone", "deleted_at", "merged_into", "search", "sort_name", "version", "updated_at",
        ]
    )  # fmt: skip


def _is_taken(source: Customer, column: str, value: str) -> bool:
    same = Customer.objects.for_merchant(source.merchant_id).visible().filter(**{column: value})
    return same.exclude(pk=source.pk).exists()


def _tell_missing_points(
    access: Access, entry_ids: list[uuid.UUID], source: Customer, report: list[str]
) -> None:
    entries = LedgerEntry.objects.for_merchant(access.merchant_id).filter(pk__in=entry_ids)
    gave: int = entries.aggregate(points=Sum("points"))["points"] or 0
    if source.points < gave:
        report.append(
            f"Points spent, expired or taken back since the merge: {gave - source.points} of {gave} did not return"
        )


def _tell_new_purchases(target: Customer, merge: Merge, report: list[str]) -> None:
    since = Purchase.objects.for_merchant(target.merchant_id).filter(
        customer_id=target.pk, recorded_at__gt=merge.merged_at
    )
    count = since.count()
    if count:
        report.append(f"Purchases since the merge stay with {target.customer_number}: {count}")


__all__ = ["LaterMergeFirst", "MergeErased", "MergeNotFound", "MergeUndone", "UndoReport", "undo_merge"]
