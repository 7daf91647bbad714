"""Writing campaigns, and starting and stopping them. Each function owns its transaction."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.timezone import now

from cloudpos.api.errors import BadRequest, Conflict, FieldError, NotFound
from cloudpos.api.etags import require_version
from cloudpos.api.transactions import use_case
from cloudpos.celery import enqueue
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Merchant
from marketing.campaigns.checks import check_campaign, check_ready
from marketing.campaigns.runs import next_run_at, start_run
from marketing.models import Campaign, CampaignMessage, CampaignRun
from marketing.models_campaigns import CAMPAIGNS_PER_MERCHANT_MAX

RUN_TASK = "marketing.tasks.run_campaigns"
# What may be changed of a campaign that people have had messages of: not who is in which group, nor what was measured.
CHANGED_LATER = {"name", "variants", "ends_at", "send_within_hours"}
State = Campaign.State
MessageState = CampaignMessage.State


class CampaignNotFound(NotFound):
    code = "campaign_not_found"
    message = "There is no such campaign"


class TooManyCampaigns(Conflict):
    code = "too_many_campaigns"
    message = f"A merchant has at most {CAMPAIGNS_PER_MERCHANT_MAX} campaigns. Delete drafts first."


class CampaignHasBegun(Conflict):
    code = "campaign_has_begun"
    message = "People have had messages of this campaign: only its name, texts and end can be changed, while it is paused."


class WrongCampaignState(Conflict):
    code = "wrong_campaign_state"


def find_campaign(*, merchant_id: uuid.UUID, campaign_id: uuid.UUID) -> Campaign:
    """Raises CampaignNotFound."""
    campaign: Campaign | None = (
        Campaign.objects.for_merchant(merchant_id).select_related("merchant").filter(pk=campaign_id).first()
    )
    if campaign is None:
        raise CampaignNotFound()
    return campaign


@use_case
def create_campaign(*, access: Access, **fields: Any) -> Campaign:
    """A draft. Raises TooManyCampaigns, and what check_campaign raises."""
    merchant = Merchant.objects.select_for_update(no_key=True).get(pk=access.merchant_id)
    if Campaign.objects.for_merchant(merchant).count() >= CAMPAIGNS_PER_MERCHANT_MAX:
        raise TooManyCampaigns()
    campaign = Campaign(merchant=merchant, actor_id=access.user_id, **fields)
    check_campaign(campaign)
    campaign.save(force_insert=True)
    return campaign


@use_case
def copy_campaign(*, access: Access, campaign_id: uuid.UUID, name: str) -> Campaign:
    """A draft of the same content. Its groups are drawn anew. Raises CampaignNotFound, TooManyCampaigns."""
    original = find_campaign(merchant_id=access.merchant_id, campaign_id=campaign_id)
    merchant = Merchant.objects.select_for_update(no_key=True).get(pk=access.merchant_id)
    if Campaign.objects.for_merchant(merchant).count() >= CAMPAIGNS_PER_MERCHANT_MAX:
        raise TooManyCampaigns()
    kept = [
        "kind", "channel", "consent_channel", "purpose", "include_segments", "exclude_segments", "variants",
        "control_percent", "recurrence", "trigger", "incentive_points", "incentive_reward_id", "incentive_days",
        "conversion_days", "send_within_hours",
    ]  # fmt: skip
    copy: Campaign = Campaign.objects.create(
        merchant=merchant,
        name=name,
        actor_id=access.user_id,
        **{field: getattr(original, field) for field in kept},
    )
    return copy


@use_case
def update_campaign(
    *,
    access: Access,
    campaign_id: uuid.UUID,
    changes: Mapping[str, Any],
    expected_version: int | None = None,
) -> Campaign:
    """Raises CampaignNotFound, PreconditionFailed, CampaignHasBegun, WrongCampaignState, and what check_campaign raises."""
    campaign = _lock(access.merchant_id, campaign_id)
    require_version(expected_version, campaign.version)
    changed = {name: value for name, value in changes.items() if getattr(campaign, name) != value}
    if not changed:
        return campaign
    _may_change(campaign, changed)
    shape = [(variant["key"], variant["weight"]) for variant in campaign.variants]
    for name, value in changed.items():
        setattr(campaign, name, value)
    check_campaign(campaign)
    if campaign.started_at and shape != [(each["key"], each["weight"]) for each in campaign.variants]:
        raise CampaignHasBegun()
    if campaign.state == State.SCHEDULED:
        check_ready(campaign, at=now())
        campaign.next_run_at = _first_run_at(campaign, now())
    campaign.version += 1
    campaign.updated_at = now()
    campaign.actor_id = access.user_id
    followed = {"recurrence", "trigger", "consent_channel", "variants", "next_run_at"}
    campaign.save(update_fields=[*(changed.keys() | followed), "version", "updated_at", "actor_id"])
    return campaign


def _may_change(campaign: Campaign, changed: Mapping[str, Any]) -> None:
    if campaign.is_over and changed.keys() != {"name"}:
        raise WrongCampaignState("This campaign is over. Make a copy of it.")
    if campaign.started_at is None or changed.keys() == {"name"}:
        return
    if changed.keys() - CHANGED_LATER or campaign.state not in (State.PAUSED, State.SCHEDULED):
        raise CampaignHasBegun()


@use_case
def delete_campaign(*, merchant_id: uuid.UUID, campaign_id: uuid.UUID) -> None:
    """A draft. What went out is kept. Raises CampaignNotFound, WrongCampaignState."""
    campaign = _lock(merchant_id, campaign_id)
    if campaign.started_at is not None or campaign.state not in (State.DRAFT, State.CANCELLED):
        raise WrongCampaignState("Only a draft can be deleted: what went out is kept for its results.")
    campaign.delete()


@use_case
def schedule_campaign(*, access: Access, campaign_id: uuid.UUID) -> Campaign:
    """From draft to scheduled, or straight to sending when it is due. Raises CampaignNotFound, WrongCampaignState,
    CampaignNotReady, NoProvider.
    """
    campaign = _lock(access.merchant_id, campaign_id)
    if campaign.state != State.DRAFT:
        raise WrongCampaignState(f"This campaign is no draft: it is {campaign.get_state_display().lower()}.")
    at = now()
    check_campaign(campaign)
    check_ready(campaign, at=at)
    first = _first_run_at(campaign, at)
    if first is None:
        message = "It would never go out: its end is before its first time."
        raise BadRequest(errors=[FieldError("recurrence", message, "invalid_period")])
    if first <= at:
        start_run(campaign, due_at=first, at=at)
    else:
        campaign.state = State.SCHEDULED
        campaign.next_run_at = first
        campaign.save(update_fields=["state", "next_run_at"])
    _ring()
    return campaign


def _first_run_at(campaign: Campaign, at: datetime) -> datetime | None:
    if campaign.kind == Campaign.Kind.RECURRING:
        return next_run_at(campaign, after=max(at, campaign.send_at or at))
    return campaign.send_at or at


@use_case
def pause_campaign(*, access: Access, campaign_id: uuid.UUID) -> Campaign:
    """Nothing is begun once this returns. Raises CampaignNotFound, WrongCampaignState."""
    campaign = _lock(access.merchant_id, campaign_id)
    if campaign.state not in (State.SCHEDULED, State.SENDING):
        raise WrongCampaignState("Only what is scheduled or being sent can be paused.")
    campaign.state = State.PAUSED
    campaign.save(update_fields=["state"])
    return campaign


@use_case
def resume_campaign(*, access: Access, campaign_id: uuid.UUID) -> Campaign:
    """Where it was. Raises CampaignNotFound, WrongCampaignState, CampaignNotReady, NoProvider."""
    campaign = _lock(access.merchant_id, campaign_id)
    if campaign.state != State.PAUSED:
        raise WrongCampaignState("This campaign is not paused.")
    at = now()
    check_ready(campaign, at=at)
    is_under_way = _open_runs(campaign).exists()
    campaign.state = State.SENDING if is_under_way else State.SCHEDULED
    if not is_under_way and campaign.kind == Campaign.Kind.RECURRING:
        # The dates that passed meanwhile are not made up for.
        campaign.next_run_at = next_run_at(campaign, after=at)
        if campaign.next_run_at is None:
            raise WrongCampaignState("Its last date has passed. Cancel it, or make a copy.")
    campaign.save(update_fields=["state", "next_run_at"])
    _ring()
    return campaign


@use_case
def cancel_campaign(*, access: Access, campaign_id: uuid.UUID) -> Campaign:
    """For good: what waits is not sent any more. Raises CampaignNotFound, WrongCampaignState."""
    campaign = _lock(access.merchant_id, campaign_id)
    if campaign.state not in (State.SCHEDULED, State.SENDING, State.PAUSED):
        raise WrongCampaignState("Only what is scheduled, being sent or paused can be cancelled.")
    at = now()
    _open_runs(campaign).update(state=CampaignRun.State.CANCELLED, finished_at=at)
    # What is being sent right now gets its own end from its worker.
    waiting = CampaignMessage.objects.for_merchant(campaign.merchant_id).filter(
        campaign=campaign, state__in=[MessageState.PENDING, MessageState.CLAIMED]
    )
    waiting.update(state=MessageState.CANCELLED, next_attempt_at=None, leased_until=None, claim=None)
    campaign.state, campaign.next_run_at, campaign.finished_at = State.CANCELLED, None, at
    campaign.save(update_fields=["state", "next_run_at", "finished_at"])
    return campaign


@use_case
def resend_unknown(*, access: Access, campaign_id: uuid.UUID) -> int:
    """Send again what nobody knows of: some get it twice. Returns how many. Raises CampaignNotFound, WrongCampaignState."""
    campaign = _lock(access.merchant_id, campaign_id)
    if campaign.state == State.CANCELLED:
        raise WrongCampaignState("This campaign was cancelled.")
    unknown = CampaignMessage.objects.for_merchant(campaign.merchant_id).filter(
        campaign=campaign, state=MessageState.UNKNOWN
    )
    runs = set(unknown.values_list("run_id", flat=True).distinct())
    at = now()
    sent = unknown.update(state=MessageState.PENDING, reason="", error="", claim=None, next_attempt_at=at)
    if sent:
        CampaignRun.objects.for_merchant(campaign.merchant_id).filter(
            pk__in=runs, state=CampaignRun.State.DONE
        ).update(state=CampaignRun.State.SENDING, finished_at=None)
        if campaign.state in (State.SENT, State.SCHEDULED):
            campaign.state, campaign.finished_at, campaign.next_run_at = State.SENDING, None, None
            campaign.save(update_fields=["state", "finished_at", "next_run_at"])
        _ring()
    return sent


def _lock(merchant_id: uuid.UUID, campaign_id: uuid.UUID) -> Campaign:
    campaign: Campaign | None = (
        Campaign.objects.for_merchant(merchant_id)
        .select_for_update(no_key=True, of=("self",))
        .select_related("merchant")
        .filter(pk=campaign_id)
        .first()
    )
    if campaign is None:
        raise CampaignNotFound()
    return campaign


def _open_runs(campaign: Campaign) -> Any:
    return CampaignRun.objects.for_merchant(campaign.merchant_id).filter(
        campaign=campaign, state__in=[CampaignRun.State.PREPARING, CampaignRun.State.SENDING]
    )


def _ring() -> None:
    transaction.on_commit(lambda: enqueue(RUN_TASK), robust=True)
