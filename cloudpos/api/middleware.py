"""The outermost layer: request id, refusal of unusable text, security headers, compression, log line, metrics."""

from __future__ import annotations

import logging
import re
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.core.exceptions import BadRequest as DjangoBadRequest
from django.core.handlers.exception import convert_exception_to_response, response_for_exception
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from cloudpos.api import context, logs, metrics
from cloudpos.api.envelope import JSON_TYPE
from cloudpos.api.errors import BadRequest, describe, exception_handler, problem_response, status_response
from cloudpos.api.headers import put
from cloudpos.api.routing import resolve

PROBE_PREFIXES = ("/health", "/metrics")
API_PREFIXES = ("/api/", *PROBE_PREFIXES)
QUIET_PREFIXES = (*PROBE_PREFIXES, "/static/")
COMPRESS_BYTES_MIN = 1_400  # below one network packet there is nothing to gain
COMPRESS_LEVEL = 4
TEXT_TYPES = ("application/json", "application/vnd.oai.openapi", "text/")

COMMON_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# Data is not a page: nothing in it may load, run or be framed.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
# The admin's components evaluate the expressions in their own templates; inline scripts stay forbidden.
ADMIN_POLICY = PAGE_POLICY.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'")
DATA_HEADERS = {**COMMON_HEADERS, "Content-Security-Policy": DATA_POLICY}
# Personal data: no shared or disk cache may keep it. What has an ETag may be kept by its reader, and asked about.
UNSTORED, REVALIDATED = "no-store", "private, no-cache"

_REFUSES_GZIP = re.compile(r"gzip\s*;\s*q=0(?:\.0*)?\s*(?:,|$)")


def is_api_path(path: str) -> bool:
    """Whether answers under this path are data (and errors envelopes) rather than pages."""
    return path.startswith(API_PREFIXES)


def refusal(meta: dict[str, Any], path: str) -> BadRequest | None:
    """Why this request's path, query or headers cannot be used as text, None when they can."""
    if not path.isprintable() and "\x00" in path or not path.isascii() and not _is_text(path):
        return BadRequest("The path is not usable text.", code="invalid_text")
    query = meta.get("QUERY_STRING", "")
    if query and ("%" in query or not query.isascii()):
        raw = unquote_to_bytes(query)
        if b"\x00" in raw or not _is_utf8(raw):
            return BadRequest("The query string is not usable text.", code="invalid_text")
    for name, value in meta.items():
        if name[:5] == "HTTP_" and "\x00" in value:
            return BadRequest("A header is not usable text.", code="invalid_text")
    return None


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\ufffd" not in path


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


