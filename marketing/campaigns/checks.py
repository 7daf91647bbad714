"""What a campaign must be to be saved, and to be sent."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cloudpos.api.errors import ApiError, BadRequest, Conflict, FieldError
from customers.models import Purpose
from loyalty.models import Reward
from loyalty.services.programs import active_program
from loyalty.services.stock import REASONS, Member, find_reward, hindrances
from marketing.campaigns.designs import check_design, html_of
from marketing.campaigns.recurrence import read_recurrence
from marketing.campaigns.triggers import read_trigger
from marketing.channels import sender_for
from marketing.content import check_content, compile_content
from marketing.models import Campaign, MessagingSettings, Segment
from marketing.models_messaging import Channel

VARIANTS_MAX = 5
WEIGHT_MAX = 100
SEGMENTS_MAX = 20
KEYS = "ABCDE"


class CampaignRefused(BadRequest):
    code = "invalid_campaign"


class CampaignNotReady(Conflict):
    code = "campaign_not_ready"
    message = "This campaign cannot be sent yet."


def check_campaign(campaign: Campaign) -> None:
    """Fills in what follows from the rest. Raises CampaignRefused, InvalidRecurrence, InvalidTrigger, ContentRefused."""
    _follow_kind(campaign)
    _follow_channel(campaign)
    problems = [
        *_wrong_segments(campaign.merchant_id, "includeSegments", campaign.include_segments),
        *_wrong_segments(campaign.merchant_id, "excludeSegments", campaign.exclude_segments),
        *_wrong_times(campaign),
        *_wrong_incentive(campaign),
    ]
    if campaign.trigger is not None:
        trigger = read_trigger(campaign.trigger)
        named = [trigger.segment] if trigger.segment is not None else []
        problems += _wrong_segments(campaign.merchant_id, "trigger.segment", named)
    if campaign.recurrence is not None:
        read_recurrence(campaign.recurrence)
    if problems:
        raise CampaignRefused(errors=problems)
    campaign.variants = read_variants(campaign.channel, campaign.variants)


def _follow_kind(campaign: Campaign) -> None:
    """What another kind has says nothing here; what this kind needs is there."""
    if campaign.kind != Campaign.Kind.RECURRING:
        campaign.recurrence = None
    if campaign.kind != Campaign.Kind.TRIGGERED:
        campaign.trigger = None
    problems = []
    if campaign.kind == Campaign.Kind.RECURRING and campaign.recurrence is None:
        problems.append(FieldError("recurrence", "Say how often it goes out.", "required"))
    if campaign.kind == Campaign.Kind.TRIGGERED and campaign.trigger is None:
        problems.append(FieldError("trigger", "Say what sets it off.", "required"))
    if problems:
        raise CampaignRefused(errors=problems)


def _follow_channel(campaign: Campaign) -> None:
    if campaign.channel != Channel.WEBHOOK:
        campaign.consent_channel = campaign.channel
    elif not campaign.consent_channel:
        message = "Say by what the other system will reach the customers: their consent to that counts."
        raise CampaignRefused(errors=[FieldError("consentChannel", message, "required")])
    if campaign.purpose == Purpose.ANALYTICS:
        message = "A message is marketing or transactional."
        raise CampaignRefused(errors=[FieldError("purpose", message, "invalid_choice")])


def read_variants(channel: str, said: Any) -> list[dict[str, Any]]:
    """Raises CampaignRefused, and ContentRefused with where in which variant."""
    if not isinstance(said, list) or not 1 <= len(said) <= VARIANTS_MAX:
        message = f"1 to {VARIANTS_MAX} variants are expected."
        raise CampaignRefused(errors=[FieldError("variants", message, "invalid")])
    found: list[dict[str, Any]] = []
    problems: list[FieldError] = []
    for index, variant in enumerate(said):
        where = f"variants.{index}"
        if not isinstance(variant, dict) or variant.keys() - {"key", "weight", "content", "design"}:
            message = 'An object of "weight" and "content" is expected.'
            problems.append(FieldError(where, message, "invalid"))
            continue
        weight = variant.get("weight", 1)
        if type(weight) is not int or not 1 <= weight <= WEIGHT_MAX:
            message = f"A whole number from 1 to {WEIGHT_MAX} is expected."
            problems.append(FieldError(f"{where}.weight", message, "invalid"))
            continue
        key = variant.get("key", KEYS[index])
        if key != KEYS[index]:
            message = f"Variants are named in their order: this one is {KEYS[index]}."
            problems.append(FieldError(f"{where}.key", message, "invalid"))
            continue
        written, design = variant.get("content"), None
        if variant.get("design") is not None:
            if channel != Channel.EMAIL:
                problems.append(FieldError(f"{where}.design", "Only an e-mail has a design.", "invalid"))
                continue
            before = len(problems)
            design = check_design(variant["design"], f"{where}.design", problems)
            if len(problems) > before:
                continue
            if isinstance(written, dict):
                written = {**written, "html": html_of(design)}
        try:
            content = check_content(channel, written, field=f"{where}.content")
        except ApiError as refused:
            problems += refused.errors
            continue
        found.append(
            {"key": key, "weight": weight, "content": content} | ({"design": design} if design else {})
        )
    if problems:
        raise CampaignRefused(errors=problems)
    return found


def _wrong_segments(merchant_id: uuid.UUID, field: str, ids: Sequence[uuid.UUID]) -> list[FieldError]:
    if len(ids) > SEGMENTS_MAX:
        return [FieldError(field, f"At most {SEGMENTS_MAX} segments are expected.", "max_length")]
    if not ids:
        return []
    known = set(Segment.objects.for_merchant(merchant_id).filter(pk__in=ids).values_list("pk", flat=True))
    if set(ids) <= known:
        return []
    return [FieldError(field, "There is no such segment.", "unknown_segment")]


def _wrong_times(campaign: Campaign) -> list[FieldError]:
    if campaign.ends_at is not None and campaign.send_at is not None and campaign.ends_at <= campaign.send_at:
        return [FieldError("endsAt", "It would end before it begins.", "invalid_period")]
    return []


def _wrong_incentive(campaign: Campaign) -> list[FieldError]:
    if campaign.incentive_reward_id is None:
        return []
    if campaign.incentive_points:
        return [FieldError("incentiveRewardId", "Give points or a reward, not both.", "conflict")]
    known = Reward.objects.for_merchant(campaign.merchant_id).filter(pk=campaign.incentive_reward_id)
    if known.exists():
        return []
    return [FieldError("incentiveRewardId", "There is no such reward.", "unknown_reward")]


def _missing_reward(campaign: Campaign, at: datetime) -> list[FieldError]:
    """Why nobody could be given what the texts speak of."""
    if campaign.incentive_reward_id is None:
        compiled = [compile_content(campaign.channel, each["content"]) for each in campaign.variants]
        if any(name.startswith("reward.") for each in compiled for name in each.names):
            message = "A text speaks of a reward, and this campaign gives none."
            return [FieldError("incentiveRewardId", message, "required")]
        return []
    reward = find_reward(merchant_id=campaign.merchant_id, reward_id=campaign.incentive_reward_id)
    anybody = Member(reward.tiers[0] if reward.tiers else "", had=0)
    # One that begins later may have begun by then.
    reasons = [
        reason
        for reason in hindrances(reward, member=anybody, taken=reward.taken, at=at)
        if reason != "not_started"
    ]
    return [
        FieldError("incentiveRewardId", f"Nobody can have this reward: {REASONS[reason]}.", reason)
        for reason in reasons
    ]


def check_ready(campaign: Campaign, *, at: datetime) -> None:
    """Whether it could be sent now or when it is due. Raises CampaignNotReady with all that is missing, and NoProvider."""
    problems = []
    if campaign.ends_at is not None and campaign.ends_at <= at:
        problems.append(FieldError("endsAt", "This is over already.", "invalid_period"))
    segments = [*campaign.include_segments, *campaign.exclude_segments]
    # Deleted since it was saved.
    problems += _wrong_segments(campaign.merchant_id, "includeSegments", segments)
    if campaign.incentive_points and active_program(campaign.merchant_id) is None:
        message = "There is no active loyalty program to give points in."
        problems.append(FieldError("incentivePoints", message, "no_program"))
    problems += _missing_reward(campaign, at)
    if problems:
        raise CampaignNotReady(errors=problems)
    settings = MessagingSettings.objects.for_merchant(campaign.merchant_id).first()
    sender_for(settings, campaign.merchant, campaign.channel)
