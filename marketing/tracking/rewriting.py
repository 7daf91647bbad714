"""A message's links, and a mail's picture, so that opening and following are noticed."""

import uuid
from dataclasses import replace

from django.conf import settings

from marketing.content.compiling import Rendered, body_end, is_web_url
from marketing.content.html import HtmlWrong
from marketing.content.links import links_in, without_numbers
from marketing.tracking.short_links import Codes, message_code, shortened
from marketing.tracking.tokens import URL_BYTES_MAX, click_url, open_url

# Ways out are not to be slowed down, nor to depend on anything.
_OWN_PAGES = ("unsubscribe", "preferences", "confirm")
_PIXEL = '<img src="{}" width="1" height="1" alt="" style="display:block;border:0">'


def track(rendered: Rendered, *, merchant_id: uuid.UUID, message_id: uuid.UUID, codes: Codes) -> Rendered:
    """The message with its links led through us, and a picture of one pixel in an e-mail.

    `codes`: of the links of a text message, from `keep_links`.
    """
    if rendered.html:
        html = track_html(rendered.html, merchant_id=merchant_id, message_id=message_id)
        return replace(rendered, html=html)
    if rendered.links:
        return shortened(rendered, codes=codes, message=message_code(message_id))
    if rendered.link and _is_trackable(rendered.link):
        url = click_url(merchant_id=merchant_id, message_id=message_id, link=1, url=rendered.link)
        return replace(rendered, link=url)
    return rendered


def track_html(html: str, *, merchant_id: uuid.UUID, message_id: uuid.UUID) -> str:
    """Links to unsubscribe, to write, to call and to places in the mail stay. HTML that cannot be read stays as it is."""
    parts: list[str] = []
    at = 0
    try:
        for tag, number in links_in(html):
            for each in tag.attributes():
                if each.name == "href" and _is_trackable(url := each.value.strip()):
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


def _is_trackable(url: str) -> bool:
    own = tuple(f"{settings.PUBLIC_URL}/{page}/" for page in _OWN_PAGES)
    return is_web_url(url) and len(url.encode()) <= URL_BYTES_MAX and not url.startswith(own)
