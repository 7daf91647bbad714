"""When a campaign goes out: what is due is begun, what is done is ended. Each step owns its transaction and is harmless twice."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from customers.events import emit, event
from marketing.campaigns.recurrence import read_recurrence
from marketing.models import Campaign, CampaignMessage, CampaignRun

STARTED, FINISHED = "campaign.started", "campaign.finished"


def start_due(*, at: datetime) -> int:
    """Begin a run of each scheduled campaign whose time has come. Returns how many."""
    started = 0
    while _start_next(at):
        started += 1
    return started


@transaction.atomic
def _start_next(at: datetime) -> bool:
    campaign = (
        Campaign.objects.filter(state=Campaign.State.SCHEDULED, next_run_at__lte=at)
        .select_for_update(skip_locked=True, no_key=True, of=("self",))
        .select_related("merchant")
        .order_by("next_run_at")
        .first()
    )
    if campaign is None:
        return False
    start_run(campaign, due_at=campaign.next_run_at or at, at=at)
    return True


def start_run(campaign: Campaign, *, due_at: datetime, at: datetime) -> CampaignRun:
    """Of a locked campaign, inside the caller's transaction. What was missed while nobody worked is sent once, not caught up."""
    number = CampaignRun.objects.for_merchant(campaign.merchant_id).filter(campaign=campaign).count() + 1
    is_listening = campaign.kind == Campaign.Kind.TRIGGERED
    run: CampaignRun = CampaignRun.objects.create(
        merchant_id=campaign.merchant_id,
        campaign=campaign,
        number=number,
        state=CampaignRun.State.SENDING if is_listening else CampaignRun.State.PREPARING,
        # Late is counted from when it began, not from when it should have.
        due_at=max(due_at, at),
        prepared_at=at if is_listening else None,
    )
    campaign.state = Campaign.State.SENDING
    campaign.started_at = campaign.started_at or at
    campaign.next_run_at = None
    campaign.save(update_fields=["state", "started_at", "next_run_at"])
    _tell(STARTED, run)
    return run


def end_finished(*, at: datetime) -> int:
    """End runs that have sent everything, and with its last run the campaign. Returns how many runs."""
    ended = 0
    runs = CampaignRun.objects.filter(
        state=CampaignRun.State.SENDING, campaign__state=Campaign.State.SENDING
    ).select_related("campaign")
    for run in list(runs):
        if run.campaign.kind == Campaign.Kind.TRIGGERED and not _has_ended(run.campaign, at):
            continue
        if not _is_open(run):
            ended += _end(run, at)
    return ended


@transaction.atomic
def _end(run: CampaignRun, at: datetime) -> bool:
    campaign = (
        Campaign.objects.for_merchant(run.merchant_id)
        .select_for_update(no_key=True, of=("self",))
        .select_related("merchant")
        .get(pk=run.campaign_id)
    )
    mine = CampaignRun.objects.for_merchant(run.merchant_id).filter(
        pk=run.pk, state=CampaignRun.State.SENDING
    )
    # Who made it wait again meanwhile did so under the campaign's lock.
    if campaign.state != Campaign.State.SENDING or _is_open(run):
        return False
    if not mine.update(state=CampaignRun.State.DONE, finished_at=at):
        return False
    _tell(FINISHED, run)
    campaign.next_run_at = next_run_at(campaign, after=max(run.due_at, at))
    campaign.state = Campaign.State.SCHEDULED if campaign.next_run_at else Campaign.State.SENT
    campaign.finished_at = None if campaign.next_run_at else at
    campaign.save(update_fields=["state", "next_run_at", "finished_at"])
    return True


def next_run_at(campaign: Campaign, *, after: datetime) -> datetime | None:
    """When a recurring campaign goes out next after an instant; None when it does not any more."""
    if campaign.kind != Campaign.Kind.RECURRING or not campaign.recurrence:
        return None
    zone = campaign.merchant.tz
    first = (campaign.send_at or campaign.created_at).astimezone(zone).date()
    found = read_recurrence(campaign.recurrence).next_after(after, first=first, zone=zone)
    if found is None or (campaign.ends_at is not None and found >= campaign.ends_at):
        return None
    return found


def _has_ended(campaign: Campaign, at: datetime) -> bool:
    return campaign.ends_at is not None and campaign.ends_at <= at


def _is_open(run: CampaignRun) -> bool:
    """Two questions: each has an index of just these."""
    messages = CampaignMessage.objects.for_merchant(run.merchant_id).filter(run=run)
    in_hand = messages.filter(state__in=[CampaignMessage.State.CLAIMED, CampaignMessage.State.SENDING])
    return messages.filter(state=CampaignMessage.State.PENDING).exists() or in_hand.exists()


def _tell(type: str, run: CampaignRun) -> None:
    data = {"campaignId": str(run.campaign_id), "runId": str(run.pk), "number": run.number}
    emit(event(merchant_id=run.merchant_id, type=type, data=data))