class RequestMiddleware:
    """First in MIDDLEWARE. Every answer passes through it, also those that Django makes of its own errors.

    API requests that did not come from a page of another origin are resolved and answered right here: the layers
    below serve pages (sessions, CSRF, messages) or browsers (CORS), and together cost as much as the view's own
    machinery. See docs/adr/0003-one-outer-layer.md.
    """

    sync_capable = True
    async_capable = False

    _view_alone: Callable[[HttpRequest], HttpResponseBase]

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._all_layers = get_response
        self._view_alone = convert_exception_to_response(self._answer)  # type: ignore[assignment]
        self._transport_security = _transport_security()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        meta = request.META
        path = request.path_info
        data = is_api_path(path)
        request_id = context.accepted_id(meta.get("HTTP_X_REQUEST_ID"))
        request.request_id = request_id  # type: ignore[attr-defined]
        begun = context.begin(request_id)
        try:
            unusable = refusal(meta, path)
            if unusable is not None:
                response: HttpResponseBase = (
                    problem_response(describe(unusable), request_id)
                    if data
                    else response_for_exception(request, DjangoBadRequest(unusable.detail))
                )
            elif data and self._needs_no_layers(request):
                response = self._view_alone(request)
            else:
                response = self._all_layers(request)
            if data:
                response = self._finish_data(request, response)
            else:
                policy = ADMIN_POLICY if path.startswith("/admin") else PAGE_POLICY
                response.headers.setdefault("Content-Security-Policy", policy)
                put(response, COMMON_HEADERS)
            put(response, {"X-Request-ID": request_id})
            self._record(request, response, path, time.perf_counter() - started)
            return response
        finally:
            context.end(begun)

    def _needs_no_layers(self, request: HttpRequest) -> bool:
        if request.path_info.startswith(PROBE_PREFIXES):
            # A probe comes from beside us: without TLS, and to an address that is not among ALLOWED_HOSTS.
            return True
        if "HTTP_ORIGIN" in request.META:
            return False
        # SecurityMiddleware redirects what came without TLS.
        return not settings.SECURE_SSL_REDIRECT or request.is_secure()

    @staticmethod
    def _answer(request: HttpRequest) -> HttpResponseBase:
        """What Django's handler does inside its middlewares. A path without a view raises Http404."""
        match = resolve(request.path_info)
        request.resolver_match = match
        try:
            response: Any = match.func(request, *match.args, **match.kwargs)
            if callable(getattr(response, "render", None)):
                response = response.render()
        except Exception as exc:
            # A plain Django view: DRF's handle their own.
            return exception_handler(exc, {"request": request})
        return response

    def _finish_data(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        headers = response.headers
        content_type = headers.get("Content-Type", "")
        status = response.status_code
        if status >= 400 and content_type != JSON_TYPE:
            # Django's own page (a layer's refusal, DEBUG's 404): same status, our shape.
            kept = {name: headers[name] for name in ("Allow", "Vary") if name in headers}
            response = status_response(request, status)
            headers = response.headers
            for name, value in kept.items():
                headers[name] = value
        if content_type.startswith("text/html") and status < 400:
            put(response, COMMON_HEADERS)
            headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        else:
            put(response, DATA_HEADERS)
            if "Cache-Control" not in headers:
                put(response, {"Cache-Control": REVALIDATED if "ETag" in headers else UNSTORED})
        if self._transport_security and request.is_secure():
            put(response, {"Strict-Transport-Security": self._transport_security})
        if not response.streaming:
            _compress(request.META, response)
            if status not in (204, 304):
                put(response, {"Content-Length": str(len(response.content))})  # type: ignore[attr-defined]
        return response

    @staticmethod
    def _record(request: HttpRequest, response: HttpResponseBase, path: str, seconds: float) -> None:
        match = request.resolver_match
        # A template, never the path itself: a path holds ids, and strangers' paths would be endless series.
        route = f"/{match.route}" if match is not None else "(none)"
        status = response.status_code
        method = request.method or ""
        metrics.observe(method, route, status, seconds)
        if path.startswith(QUIET_PREFIXES) and status < 400:
            return
        failed = status >= 500
        line: dict[str, Any] = {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds")[:23] + "Z",
            "level": "error" if failed else "info",
            "event": "request",
            "method": method if method in metrics.METHODS else "OTHER",
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 1),
            "request_id": request.request_id,  # type: ignore[attr-defined]
        }
        access = getattr(request, "access", None)
        if access is not None:
            line["merchant_id"] = access.merchant_id
            line["store_id"] = access.store_id
            line["user_id"] = access.user_id
        logs.write_request_line(line, logging.ERROR if failed else logging.INFO)


def _transport_security() -> str:
    """What SecurityMiddleware would say; "" when settings ask for nothing."""
    seconds = settings.SECURE_HSTS_SECONDS
    if not seconds:
        return ""
    subdomains = "; includeSubDomains" if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else ""
    preload = "; preload" if settings.SECURE_HSTS_PRELOAD else ""
    return f"max-age={seconds}{subdomains}{preload}"


def _compress(meta: dict[str, Any], response: Any) -> None:
    content_type = response.headers.get("Content-Type", "")
    if len(response.content) < COMPRESS_BYTES_MIN or not content_type.startswith(TEXT_TYPES):
        return
    headers = response.headers
    if "Content-Encoding" in headers:
        return
    vary = headers.get("Vary", "")
    headers["Vary"] = f"{vary}, Accept-Encoding" if vary else "Accept-Encoding"
    accepted = meta.get("HTTP_ACCEPT_ENCODING", "")
    if "gzip" not in accepted or _REFUSES_GZIP.search(accepted):
        return
    squeeze = zlib.compressobj(COMPRESS_LEVEL, wbits=31)
    response.content = squeeze.compress(response.content) + squeeze.flush()
    headers["Content-Encoding"] = "gzip"
