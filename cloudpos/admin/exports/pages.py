"""The list of a merchant's exports, the form of a new one, and the files."""

import uuid
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.admin.exports.asking import filters_of, form_context, kind_of, told
from cloudpos.api.errors import ApiError
from cloudpos.exports import services
from cloudpos.exports.kinds import SOURCES
from cloudpos.exports.models import FILE_KEPT_FOR
from cloudpos.exports.ranges import RangeNotSatisfiable
from cloudpos.exports.services import ExportGone, ExportNotFound, ExportNotReady, exports_of
from cloudpos.exports.views import asked_range, file_response, takes_gzip
from cloudpos.tenancy.backoffice.access import acting_for, staff_access
from cloudpos.tenancy.backoffice.pages import CappedPaginator
from cloudpos.tenancy.formats import count
from cloudpos.tenancy.models import Merchant, User
from cloudpos.tenancy.roles import Role

ROWS_ON_PAGE = 25
STATES = {
    "queued": ("Waiting", "blue"),
    "running": ("Being made", "blue"),
    # Between the end of the file and the end of its job.
    "done": ("Ready", "green"),
    "ready": ("Ready", "green"),
    "failed": ("Failed", "red"),
    "cancelled": ("Stopped", "grey"),
    "expired": ("Deleted", "grey"),
    "erasure": ("Deleted", "grey"),
}
NOTES = {
    "expired": "Its time was over",
    "erasure": "Somebody who stood in it was erased",
}


@analytics_page("Exports", "list", folder="exports")
def exports_page(request: HttpRequest, merchant: Merchant) -> Shown:
    if request.method == "POST":
        return _act(request, merchant)
    page = CappedPaginator(exports_of(merchant.pk).order_by("-created_at", "-pk"), ROWS_ON_PAGE).get_page(
        request.GET.get("page")
    )
    people = {export.actor_id for export in page.object_list if export.actor_id}
    names = dict(User.objects.filter(pk__in=people).values_list("pk", "name")) if people else {}
    rows = [_described(merchant, export, names) for export in page.object_list]
    return {
        "rows": rows,
        "page": page,
        "active": any(row["active"] for row in rows),
        "kept_days": FILE_KEPT_FOR.days,
        "kinds": [(name, source.title) for name, source in SOURCES.items()],
    }


def _described(merchant: Merchant, export: Any, names: dict[Any, str]) -> dict[str, Any]:
    source = SOURCES[export.kind]
    label, shade = STATES.get(export.state or "", ("Unknown", "grey"))
    filters = {name: text for name, text in export.filters.items() if isinstance(text, str)}
    active = export.state in ("queued", "running")
    rows = export.rows if export.rows is not None else export.done if active else None
    progress = f"{count(rows)} {source.unit}" if rows is not None else ""
    if active and export.total:
        progress = f"{count(export.done or 0)} of {count(export.total)} {source.unit}"
    return {
        "export": export,
        "title": source.title,
        "told": ", ".join(told(merchant, source, filters)),
        "label": label,
        "shade": shade,
        "note": export.error or NOTES.get(export.state, ""),
        "active": active,
        "progress": progress,
        "percent": round(100 * (export.done or 0) / export.total) if active and export.total else None,
        "size": _size(export.file_bytes) if export.has_file else "",
        "by": names.get(export.actor_id, ""),
    }


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{max(size / 1e3, 0.1):,.1f} kB"


@analytics_page("New export", "new", folder="exports")
def new_export_page(request: HttpRequest, merchant: Merchant) -> Shown:
    if request.method != "POST":
        return form_context(request, merchant)
    kind = kind_of(request.POST)
    try:
        services.request_export(
            access=acting_for(request, merchant),
            kind=kind,
            format="xlsx" if request.POST.get("format") == "xlsx" else "csv",
            columns=request.POST.getlist("column"),
            filters=filters_of(SOURCES[kind], request.POST),
        )
    except ApiError as refusal:
        problem = refusal.errors[0].message if refusal.errors else refusal.detail
        return {**form_context(request, merchant), "problem": problem}
    messages.success(request, "The file is being made. You can leave this page meanwhile.")
    return HttpResponseRedirect(reverse("exports_page"))


def _act(request: HttpRequest, merchant: Merchant) -> HttpResponse:
    """Stop one that is being made, or delete one."""
    try:
        export_id = uuid.UUID(request.POST.get("export", ""))
        if request.POST.get("act") == "stop":
            services.stop_export(merchant_id=merchant.pk, export_id=export_id)
        else:
            services.delete_export(merchant_id=merchant.pk, export_id=export_id)
            messages.success(request, "The export is deleted.")
    except (ValueError, ExportNotFound):
        raise Http404 from None
    except ApiError as refusal:
        messages.error(request, refusal.detail)
    return HttpResponseRedirect(reverse("exports_page"))


def export_file(request: HttpRequest, export_id: uuid.UUID) -> HttpResponse:
    """The file, for managers of the merchant that is shown; on record."""
    access = staff_access(request)
    if access.current is None or not access.may(Role.MANAGER):
        raise PermissionDenied
    try:
        found = services.download_export(
            access=acting_for(request, access.current),
            export_id=export_id,
            gzip=takes_gzip(request.META),
            asked=asked_range(request),
            on_record=request.method != "HEAD",
        )
    except ExportNotFound:
        raise Http404 from None
    except RangeNotSatisfiable as refusal:
        return HttpResponse(status=refusal.status, headers=dict(refusal.headers))
    except (ExportNotReady, ExportGone) as refusal:
        messages.error(request, refusal.detail)
        return HttpResponseRedirect(reverse("exports_page"))
    return file_response(found)  # type: ignore[return-value]


export_file = admin.site.admin_view(export_file)  # type: ignore[assignment]
