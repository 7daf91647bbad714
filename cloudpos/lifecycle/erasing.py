"""Forgetting a customer. What the books need stays, without the person: no amount, no point, no date changes."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import CharField, F, Func, Q, Value
from django.utils.timezone import now

from analytics.models import CustomerFigures, CustomerSnapshot
from cloudpos.api.context import current_request_id
from cloudpos.api.encoding import encode
from cloudpos.api.transactions import use_case
from cloudpos.exports.services import forget_files_with
from cloudpos.lifecycle.declaring import OnErase, Table
from cloudpos.lifecycle.family import family_of, top_of
from cloudpos.lifecycle.tables import BY_MODEL
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.drafting import draft
from customers.event_types import OUR_NOUNS
from customers.events import emit, event
from customers.imports.services import forget_files_of
from customers.models import (
    Address,
    Consent,
    Customer,
    Erasure,
    Event,
    ExternalId,
    ImportRow,
    Merge,
    Preferences,
    PurchaseReturn,
)
from customers.services import hide_customer, lock_customers
from customers.services.copying import copy_in, copy_lines, update_in
from loyalty.models import LedgerEntry, TierOverride
from marketing.models import ConsentRequest, SegmentMember, WebhookAttempt, WebhookDelivery

ERASED_NAME = "Erased customer"
# What a replayed request gets instead of its stored answer.
GONE = encode(
    {
        "success": False,
        "message": "The customer of this answer was erased",
        "errors": [],
        "code": "customer_erased",
        "requestId": "",
    }
)
GONE_STATUS = 410


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """The receipt, and whether this call wrote it (False: the customer was erased before)."""

    erasure: Erasure
    is_new: bool


@use_case
def erase_customer(*, access: Access, customer_id: uuid.UUID) -> ErasureReport:
    """Forget a customer with every record that was merged into it; irrevocable.

    Also a deleted one, and either id of a merge. Erased before: the same receipt again. Raises CustomerNotFound.
    """
    at = now()
    customer, others = _lock_family(access, customer_id)
    if customer.erased_at is not None:
        receipt = (
            Erasure.objects.for_merchant(access.merchant_id)
            .filter(customer_id=customer.pk)
            .latest("erased_at")
        )
        return ErasureReport(receipt, is_new=False)
    records = [customer, *others]
    # While their rows still say in which files they stand.
    forget_files_of(merchant_id=access.merchant_id, customer_ids=[record.pk for record in records])
    exported = forget_files_with(
        merchant_id=access.merchant_id, customer_ids=[record.pk for record in records], at=at
    )
    counts = _erase_rows(access.merchant_id, [record.pk for record in records])
    answers = _forget_stored_answers(access.merchant_id, [record.pk for record in records])
    log_entries = _forget_admin_log(records)
    for record in records:
        if record.deleted_at is None:
            hide_customer(record, at=at)
        _empty_profile(record, at=at)
    erasure = Erasure(
        merchant_id=access.merchant_id,
        customer=customer,
        actor_id=access.user_id,
        erased_at=at,
        receipt=_receipt(
            counts, records=len(records), answers=answers, log_entries=log_entries, exported=exported
        ),
    )
    erasure.save(force_insert=True)
    emit(
        event(
            merchant_id=access.merchant_id,
            customer_id=customer.pk,
            store_id=access.store_id,
            actor_id=access.user_id,
            type="customer.erased",
            data={"erasureId": str(erasure.pk)},
            occurred_at=at,
            request_id=current_request_id(),
        )
    )
    return ErasureReport(erasure, is_new=True)


def erase_imported(
    customers: list[Customer], *, import_id: uuid.UUID, actor_id: uuid.UUID | None, at: datetime
) -> None:
    """Forget locked customers of one merchant with whom nothing has happened since an import made them, in its undo's
    transaction.

    As `erase_customer` does it, for many. Their events wake nobody: `import.undone` does.
    """
    if not customers:
        return
    merchant_id = customers[0].merchant_id
    _erase_rows(merchant_id, [customer.pk for customer in customers])
    forget_files_with(merchant_id=merchant_id, customer_ids=[customer.pk for customer in customers], at=at)
    _forget_admin_log(customers)
    emptied = BY_MODEL[Customer].emptied
    for customer in customers:
        for column, value in emptied.items():
            setattr(customer, column, type(value)() if value is not None else None)
        customer.deleted_at = customer.erased_at = customer.updated_at = at
        customer.version += 1
    update_in(Customer, customers, sorted({*emptied, "deleted_at", "erased_at", "updated_at", "version"}))
    receipt = {
        "erased": [{"table": "customers", "rows": 1, "what": "everything that an import had brought"}],
        "kept": [],
        "importId": str(import_id),
    }
    receipts = [
        draft(
            Erasure,
            merchant_id=merchant_id,
            customer_id=customer.pk,
            actor_id=actor_id,
            erased_at=at,
            receipt=receipt,
        )
        for customer in customers
    ]
    copy_in(Erasure, [copy_lines(Erasure, receipts)])
    events = [
        event(
            merchant_id=merchant_id,
            customer_id=each.customer_id,
            actor_id=actor_id,
            type="customer.erased",
            data={"erasureId": str(each.pk)},
            occurred_at=at,
        )
        for each in receipts
    ]
    for happened in events:
        happened.dispatched_at = at
    copy_in(Event, [copy_lines(Event, events)])


def _lock_family(access: Access, customer_id: uuid.UUID) -> tuple[Customer, list[Customer]]:
    """(the record that the others were merged into, the others), all locked in order of id.

    A deleted customer is found too: being hidden is not being forgotten.
    """
    merchant_id = access.merchant_id
    top, _ = top_of(merchant_id=merchant_id, customer_id=customer_id)
    family = family_of(merchant_id=merchant_id, customer_id=top)
    customer, *others = lock_customers(merchant_id=merchant_id, customer_ids=family)
    if customer.merged_into_id is not None:
        # Merged into yet another one while we waited for the lock: that one is to be erased.
        return _lock_family(access, customer.merged_into_id)
    if set(family_of(merchant_id=merchant_id, customer_id=top)) != set(family):
        # A merge, or the undoing of one, was committed while we waited: somebody came, or is a person apart again.
        return _lock_family(access, customer_id)
    return customer, others


def _erase_rows(merchant_id: uuid.UUID, ids: list[uuid.UUID]) -> dict[str, int]:
    """Delete or empty the rows of these records, as cloudpos.lifecycle.tables declares; {key: rows touched}."""

    def rows(model: Any) -> Any:
        return model._default_manager.filter(merchant_id=merchant_id, **{f"{BY_MODEL[model].path}__in": ids})

    def emptied(model: Any, changed: Q) -> int:
        # Only what holds something: the receipt counts what went.
        return int(rows(model).filter(changed).update(**BY_MODEL[model].emptied))

    clients_events = _of_clients(rows(Event), "type")
    deliveries = _of_clients(rows(WebhookDelivery), "event__type")
    attempts = _of_clients(rows(WebhookAttempt), "delivery__event__type")
    counts = {
        "webhookAttempts": attempts.update(**BY_MODEL[WebhookAttempt].emptied),
        "webhookDeliveries": _empty_deliveries(deliveries),
        "events": clients_events.update(**BY_MODEL[Event].emptied),
        "addresses": rows(Address).delete()[0],
        "preferences": rows(Preferences).delete()[0],
        "analyticsFigures": rows(CustomerFigures).delete()[0],
        "analyticsSnapshots": rows(CustomerSnapshot).delete()[0],
        "segments": rows(SegmentMember).delete()[0],
        "consentRequests": rows(ConsentRequest).delete()[0],
        "externalIds": rows(ExternalId).delete()[0],
        "imports": rows(ImportRow).update(**BY_MODEL[ImportRow].emptied),
        "consents": emptied(Consent, Q(ip__isnull=False)),
        "returns": emptied(PurchaseReturn, ~Q(reason="")),
        "loyaltyTransactions": emptied(LedgerEntry, ~Q(description="")),
        "loyaltyTierOverrides": emptied(TierOverride, ~Q(reason="", end_reason="")),
    }
    merges = Merge.objects.for_merchant(merchant_id).filter(Q(target_id__in=ids) | Q(source_id__in=ids))
    counts["merges"] = merges.update(**BY_MODEL[Merge].emptied)
    return counts


def _of_clients(rows: Any, type_path: str) -> Any:
    """What clients sent: the data of our own events holds ids and amounts only."""
    noun = Func(F(type_path), Value("."), Value(1), function="split_part", output_field=CharField())
    return rows.annotate(noun=noun).exclude(noun__in=OUR_NOUNS)


def _empty_deliveries(deliveries: Any) -> int:
    """What is still to be sent is not sent any more: its body would be empty."""
    State = WebhookDelivery.State
    pending = deliveries.filter(state__in=[State.PENDING, State.SENDING])
    pending.update(state=State.FAILED, next_attempt_at=None, error="customer erased")
    return int(deliveries.update(**BY_MODEL[WebhookDelivery].emptied))


def _empty_profile(customer: Customer, *, at: datetime) -> None:
    emptied = BY_MODEL[Customer].emptied
    for column, value in emptied.items():
        setattr(customer, column, type(value)() if value is not None else None)
    customer.erased_at = at
    customer.updated_at = at
    customer.version += 1
    customer.save(update_fields=[*emptied, "erased_at", "updated_at", "version"])


_STORED_ANSWERS = """
UPDATE api_idempotency_record SET body = %s, status = %s, headers = '{}'::jsonb
WHERE merchant_id = %s AND status <> %s AND CASE
    -- Receipts of sales hold ids and amounts only, and a till that repeats one must get it.
    WHEN path LIKE '/api/v1/purchases%%' AND path NOT LIKE '%%/returns' THEN false
    WHEN path LIKE %s THEN true
    ELSE position(%s IN body) > 0
