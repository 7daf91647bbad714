"""A mail's links and its picture, so that opening and following are noticed."""

import uuid
from dataclasses import replace

from django.conf import settings

from marketing.content.compiling import Rendered, body_end, is_web_url
from marketing.content.html import HtmlWrong
from marketing.content.links import links_in, without_numbers
from marketing.tracking.tokens import URL_BYTES_MAX, click_url, open_url

# Ways out are not to be slowed down, nor to depend on anything.
_OWN_PAGES = ("unsubscribe", "preferences", "confirm")
_PIXEL = '<img src="{}" width="1" height="1" alt="" style="display:block;border:0">'


def track(
    rendered: Rendered, *, merchant_id: uuid.UUID, message_id: uuid.UUID, campaign_id: uuid.UUID
) -> Rendered:
    """The message with its links led through us, and a picture of one pixel in it. What is no e-mail stays as it is.

    `campaign_id` is not told to anybody: the message knows it.
    """
    if not rendered.html:
        return rendered
    return replace(rendered, html=track_html(rendered.html, merchant_id=merchant_id, message_id=message_id))


def track_html(html: str, *, merchant_id: uuid.UUID, message_id: uuid.UUID) -> str:
    """Links to unsubscribe, to write, to call and to places in the mail stay. HTML that cannot be read stays as it is."""
    own = tuple(f"{settings.PUBLIC_URL}/{page}/" for page in _OWN_PAGES)
    parts: list[str] = []
    at = 0
    try:
        for tag, number in links_in(html):
            for each in tag.attributes():
                if each.name == "href" and _is_trackable(url := each.value.strip(), own):
                    parts.append(html[at : each.start])
                    parts.append(
                        click_url(merchant_id=merchant_id, message_id=message_id, link=number, url=url)
                    )
                    at = each.end
                    break
    except HtmlWrong:
        return html
    tracked = without_numbers("".join(parts) + html[at:])
    pixel = _PIXEL.format(open_url(merchant_id=merchant_id, message_id=message_id))
    end = body_end(tracked)
    return tracked[:end] + pixel + tracked[end:]


def _is_trackable(url: str, own: tuple[str, ...]) -> bool:
    return is_web_url(url) and len(url.encode()) <= URL_BYTES_MAX and not url.startswith(own)
