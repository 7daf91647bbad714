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

import orjson
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from cloudpos.api import context, metrics
from cloudpos.api.errors import BadRequest, describe, exception_handler, problem_response, status_response

API_PREFIXES = ("/api/", "/health", "/metrics")
QUIET_PREFIXES = ("/health", "/metrics", "/static/")
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

_REFUSES_GZIP = re.compile(r"gzip\s*;\s*q=0(?:\.0*)?\s*(?:,|$)")

request_log = logging.getLogger("cloudpos.requests")


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
    """First in MIDDLEWARE. Every answer passes through it, also those that Django makes of its own errors."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        meta = request.META
        path = request.path_info
        request_id = context.begin(meta.get("HTTP_X_REQUEST_ID"))
        request.request_id = request_id  # type: ignore[attr-defined]
        try:
            unusable = refusal(meta, path)
            if unusable is not None:
                response: HttpResponseBase = problem_response(describe(unusable), request_id)
            else:
                response = self.get_response(request)
            if is_api_path(path):
                response = self._finish_data(request, response)
            else:
                policy = ADMIN_POLICY if path.startswith("/admin") else PAGE_POLICY
                response.headers.setdefault("Content-Security-Policy", policy)
            headers = response.headers
            for name, value in COMMON_HEADERS.items():
                headers[name] = value
            headers["X-Request-ID"] = request_id
            self._record(request, response, path, time.perf_counter() - started)
            return response
        finally:
            context.end()

    def process_exception(self, request: HttpRequest, exc: Exception) -> HttpResponse | None:
        """A plain Django view under an API path failed: its caller gets the envelope as well."""
        if is_api_path(request.path_info):
            return exception_handler(exc, {"request": request})
        return None

    @staticmethod
    def _finish_data(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        headers = response.headers
        content_type = headers.get("Content-Type", "")
        status = response.status_code
        if status >= 400 and not content_type.startswith("application/json"):
            # Django's own page (a middleware's refusal, DEBUG's 404): same status, our shape.
            kept = {name: headers[name] for name in ("Allow", "Vary") if name in headers}
            response = status_response(request, status)
            headers = response.headers
            for name, value in kept.items():
                headers[name] = value
            content_type = "application/json"
        if content_type.startswith("text/html"):
            headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        else:
            headers["Content-Security-Policy"] = DATA_POLICY
            if "Cache-Control" not in headers:
                # Personal data: no shared or disk cache may keep it.
                headers["Cache-Control"] = "no-store" if "ETag" not in headers else "private, no-cache"
        if not response.streaming:
            _compress(request.META, response)
            if status not in (204, 304):
                headers["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]
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
        level = logging.ERROR if status >= 500 else logging.INFO
        if not request_log.isEnabledFor(level):
            return
        line: dict[str, Any] = {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds")[:23] + "Z",
            "level": "error" if status >= 500 else "info",
            "event": "request",
            "method": method,
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
        request_log.log(level, "%s", orjson.dumps(line, default=str).decode())


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
