"""Asking for recalculations: by a person, and every night."""

import uuid
from collections.abc import Collection, Sequence
from datetime import date, datetime, time
from enum import StrEnum

from django.db import connection

from analytics.models import CutPoints
from cloudpos.api.errors import Conflict
from cloudpos.jobs.models import Job
from cloudpos.jobs.services import JobIsActive, JobNotFound, cancel_job, find_job, start_job
from cloudpos.tenancy.models import Merchant
from customers.models import Event

RECALCULATE = "analytics.recalculate"
SETTLE = "analytics.settle_segments"


class Mode(StrEnum):
    """FULL: everybody, with models trained when that is due. INCREMENTAL: who bought or returned since theirs were made."""

    FULL = "full"
    INCREMENTAL = "incremental"


def start_recalculation(
    *, merchant_id: uuid.UUID, mode: Mode = Mode.FULL, actor_id: uuid.UUID | None = None
) -> Job:
    """The merchant's recalculation: a new one, or the one that is under way if it covers what is asked.

    Raises JobIsActive when all customers are asked for and only some are under way.
    """
    try:
        return start_job(
            merchant_id=merchant_id, kind=RECALCULATE, parameters={"mode": mode.value}, actor_id=actor_id
        )
    except JobIsActive as active:
        if mode is Mode.FULL:
            raise
        return find_job(merchant_id=merchant_id, job_id=active.extra["jobId"])


def find_recalculation(*, merchant_id: uuid.UUID, job_id: uuid.UUID) -> Job:
    """A job of this module's kinds. Raises JobNotFound."""
    job = find_job(merchant_id=merchant_id, job_id=job_id)
    if job.kind not in (RECALCULATE, SETTLE):
        raise JobNotFound()
    return job


def cancel_recalculation(*, merchant_id: uuid.UUID, job_id: uuid.UUID) -> Job:
    """Raises JobNotFound, and JobIsOver."""
    find_recalculation(merchant_id=merchant_id, job_id=job_id)
    return cancel_job(merchant_id=merchant_id, job_id=job_id)


def start_settling(*, merchant_id: uuid.UUID, actor_id: uuid.UUID | None = None) -> Job:
    """After a change of thresholds: everybody's segment by the new ones, from the figures that are there."""
    return start_job(merchant_id=merchant_id, kind=SETTLE, actor_id=actor_id)


def customers_of(*, merchant_id: uuid.UUID, event_ids: Sequence[str]) -> list[uuid.UUID]:
    """Whom these events changed; of a merge both sides."""
    events = Event.objects.for_merchant(merchant_id).filter(pk__in=event_ids, customer__isnull=False)
    found = set()
    for customer_id, type, facts in events.values_list("customer_id", "type", "data"):
        found.add(customer_id)
        if type == "customer.merged":
            found.add(uuid.UUID(facts["sourceId"]))
    return sorted(found)


# As a recalculation finds them: a sale, a return or a merge writes the customer's row in its own transaction.
_STALE = """
SELECT c.id FROM customers c
LEFT JOIN analytics_customers f ON f.merchant_id = c.merchant_id AND f.customer_id = c.id
WHERE c.merchant_id = %s AND c.id = ANY(%s) AND c.deleted_at IS NULL AND CASE
    WHEN f.id IS NULL THEN c.total_spent > 0
    ELSE f.visit_count <> c.visit_count OR f.total_spent_cents <> c.total_spent * 100
END
"""


def stale_customers(*, merchant_id: uuid.UUID, customer_ids: Collection[uuid.UUID]) -> list[uuid.UUID]:
    """Those of these visible customers who have bought or returned since their figures were worked out."""
    with connection.cursor() as cursor:
        cursor.execute(_STALE, [merchant_id, list(customer_ids)])
        return [id_ for (id_,) in cursor.fetchall()]


def day_of(merchant: Merchant, *, at: datetime) -> date:
    """The merchant's calendar day at an instant."""
    return at.astimezone(merchant.tz).date()


def merchants_due(*, at: datetime) -> list[uuid.UUID]:
    """Merchants on whose day nobody has asked for a full recalculation yet: one that was stopped stays so until the next."""
    done = dict(CutPoints.objects.values_list("merchant_id", "for_day"))
    due = []
    for merchant in Merchant.objects.filter(is_active=True).order_by("pk"):
        today = day_of(merchant, at=at)
        if done.get(merchant.pk) == today:
            continue
        midnight = datetime.combine(today, time.min, merchant.tz)
        tried = Job.objects.for_merchant(merchant).filter(
            kind=RECALCULATE, parameters__mode=Mode.FULL.value, created_at__gte=midnight
        )
        if not tried.exists():
            due.append(merchant.pk)
    return due


def start_due_recalculations(*, at: datetime) -> int:
    """Ask for those of the merchants whose night it is. Returns how many."""
    started = 0
    for merchant_id in merchants_due(at=at):
        try:
            start_recalculation(merchant_id=merchant_id)
        except Conflict:
            # Some are under way, or too many wait: the next round asks again.
            continue
        started += 1
    return started
