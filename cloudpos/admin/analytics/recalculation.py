"""Having every figure worked out anew: asked for here, watched here, stopped here."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from analytics.recalculations import RECALCULATE, SETTLE, start_recalculation
from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.admin.jobs import described_jobs
from cloudpos.api.errors import ApiError
from cloudpos.jobs.services import cancel_job, jobs_of
from cloudpos.tenancy.models import Merchant

KINDS = (RECALCULATE, SETTLE)
RUNS_SHOWN = 10


@analytics_page("Recalculation", "recalculation")
def recalculation_page(request: HttpRequest, merchant: Merchant) -> Shown:
    if request.method == "POST":
        return _act(request, merchant)
    jobs = jobs_of(merchant.pk).filter(kind__in=KINDS).order_by("-created_at", "-pk")
    runs = described_jobs(jobs[:RUNS_SHOWN])
    return {"runs": runs, "active": next((run for run in runs if run["job"].is_active), None)}


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
