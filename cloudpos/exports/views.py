"""Exports over HTTP: asking for a file, how far it is, and fetching it."""

import uuid
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse

from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output, Paged
from cloudpos.api.tables import CSV
from cloudpos.api.views import ApiView
from cloudpos.exports import services
from cloudpos.exports.examples import EXAMPLES
from cloudpos.exports.models import Export
from cloudpos.exports.ranges import Asked
from cloudpos.exports.serializers import EXPORT, KINDS, ExportFilters, ExportInput, kinds_json
from cloudpos.exports.services import Download, exports_of, find_export
from cloudpos.exports.xlsx_file import XLSX
from cloudpos.tenancy.roles import Role


class ExportsView(ApiView):
    roles = {"get": Role.MANAGER, "post": Role.MANAGER}
    inputs = {"post": ExportInput}
    outputs = {"get": Paged("exports", EXPORT), "post": Output(EXPORT, status=202)}
    filters = {"get": ExportFilters}
    summaries = {
        "get": "List exports, newest first",
        "post": "Ask for a file: customers, points, purchases, returns, redemptions",
    }
    examples = {"post": EXAMPLES}

    def get(self, request: Any) -> HttpResponse:
        filters = ExportFilters(request)
        found = filters.filter_queryset(exports_of(request.access.merchant_id))
        return filters.respond("exports", EXPORT, found, total=found.count)

    def post(self, request: Any) -> HttpResponse:
        """A job makes the file; `Location` tells how far it is. Who is in it is decided at one instant, `asOf`; what stands
        there of each is read within the minutes after. The file is kept for 7 days, unless somebody who stands in it is
        erased."""
        asked = {"format": Export.Format.CSV.value, **self.input(ExportInput)}
        export = services.request_export(access=request.access, **asked)
        row = EXPORT.one(exports_of(export.merchant_id).filter(pk=export.pk))
        return envelope.accepted(row, f"/api/v1/exports/{export.pk}", "The file is being made")


class ExportKindsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": KINDS}
    filters = {"get": NoParameters}
    summaries = {"get": "What can be exported, with which columns and filters"}

    def get(self, request: Any) -> HttpResponse:
        NoParameters(request)
        return envelope.success(kinds_json())


class ExportView(ApiView):
    roles = {"get": Role.MANAGER, "delete": Role.MANAGER}
    outputs = {"get": EXPORT, "delete": None}
    filters = {"get": NoParameters}
    summaries = {
        "get": "Read an export: how far it is, and whether its file can be fetched",
        "delete": "Delete an export and its file; one that is being made is stopped",
    }

    def get(self, request: Any, export_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        return envelope.success(
            EXPORT.instance(find_export(merchant_id=request.access.merchant_id, export_id=export_id))
        )

    def delete(self, request: Any, export_id: uuid.UUID) -> HttpResponse:
        services.delete_export(merchant_id=request.access.merchant_id, export_id=export_id)
        return envelope.success(None, "Export deleted")


class ExportCancelView(ApiView):
    roles = {"post": Role.MANAGER}
    outputs = {"post": EXPORT}
    summaries = {"post": "Stop making a file"}

    def post(self, request: Any, export_id: uuid.UUID) -> HttpResponse:
        export = services.stop_export(merchant_id=request.access.merchant_id, export_id=export_id)
        return envelope.success(EXPORT.instance(export), "It will stop")


class ExportFileView(ApiView):
    """CSV is UTF-8 with a byte order mark; an Excel file has typed cells. No cell of either runs in a spreadsheet. Every download
    is on record.

    A download that broke off goes on with `Range: bytes=N-`, and `If-Range` with the ETag of the first answer: 206 with the
    rest, or 200 with all of it where it is another file by now. Of several ranges the whole file is the answer. Packed
    (`Content-Encoding: gzip`), it is another file than unpacked, with its own ETag and its own bytes."""

    roles = {"get": Role.MANAGER}
    outputs = {"get": None}
    filters = {"get": NoParameters}
    summaries = {"get": "Fetch the file"}
    tables = files = ranges = frozenset({"get"})
    file_types = (CSV, XLSX)

    def get(self, request: Any, export_id: uuid.UUID) -> Any:
        NoParameters(request)
        found = services.download_export(
            access=request.access,
            export_id=export_id,
            gzip=takes_gzip(request.META),
            asked=asked_range(request),
            on_record=request.method != "HEAD",
        )
        return file_response(found)


def takes_gzip(meta: Any) -> bool:
    return "gzip" in meta.get("HTTP_ACCEPT_ENCODING", "")


def asked_range(request: Any) -> Asked:
    """Of a GET alone (RFC 9110, 14.2)."""
    if request.method != "GET":
        return Asked()
    return Asked(request.META.get("HTTP_RANGE", ""), request.META.get("HTTP_IF_RANGE", ""))


def file_response(found: Download) -> StreamingHttpResponse:
    """The file, or what was asked for of it, a piece at a time."""
    response = StreamingHttpResponse(found.pieces, content_type=found.content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{found.name}"'
    response.headers["Content-Length"] = str(found.span.size if found.span else found.size)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = found.etag
    if found.span:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {found.span.first}-{found.span.last}/{found.size}"
    # Nobody between us and whoever asked keeps a copy.
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Vary"] = "Accept-Encoding"
    if found.encoding:
        response.headers["Content-Encoding"] = found.encoding
    return response
