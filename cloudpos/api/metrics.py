"""Prometheus metrics of this process, or of all workers together when PROMETHEUS_MULTIPROC_DIR is set."""

from __future__ import annotations

import hmac
import os
from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from cloudpos.api.errors import Unauthenticated

REQUEST_SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time from the first middleware to the finished answer, by route template.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@cache
def _child(method: str, route: str, status: int) -> Histogram:
    return REQUEST_SECONDS.labels(method, route, str(status))


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Count one request. `route` is a template, so that the number of series is bounded."""
    _child(method if method in METHODS else "OTHER", route, status).observe(seconds)


def metrics_view(request: HttpRequest) -> HttpResponse:
    """GET /metrics. With METRICS_TOKEN set, only for who sends it as a bearer token."""
    token = settings.METRICS_TOKEN
    if token:
        offered = request.META.get("HTTP_AUTHORIZATION", "")
        if not hmac.compare_digest(offered.encode(), f"Bearer {token}".encode()):
            raise Unauthenticated()
    registry: CollectorRegistry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
