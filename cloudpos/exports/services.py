"""Asking for exports, finding, fetching and deleting them, and deleting what must not be kept."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, CharField, F, OuterRef, QuerySet, Subquery, Value, When
from django.utils.timezone import now

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import ApiError, Conflict, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.exports.asking import read_columns, read_filters
from cloudpos.exports.kinds import SOURCES
from cloudpos.exports.models import FILE_KEPT_FOR, ROW_KEPT_FOR, Export
from cloudpos.exports.people import People
from cloudpos.exports.ranges import Asked, Span, span_of
from cloudpos.exports.running import MAKE, exports_wait
from cloudpos.exports.storage import cut, delete_parts, read_stored, unpacked
from cloudpos.exports.xlsx_file import XLSX
from cloudpos.ids import new_id
from cloudpos.jobs.models import Job
from cloudpos.jobs.services import ACTIVE, cancel_job, start_job
from cloudpos.tenancy.access import Access
from customers.events import emit, event

# Files that are there or being made, of one merchant.
EXPORTS_KEPT_MAX = 50
TAKING_ROOM = (*ACTIVE, Job.State.DONE, "ready")
FORGOTTEN_AT_ONCE_MAX = 20
CSV = "text/csv; charset=utf-8"
WHOLE = Asked()


class ExportNotFound(NotFound):
    code = "export_not_found"
    message = "There is no such export."


class ExportNotReady(Conflict):
    code = "export_not_ready"
    message = "The file is not ready yet."


class ExportGone(ApiError):
    code = "export_gone"
    status = 410
    message = "The file is deleted. Ask for a new one."


class TooManyExports(Conflict):
    code = "too_many_exports"
    message = f"{EXPORTS_KEPT_MAX} files are kept already. Delete those that are not needed."


@use_case
def request_export(
    *,
    access: Access,
    kind: str,
    format: str,
    columns: Sequence[str] | None = None,
    filters: Mapping[str, Any] | None = None,
) -> Export:
    """Ask for a file; a job makes it. The same that is being made already is not made twice: that one is returned.

    `columns`: by default those that the kind calls so. Raises BadRequest, TooManyExports, TooManyJobs.
    """
    source = SOURCES[kind]
    names = read_columns(source, columns) if columns else source.defaults
    asked = dict(filters or {})
    read_filters(source, asked, access)
    mine = Export.objects.for_merchant(access.merchant_id).defer("people")
    for other in mine.filter(kind=kind, format=format, gone="", ready_at=None, timezone=access.timezone):
        if (other.columns, other.filters) == (names, asked) and _job_is_active(other):
            return other
    # What was stopped or has failed takes no room.
    if exports_of(access.merchant_id).filter(state__in=TAKING_ROOM).count() >= EXPORTS_KEPT_MAX:
        raise TooManyExports()
    export_id = new_id()
    at = now()
    job = start_job(
        merchant_id=access.merchant_id,
        kind=MAKE,
        key=str(export_id),
        parameters={"exportId": str(export_id), "kind": kind, "format": format},
        actor_id=access.user_id,
    )
    export = Export(
        pk=export_id,
        merchant_id=access.merchant_id,
        kind=kind,
        format=format,
        columns=names,
        filters=asked,
        timezone=access.timezone,
        file_name=f"{kind.replace('_', '-')}-{at.astimezone(access.tz):%Y-%m-%d-%H%M}.{format}",
        job_id=job.pk,
        store_id=access.store_id,
        actor_id=access.user_id,
        created_at=at,
    )
    export.save(force_insert=True)
    return export


def exports_of(merchant_id: uuid.UUID) -> QuerySet[Any]:
    """A merchant's exports with how far the job of each is: `state`, `done`, `total`, `error_code` and `error`.

    The state is that of the job until the file is there; then it is ready, and in the end gone.
    """

    def of_job(column: str) -> Subquery:
        jobs = Job.objects.filter(merchant_id=OuterRef("merchant_id"), pk=OuterRef("job_id"))
        return Subquery(jobs.values(column)[:1])

    return (
        Export.objects.for_merchant(merchant_id)
        .defer("people")
        .annotate(
            state=Case(
                When(gone__gt="", then=F("gone")),
                When(ready_at__isnull=False, then=Value("ready")),
                default=of_job("state"),
                output_field=CharField(),
            ),
            done=of_job("done"),
            total=of_job("total"),
            error_code=of_job("error_code"),
            error=of_job("error"),
        )
    )


def find_export(*, merchant_id: uuid.UUID, export_id: uuid.UUID) -> Any:
    """One of `exports_of`. Raises ExportNotFound."""
    found = exports_of(merchant_id).filter(pk=export_id).first()
    if found is None:
        raise ExportNotFound()
    return found


@dataclass(frozen=True, slots=True)
class Download:
    """`pieces` are the file's bytes in `encoding`, when that is not empty: all `size` of them, or those of `span`.

    `etag` changes with the file and its encoding.
    """

    name: str
    content_type: str
    size: int
    encoding: str
    etag: str
    span: Span | None
    pieces: Iterator[bytes]


@use_case
def download_export(
    *, access: Access, export_id: uuid.UUID, gzip: bool, asked: Asked = WHOLE, on_record: bool = True
) -> Download:
    """The file or a part of it, and on record who fetched it. `gzip`: whoever asks understands compressed answers.

    Raises ExportNotFound, ExportNotReady, ExportGone, RangeNotSatisfiable.
    """
    export = find_export(merchant_id=access.merchant_id, export_id=export_id)
    if export.gone:
        message = {
            Export.Gone.ERASURE: "The file is deleted, because somebody who stood in it was erased. Ask for a new one.",
        }.get(export.gone)
        raise ExportGone(message)
    if not export.has_file:
        raise ExportNotReady()
    found = _download(export, gzip, asked)
    if on_record:
        emit(
            event(
                merchant_id=access.merchant_id,
                store_id=access.store_id,
                actor_id=access.user_id,
                type="export.downloaded",
                data={"file": export.file_name, "rows": export.rows, "exportId": str(export.pk)},
                request_id=current_request_id(),
            )
        )
    return found


def _download(export: Any, gzip: bool, asked: Asked) -> Download:
    is_excel = export.format == Export.Format.XLSX
    is_unpacked = not is_excel and not gzip
    size = export.file_bytes if is_unpacked else export.stored_bytes
    encoding = "gzip" if gzip and not is_excel else ""
    etag = f'"{export.run.hex}{"-gzip" if encoding else ""}"'
    span = span_of(asked, size=size, etag=etag)
    first, length = (span.first, span.size) if span else (0, size)
    if is_unpacked:
        # What is compressed can only be read from its beginning.
        pieces = cut(unpacked(read_stored(export)), skip=first, size=length)
    else:
        pieces = cut(read_stored(export, first=first), skip=0, size=length)
    return Download(export.file_name, XLSX if is_excel else CSV, size, encoding, etag, span, pieces)


def stop_export(*, merchant_id: uuid.UUID, export_id: uuid.UUID) -> Any:
    """Stop making a file. Raises ExportNotFound, JobIsOver, JobNotFound."""
    export = find_export(merchant_id=merchant_id, export_id=export_id)
    cancel_job(merchant_id=merchant_id, job_id=export.job_id)
    return find_export(merchant_id=merchant_id, export_id=export_id)


@use_case
def delete_export(*, merchant_id: uuid.UUID, export_id: uuid.UUID) -> None:
    """Delete an export with its file; one that is being made is stopped. What is on record stays. Raises ExportNotFound."""
    export = (
        Export.objects.for_merchant(merchant_id)
        .filter(pk=export_id)
        .defer("people")
        .select_for_update(no_key=True)
        .first()
    )
    if export is None:
        raise ExportNotFound()
    if _job_is_active(export):
        cancel_job(merchant_id=merchant_id, job_id=export.job_id)
    delete_parts(export)
    export.delete()


@use_case
def forget_old_exports(*, at: datetime) -> int:
    """Delete the files whose time is over, and the rows of those that were over long ago. Returns how many files."""
    old = list(
        Export.objects.filter(gone="", created_at__lt=at - FILE_KEPT_FOR)
        .defer("people")
        .order_by("created_at")
        .select_for_update(skip_locked=True, no_key=True)[:FORGOTTEN_AT_ONCE_MAX]
    )
    for export in old:
        _forget(export, Export.Gone.EXPIRED, at)
    Export.objects.exclude(gone="").filter(created_at__lt=at - ROW_KEPT_FOR).delete()
    return len(old)


def forget_files_with(*, merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID], at: datetime) -> int:
    """Delete the files in which these customers stand, inside the transaction that erases them. Returns how many.

    Until it ends no file of the merchant's is released: one that is being made looks then whether it holds somebody who is
    erased, and is begun anew.
    """
    exports_wait(merchant_id)
    gone = 0
    ready = Export.objects.for_merchant(merchant_id).filter(gone="", ready_at__isnull=False)
    for export_id, content in ready.values_list("pk", "people"):
        people = People(content or b"\0")
        if any(customer_id in people for customer_id in customer_ids):
            export = ready.filter(pk=export_id).defer("people").select_for_update(no_key=True).first()
            if export is not None:
                _forget(export, Export.Gone.ERASURE, at)
                gone += 1
    return gone


def _forget(export: Export, why: Export.Gone, at: datetime) -> None:
    delete_parts(export)
    export.gone, export.gone_at = why, at
    export.people, export.filters = None, {}
    export.save(update_fields=["gone", "gone_at", "people", "filters"])


def _job_is_active(export: Export) -> bool:
    jobs = Job.objects.for_merchant(export.merchant_id)
    return bool(jobs.filter(pk=export.job_id, state__in=ACTIVE).exists())
