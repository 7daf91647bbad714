"""Jobs: how far they are, what came out, and stopping them."""

import uuid
from typing import Any

from django.http import HttpResponse

from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output, Paged
from cloudpos.api.views import ApiView
from cloudpos.jobs.serializers import JOB, JOB_WITH_RESULT, JobFilters
from cloudpos.jobs.services import cancel_job, count_jobs, find_job, jobs_of
from cloudpos.tenancy.roles import Role


class JobsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": Paged("jobs", JOB)}
    filters = {"get": JobFilters}
    summaries = {"get": "List jobs, newest first"}

    def get(self, request: Any) -> HttpResponse:
        filters = JobFilters(request)
        jobs = filters.filter_queryset(jobs_of(request.access.merchant_id))
        total, exact = count_jobs(jobs)
        return filters.respond("jobs", JOB, jobs, total=total, exact=exact)


class JobView(ApiView):
    """`find` is narrowed by whoever shows jobs of their own kinds alone."""

    find = staticmethod(find_job)
    roles = {"get": Role.MANAGER}
    outputs = {"get": JOB_WITH_RESULT}
    filters = {"get": NoParameters}
    summaries = {"get": "Read a job: its state, how far it is, what came out"}

    def get(self, request: Any, job_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        job = self.find(merchant_id=request.access.merchant_id, job_id=job_id)
        return envelope.success(JOB_WITH_RESULT.instance(job))


class JobCancelView(ApiView):
    """A job that waits is cancelled at once; one that runs stops at the end of the chunk that it is at."""

    cancel = staticmethod(cancel_job)
    roles = {"post": Role.MANAGER}
    outputs = {"post": Output(JOB)}
    summaries = {"post": "Stop a job"}

    def post(self, request: Any, job_id: uuid.UUID) -> HttpResponse:
        job = self.cancel(merchant_id=request.access.merchant_id, job_id=job_id)
        return envelope.success(
            JOB.instance(job), "The job will stop" if job.is_active else "The job is cancelled"
        )
