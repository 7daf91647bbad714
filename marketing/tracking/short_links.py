"""Links of text messages: short ones, since each character is paid for. See docs/adr/0037-short-links.md.

/s/ and 16 letters and digits: 7 for the link (a row for each link of a campaign's texts), 9 for the message (a column of its
row). The link alone says where it leads, whatever became of the message.
"""

from __future__ import annotations

import hmac
import string
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from django.conf import settings

from marketing.content.compiling import Compiled, Rendered
from marketing.models_campaigns import Campaign
from marketing.models_messages import CampaignLink
from marketing.models_messaging import Channel, MessagingSettings
from marketing.tracking.tokens import TokenInvalid

LINK_CHARS, MESSAGE_CHARS = 7, 9
# Neither - nor _: a phone takes what ends in them for a link without its end.
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BASE = len(_DIGITS)
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
# Of no message: previews have it.
NOBODY = 0

Codes = Mapping[int, int]
"""By the number of a link its code."""


def tracks(row: MessagingSettings | None) -> bool:
    return row is None or row.track_links


def keep_links(campaign: Campaign, compiled: Mapping[str, Compiled]) -> dict[str, Codes]:
    """The codes of a campaign's short links, by variant. They lead somewhere once this returns; what is there already stays."""
    codes = {
        variant: {
            number: _link_code(campaign.pk, variant, number, url)
            for number, url in enumerate(each.links, start=1)
        }
        for variant, each in compiled.items()
    }
    rows = [
        CampaignLink(
            merchant_id=campaign.merchant_id,
            campaign=campaign,
            variant=variant,
            number=number,
            url=compiled[variant].links[number - 1],
            code=code,
        )
        for variant, numbers in codes.items()
        for number, code in numbers.items()
    ]
    if rows:
        CampaignLink.objects.bulk_create(rows, ignore_conflicts=True)
    return dict(codes)


def message_codes(
    campaign: Campaign, row: MessagingSettings | None, message_ids: Sequence[uuid.UUID]
) -> list[int | None]:
    """What stands for the messages in their links; None where they have no short ones."""
    is_short = campaign.channel == Channel.SMS and tracks(row)
    return [message_code(each) if is_short else None for each in message_ids]


def message_code(message_id: uuid.UUID) -> int:
    """From 1 on. Not of the id alone: whoever knows one message must not find another's."""
    return 1 + _number("message", message_id.bytes) % (_BASE**MESSAGE_CHARS - 1)


def shortened(rendered: Rendered, *, codes: Codes, message: int) -> Rendered:
    """The text with its links led through us."""
    parts, at = [], 0
    for link in rendered.links:
        if link.number in codes:
            parts += [rendered.text[at : link.start], short_url(codes[link.number], message)]
            at = link.end
    return replace(rendered, text="".join(parts) + rendered.text[at:], links=())


def sample(rendered: Rendered) -> Rendered:
    """As long as what customers get; its links lead nowhere."""
    return shortened(rendered, codes={link.number: 0 for link in rendered.links}, message=NOBODY)


def short_url(link: int, message: int) -> str:
    return f"{settings.SHORT_URL}/s/{_written(link, LINK_CHARS)}{_written(message, MESSAGE_CHARS)}"


def read_short(token: str) -> tuple[int, int]:
    """The link's code and the message's. Raises TokenInvalid."""
    if len(token) != LINK_CHARS + MESSAGE_CHARS or not all(digit in _VALUES for digit in token):
        raise TokenInvalid
    return _read(token[:LINK_CHARS]), _read(token[LINK_CHARS:])


def _link_code(campaign_id: uuid.UUID, variant: str, number: int, url: str) -> int:
    """The same for the same link: every worker knows it without asking. What another text says is another link."""
    return _number("link", campaign_id.bytes + f"{variant}{number} {url}".encode()) % _BASE**LINK_CHARS


def _number(purpose: str, content: bytes) -> int:
    return int.from_bytes(hmac.digest(_key(settings.SECRET_KEY, purpose), content, "sha256")[:16])


@lru_cache(maxsize=8)
def _key(secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), f"cloudpos short links: {purpose}".encode(), "sha256")


def _written(value: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        value, digit = divmod(value, _BASE)
        digits = _DIGITS[digit] + digits
    return digits


def _read(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * _BASE + _VALUES[digit]
    return value
