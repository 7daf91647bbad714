"""From a begun message to what the provider is handed."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from customers.models import Event, Purpose
from marketing.campaigns.beginning import Begun
from marketing.campaigns.gifts import NO_REWARD, rewards_of
from marketing.channels import Outgoing
from marketing.consents.links import unsubscribe_url
from marketing.content import Compiled, compile_content
from marketing.content.variables import TRIGGER, read_variables
from marketing.models import Campaign, MessagingSettings
from marketing.tracking import track
from marketing.tracking.short_links import keep_links, tracks


class Addressed(Protocol):
    """A message, as far as its text asks."""

    @property
    def id(self) -> uuid.UUID: ...
    @property
    def customer_id(self) -> uuid.UUID: ...
    @property
    def occasion(self) -> str: ...


def variables_of(
    campaign: Campaign, messages: Sequence[Addressed], names: Collection[str]
) -> dict[uuid.UUID, dict[str, Any]]:
    """By message, read for all of them together; none of a customer who is gone."""
    people = read_variables(
        merchant_id=campaign.merchant_id, customer_ids=[each.customer_id for each in messages], names=names
    )
    triggers = _triggers(campaign, messages)
    rewards = rewards_of(campaign, [each.id for each in messages])
    return {
        each.id: {
            **people[each.customer_id],
            TRIGGER: triggers.get(each.occasion, {}),
            "incentive_points": campaign.incentive_points or 0,
            "reward": rewards.get(each.id, NO_REWARD),
        }
        for each in messages
        if each.customer_id in people
    }


def _triggers(campaign: Campaign, messages: Sequence[Addressed]) -> dict[str, dict[str, Any]]:
    """What set the messages off, by occasion."""
    occasions = [each.occasion for each in messages if each.occasion]
    if not occasions:
        return {}
    events = Event.objects.for_merchant(campaign.merchant_id).filter(pk__in=occasions)
    return {str(event_id): data for event_id, data in events.values_list("pk", "data")}


class Composer:
    """Texts of a campaign, each read once."""

    def __init__(self, campaign: Campaign, settings: MessagingSettings | None) -> None:
        self.campaign, self.settings = campaign, settings
        self.compiled: dict[str, Compiled] = {
            variant["key"]: compile_content(campaign.channel, variant["content"])
            for variant in campaign.variants
        }
        self.is_tracked = tracks(settings)
        self.codes = keep_links(campaign, self.compiled) if self.is_tracked else {}

    def variables(self, begun: Sequence[Begun]) -> dict[uuid.UUID, dict[str, Any]]:
        """By message."""
        names = frozenset().union(*(compiled.names for compiled in self.compiled.values()))
        return variables_of(self.campaign, [each.message for each in begun], names)

    def compose(self, begun: Begun, variables: Mapping[str, Any]) -> Outgoing:
        """`variables`: this message's. Raises RenderFailed."""
        merchant_id = self.campaign.merchant_id
        # What a sale needs is nothing to unsubscribe from.
        unsubscribe = ""
        if self.campaign.purpose == Purpose.MARKETING:
            unsubscribe = unsubscribe_url(
                merchant_id=merchant_id,
                customer_id=begun.customer.pk,
                channel=self.campaign.consent_channel,
                message_id=begun.message.id,
            )
        variant = begun.message.variant
        rendered = self.compiled[variant].render({**variables, "unsubscribe_url": unsubscribe})
        if self.is_tracked:
            codes = self.codes.get(variant, {})
            rendered = track(rendered, merchant_id=merchant_id, message_id=begun.message.id, codes=codes)
        return Outgoing(
            message_id=begun.message.id,
            merchant_id=merchant_id,
            customer_id=begun.customer.pk,
            address=begun.address,
            rendered=rendered,
            unsubscribe_url=unsubscribe,
        )
