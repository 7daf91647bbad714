"""From a begun message to what the provider is handed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from customers.models import Event, Purpose
from marketing.campaigns.beginning import Begun
from marketing.campaigns.gifts import NO_REWARD, rewards_of
from marketing.channels import Outgoing
from marketing.consents.links import unsubscribe_url
from marketing.content import Compiled, compile_content
from marketing.content.variables import TRIGGER, read_variables
from marketing.models import Campaign, MessagingSettings
from marketing.tracking import track


class Composer:
    """Texts of a campaign, each read once."""

    def __init__(self, campaign: Campaign, settings: MessagingSettings | None) -> None:
        self.campaign, self.settings = campaign, settings
        self.compiled: dict[str, Compiled] = {
            variant["key"]: compile_content(campaign.channel, variant["content"])
            for variant in campaign.variants
        }

    def variables(self, begun: Sequence[Begun]) -> dict[uuid.UUID, dict[str, Any]]:
        """By message, read for all of them together."""
        merchant_id = self.campaign.merchant_id
        names = frozenset().union(*(compiled.names for compiled in self.compiled.values()))
        people = read_variables(
            merchant_id=merchant_id, customer_ids=[each.customer.pk for each in begun], names=names
        )
        triggers = self._triggers(begun)
        rewards = rewards_of(self.campaign, [each.message.id for each in begun])
        return {
            each.message.id: {
                **people[each.customer.pk],
                TRIGGER: triggers.get(each.message.occasion, {}),
                "incentive_points": self.campaign.incentive_points or 0,
                "reward": rewards.get(each.message.id, NO_REWARD),
            }
            for each in begun
            # Who went since it was begun is not there.
            if each.customer.pk in people
        }

    def _triggers(self, begun: Sequence[Begun]) -> dict[str, dict[str, Any]]:
        """What set the messages off, by occasion."""
        occasions = [each.message.occasion for each in begun if each.message.occasion]
        if not occasions:
            return {}
        events = Event.objects.for_merchant(self.campaign.merchant_id).filter(pk__in=occasions)
        return {str(event_id): data for event_id, data in events.values_list("pk", "data")}

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
        rendered = self.compiled[begun.message.variant].render({**variables, "unsubscribe_url": unsubscribe})
        return Outgoing(
            message_id=begun.message.id,
            merchant_id=merchant_id,
            customer_id=begun.customer.pk,
            address=begun.address,
            rendered=track(
                rendered,
                merchant_id=merchant_id,
                message_id=begun.message.id,
                campaign_id=self.campaign.pk,
            ),
            unsubscribe_url=unsubscribe,
        )
