"""Long work of a merchant: what waits, how far the others are, what came out, and stopping it."""

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from cloudpos.api.errors import ApiError
from cloudpos.exports.running import MAKE
from cloudpos.jobs.kinds import title_of
from cloudpos.jobs.models import Job
from cloudpos.jobs.services import JOBS_KEPT_DAYS, cancel_job, jobs_of
from cloudpos.tenancy.backoffice.access import staff_access
from cloudpos.tenancy.backoffice.pages import CappedPaginator
from cloudpos.tenancy.formats import count, counted
from cloudpos.tenancy.models import User
from cloudpos.tenancy.roles import Role
from customers.imports.running import CHECK, RUN
from customers.imports.services import UNDO
from loyalty.admin_dry_runs import result_context
from loyalty.dry_runs.jobs import DRY_RUN

SHADES = {"queued": "blue", "running": "blue", "done": "green", "failed": "red", "cancelled": "grey"}
ROWS_ON_PAGE = 25
# What the work of a kind is counted in.
UNITS = {
    DRY_RUN: "purchases",
    "analytics.recalculate": "customers",
    "analytics.settle_segments": "customers",
    **dict.fromkeys((CHECK, RUN, UNDO, MAKE), "rows"),
}
# By kind: what the job's page shows of its result, and how.
RESULTS: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    DRY_RUN: ("backoffice/dry_run.html", result_context)
}


def described_jobs(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """Jobs in the words of a page."""
    listed = list(jobs)
    people = {job.actor_id for job in listed if job.actor_id}
    names = dict(User.objects.filter(pk__in=people).values_list("pk", "name")) if people else {}
    return [_described(job, names) for job in listed]


def _described(job: Job, names: dict[Any, str]) -> dict[str, Any]:
    until = job.finished_at or timezone.now()
    seconds = (until - job.started_at).total_seconds() if job.started_at else None
    unit = UNITS.get(job.kind, "")
    return {
        "job": job,
        "title": title_of(job.kind),
        "label": "Stopping" if job.is_active and job.cancel_requested else job.get_state_display(),
        "shade": SHADES[job.state],
        "asked_by": names.get(job.actor_id, "") if job.actor_id else "By itself",
        "percent": round(100 * job.done / job.total) if job.total else None,
        "progress": _progress(job, unit),
        "took": _duration(seconds),
    }


def _progress(job: Job, unit: str) -> str:
    if job.is_active and job.total:
        return f"{count(job.done)} of {count(job.total)} {unit}".strip()
    return f"{count(job.done)} {unit}".strip() if job.done else ""


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return counted(max(round(seconds), 1), "second")
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def jobs_page(request: HttpRequest) -> HttpResponse:
    """The page "Jobs", for managers of the merchant that is shown; with `part` in the query the list alone."""
    access = staff_access(request)
    if not access.may(Role.MANAGER):
        raise PermissionDenied
    context: dict[str, Any] = {"title": "Jobs", "kept_days": JOBS_KEPT_DAYS}
    if access.current is not None:
        rows = jobs_of(access.current.pk).defer("result").order_by("-created_at", "-pk")
        page = CappedPaginator(rows, ROWS_ON_PAGE).get_page(request.GET.get("page"))
        runs = described_jobs(page.object_list)
        active = any(run["job"].is_active for run in runs)
        context |= {"merchant": access.current, "page": page, "runs": runs, "active": active}
    return _page(request, "jobs", "job_rows", context)


def job_page(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """One job: how far it is, and when it is done what came out; with `part` in the query that alone."""
    return _shown(request, _reachable(request, job_id))


@require_POST
def stop_job(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Stop a job; the answer is the list, or with `part` in the query the job as it is now."""
    job = _reachable(request, job_id)
    try:
        job = cancel_job(merchant_id=job.merchant_id, job_id=job.pk)
        said, level = "It stops at the end of the part that it is at.", messages.SUCCESS
    except ApiError as refusal:
        said, level = str(refusal.message), messages.ERROR
    if "part" in request.GET:
        return _shown(request, _reachable(request, job_id))
    messages.add_message(request, level, said)
    return HttpResponseRedirect(reverse("jobs_page"))


def _reachable(request: HttpRequest, job_id: uuid.UUID) -> Job:
    """A job of a merchant that the person manages. Raises Http404."""
    job = staff_access(request).reachable(Job.objects.filter(pk=job_id), "merchant").first()
    if job is None:
        raise Http404
    return job


def _shown(request: HttpRequest, job: Job) -> HttpResponse:
    (run,) = described_jobs([job])
    context: dict[str, Any] = dict(run)
    if job.state == Job.State.DONE and job.kind in RESULTS:
        context["result_template"], describe = RESULTS[job.kind]
        context |= describe(job.result)
    return _page(request, "job", "job_part", context)


def _page(request: HttpRequest, whole: str, part: str, context: dict[str, Any]) -> HttpResponse:
    """A page, or the part of it that is asked for again and again."""
    if "part" in request.GET:
        return TemplateResponse(request, f"backoffice/{part}.html", context)
    return TemplateResponse(
        request, f"backoffice/{whole}.html", {**admin.site.each_context(request), **context}
    )