END
"""


def _forget_stored_answers(merchant_id: uuid.UUID, ids: list[uuid.UUID]) -> int:
    """Answers kept for Idempotency-Keys show whom they created: their replay says that the customer is gone.

    The records themselves stay: a till that repeats a request must not create the customer again.
    """
    forgotten = 0
    with connection.cursor() as cursor:
        for customer_id in ids:
            text = str(customer_id)
            cursor.execute(
                _STORED_ANSWERS, [GONE, GONE_STATUS, merchant_id, GONE_STATUS, f"%/{text}%", text.encode()]
            )
            forgotten += cursor.rowcount
    return forgotten


def _forget_admin_log(records: list[Customer]) -> int:
    """The admin's history names what it changed."""
    kind = ContentType.objects.get_for_model(Customer)
    entries = LogEntry.objects.filter(content_type=kind, object_id__in=[str(record.pk) for record in records])
    return entries.update(object_repr=ERASED_NAME, change_message="")


def _receipt(
    counts: dict[str, int], *, records: int, answers: int, log_entries: int, exported: int
) -> dict[str, Any]:
    """What went and what stays, table by table, with the reason. Holds no personal data itself."""
    erased = [
        {
            "table": "customers",
            "rows": records,
            "what": "names, company, tax number, e-mail, phone, date of birth, gender, language, notes, tags, metadata",
        },
        *[
            {"table": table.key, "rows": counts[table.key], "what": _what(table)}
            for table in BY_MODEL.values()
            if table.key in counts
        ],
        {"table": "storedAnswers", "rows": answers, "what": "answers kept for Idempotency-Keys"},
        {"table": "exports", "rows": exported, "what": "files in which they stood"},
        {"table": "adminLog", "rows": log_entries, "what": "names in the admin's history"},
    ]
    kept = [
        {"table": table.key, "reason": table.why}
        for table in BY_MODEL.values()
        if table.on_erase is not OnErase.DELETED
    ]
    return {"erased": erased, "kept": kept}


def _what(table: Table) -> str:
    return "all of it" if table.on_erase is OnErase.DELETED else ", ".join(table.emptied)


__all__ = ["ErasureReport", "erase_customer", "erase_imported"]
