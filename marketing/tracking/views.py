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
from marketing.tracking.following import NoSuchLink, follow_short
from marketing.tracking.recording import note_followed
from marketing.tracking.short_links import NOBODY, read_short
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
    if _is_reader(request, CampaignClick.Kind.CLICK) and _is_within_pace(request):
        _note(followed, CampaignClick.Kind.CLICK)
    return _lead_to(followed.url)


@require_safe
@never_cache
def short_link(request: HttpRequest, token: str) -> HttpResponse:
    """GET /s/{token}: the same for a link of a text message. Who asks too often is nobody: messages are not to be guessed."""
    try:
        link, message = read_short(token)
        url, followed = follow_short(link, message if _is_within_pace(request) else NOBODY)
    except (TokenInvalid, NoSuchLink):
        raise Http404 from None
    if not is_web_url(url):
        raise Http404
    if followed is not None and _is_reader(request, CampaignClick.Kind.CLICK):
        _note(followed, CampaignClick.Kind.CLICK)
    return _lead_to(url)


@require_safe
@never_cache
def opening(request: HttpRequest, token: str) -> HttpResponse:
    """GET /o/{token}: one transparent pixel, whoever asks for it."""
    try:
        followed = read_open(token)
    except TokenInvalid:
        followed = None
    if followed is not None and _is_reader(request, CampaignClick.Kind.OPEN) and _is_within_pace(request):
        _note(followed, CampaignClick.Kind.OPEN)
    response = HttpResponse(PIXEL, content_type="image/gif")
    response.headers["Cache-Control"] = "no-store, no-cache, must-revalidate, private, max-age=0"
    return response


def _lead_to(url: str) -> HttpResponse:
    response = HttpResponseRedirect(url)
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _is_reader(request: HttpRequest, kind: str) -> bool:
    if request.method != "GET" or any("prefetch" in request.META.get(name, "").lower() for name in _PREFETCH):
        return False
    # The picture is fetched by mail programs' proxies: those are machines, of readers.
    return kind != CampaignClick.Kind.CLICK or not _MACHINES.search(request.META.get("HTTP_USER_AGENT", ""))


def _is_within_pace(request: HttpRequest) -> bool:
    try:
        throttle(request, scope="tracking")
    except TooManyRequests:
        return False
    return True


def _note(followed: Followed, kind: str) -> None:
    try:
        note_followed(followed=followed, kind=kind, at=now())
    except Error:
        # A reader gets where they want to also when this cannot be written.
        logger.warning("message_not_tracked", extra={"kind": kind})
