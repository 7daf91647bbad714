"""Imports of customers over HTTP: a file in parts, what its columns are, a check of every row, the import, and its undo."""

import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse

from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output, Paged
from cloudpos.api.views import ApiView
from cloudpos.jobs.models import Job
from cloudpos.jobs.serializers import JOB
from cloudpos.tenancy.roles import Role
from customers.imports import services
from customers.imports.reading import failed_rows_csv, field_catalogue, imports_of, rows_of
from customers.imports.serializers import (
    FIELDS,
    IMPORT,
    IMPORT_WITH_COLUMNS,
    ROW,
    ImportFilters,
    ImportInput,
    ImportRowFilters,
    ImportSettingsInput,
    describe_import,
)
from customers.imports.services import find_import
from customers.imports.storage import PART_BYTES_MAX


class ImportsView(ApiView):
    roles = {"get": Role.MANAGER, "post": Role.MANAGER}
    inputs = {"post": ImportInput}
    outputs = {"get": Paged("imports", IMPORT), "post": Output(IMPORT, status=201)}
    filters = {"get": ImportFilters}
    summaries = {
        "get": "List imports of customers, newest first",
        "post": "Begin an import: its file is sent next",
    }

    def get(self, request: Any) -> HttpResponse:
        filters = ImportFilters(request)
        found = filters.filter_queryset(imports_of(request.access.merchant_id))
        return filters.respond("imports", IMPORT, found, total=found.count)

    def post(self, request: Any) -> HttpResponse:
        made = services.create_import(access=request.access, **self.input(ImportInput))
        return envelope.created(IMPORT.instance(made), location=f"/api/v1/imports/{made.pk}")


class ImportFieldsView(ApiView):
    """Besides these, a column may be `metadata.` and a key of your own."""

    roles = {"get": Role.MANAGER}
    outputs = {"get": FIELDS}
    filters = {"get": NoParameters}
    summaries = {"get": "What a column of a file may be"}

    def get(self, request: Any) -> HttpResponse:
        NoParameters(request)
        return envelope.success({"fields": field_catalogue()})


class ImportView(ApiView):
    roles = {"get": Role.MANAGER, "delete": Role.MANAGER}
    outputs = {"get": IMPORT_WITH_COLUMNS, "delete": None}
    filters = {"get": NoParameters}
    summaries = {
        "get": "Read an import: how its file is read, what its columns are taken for, and how far it is",
        "delete": "Delete an import and its file; the customers stay",
    }

    def get(self, request: Any, import_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        source = find_import(merchant_id=request.access.merchant_id, import_id=import_id)
        return envelope.success(describe_import(source))

    def delete(self, request: Any, import_id: uuid.UUID) -> HttpResponse:
        services.delete_import(merchant_id=request.access.merchant_id, import_id=import_id)
        return envelope.success(None, "Import deleted")


class ImportPartView(ApiView):
    """The bytes as they are, whatever the Content-Type: a megabyte at most. A part that is sent again is replaced."""

    body_bytes_max = PART_BYTES_MAX
    # A part is put: sent twice, it is there once.
    idempotent = False
    uploads = frozenset({"put"})
    roles = {"put": Role.MANAGER}
    outputs = {"put": IMPORT}
    summaries = {"put": "Send a part of the file, numbered from 0"}

    def put(self, request: Any, upload_id: uuid.UUID, number: int) -> HttpResponse:
        source = services.put_part(
            merchant_id=request.access.merchant_id, import_id=upload_id, number=number, data=self.upload()
        )
        return envelope.success(IMPORT.instance(source))


class ImportUploadedView(ApiView):
    """The answer says how the file is read and what its columns are taken for: from their names, in several languages, and from
    what stands in them."""

    roles = {"post": Role.MANAGER}
    outputs = {"post": IMPORT_WITH_COLUMNS}
    summaries = {"post": "All parts of the file are sent"}

    def post(self, request: Any, upload_id: uuid.UUID) -> HttpResponse:
        source = services.finish_upload(access=request.access, import_id=upload_id)
        return envelope.success(describe_import(source))


class ImportSettingsView(ApiView):
    roles = {"patch": Role.MANAGER}
    inputs = {"patch": ImportSettingsInput}
    outputs = {"patch": IMPORT_WITH_COLUMNS}
    summaries = {
        "patch": "Say what the columns are, and what becomes of the rows; have it checked (again) then"
    }

    def patch(self, request: Any, upload_id: uuid.UUID) -> HttpResponse:
        changes = self.input(ImportSettingsInput, partial=True)
        source = services.change_import(access=request.access, import_id=upload_id, changes=changes)
        return envelope.success(describe_import(source))


class _StepView(ApiView):
    """A step of an import that is a job of its own."""

    roles = {"post": Role.MANAGER}
    outputs = {"post": Output(JOB, status=202)}
    step: Callable[..., Job]
    under_way: str

    def post(self, request: Any, **named: uuid.UUID) -> HttpResponse:
        # import_id, or upload_id of one that has not run yet.
        (import_id,) = named.values()
        job = self.step(access=request.access, import_id=import_id)
        return envelope.accepted(JOB.instance(job), f"/api/v1/jobs/{job.pk}", self.under_way)


class ImportCheckView(_StepView):
    """Nothing is written to customers. The rows with a problem are listed under `/rows`, what the others would do is in
    `checkCounts`."""

    summaries = {"post": "Check every row"}
    step = staticmethod(services.start_check)
    under_way = "It is being checked"


class ImportRunView(_StepView):
    """Rows with a problem are left out, and can be had as a file afterwards. One that was stopped goes on where it was."""

    summaries = {"post": "Import what was checked"}
    step = staticmethod(services.start_run)
    under_way = "It is being imported"


class ImportUndoView(_StepView):
    """Who came by it is erased, what it changed returns. Whoever was touched since stays: `/rows?undo=kept,partly` lists them."""

    summaries = {"post": "Take a whole import back"}
    step = staticmethod(services.start_undo)
    under_way = "It is being undone"


class ImportRowsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": Paged("rows", ROW)}
    filters = {"get": ImportRowFilters}
    summaries = {"get": "What became of each row; before the import, the rows with a problem"}

    def get(self, request: Any, import_id: uuid.UUID) -> HttpResponse:
        filters = ImportRowFilters(request)
        source = find_import(merchant_id=request.access.merchant_id, import_id=import_id)
        found = filters.filter_queryset(rows_of(source))
        return filters.respond("rows", ROW, found, total=found.count)


class ImportFailedView(ApiView):
    """As they came, with what is wrong before them: mended, they can be imported. For a spreadsheet; nothing in it is run."""

    roles = {"get": Role.MANAGER}
    outputs = {"get": None}
    filters = {"get": NoParameters}
    summaries = {"get": "Have the rows that were not imported as CSV"}
    tables = files = frozenset({"get"})

    def get(self, request: Any, import_id: uuid.UUID) -> Any:
        NoParameters(request)
        name, text = failed_rows_csv(merchant_id=request.access.merchant_id, import_id=import_id)
        response = StreamingHttpResponse(text, content_type="text/csv; charset=utf-8")
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response
