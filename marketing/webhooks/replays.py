"""Sending again what an endpoint missed since a time: a job, since it may be a month of events."""

import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.utils.timezone import now

from cloudpos.api.errors import BadRequest
from cloudpos.api.transactions import use_case
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import Work
from cloudpos.jobs.services import start_job
from customers.models import Event
from marketing.models import Webhook, WebhookDelivery
from marketing.webhooks.deliveries import TEST_EVENT, payload
from marketing.webhooks.event_types import wants
from marketing.webhooks.services import WebhookDisabled, lock_webhook, ring

REPLAY = "webhooks.replay"
REPLAY_DAYS_MAX = 30
EVENTS_PER_CHUNK = 500

State = WebhookDelivery.State


class Only(StrEnum):
    UNDELIVERED = "undelivered"
    """What failed, and what was never tried because the endpoint was off or did not exist."""
    ALL = "all"
    """What was delivered as well."""


class ReplayTooFarBack(BadRequest):
    code = "replay_too_far_back"
    message = f"A replay reaches back {REPLAY_DAYS_MAX} days at most."


class ReplayFromTheFuture(BadRequest):
    code = "replay_from_the_future"
    message = "This time has not come yet."


@use_case
def start_replay(
    *,
    merchant_id: uuid.UUID,
    webhook_id: uuid.UUID,
    since: datetime,
    only: Only = Only.UNDELIVERED,
    actor_id: uuid.UUID | None = None,
) -> Job:
    """Send again what was recorded since `since` and is listened to. One replay of an endpoint at a time.

    Raises WebhookNotFound, WebhookDisabled, ReplayTooFarBack, ReplayFromTheFuture, JobIsActive and TooManyJobs.
    """
    at = now()
    if since > at:
        raise ReplayFromTheFuture(field="since")
    if since < at - timedelta(days=REPLAY_DAYS_MAX):
        raise ReplayTooFarBack(field="since")
    if not lock_webhook(merchant_id, webhook_id).is_enabled:
        raise WebhookDisabled()
    return start_job(
        merchant_id=merchant_id,
        kind=REPLAY,
        key=str(webhook_id),
        # Events from here on are sent anyway.
        parameters={
            "webhookId": str(webhook_id),
            "since": since.isoformat(),
            "until": at.isoformat(),
            "only": only.value,
        },
        actor_id=actor_id,
    )


def replay(work: Work) -> dict[str, Any]:
    """The job. Queues deliveries in chunks; sending them is the sender's work, a few at a time."""
    webhook_id = uuid.UUID(work.parameters["webhookId"])
    only = Only(work.parameters["only"])
    first, last = (first_key_at(datetime.fromisoformat(work.parameters[name])) for name in ("since", "until"))
    while True:
        with transaction.atomic():
            webhook = lock_webhook(work.merchant_id, webhook_id)
            if not webhook.is_enabled:
                raise WebhookDisabled()
            after = uuid.UUID(work.cursor) if work.cursor else first
            events = list(
                Event.objects.for_merchant(work.merchant_id)
                .filter(pk__gt=after, pk__lt=last)
                .order_by("pk")[:EVENTS_PER_CHUNK]
            )
            if not events:
                return {"queued": work.counts.get("queued", 0)}
            queued = _queue(webhook, events, only)
            transaction.on_commit(ring, robust=True)
            work.checkpoint(str(events[-1].pk), done=len(events), queued=queued)


def _queue(webhook: Webhook, events: list[Event], only: Only) -> int:
    wanted = [
        event for event in events if event.type != TEST_EVENT and wants(webhook.event_types, event.type)
    ]
    mine = WebhookDelivery.objects.for_merchant(webhook.merchant_id).filter(
        webhook=webhook, event_id__in=[event.pk for event in wanted]
    )
    known = set(mine.values_list("event_id", flat=True))
    # The original bytes, except where erasing a customer has emptied them.
    again = [State.FAILED, State.DELIVERED] if only is Only.ALL else [State.FAILED]
    restarted = (
        mine.filter(state__in=again)
        .exclude(body=b"")
        .update(state=State.PENDING, step=0, next_attempt_at=now())
    )
    missed = [event for event in wanted if event.pk not in known]
    WebhookDelivery.objects.bulk_create(
        [
            WebhookDelivery(
                merchant_id=webhook.merchant_id, webhook=webhook, event=event, body=payload(event)
            )
            for event in missed
        ],
        ignore_conflicts=True,
    )
    return restarted + len(missed)


def first_key_at(at: datetime) -> uuid.UUID:
    """Below every key that is made from this millisecond on: keys are UUIDs of version 7, in the order of their time."""
    return uuid.UUID(int=int(at.timestamp() * 1000) << 80)
