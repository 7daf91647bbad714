"""Everything that a person does with an import: bringing the file, saying what its columns are, checking, importing, undoing."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db.models import Q, Sum
from django.db.models.functions import Length

from cloudpos.api.errors import BadRequest, Conflict, FieldError, NotFound, TooLarge
from cloudpos.api.transactions import use_case
from cloudpos.jobs.models import Job
from cloudpos.jobs.services import cancel_job, start_job
from cloudpos.tenancy.access import Access
from customers.imports import running
from customers.imports.settings import (
    as_stored,
    check_settings,
    day_note,
    guess_settings,
    sample,
    settings_of,
    stored_columns,
)
from customers.imports.storage import FILE_BYTES_MAX, write_part
from customers.imports.tables import CSV, ENCODINGS, Layout, layout_of, recognise
from customers.imports.tables import as_stored as stored_layout
from customers.models import Import, ImportPart, ImportRow
from customers.models.imports import DRAFTS_KEPT_FOR, KEPT_FOR

UNDO = "customers.undo_import"
IMPORTS_WAITING_MAX = 20
FORGOTTEN_AT_ONCE_MAX = 20

State = Import.State
LAYOUT = ("encoding", "delimiter", "sheet", "has_header")


class ImportNotFound(NotFound):
    code = "import_not_found"
    message = "There is no such import."


class ImportUnderWay(Conflict):
    code = "import_under_way"
    message = "This import is being worked on. Wait for it, or stop its job."


class ImportNotReady(Conflict):
    code = "import_not_ready"
    message = "This is not the time for that."


class ImportForgotten(Conflict):
    code = "import_forgotten"
    message = "The file and what became of its rows are deleted."


class TooManyImports(Conflict):
    code = "too_many_imports"
    message = f"{IMPORTS_WAITING_MAX} files wait to be imported already. Delete those that are not needed."


def find_import(*, merchant_id: uuid.UUID, import_id: uuid.UUID) -> Import:
    """Raises ImportNotFound."""
    found: Import | None = Import.objects.for_merchant(merchant_id).filter(pk=import_id).first()
    if found is None:
        raise ImportNotFound()
    return found


@use_case
def create_import(*, access: Access, file_name: str) -> Import:
    """An import whose file is to be uploaded. Raises TooManyImports."""
    waiting = Import.objects.for_merchant(access.merchant_id).filter(
        forgotten_at=None, state__in=Import.DRAFTS
    )
    if waiting.count() >= IMPORTS_WAITING_MAX:
        raise TooManyImports()
    made = Import(
        merchant_id=access.merchant_id,
        file_name=file_name,
        store_id=access.store_id,
        actor_id=access.user_id,
    )
    made.save(force_insert=True)
    return made


@use_case
def put_part(*, merchant_id: uuid.UUID, import_id: uuid.UUID, number: int, data: bytes) -> Import:
    """Keep a part of the file, from 0; one that was sent before is replaced. The file must be finished (again) after it.

    Raises ImportNotFound, ImportNotReady, BadRequest, TooLarge.
    """
    source = _locked(merchant_id, import_id)
    if source.state not in (State.UPLOADING, State.UPLOADED, State.CHECKED):
        raise ImportNotReady("Its file cannot be changed any more.")
    write_part(source, number=number, data=data)
    if _bytes(source) > FILE_BYTES_MAX:
        raise TooLarge(
            f"A file may have {FILE_BYTES_MAX // 1_048_576} MB at most. Import it in several files.",
            code="file_too_large",
        )
    _save(source, state=State.UPLOADING)
    return source


@use_case
def finish_upload(*, access: Access, import_id: uuid.UUID) -> Import:
    """All parts are there: find out how the file is to be read, and guess what its columns are.

    Raises ImportNotFound, ImportNotReady, PartMissing, NotATable, SheetUnreadable and what `sample` raises.
    """
    source = _locked(access.merchant_id, import_id)
    if source.state not in (State.UPLOADING, State.UPLOADED, State.CHECKED):
        raise ImportNotReady("Its file cannot be changed any more.")
    _save(source, file_bytes=_bytes(source))
    _take_layout(source, recognise(source), country=access.country)
    return source


@use_case
def change_import(*, access: Access, import_id: uuid.UUID, changes: Mapping[str, Any]) -> Import:
    """Say what is to become of the columns, as `Settings` has it; or how the file is read (LAYOUT), then all is guessed anew.

    What is left out stays. The import must be checked again. Raises ImportNotFound, ImportNotReady, ImportForgotten, BadRequest.
    """
    source = _locked(access.merchant_id, import_id)
    _refuse_if_forgotten(source)
    if source.state not in (State.UPLOADED, State.CHECKED):
        raise ImportNotReady("Its columns cannot be changed now.")
    rest = dict(changes)
    reading = {name: rest.pop(name) for name in LAYOUT if name in rest}
    layout = layout_of(source.layout)
    wanted = _wanted_layout(layout, reading)
    has_header = reading.get("has_header")
    if wanted != layout or has_header not in (None, settings_of(source.settings).has_header):
        _take_layout(source, wanted, country=access.country, has_header=has_header)
    settings = settings_of(source.settings)
    if rest:
        chosen = rest.pop("columns", {})
        targets = list(settings.targets)
        for place, target in chosen.items():
            if place >= len(targets):
                raise BadRequest(
                    f"The file has {len(targets)} columns.", field="columns", code="column_count"
                )
            targets[place] = target
        settings = replace(settings, targets=tuple(targets), **rest)
        headers = [column["header"] for column in source.layout["columns"]]
        check_settings(settings, headers)
        note = day_note(_sampled(source), settings, country=access.country)
        _save(
            source,
            settings=as_stored(settings),
            layout={**source.layout, "dayNote": note},
            state=State.UPLOADED,
            check_counts={},
        )
    return source


@use_case
def start_check(*, access: Access, import_id: uuid.UUID) -> Job:
    """Ask for a check of every row, which writes nothing to customers. Raises as `change_import`, and TooManyJobs."""
    source = _locked(access.merchant_id, import_id)
    _refuse_if_forgotten(source)
    if source.state not in (State.UPLOADED, State.CHECKED) and not _stopped(source, State.CHECKING):
        raise ImportNotReady("It cannot be checked now.")
    check_settings(settings_of(source.settings), [column["header"] for column in source.layout["columns"]])
    return _start(source, running.CHECK, State.CHECKING, access)


@use_case
def start_run(*, access: Access, import_id: uuid.UUID) -> Job:
    """Import what was checked; or go on where it was stopped. Asked again: the same job.

    Raises ImportNotFound, ImportForgotten, TooManyJobs, and ImportNotReady when it was not checked as it stands.
    """
    source = _locked(access.merchant_id, import_id)
    last = job_of(source)
    if (
        source.state in (State.RUNNING, State.DONE)
        and last is not None
        and (last.is_active or source.state == State.DONE)
    ):
        return last
    _refuse_if_forgotten(source)
    if source.state != State.CHECKED and not _stopped(source, State.RUNNING):
        raise ImportNotReady("Have it checked first.")
    return _start(source, running.RUN, State.RUNNING, access)


@use_case
def start_undo(*, access: Access, import_id: uuid.UUID) -> Job:
    """Take the whole import back, also one that was stopped on its way. Asked again: the same job.

    Raises ImportNotFound, ImportForgotten, TooManyJobs, ImportNotReady.
    """
    source = _locked(access.merchant_id, import_id)
    last = job_of(source)
    if (
        source.state in (State.UNDOING, State.UNDONE)
        and last is not None
        and (last.is_active or source.state == State.UNDONE)
    ):
        return last
    _refuse_if_forgotten(source)
    if source.state == State.DONE or _stopped(source, State.RUNNING):
        _save(source, position=0)
    elif not _stopped(source, State.UNDOING):
        raise ImportNotReady("There is nothing to be undone.")
    return _start(source, UNDO, State.UNDOING, access)


@use_case
def delete_import(*, merchant_id: uuid.UUID, import_id: uuid.UUID) -> None:
    """Delete an import with its file; the customers stay, and there is no way back. Raises ImportNotFound, ImportUnderWay."""
    source = _locked(merchant_id, import_id)
    last = job_of(source)
    if last is not None and last.is_active:
        raise ImportUnderWay()
    _delete_contents(source)
    source.delete()


def stop_import(*, merchant_id: uuid.UUID, import_id: uuid.UUID) -> Import:
    """Stop the job of an import at the end of the chunk that it is at. Raises ImportNotFound, JobIsOver, JobNotFound."""
    source = find_import(merchant_id=merchant_id, import_id=import_id)
    if source.job_id is None:
        raise ImportNotReady("There is nothing to be stopped.")
    cancel_job(merchant_id=merchant_id, job_id=source.job_id)
    return source


@use_case
def forget_old_imports(*, at: datetime) -> int:
    """Delete files, rows and ways back of imports whose time is over, and drafts as a whole. Returns how many.

    What came of an import stays. One that is worked on waits for the next time.
    """
    over = Q(created_at__lt=at - KEPT_FOR) | Q(state__in=Import.DRAFTS, created_at__lt=at - DRAFTS_KEPT_FOR)
    old = list(
        Import.objects.filter(over, forgotten_at=None)
        .order_by("created_at")
        .select_for_update(skip_locked=True)[:FORGOTTEN_AT_ONCE_MAX]
    )
    forgotten = 0
    for source in old:
        last = job_of(source)
        if last is not None and last.is_active:
            continue
        _delete_contents(source)
        forgotten += 1
        if source.is_draft:
            source.delete()
        else:
            _save(source, forgotten_at=at, layout={}, settings={})
    return forgotten


def forget_files_of(*, merchant_id: uuid.UUID, customer_ids: list[uuid.UUID]) -> int:
    """Delete the files in which these customers stand, inside the transaction that erases them. Returns how many.

    What became of other customers' rows stays, and with it the way back.
    """
    named = ImportRow.objects.for_merchant(merchant_id).filter(customer_id__in=customer_ids)
    sources = set(named.values_list("source_id", flat=True))
    if not sources:
        return 0
    parts = ImportPart.objects.for_merchant(merchant_id).filter(source_id__in=sources)
    gone = set(parts.values_list("source_id", flat=True).distinct())
    parts.delete()
    for source in Import.objects.for_merchant(merchant_id).filter(pk__in=gone):
        columns = [{"header": column["header"], "samples": []} for column in source.layout.get("columns", ())]
        _save(source, layout={**source.layout, "columns": columns})
    # What was written in cells that could not be read.
    failed = ImportRow.objects.for_merchant(merchant_id).filter(
        source_id__in=gone, outcome=ImportRow.Outcome.FAILED
    )
    for row in failed.iterator():
        row.problems = [{**problem, "value": ""} for problem in row.problems]
        row.save(update_fields=["problems"])
    return len(gone)


def _take_layout(source: Import, layout: Layout, *, country: str, has_header: bool | None = None) -> None:
    sampled = sample(source, layout, has_header=has_header)
    settings, note = guess_settings(sampled, country=country)
    _save(
        source,
        layout={**stored_layout(layout), "columns": stored_columns(sampled), "dayNote": note},
        settings=as_stored(settings),
        state=State.UPLOADED,
        check_counts={},
    )


def _wanted_layout(layout: Layout, reading: Mapping[str, Any]) -> Layout:
    errors = []
    wanted = {name: value for name, value in reading.items() if name != "has_header"}
    if layout.format != CSV and wanted.keys() - {"sheet"}:
        errors.append(
            FieldError("encoding", "An Excel file has no encoding and no separator.", "invalid_choice")
        )
    if "encoding" in wanted and wanted["encoding"] not in ENCODINGS:
        errors.append(FieldError("encoding", "This encoding is not known here.", "invalid_choice"))
    if "sheet" in wanted and wanted["sheet"] not in layout.sheets:
        errors.append(FieldError("sheet", "The file has no such sheet.", "invalid_choice"))
    if errors:
        raise BadRequest(errors=errors)
    changed = replace(layout, **wanted)
    return replace(changed, note="") if changed.encoding != layout.encoding else changed


def _sampled(source: Import) -> Any:
    return sample(source, layout_of(source.layout), has_header=settings_of(source.settings).has_header)


def _start(source: Import, kind: str, state: str, access: Access) -> Job:
    job = start_job(
        merchant_id=source.merchant_id,
        kind=kind,
        key=str(source.pk),
        parameters={"importId": str(source.pk)},
        actor_id=access.user_id,
    )
    _save(source, state=state, job_id=job.pk, actor_id=access.user_id)
    return job


def job_of(source: Import) -> Job | None:
    """The job that was asked for last, as long as it is known."""
    if source.job_id is None:
        return None
    found: Job | None = Job.objects.for_merchant(source.merchant_id).filter(pk=source.job_id).first()
    return found


def _stopped(source: Import, state: str) -> bool:
    """Whether it was at this, and its job is over all the same."""
    last = job_of(source)
    return source.state == state and (last is None or not last.is_active)


def _refuse_if_forgotten(source: Import) -> None:
    if source.forgotten_at is not None:
        raise ImportForgotten()


def _locked(merchant_id: uuid.UUID, import_id: uuid.UUID) -> Import:
    found: Import | None = (
        Import.objects.for_merchant(merchant_id).filter(pk=import_id).select_for_update(no_key=True).first()
    )
    if found is None:
        raise ImportNotFound()
    return found


def _bytes(source: Import) -> int:
    parts = ImportPart.objects.for_merchant(source.merchant_id).filter(source_id=source.pk)
    return int(parts.aggregate(bytes=Sum(Length("data")))["bytes"] or 0)


def _delete_contents(source: Import) -> None:
    """The rows first: a foreign key that cascades would read each of them."""
    merchant_id = source.merchant_id
    ImportRow.objects.for_merchant(merchant_id).filter(source_id=source.pk)._raw_delete("default")
    ImportPart.objects.for_merchant(merchant_id).filter(source_id=source.pk)._raw_delete("default")


def _save(source: Import, **columns: Any) -> None:
    for name, value in columns.items():
        setattr(source, name, value)
    source.save(update_fields=[*columns])
