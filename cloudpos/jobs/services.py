"""Asking for jobs, finding them, and stopping them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now

from cloudpos.api.errors import Conflict, NotFound
from cloudpos.celery import enqueue
from cloudpos.jobs.kinds import KINDS
from cloudpos.jobs.models import Job

RUN_TASK = "cloudpos.jobs.tasks.run_jobs"
ACTIVE = (Job.State.QUEUED, Job.State.RUNNING)
JOBS_WAITING_MAX = 20
JOBS_KEPT_DAYS = 90
# A page of a merchant's jobs says "10,000+" rather than count them all.
COUNTED_JOBS_MAX = 10_000


class JobNotFound(NotFound):
    code = "job_not_found"
    message = "There is no such job."


class JobIsActive(Conflict):
    code = "job_is_active"
    message = "Such a job is already under way."


class JobIsOver(Conflict):
    code = "job_is_over"
    message = "This job is already over."


class TooManyJobs(Conflict):
    code = "too_many_jobs"
    message = f"{JOBS_WAITING_MAX} jobs are waiting already: wait for them, or cancel some."


def start_job(
    *,
    merchant_id: uuid.UUID,
    kind: str,
    parameters: Mapping[str, Any] | None = None,
    key: str = "",
    actor_id: uuid.UUID | None = None,
) -> Job:
    """Ask for a job; it begins after the caller's transaction has committed. `parameters` are JSON: ids and facts.

    Of one merchant, kind and key only one is active at a time: with the same parameters that one is returned.
    Raises JobIsActive when it has others, and TooManyJobs.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no kind of job named {kind}")
    wanted = dict(parameters or {})
    jobs = Job.objects.for_merchant(merchant_id)
    with transaction.atomic():
        # The active one may end between the two statements.
        for _ in range(3):
            active = jobs.filter(kind=kind, key=key, state__in=ACTIVE).first()
            if active is not None:
                if active.parameters != wanted:
                    raise JobIsActive(extra={"jobId": active.pk})
                return active
            if jobs.filter(state__in=ACTIVE).count() >= JOBS_WAITING_MAX:
                raise TooManyJobs()
            job = Job(merchant_id=merchant_id, kind=kind, key=key, parameters=wanted, actor_id=actor_id)
            Job.objects.bulk_create([job], ignore_conflicts=True)
            if jobs.filter(pk=job.pk).exists():
                transaction.on_commit(ring, robust=True)
                return job
    raise JobIsActive()


def ring() -> None:
    """Wake a worker; the sweep finds the job without it."""
    enqueue(RUN_TASK)


def jobs_of(merchant_id: uuid.UUID) -> QuerySet[Any]:
    return Job.objects.for_merchant(merchant_id)


def count_jobs(jobs: QuerySet[Any]) -> tuple[int, bool]:
    """(how many, whether that is exact)"""
    counted = jobs.order_by().values("pk")[: COUNTED_JOBS_MAX + 1].count()
    return min(counted, COUNTED_JOBS_MAX), counted <= COUNTED_JOBS_MAX


def find_job(*, merchant_id: uuid.UUID, job_id: uuid.UUID) -> Job:
    """Raises JobNotFound."""
    job: Job | None = jobs_of(merchant_id).filter(pk=job_id).first()
    if job is None:
        raise JobNotFound()
    return job


def cancel_job(*, merchant_id: uuid.UUID, job_id: uuid.UUID) -> Job:
    """Stop a job: at once while it waits, else at the end of the chunk that it is at. Repeating it changes nothing.

    Raises JobNotFound, and JobIsOver when it is done or failed.
    """
    mine = jobs_of(merchant_id).filter(pk=job_id)
    stopped = mine.filter(state=Job.State.QUEUED).update(
        state=Job.State.CANCELLED, cancel_requested=True, finished_at=now()
    )
    if not stopped:
        mine.filter(state=Job.State.RUNNING).update(cancel_requested=True)
    job = find_job(merchant_id=merchant_id, job_id=job_id)
    if job.state in (Job.State.DONE, Job.State.FAILED):
        raise JobIsOver()
    return job


def forget_old_jobs(*, at: datetime) -> int:
    """Delete jobs that were over JOBS_KEPT_DAYS ago. Returns how many."""
    deleted, _ = Job.objects.filter(finished_at__lt=at - timedelta(days=JOBS_KEPT_DAYS)).delete()
    return int(deleted)
