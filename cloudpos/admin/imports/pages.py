"""The list of a merchant's imports, and one of them step by step."""

import uuid
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import reverse

from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.admin.imports.forms import read_settings, settings_context
from cloudpos.admin.imports.uploads import take_file
from cloudpos.admin.jobs import described_jobs
from cloudpos.api.errors import ApiError
from cloudpos.tenancy.backoffice.access import acting_for, staff_access
from cloudpos.tenancy.backoffice.pages import CappedPaginator
from cloudpos.tenancy.formats import count
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.roles import Role
from customers.imports import services
from customers.imports.reading import failed_rows_csv, imports_of, not_undone, rows_of
from customers.imports.services import ImportNotFound, find_import, job_of
from customers.models import Import, ImportRow

ROWS_ON_PAGE = 25
STEPS = ("Upload", "Columns", "Check", "Import")
SHADES = {
    "uploading": "grey",
    "uploaded": "grey",
    "checking": "blue",
    "checked": "violet",
    "running": "blue",
    "done": "green",
    "undoing": "blue",
    "undone": "orange",
}
# What a count is called, in the order in which they are shown.
COUNTS = {
    "created": ("New", "will be added"),
    "updated": ("Changed", "will be changed"),
    "unchanged": ("Unchanged", "are as the file says"),
    "skipped": ("Left out", "are not asked for"),
    "failed": ("With a problem", "cannot be imported"),
}
State = Import.State


@analytics_page("Imports", "list", folder="imports")
def imports_page(request: HttpRequest, merchant: Merchant) -> Shown:
    if request.method == "POST":
        return _uploaded(request, merchant)
    page = CappedPaginator(imports_of(merchant.pk).order_by("-created_at", "-pk"), ROWS_ON_PAGE).get_page(
        request.GET.get("page")
    )
    rows = [
        {"source": source, "shade": SHADES[source.state], "said": _said(source)}
        for source in page.object_list
    ]
    return {"rows": rows, "page": page}


def _said(source: Import) -> str:
    counts = source.run_counts or source.check_counts
    return ", ".join(
        f"{count(counts[name])} {title.lower()}" for name, (title, _) in COUNTS.items() if counts.get(name)
    )


def _uploaded(request: HttpRequest, merchant: Merchant) -> HttpResponse:
    """The form without a script."""
    file = request.FILES.get("file")
    if file is None:
        messages.error(request, "Choose a file first.")
        return HttpResponseRedirect(reverse("imports_page"))
    try:
        source = take_file(request, merchant, file)
    except ApiError as refusal:
        messages.error(request, refusal.detail)
        return HttpResponseRedirect(reverse("imports_page"))
    return HttpResponseRedirect(reverse("import_page", args=[source.pk]))


@analytics_page("Import", "import", folder="imports")
def import_page(request: HttpRequest, merchant: Merchant, import_id: uuid.UUID) -> Shown:
    source = _found(merchant, import_id)
    if request.method == "POST":
        return _act(request, merchant, source)
    return _shown(request, merchant, source)


def _shown(request: HttpRequest, merchant: Merchant, source: Import, *, problems: Any = ()) -> dict[str, Any]:
    job = job_of(source)
    active = job is not None and job.is_active
    step = "columns" if _at_columns(request, source) or problems else source.state
    context: dict[str, Any] = {
        "source": source,
        "title": source.file_name,
        "step": step,
        "steps": _steps(step),
        "problems": problems,
        "run": described_jobs([job])[0] if job is not None else None,
        "active": active,
        "stopped": not active and source.state in (State.CHECKING, State.RUNNING, State.UNDOING),
    }
    if step == "columns":
        context |= settings_context(request, source, merchant)
    counts = source.check_counts if source.state == State.CHECKED else source.run_counts
    context["counts"] = [
        {"title": title, "said": said, "number": counts.get(name, 0), "name": name}
        for name, (title, said) in COUNTS.items()
        if counts.get(name) or name in ("created", "updated")
    ]
    context["more"] = counts
    if step in (State.CHECKED, State.DONE, State.UNDONE, State.RUNNING) and not active:
        failed = rows_of(source).filter(outcome=ImportRow.Outcome.FAILED).order_by("number")
        context["failed"] = CappedPaginator(failed, ROWS_ON_PAGE).get_page(request.GET.get("page"))
    if step == State.UNDONE:
        left = not_undone(source).select_related("customer").order_by("number")
        context["left"] = CappedPaginator(left, ROWS_ON_PAGE).get_page(request.GET.get("left"))
    return context


def _at_columns(request: HttpRequest, source: Import) -> bool:
    return source.state == State.UPLOADED or (source.state == State.CHECKED and "columns" in request.GET)


def _steps(step: str) -> list[dict[str, Any]]:
    at = {"uploading": 0, "columns": 1, "checking": 2, "checked": 2}.get(step, 3)
    return [
        {"title": title, "done": place < at or step in ("done", "undone"), "now": place == at}
        for place, title in enumerate(STEPS)
    ]


def _act(request: HttpRequest, merchant: Merchant, source: Import) -> Shown:
    act = request.POST.get("act", "")
    access = acting_for(request, merchant)
    here = HttpResponseRedirect(reverse("import_page", args=[source.pk]))
    try:
        if act in ("check", "reread"):
            changes = read_settings(request, source, reread=act == "reread")
            services.change_import(access=access, import_id=source.pk, changes=changes)
            if act == "check":
                services.start_check(access=access, import_id=source.pk)
        elif act == "again":
            services.start_check(access=access, import_id=source.pk)
        elif act == "run":
            services.start_run(access=access, import_id=source.pk)
        elif act == "undo":
            services.start_undo(access=access, import_id=source.pk)
        elif act == "stop":
            services.stop_import(merchant_id=merchant.pk, import_id=source.pk)
        elif act == "delete":
            services.delete_import(merchant_id=merchant.pk, import_id=source.pk)
            messages.success(request, f"“{source.file_name}” is deleted. Its customers are still there.")
            return HttpResponseRedirect(reverse("imports_page"))
    except ApiError as refusal:
        if act == "check" and refusal.errors:
            # What was chosen stays in the form.
            return _shown(request, merchant, source, problems=[error.message for error in refusal.errors])
        messages.error(request, refusal.errors[0].message if refusal.errors else refusal.detail)
    return here


def import_failed(request: HttpRequest, import_id: uuid.UUID) -> HttpResponse:
    """The rows that were not imported, as a file."""
    access = staff_access(request)
    if access.current is None or not access.may(Role.MANAGER):
        raise PermissionDenied
    try:
        name, text = failed_rows_csv(merchant_id=access.current.pk, import_id=import_id)
    except ImportNotFound:
        raise Http404 from None
    response = StreamingHttpResponse(text, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response  # type: ignore[return-value]


import_failed = admin.site.admin_view(import_failed)  # type: ignore[assignment]


def _found(merchant: Merchant, import_id: uuid.UUID) -> Import:
    try:
        return find_import(merchant_id=merchant.pk, import_id=import_id)
    except ImportNotFound:
        raise Http404 from None
