"""Where a message's links and its picture lead. No cookie, nothing of who it was but the message; it answers whatever happens."""

import base64
import logging
import re

from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.timezone import now
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from cloudpos.api.errors import TooManyRequests
from cloudpos.api.throttling import throttle
from marketing.content.compiling import is_web_url
from marketing.models_messages import CampaignClick
from marketing.tracking.recording import note_followed
from marketing.tracking.tokens import Followed, TokenInvalid, read_click, read_open

logger = logging.getLogger(__name__)

# The smallest transparent GIF.
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_MACHINES = re.compile(
    r"bot\b|bot/|crawl|spider|preview|scanner|headless|curl/|wget/|python-|go-http|java/|safelinks|proofpoint|mimecast"
    r"|barracuda|facebookexternalhit|slackbot|whatsapp|telegram",
    re.IGNORECASE,
)
_PREFETCH = ("HTTP_PURPOSE", "HTTP_SEC_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")


@require_safe
@never_cache
def click(request: HttpRequest, token: str) -> HttpResponse:
    """GET /t/{token}: on to where the message's link leads. A HEAD, a prefetch or a known machine is no click."""
    try:
        followed = read_click(token)
    except TokenInvalid:
        raise Http404 from None
    if not is_web_url(followed.url):
        raise Http404
    _note(request, followed, CampaignClick.Kind.CLICK)
    response = HttpResponseRedirect(followed.url)
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@require_safe
@never_cache
def opening(request: HttpRequest, token: str) -> HttpResponse:
    """GET /o/{token}: one transparent pixel, whoever asks for it."""
    try:
        _note(request, read_open(token), CampaignClick.Kind.OPEN)
    except TokenInvalid:
        pass
    response = HttpResponse(PIXEL, content_type="image/gif")
    response.headers["Cache-Control"] = "no-store, no-cache, must-revalidate, private, max-age=0"
    return response


def _note(request: HttpRequest, followed: Followed, kind: str) -> None:
    if request.method != "GET" or any("prefetch" in request.META.get(name, "").lower() for name in _PREFETCH):
        return
    # The picture is fetched by mail programs' proxies: those are machines, of readers.
    if kind == CampaignClick.Kind.CLICK and _MACHINES.search(request.META.get("HTTP_USER_AGENT", "")):
        return
    try:
        throttle(request, scope="tracking")
        note_followed(followed=followed, kind=kind, at=now())
    except TooManyRequests:
        pass
    except Error:
        # A reader gets where they want to also when this cannot be written.
        logger.warning("message_not_tracked", extra={"kind": kind})
