"""Recalculations: asked for, watched, stopped."""

from typing import Any

from django.http import HttpResponse

from analytics.recalculations import Mode, cancel_recalculation, find_recalculation, start_recalculation
from analytics.serializers.recalculations import RecalculationInput
from cloudpos.api import envelope
from cloudpos.api.schema import Output
from cloudpos.api.views import ApiView
from cloudpos.jobs.serializers import JOB
from cloudpos.jobs.views import JobCancelView, JobView
from cloudpos.tenancy.roles import Role


class RecalculateView(ApiView):
    """One at a time: asked for again, it is the one under way, as long as that covers what is asked."""

    roles = {"post": Role.MANAGER}
    inputs = {"post": RecalculationInput}
    outputs = {"post": Output(JOB, status=202)}
    summaries = {"post": "Work out customers' figures, predictions and segments anew"}

    def post(self, request: Any) -> HttpResponse:
        access = request.access
        mode = Mode(self.input(RecalculationInput).get("mode", Mode.FULL))
        job = start_recalculation(merchant_id=access.merchant_id, mode=mode, actor_id=access.user_id)
        return envelope.accepted(
            JOB.instance(job), f"/api/v1/analytics/jobs/{job.pk}", "The recalculation is under way"
        )


class RecalculationView(JobView):
    find = staticmethod(find_recalculation)
    summaries = {"get": "Read how far a recalculation is"}


class RecalculationCancelView(JobCancelView):
    """At once while it waits, else at the end of the chunk that it is at. What was worked out stays."""

    cancel = staticmethod(cancel_recalculation)
    summaries = {"post": "Stop a recalculation"}
