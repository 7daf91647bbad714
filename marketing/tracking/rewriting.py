"""A mail's links and its picture, so that opening and following are noticed."""

import uuid
from collections.abc import Iterator
from dataclasses import replace

from django.conf import settings

from marketing.content.compiling import Rendered, body_end, is_web_url
from marketing.content.html import Attribute, HtmlWrong, Tag, tags
from marketing.content.links import take_number
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
    try:
        parts = "".join(_followed(html, merchant_id, message_id))
    except HtmlWrong:
        return html
    pixel = _PIXEL.format(open_url(merchant_id=merchant_id, message_id=message_id))
    at = body_end(parts)
    return parts[:at] + pixel + parts[at:]


def _followed(html: str, merchant_id: uuid.UUID, message_id: uuid.UUID) -> Iterator[str]:
    at = 0
    for order, tag in enumerate(_links(html), start=1):
        number, inside = take_number(tag)
        cut = len(tag.inside) - len(inside)
        yield html[at : tag.inside_at]
        at = tag.inside_at + cut
        href = _href(tag)
        if href is not None and _is_trackable(href.value):
            yield html[at : href.start]
            yield click_url(
                merchant_id=merchant_id, message_id=message_id, link=number or order, url=href.value.strip()
            )
            at = href.end
    yield html[at:]


def _links(html: str) -> Iterator[Tag]:
    return (tag for tag in tags(html) if not tag.is_end and tag.name in ("a", "area"))


def _href(tag: Tag) -> Attribute | None:
    return next((each for each in tag.attributes() if each.name == "href"), None)


def _is_trackable(url: str) -> bool:
    url = url.strip()
    if not is_web_url(url) or len(url.encode()) > URL_BYTES_MAX:
        return False
    return not url.startswith(tuple(f"{settings.PUBLIC_URL}/{page}/" for page in _OWN_PAGES))
