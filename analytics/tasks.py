"""Segments in the background."""

import uuid

from celery import shared_task
from django.utils.timezone import now

from analytics import refresh
from analytics.rollups import changes
from analytics.rollups import refresh as rollups
from cloudpos.celery import enqueue

REFRESH_MERCHANT_TASK = "analytics.tasks.refresh_merchant_segments"
REFRESH_ROLLUPS_TASK = "analytics.tasks.refresh_merchant_rollups"
# Of one merchant's sums at a time, then others have their turn: sales wait for the same workers.
ROLLUP_SECONDS_MAX = 20.0


@shared_task(name="analytics.tasks.refresh_segments_of")
def refresh_segments_of(merchant_id: str, event_ids: list[str]) -> int:
    """After purchases, returns and merges: the segments of the customers of these events."""
    return refresh.refresh_after_events(
        merchant_id=uuid.UUID(merchant_id),
        event_ids=[uuid.UUID(event_id) for event_id in event_ids],
        at=now(),
    )


@shared_task(name=REFRESH_MERCHANT_TASK)
def refresh_merchant_segments(merchant_id: str) -> int:
    """One merchant's daily pass."""
    return refresh.refresh_merchant(merchant_id=uuid.UUID(merchant_id), at=now())


@shared_task(name="analytics.tasks.refresh_segments")
def refresh_segments() -> int:
    """Start the passes of the merchants whose day has begun. Returns how many."""
    due = refresh.merchants_due(at=now())
    for merchant_id in due:
        if not enqueue(REFRESH_MERCHANT_TASK, str(merchant_id)):
            # No broker: this process is all there is.
            refresh_merchant_segments(str(merchant_id))
    return len(due)


@shared_task(name="analytics.tasks.note_changes_of")
def note_changes_of(merchant_id: str, event_ids: list[str]) -> int:
    """Write down which days' sums these events change, where the relay could not."""
    return changes.note_changes_of(
        merchant_id=uuid.UUID(merchant_id), event_ids=[uuid.UUID(event_id) for event_id in event_ids]
    )


@shared_task(name=REFRESH_ROLLUPS_TASK)
def refresh_merchant_rollups(merchant_id: str) -> int:
    """Sum up one merchant's purchases of the days that have changed. Returns how many days."""
    return rollups.refresh(merchant_id=uuid.UUID(merchant_id), seconds_max=ROLLUP_SECONDS_MAX)


@shared_task(name="analytics.tasks.refresh_rollups")
def refresh_rollups() -> int:
    """Have the changed days of all merchants summed up. Returns how many merchants have some."""
    behind = rollups.merchants_behind()
    for merchant_id in behind:
        if not enqueue(REFRESH_ROLLUPS_TASK, str(merchant_id)):
            refresh_merchant_rollups(str(merchant_id))
    return len(behind)
