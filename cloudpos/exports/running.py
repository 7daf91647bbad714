"""The job of an export: choose the rows at one instant, read them a thousand at a time, and write the file as they come.

Nothing of it grows with the number of rows but the file itself. It only reads, so whoever takes it over begins anew; parts carry
the attempt that made them, and only those of the attempt that came to its end are the file.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import DatabaseError, connection, transaction
from django.utils.timezone import now

from analytics.statements import JOB_STATEMENT_SECONDS_MAX, PROBING, long_statements
from cloudpos.api.errors import Conflict
from cloudpos.exports.asking import access_of, read_filters, source_of, told_filters
from cloudpos.exports.columns import Column
from cloudpos.exports.csv_file import CsvFile
from cloudpos.exports.models import Export
from cloudpos.exports.people import People
from cloudpos.exports.sources import Chosen, Source
from cloudpos.exports.storage import PartWriter, delete_parts
from cloudpos.exports.xlsx_file import XlsxFile
from cloudpos.garbage import rare_collections
from cloudpos.jobs.running import JobCancelled, Work
from cloudpos.tenancy.models import Merchant
from customers.events import emit, event
from customers.models import Erasure

MAKE = "exports.make"
CHUNK_ROWS = 1_000
# Somebody was erased while they were written down: it begins anew, without them.
TRIES_MAX = 5
# An erasure says when it began. One that began earlier than this before an attempt is over.
ERASURE_TAKES_MAX = timedelta(minutes=10)

_NAME = "export_ids"
# One class of locks for all merchants: see `erasures_wait`.
_LOCK = 7_304_183


class ExportBusy(Conflict):
    code = "export_interrupted"
    message = (
        "Customers were erased again and again while they were being exported. Ask for it again in a while."
    )


class _Erased(Exception):
    """Somebody who is in the file was erased meanwhile."""


def make(work: Work) -> dict[str, Any]:
    """Make the file of an export; when there is one already, that is the result."""
    export = Export.objects.for_merchant(work.merchant_id).defer("people").get(pk=work.parameters["exportId"])
    for _ in range(TRIES_MAX):
        if export.ready_at is not None:
            return {"rows": export.rows, "bytes": export.file_bytes}
        run = uuid.uuid4()
        work.done = 0
        try:
            _make(work, export, run)
        except _Erased:
            delete_parts(export, run=run)
        except BaseException:
            # A database that is away, or a process that is killed, leaves them to the next attempt.
            with suppress(DatabaseError):
                delete_parts(export, run=run)
                if not _is_there(export):
                    raise JobCancelled() from None
            raise
    raise ExportBusy()


def _make(work: Work, export: Export, run: uuid.UUID) -> None:
    # What a killed attempt has left.
    delete_parts(export)
    merchant = Merchant.objects.get(pk=export.merchant_id)
    source, access = source_of(export), access_of(export, merchant)
    filters = read_filters(source, export.filters, access)
    chosen = source.choose(access, filters)
    work.hold(JOB_STATEMENT_SECONDS_MAX)
    with long_statements(**PROBING):
        columns = source.chosen_columns(export.columns, chosen, access)
    out = PartWriter(export, run)
    kind = CsvFile if export.format == Export.Format.CSV else XlsxFile
    file: CsvFile | XlsxFile = kind(out, columns, zone=ZoneInfo(export.timezone), title=source.title)
    rows = 0
    with _chosen_ids(chosen) as (total, as_of), rare_collections():
        work.expect(total)
        people = People.room_for(total)
        for ids in _chunks():
            found = _read(source, columns, chosen, export.merchant_id, ids)
            for customer_id in {row[0] for row in found}:
                people.add(customer_id)
            file.add([row[1:] for row in found])
            rows += len(found)
            work.advance(len(ids))
        file.finish()
    with transaction.atomic():
        _release(work, export, people, as_of)
        export.run, export.rows, export.as_of = run, rows, as_of
        export.file_bytes, export.stored_bytes = file.size, out.size
        export.people, export.ready_at = people.content, now()
        export.save(
            update_fields=["run", "rows", "as_of", "file_bytes", "stored_bytes", "people", "ready_at"]
        )
        emit(
            event(
                merchant_id=export.merchant_id,
                store_id=export.store_id,
                actor_id=export.actor_id,
                type="export.made",
                data={
                    "file": export.file_name,
                    "rows": rows,
                    "exportId": str(export.pk),
                    "kind": export.kind,
                    "format": export.format,
                    "filters": told_filters(filters),
                },
            )
        )


def _release(work: Work, export: Export, people: People, as_of: datetime) -> None:
    """Make sure, until the transaction ends, that the file may be seen: nobody in it is erased or being erased, the job is ours.

    Raises _Erased, and JobLost.
    """
    erasures_wait(export.merchant_id)
    erased = Erasure.objects.for_merchant(export.merchant_id).filter(erased_at__gt=as_of - ERASURE_TAKES_MAX)
    if any(customer_id in people for customer_id in erased.values_list("customer_id", flat=True)):
        raise _Erased()
    # The export before its job, as whoever deletes it does.
    if not _is_there(export, locked=True):
        raise JobCancelled()
    work.hold(0)


def _is_there(export: Export, *, locked: bool = False) -> bool:
    found = Export.objects.for_merchant(export.merchant_id).filter(pk=export.pk).values("pk")
    return bool(found.select_for_update(no_key=True).first() if locked else found.exists())


def erasures_wait(merchant_id: uuid.UUID) -> None:
    """Until the transaction ends, no erasure of this merchant's customers begins, and those that had begun are over."""
    _lock("pg_advisory_xact_lock", merchant_id)


def exports_wait(merchant_id: uuid.UUID) -> None:
    """Until the transaction, an erasure, ends, no file of this merchant's is released. Erasures do not wait for one another."""
    _lock("pg_advisory_xact_lock_shared", merchant_id)


def _lock(function: str, merchant_id: uuid.UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s::int, hashtext(%s))", [_LOCK, str(merchant_id)])


@contextmanager
def _chosen_ids(chosen: Chosen) -> Iterator[tuple[int, datetime]]:
    """(how many rows, when that was) of a cursor that outlives its transaction: who is in the file is decided at one instant."""
    with long_statements(**PROBING), connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        (as_of,) = cursor.fetchone()
        cursor.execute(f"DECLARE {_NAME} SCROLL CURSOR WITH HOLD FOR {chosen.select}")
        cursor.execute(f"MOVE FORWARD ALL FROM {_NAME}")
        total = cursor.rowcount
        cursor.execute(f"MOVE ABSOLUTE 0 FROM {_NAME}")
    try:
        yield total, as_of
    finally:
        # A session that has ended, or a transaction that has failed, has closed it.
        if connection.connection is not None and connection.is_usable() and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute(f"CLOSE {_NAME}")


def _chunks() -> Iterator[list[uuid.UUID]]:
    while True:
        with connection.cursor() as cursor:
            cursor.execute(f"FETCH FORWARD {CHUNK_ROWS:d} FROM {_NAME}")
            ids = [id for (id,) in cursor.fetchall()]
        if not ids:
            return
        yield ids


def _read(
    source: Source,
    columns: Sequence[Column],
    chosen: Chosen,
    merchant_id: uuid.UUID,
    ids: list[uuid.UUID],
) -> list[tuple[Any, ...]]:
    """The rows of these ids as they are at the moment: the customer's id, and a value for each column."""
    sql, params = source.reading(columns, chosen, merchant_id)
    with long_statements(**PROBING), connection.cursor() as cursor:
        cursor.execute(sql, [ids, *params])
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
