"""Exports in the background."""

from typing import Any

from celery import shared_task
from django.utils.timezone import now

from cloudpos.exports import running, services
from cloudpos.jobs.kinds import job_kind
from cloudpos.jobs.running import Work


@job_kind(running.MAKE, title="Export")
def make_export(work: Work) -> Any:
    return running.make(work)


@shared_task(name="cloudpos.exports.tasks.forget_old_exports")
def forget_old_exports() -> int:
    """Delete the files of exports whose time is over."""
    return services.forget_old_exports(at=now())
