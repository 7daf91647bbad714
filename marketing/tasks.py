"""Doorbells of the webhooks' and campaigns' rows, and the upkeep of segments in the background."""

import uuid
from typing import Any

from celery import shared_task
from django.db import transaction
from django.utils.timezone import now

from cloudpos.jobs.kinds import job_kind
from cloudpos.jobs.running import Work
from customers.events import EventRef
from customers.models import Event
from marketing import segment_upkeep
from marketing.campaigns import sending, triggers
from marketing.consents import requests
from marketing.segment_services import REBUILD
from marketing.webhooks import deliveries, dispatch, forgetting, outcomes, replays, telling


@shared_task(name="marketing.tasks.send_due_deliveries")
def send_due_deliveries() -> int:
    """Send every delivery that is due."""
    return dispatch.send_due()


@shared_task(name="marketing.tasks.queue_deliveries_of")
def queue_deliveries_of(merchant_id: str, event_ids: list[str]) -> int:
    """Queue the deliveries of events for which the relay could not."""
    rows = Event.objects.for_merchant(uuid.UUID(merchant_id)).filter(pk__in=event_ids)
    with transaction.atomic():
        return deliveries.queue_deliveries(
            [EventRef(*row) for row in rows.values_list("merchant_id", "id", "type")]
        )


@shared_task(name=outcomes.TELL_TASK)
def tell_owners_of_disabled_webhooks() -> int:
    """Write to the owners of webhooks that we switched off."""
    return telling.tell_owners()


@shared_task(name="marketing.tasks.tidy_deliveries")
def tidy_deliveries() -> int:
    """End what waits for webhooks that are off, and delete the log after its time."""
    return forgetting.end_waiting_for_disabled() + forgetting.forget_old_deliveries(at=now())


@job_kind(replays.REPLAY, title="Replay of a webhook")
def replay_webhook(work: Work) -> Any:
    return replays.replay(work)


@shared_task(name=requests.SEND_TASK)
def send_consent_requests() -> int:
    """Send the mails that ask customers to confirm a consent."""
    return requests.send_due(at=now())


@shared_task(name="marketing.tasks.run_campaigns")
def run_campaigns() -> int:
    """One round: begin what is due, find recipients, send for some seconds."""
    return sending.work(threads=sending.THREADS)


@shared_task(name="marketing.tasks.trigger_campaigns_of")
def trigger_campaigns_of(merchant_id: str, event_ids: list[str]) -> int:
    """Write the messages that these events set off."""
    return triggers.trigger_campaigns(merchant_id=uuid.UUID(merchant_id), event_ids=event_ids, at=now())


@shared_task(name="marketing.tasks.refresh_segments_of")
def refresh_segments_of(merchant_id: str, event_ids: list[str]) -> int:
    """Put the customers of these events into the segments where they belong now."""
    return segment_upkeep.refresh_after(merchant_id=uuid.UUID(merchant_id), event_ids=event_ids, at=now())


@shared_task(name="marketing.tasks.rebuild_segments_after")
def rebuild_segments_after(merchant_id: str, event_ids: list[str]) -> None:
    """Build all rules anew after imports."""
    segment_upkeep.rebuild_after(merchant_id=uuid.UUID(merchant_id), event_ids=event_ids)


@shared_task(name="marketing.tasks.start_due_segment_rebuilds")
def start_due_segment_rebuilds() -> int:
    """Ask for builds of rules that were changed, or whose day is over. Returns for how many merchants."""
    return segment_upkeep.start_due_rebuilds(at=now())


@job_kind(REBUILD, title="Build of segments")
def rebuild_segments(work: Work) -> Any:
    return segment_upkeep.rebuild(work)
