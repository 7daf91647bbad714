"""Where a short link leads, and whose it was."""

from __future__ import annotations

from marketing.campaigns.composing import variables_of
from marketing.content.language import RenderFailed, read_template
from marketing.content.variables import empty_values
from marketing.models import CampaignLink, CampaignMessage
from marketing.tracking.short_links import NOBODY
from marketing.tracking.tokens import Followed


class NoSuchLink(Exception):
    """No campaign's text has it."""


def follow_short(link: int, message: int) -> tuple[str, Followed | None]:
    """Where it leads, and whose link it was; None of nobody's who is known any more. Raises NoSuchLink.

    What is personal in it is of now: it is kept nowhere.
    """
    found, whose = _find(link, message)
    url = _url_of(found, whose)
    if whose is None:
        return url, None
    return url, Followed(found.merchant_id, whose.pk, link=found.number, url=url)


def _find(link: int, message: int) -> tuple[CampaignLink, CampaignMessage | None]:
    links = list(
        CampaignLink.objects.filter(code=link).select_related("campaign__merchant").order_by("created_at")
    )
    if not links:
        raise NoSuchLink
    # Two merchants' links may have drawn the same code, however unlikely: its message tells which was meant.
    for each in links if message != NOBODY else ():
        whose = CampaignMessage.objects.for_merchant(each.merchant_id).filter(
            campaign_id=each.campaign_id, link_code=message
        )
        if (mine := whose.first()) is not None:
            return each, mine
    return links[0], None


def _url_of(link: CampaignLink, whose: CampaignMessage | None) -> str:
    template = read_template(link.url)
    if not template.used:
        return link.url
    values = {}
    if whose is not None:
        names = {used.name for used in template.used}
        values = variables_of(link.campaign, [whose], names).get(whose.pk, {})
    try:
        return template.render(values or empty_values()).strip()
    except RenderFailed:
        return template.render(empty_values()).strip()
