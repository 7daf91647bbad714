"""Everything that is stored about a customer, as one JSON (GDPR articles 15 and 20)."""

import uuid
from typing import Any

from django.db import transaction

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import Conflict
from cloudpos.api.naming import camel
from cloudpos.lifecycle.declaring import Table
from cloudpos.lifecycle.family import family_of, top_of
from cloudpos.lifecycle.tables import TABLES
from cloudpos.tenancy.access import Access
from customers.events import emit, event
from customers.services import CustomerNotFound

# Of one table: a person at a till makes a few thousand in a lifetime.
EXPORT_ROWS_MAX = 100_000


class TooMuchToExport(Conflict):
    code = "too_much_to_export"
    message = f"This customer has more than {EXPORT_ROWS_MAX} records of one kind"


def export_customer(*, access: Access, customer_id: uuid.UUID) -> dict[str, Any]:
    """{"customerId", "customers": [...], "addresses": [...], ...}: the rows of every table that knows the customer.

    One query per table, in a read of its own; records that were merged into this one are part of it. Also of a deleted
    customer: hidden is still stored, and whoever asks what is stored must be told. Of an erased one nothing personal is
    left. That it was exported, and by whom, is on record. Raises CustomerNotFound, TooMuchToExport.
    """
    merchant_id = access.merchant_id
    top, is_erased = top_of(merchant_id=merchant_id, customer_id=customer_id)
    if is_erased:
        raise CustomerNotFound()
    family = family_of(merchant_id=merchant_id, customer_id=top)
    found = {table.key: _rows(table, merchant_id, family) for table in TABLES}
    with transaction.atomic():
        emit(
            event(
                merchant_id=merchant_id,
                customer_id=top,
                store_id=access.store_id,
                actor_id=access.user_id,
                type="customer.exported",
                data={"rows": sum(map(len, found.values()))},
                request_id=current_request_id(),
            )
        )
    return {"customerId": top, **found}


def _rows(table: Table, merchant_id: uuid.UUID, ids: list[uuid.UUID]) -> list[dict[str, Any]]:
    columns = table.columns
    names = [camel(column) for column in columns]
    rows = (
        table.model._default_manager.filter(merchant_id=merchant_id, **{f"{table.path}__in": ids})
        .order_by(*table.order)
        .values_list(*columns)[: EXPORT_ROWS_MAX + 1]
    )
    found = [dict(zip(names, row, strict=True)) for row in rows]
    if len(found) > EXPORT_ROWS_MAX:
        raise TooMuchToExport()
    return found
