"""Having every figure worked out anew: asked for here, watched here, stopped here."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from analytics.recalculations import RECALCULATE, SETTLE, start_recalculation
from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.api.errors import ApiError
from cloudpos.jobs.kinds import title_of
from cloudpos.jobs.models import Job
from cloudpos.jobs.services import cancel_job, jobs_of
from cloudpos.tenancy.formats import count, counted
from cloudpos.tenancy.models import Merchant, User

KINDS = (RECALCULATE, SETTLE)
RUNS_SHOWN = 10
SHADES = {"queued": "blue", "running": "blue", "done": "green", "failed": "red", "cancelled": "grey"}


@analytics_page("Recalculation", "recalculation")
def recalculation_page(request: HttpRequest, merchant: Merchant) -> Shown:
    if request.method == "POST":
        return _act(request, merchant)
    jobs = list(jobs_of(merchant.pk).filter(kind__in=KINDS).order_by("-created_at", "-pk")[:RUNS_SHOWN])
    names = dict(
        User.objects.filter(pk__in={job.actor_id for job in jobs if job.actor_id}).values_list("pk", "name")
    )
    return {
        "runs": [_run(job, names) for job in jobs],
        "active": next((_run(job, names) for job in jobs if job.is_active), None),
    }


def _act(request: HttpRequest, merchant: Merchant) -> HttpResponse:
    try:
        if "cancel" in request.POST:
            cancel_job(merchant_id=merchant.pk, job_id=_job_id(request.POST["cancel"]))
            messages.success(request, "The recalculation stops at the end of the part that it is at.")
        else:
            start_recalculation(merchant_id=merchant.pk, actor_id=request.user.pk)
            messages.success(request, "The recalculation has been asked for.")
    except ApiError as refusal:
        messages.error(request, str(refusal.message))
    return HttpResponseRedirect(reverse("recalculation_page"))


def _job_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.UUID(int=0)


def _run(job: Job, names: dict[Any, str]) -> dict[str, Any]:
    """A job in the words of the page."""
    until = job.finished_at or timezone.now()
    seconds = (until - job.started_at).total_seconds() if job.started_at else None
    return {
        "job": job,
        "title": title_of(job.kind),
        "label": "Stopping" if job.is_active and job.cancel_requested else job.get_state_display(),
        "shade": SHADES[job.state],
        "asked_by": names.get(job.actor_id, "") if job.actor_id else "Every night",
        "percent": round(100 * job.done / job.total) if job.total else None,
        "progress": f"{count(job.done)} of {count(job.total)} customers" if job.total else "",
        "took": _duration(seconds),
    }


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return counted(max(round(seconds), 1), "second")
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
