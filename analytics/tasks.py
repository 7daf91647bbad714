"""Figures and segments in the background.

What works them out imports numpy. Serving processes read this module too, and never get as far as these imports.
"""

import uuid
from typing import Any

from celery import shared_task
from django.utils.timezone import now

from analytics import recalculations
from analytics.rollups import changes
from analytics.rollups import refresh as rollups
from analytics.segment_moves import count_months
from cloudpos.celery import enqueue
from cloudpos.jobs.kinds import job_kind
from cloudpos.jobs.running import Work
from cloudpos.tenancy.models import Merchant

REFRESH_ROLLUPS_TASK = "analytics.tasks.refresh_merchant_rollups"
# Of one merchant's sums at a time, then others have their turn: sales wait for the same workers.
ROLLUP_SECONDS_MAX = 20.0


@shared_task(name="analytics.tasks.refresh_customers_of")
def refresh_customers_of(merchant_id: str, event_ids: list[str]) -> int:
    """After purchases, returns, merges and erasures: the figures and segments of the customers of these events."""
    from analytics.recalculating.job import refresh_customers

    merchant = uuid.UUID(merchant_id)
    customer_ids = recalculations.customers_of(merchant_id=merchant, event_ids=event_ids)
    return refresh_customers(merchant_id=merchant, customer_ids=customer_ids, at=now())


@shared_task(name="analytics.tasks.start_due_recalculations")
def start_due_recalculations() -> int:
    """Start the recalculations of the merchants whose day has begun. Returns how many."""
    return recalculations.start_due_recalculations(at=now())


@job_kind(recalculations.RECALCULATE, title="Recalculation of customers' figures")
def recalculate(work: Work) -> Any:
    from analytics.recalculating.job import recalculate

    return recalculate(work)


@job_kind(recalculations.SETTLE, title="Segments by new thresholds")
def settle_segments(work: Work) -> Any:
    from analytics.recalculating.job import settle_segments

    return settle_segments(work)


@shared_task(name="analytics.tasks.note_changes_of")
def note_changes_of(merchant_id: str, event_ids: list[str]) -> int:
    """Write down which days' sums these events change, where the relay could not."""
    return changes.note_changes_of(
        merchant_id=uuid.UUID(merchant_id), event_ids=[uuid.UUID(event_id) for event_id in event_ids]
    )


@shared_task(name=REFRESH_ROLLUPS_TASK)
def refresh_merchant_rollups(merchant_id: str) -> int:
    """Sum up one merchant's purchases of the days that have changed, and count the moves of months that are over.

    Returns how many days.
    """
    merchant = Merchant.objects.get(pk=uuid.UUID(merchant_id))
    count_months(merchant_id=merchant.pk, zone=merchant.tz, at=now())
    return rollups.refresh(merchant_id=merchant.pk, seconds_max=ROLLUP_SECONDS_MAX)


@shared_task(name="analytics.tasks.refresh_rollups")
def refresh_rollups() -> int:
    """Have the changed days of all merchants summed up. Returns how many merchants have some."""
    behind = rollups.merchants_behind()
    for merchant_id in behind:
        if not enqueue(REFRESH_ROLLUPS_TASK, str(merchant_id)):
            refresh_merchant_rollups(str(merchant_id))
    return len(behind)
