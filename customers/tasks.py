"""Background work on customers."""

from typing import Any

from celery import shared_task
from django.utils.timezone import now

from cloudpos.jobs.kinds import job_kind
from cloudpos.jobs.running import Work
from customers import counting
from customers.imports import running, services


@shared_task
def compact_counts() -> None:
    """Fold the deltas behind the list's totals."""
    counting.compact_counts()


@job_kind(running.CHECK, title="Check of an import")
def check_import(work: Work) -> Any:
    return running.check(work)


@job_kind(running.RUN, title="Import of customers")
def run_import(work: Work) -> Any:
    return running.run(work)


@shared_task(name="customers.tasks.forget_old_imports")
def forget_old_imports() -> int:
    """Delete the files of imports whose time is over."""
    return services.forget_old_imports(at=now())
