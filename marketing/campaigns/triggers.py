"""Campaigns that something sets off: an event of a customer's, or that they come into a segment."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from cloudpos.api.errors import BadRequest, FieldError
from customers.event_types import EVENT_TYPE
from customers.events import EventRef
from customers.models import Event
from marketing.campaigns.audience import may_be_written_to, write_messages
from marketing.models import Campaign, CampaignRun

SEGMENT_ENTERED = "segment.entered"
DELAY_MINUTES_MAX = 90 * 24 * 60
AGAIN_AFTER_DAYS_MAX = 3_650
EVENT_TYPE_CHARS_MAX = 60
# What a till reports days later sets nothing off any more.
EVENT_AGE_MAX = timedelta(days=1)


class InvalidTrigger(BadRequest):
    code = "invalid_trigger"


@dataclass(frozen=True, slots=True)
class Trigger:
    """`event` is the type of what sets it off; of `segment`, coming into it. `again_after` None: each customer once, ever."""

    event: str
    segment: uuid.UUID | None
    delay: timedelta
    again_after: timedelta | None


def read_trigger(said: Any, *, field: str = "trigger") -> Trigger:
    """From {"event": type} or {"segment": id}, with "delayMinutes" and "againAfterDays". Raises InvalidTrigger."""
    if not isinstance(said, dict):
        raise InvalidTrigger(errors=[FieldError(field, "An object is expected.", "invalid")])
    problems: list[FieldError] = []

    def wrong(name: str, message: str) -> None:
        problems.append(FieldError(f"{field}.{name}", message, "invalid"))

    for name in sorted(said.keys() - {"event", "segment", "delayMinutes", "againAfterDays"}):
        wrong(name, "This is unknown here.")
    if ("event" in said) == ("segment" in said):
        problems.append(FieldError(field, "Either an event or a segment is expected.", "invalid"))
    type_, segment = said.get("event", SEGMENT_ENTERED), None
    if not isinstance(type_, str) or len(type_) > EVENT_TYPE_CHARS_MAX or not EVENT_TYPE.fullmatch(type_):
        wrong("event", "The type of an event is expected, such as purchase.recorded.")
    if "segment" in said:
        try:
            segment = uuid.UUID(said["segment"])
        except (TypeError, ValueError, AttributeError):
            wrong("segment", "The id of a segment is expected.")
    delay = said.get("delayMinutes", 0)
    if type(delay) is not int or not 0 <= delay <= DELAY_MINUTES_MAX:
        wrong("delayMinutes", f"A whole number from 0 to {DELAY_MINUTES_MAX} is expected.")
    again = said.get("againAfterDays")
    if again is not None and (type(again) is not int or not 0 <= again <= AGAIN_AFTER_DAYS_MAX):
        wrong("againAfterDays", f"A whole number from 0 to {AGAIN_AFTER_DAYS_MAX}, or null, is expected.")
    if problems:
        raise InvalidTrigger(errors=problems)
    return Trigger(
        event=type_,
        segment=segment,
        delay=timedelta(minutes=delay),
        again_after=None if again is None else timedelta(days=again),
    )


def setting_off(events: Sequence[EventRef]) -> Collection[EventRef]:
    """Of these events, those of a type that a campaign of their merchant listens for."""
    listening = Campaign.objects.filter(
        merchant_id__in={event.merchant_id for event in events},
        state=Campaign.State.SENDING,
        kind=Campaign.Kind.TRIGGERED,
    )
    awaited = {
        (merchant_id, read_trigger(trigger).event)
        for merchant_id, trigger in listening.values_list("merchant_id", "trigger")
    }
    return [event for event in events if (event.merchant_id, event.type) in awaited]


def trigger_campaigns(*, merchant_id: uuid.UUID, event_ids: Sequence[str], at: datetime) -> int:
    """Write the messages that these events set off. Twice, and in any order, they set off the same. Returns how many are new."""
    events = list(
        Event.objects.for_merchant(merchant_id)
        .filter(pk__in=event_ids, customer__isnull=False, occurred_at__gt=at - EVENT_AGE_MAX)
        .order_by("occurred_at", "pk")
    )
    if not events:
        return 0
    listening = Campaign.objects.for_merchant(merchant_id).filter(
        state=Campaign.State.SENDING, kind=Campaign.Kind.TRIGGERED
    )
    return sum(
        _trigger(campaign_id, merchant_id, events, at)
        for campaign_id in listening.values_list("pk", flat=True)
    )


@transaction.atomic
def _trigger(campaign_id: uuid.UUID, merchant_id: uuid.UUID, events: Sequence[Event], at: datetime) -> int:
    # The lock: of two workers with events of one customer, the second sees what the first has written.
    campaign = (
        Campaign.objects.for_merchant(merchant_id)
        .filter(pk=campaign_id, state=Campaign.State.SENDING)
        .select_for_update(no_key=True, of=("self",))
        .first()
    )
    if campaign is None or (campaign.ends_at is not None and campaign.ends_at <= at):
        return 0
    trigger = read_trigger(campaign.trigger)
    matching = [event for event in events if _sets_off(trigger, campaign, event)]
    allowed = set(
        may_be_written_to(campaign, list({event.customer_id for event in matching if event.customer_id}))
    )
    run = CampaignRun.objects.for_merchant(merchant_id).filter(campaign=campaign).latest("number")
    written = 0
    for event in matching:
        if event.customer_id not in allowed:
            continue
        due_at = event.occurred_at + trigger.delay
        if _was_written_to(campaign, event, due_at, trigger.again_after):
            continue
        written += write_messages(
            campaign=campaign,
            run=run,
            recipients=[(event.customer_id, str(event.pk))],
            due_at=due_at,
        )
    if written:
        run.looked_at += written
        run.audience += written
        run.save(update_fields=["looked_at", "audience"])
    return written


def _sets_off(trigger: Trigger, campaign: Campaign, event: Event) -> bool:
    if event.type != trigger.event or campaign.started_at is None or event.occurred_at < campaign.started_at:
        return False
    return trigger.segment is None or event.data.get("segmentId") == str(trigger.segment)


def _was_written_to(campaign: Campaign, event: Event, due_at: datetime, within: timedelta | None) -> bool:
    """In either group, for another occasion that is less than `within` away, None ever: whichever arrives first counts."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM campaign_messages WHERE merchant_id = %s AND customer_id = %s AND campaign_id = %s"
            " AND occasion <> %s AND (%s::timestamptz IS NULL OR due_at > %s AND due_at < %s))",
            [
                campaign.merchant_id,
                event.customer_id,
                campaign.pk,
                str(event.pk),
                None if within is None else due_at,
                None if within is None else due_at - within,
                None if within is None else due_at + within,
            ],
        )
        (found,) = cursor.fetchone()
        return bool(found)
