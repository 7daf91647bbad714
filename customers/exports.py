"""Lists that leave the service as files: each is on record, with who took it and how much of it."""

from dataclasses import replace

from django.db import transaction
from django.http import HttpResponse

from cloudpos.api.context import current_request_id
from cloudpos.api.tables import Table, csv_response
from cloudpos.tenancy.access import Access
from customers.events import emit, event


def export_csv(*, access: Access, name: str, table: Table) -> HttpResponse:
    """A file called `name`.csv, and an `export.made` with its name and number of rows. `name` holds no personal data."""
    rows = list(table.rows)
    with transaction.atomic():
        emit(
            event(
                merchant_id=access.merchant_id,
                type="export.made",
                data={"file": f"{name}.csv", "rows": len(rows)},
                store_id=access.store_id,
                actor_id=access.user_id,
                request_id=current_request_id(),
            )
        )
    return csv_response(name, replace(table, rows=rows))
