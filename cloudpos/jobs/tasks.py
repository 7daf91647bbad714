"""Jobs in the background: doorbells for rows that are in the database already."""

from celery import shared_task
from django.utils.timezone import now

from cloudpos.jobs import running, services

JOB_SECONDS_MAX = 6 * 3_600


@shared_task(name=services.RUN_TASK, time_limit=JOB_SECONDS_MAX, soft_time_limit=JOB_SECONDS_MAX - 60)
def run_jobs() -> int:
    """Run the jobs that are due. Returns how many; most times there are none."""
    return running.run_jobs()


@shared_task(name="cloudpos.jobs.tasks.forget_old_jobs")
def forget_old_jobs() -> int:
    """Delete the rows of jobs that ended long ago."""
    return services.forget_old_jobs(at=now())
