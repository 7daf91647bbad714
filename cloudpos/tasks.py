"""The outbox's tasks: doorbells for rows that are in the database already."""

import uuid
from typing import Any

from celery import shared_task
from django.utils.timezone import now

from cloudpos import event_retention, outbox
from cloudpos.jobs.kinds import job_kind
from cloudpos.jobs.running import Work
from cloudpos.lifecycle import undoing_imports
from customers.imports.services import UNDO


@shared_task(name=outbox.RELAY_TASK)
def relay_events() -> int:
    """Hand new events on to their handlers."""
    return outbox.relay()


@shared_task(name=outbox.RUN_TASK)
def run_event_tasks(merchant_id: str, handler: str) -> int:
    """Run what is due of one merchant for one handler."""
    return outbox.run_tasks(merchant_id=uuid.UUID(merchant_id), handler=handler)


@shared_task(name="cloudpos.tasks.sweep_events")
def sweep_events() -> int:
    """Find what no message spoke of."""
    return outbox.sweep()


@shared_task(name="cloudpos.tasks.forget_old_events")
def forget_old_events() -> int:
    """Delete old events of clients' own types that nothing needs any more."""
    return event_retention.forget_old_events(at=now())


@job_kind(UNDO, title="Undo of an import")
def undo_import(work: Work) -> Any:
    return undoing_imports.undo(work)
