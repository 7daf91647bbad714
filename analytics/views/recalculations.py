"""Recalculations: asked for, watched, stopped."""

import uuid
from typing import Any

from django.http import HttpResponse

from analytics.recalculations import Mode, cancel_recalculation, find_recalculation, start_recalculation
from analytics.serializers.recalculations import RecalculationInput
from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output
from cloudpos.api.views import ApiView
from cloudpos.jobs.serializers import JOB, JOB_WITH_RESULT
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


class RecalculationView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": JOB_WITH_RESULT}
    filters = {"get": NoParameters}
    summaries = {"get": "Read how far a recalculation is"}

    def get(self, request: Any, job_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        job = find_recalculation(merchant_id=request.access.merchant_id, job_id=job_id)
        return envelope.success(JOB_WITH_RESULT.instance(job))


class RecalculationCancelView(ApiView):
    """At once while it waits, else at the end of the chunk that it is at. What was worked out stays."""

    roles = {"post": Role.MANAGER}
    outputs = {"post": Output(JOB)}
    summaries = {"post": "Stop a recalculation"}

    def post(self, request: Any, job_id: uuid.UUID) -> HttpResponse:
        job = cancel_recalculation(merchant_id=request.access.merchant_id, job_id=job_id)
        return envelope.success(
            JOB.instance(job), "The job will stop" if job.is_active else "The job is cancelled"
        )
