"""What a campaign looks like to one customer, and a copy of it for the people who wrote it."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

from django.utils.timezone import now

from cloudpos.api.errors import BadRequest, FieldError
from cloudpos.api.schema import Fields, Many
from cloudpos.ids import new_id
from customers.identity import NotAnEmail, NotAPhone, normal_email, normal_phone
from customers.services import find_customer
from marketing.campaigns.gifts import sample_reward
from marketing.channels import Outgoing, sender_for
from marketing.content import Rendered, RenderFailed, compile_content
from marketing.content.text_messages import segments
from marketing.content.variables import example_values, example_values_of, read_variables
from marketing.models import Campaign, MessagingSettings
from marketing.models_messaging import Channel
from marketing.tracking.short_links import sample, tracks

_TEXT = {"type": "string"}
PREVIEW = Fields(
    "CampaignPreview",
    {
        "subject": _TEXT,
        "html": _TEXT,
        "text": _TEXT,
        "title": _TEXT,
        "body": _TEXT,
        "link": _TEXT,
        "smsSegments": {
            "type": ["integer", "null"],
            "description": "Of a text message: how many are paid for",
        },
        "isExample": {
            "type": "boolean",
            "description": "true: of nobody, with the catalogue's examples and the merchant's own name and foot",
        },
    },
)
_TESTED = Fields(
    "CampaignTested",
    {
        "address": _TEXT,
        "outcome": {"type": "string", "enum": ["sent", "retry", "refused", "unknown"]},
        "error": _TEXT,
    },
)
TESTED = Fields("CampaignTest", {"messages": Many(_TESTED)})


class UnknownVariant(BadRequest):
    code = "unknown_variant"
    message = "This campaign has no such variant."


class NotShown(BadRequest):
    code = "content_not_shown"


def preview(
    *, campaign: Campaign, variant: str = "A", customer_id: uuid.UUID | None = None
) -> dict[str, Any]:
    """Raises CustomerNotFound, UnknownVariant, and NotShown where the text fails for this customer."""
    rendered = shown_for(campaign=campaign, variant=variant, customer_id=customer_id)
    return {
        **{name: said for name, said in asdict(rendered).items() if name != "links"},
        "smsSegments": segments(rendered.text).count if campaign.channel == Channel.SMS else None,
        "isExample": customer_id is None,
    }


def shown_for(*, campaign: Campaign, variant: str, customer_id: uuid.UUID | None) -> Rendered:
    """As it is received: in a text message with short links, which lead nowhere here. Raises what `preview` raises."""
    rendered = render_for(campaign=campaign, variant=variant, customer_id=customer_id)
    row = MessagingSettings.objects.for_merchant(campaign.merchant_id).first()
    return sample(rendered) if rendered.links and tracks(row) else rendered


def render_for(*, campaign: Campaign, variant: str, customer_id: uuid.UUID | None) -> Rendered:
    contents = {each["key"]: each["content"] for each in campaign.variants}
    if variant not in contents:
        raise UnknownVariant(field="variant")
    values = example_values_of(campaign.merchant_id)
    if customer_id is not None:
        customer = find_customer(merchant_id=campaign.merchant_id, id=customer_id)
        values |= read_variables(merchant_id=campaign.merchant_id, customer_ids=[customer.pk])[customer.pk]
    # Nobody is unsubscribed by looking.
    values["unsubscribe_url"] = values["preferences_url"] = example_values()["unsubscribe_url"]
    values["incentive_points"] = campaign.incentive_points or 0
    values["reward"] = sample_reward(campaign, at=now())
    try:
        return compile_content(campaign.channel, contents[variant]).render(values)
    except RenderFailed as failure:
        raise NotShown(f"This text cannot be shown: {failure}.", field="variant") from None


def send_test(
    *, campaign: Campaign, addresses: list[str], variant: str = "A", customer_id: uuid.UUID | None = None
) -> dict[str, Any]:
    """To people of the merchant's own, at once, with its links as they were written.

    Raises what `preview` raises, NoProvider, and BadRequest for an address.
    """
    rendered = render_for(campaign=campaign, variant=variant, customer_id=customer_id)
    read = [_address(campaign, index, address) for index, address in enumerate(addresses)]
    settings = MessagingSettings.objects.for_merchant(campaign.merchant_id).first()
    sender = sender_for(settings, campaign.merchant, campaign.channel)
    outgoing = [
        Outgoing(
            message_id=new_id(),
            merchant_id=campaign.merchant_id,
            customer_id=customer_id or uuid.UUID(int=0),
            address=address,
            rendered=rendered,
            unsubscribe_url="",
            is_test=True,
        )
        for address in read
    ]
    sender.open()
    try:
        outcomes = sender.send(outgoing)
    finally:
        sender.close()
    return {
        "messages": [
            {"address": address, "outcome": outcome.kind, "error": outcome.error}
            for address, outcome in zip(read, outcomes, strict=True)
        ]
    }


def _address(campaign: Campaign, index: int, said: str) -> str:
    where = f"addresses.{index}"
    try:
        if campaign.channel == Channel.EMAIL:
            return normal_email(said)[0]
        if campaign.channel == Channel.SMS:
            return normal_phone(said, country=campaign.merchant.country)
    except (NotAnEmail, NotAPhone) as wrong:
        raise BadRequest(errors=[FieldError(where, str(wrong), "invalid")]) from None
    return said
