"""Request ids, log lines, headers, compression, metrics."""

import gzip
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from cloudpos.api.middleware import COMMON_HEADERS
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """The request lines written until now, as a reader of the log gets them."""

    def read() -> list[dict[str, Any]]:
        written = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
        return [line for line in written if line["event"] == "request"]

    return read


@pytest.mark.parametrize("offered", ["abc", "A.b_c-1", "x" * 128])
def test_a_well_formed_request_id_is_kept(anonymous: Client, offered: str) -> None:
    response = anonymous.get("/api/v1/open", headers={"x-request-id": offered})
    assert response.headers["X-Request-ID"] == offered


@pytest.mark.parametrize("offered", ["", "x" * 129, "a b", "a\nb", "ü", "a/b", "{}"])
def test_any_other_is_replaced(anonymous: Client, offered: str) -> None:
    made = anonymous.get("/api/v1/open", headers={"x-request-id": offered}).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{24}", made)


def test_ids_differ_and_are_in_errors(anonymous: Client) -> None:
    first, second = anonymous.get("/api/v1/nowhere"), anonymous.get("/api/v1/nowhere")
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]
    assert first.json()["requestId"] == first.headers["X-Request-ID"]


def test_log_line(shop: Shop, lines) -> None:
    response = shop.cashier.get(
        f"/stores/{shop.store.pk}?phone=447700900123", headers={"x-request-id": "abc"}
    )
    (line,) = lines()
    assert line.pop("ms") > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {
        "level": "info",
        "event": "request",
        "method": "GET",
        "route": "/api/v1/stores/<uuid:store_id>",
        "status": response.status_code,
        "request_id": "abc",
        "merchant_id": str(shop.merchant.pk),
        "store_id": str(shop.store.pk),
        "user_id": str(shop.cashier.user_id),
    }


def test_unmatched_paths_are_not_logged(anonymous: Client, lines) -> None:
    anonymous.get("/api/v1/customers/alice@example.com?email=alice@example.com")
    (line,) = lines()
    assert line["route"] == "(none)"
    assert "alice" not in str(line)


def test_failures_are_logged_as_errors(anonymous: Client, lines) -> None:
    anonymous.get("/api/v1/fail/crash")
    (line,) = lines()
    assert (line["level"], line["status"]) == ("error", 500)


def test_health_checks_are_quiet(anonymous: Client, lines) -> None:
    anonymous.get("/health")
    assert lines() == []


def test_context_is_forgotten_between_requests(anonymous: Client) -> None:
    from cloudpos.api.context import current_request_id

    anonymous.get("/api/v1/open")
    assert current_request_id() == ""


@pytest.mark.parametrize(
    "path", ["/api/v1/open", "/api/v1/nowhere", "/api/v1/fail/crash", "/health", "/api/docs", "/page"]
)
def test_security_headers(anonymous: Client, path: str) -> None:
    headers = anonymous.get(path).headers
    for name, value in COMMON_HEADERS.items():
        assert headers[name] == value
    policy = headers["Content-Security-Policy"]
    assert "unsafe-inline" not in policy.replace("style-src 'self' 'unsafe-inline'", "")
    assert "frame-ancestors 'none'" in policy
    if headers["Content-Type"] == "application/json":
        assert policy == "default-src 'none'; frame-ancestors 'none'"
        assert headers["Cache-Control"] == "no-store"


def test_compression(shop: Shop) -> None:
    long = {"firstName": "Alice", "metadata": {"text": "words " * 500}}
    plain = shop.cashier.post("/echo", long)
    squeezed = shop.cashier.post("/echo", long, headers={"accept-encoding": "gzip, deflate"})
    assert "Content-Encoding" not in plain.headers
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert squeezed.headers["Content-Encoding"] == "gzip"
    assert squeezed.headers["Content-Length"] == str(len(squeezed.content))
    assert len(squeezed.content) < len(plain.content) / 10
    assert gzip.decompress(squeezed.content) == plain.content
    short = shop.cashier.get("/echo", headers={"accept-encoding": "gzip"})
    assert "Content-Encoding" not in short.headers


@pytest.mark.parametrize("accepts", ["gzip;q=0", "identity", "br"])
def test_no_gzip_for_who_refuses_it(shop: Shop, accepts: str) -> None:
    long = {"firstName": "Alice", "metadata": {"text": "words " * 500}}
    assert (
        "Content-Encoding"
        not in shop.cashier.post("/echo", long, headers={"accept-encoding": accepts}).headers
    )


def test_cors(anonymous: Client, settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://till.example.com"]
    preflight = anonymous.options(
        "/api/v1/echo",
        headers={
            "origin": "https://till.example.com",
            "access-control-request-method": "POST",
            "access-control-request-headers": "x-store-id,idempotency-key",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://till.example.com"
    assert "x-store-id" in preflight.headers["Access-Control-Allow-Headers"]
    other = anonymous.get("/api/v1/open", headers={"origin": "https://elsewhere.example.com"})
    assert "Access-Control-Allow-Origin" not in other.headers


def test_only_requests_of_other_origins_pass_all_layers(anonymous: Client, monkeypatch, settings) -> None:
    from django.contrib.sessions.middleware import SessionMiddleware

    seen: list[str] = []
    original = SessionMiddleware.process_request

    def process_request(self: Any, request: Any) -> None:
        seen.append(request.get_full_path())
        original(self, request)

    monkeypatch.setattr(SessionMiddleware, "process_request", process_request)
    plain = anonymous.get("/api/v1/open")
    anonymous.get("/page")
    assert seen == ["/page"]
    other = anonymous.get("/api/v1/open", headers={"origin": "http://localhost:3000"})
    assert seen == ["/page", "/api/v1/open"]
    assert other.content == plain.content
    assert other.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert set(plain.headers) <= set(other.headers)


@pytest.mark.parametrize("origin", [{}, {"origin": "http://localhost:3000"}])
def test_both_ways_answer_alike(anonymous: Client, origin: dict[str, str]) -> None:
    for path, status in (
        ("/api/v1/nowhere", 404),
        ("/api/v1/fail/crash", 500),
        ("/api/v1/plain?fail=gone", 503),
    ):
        response = anonymous.get(path, headers=origin)
        assert response.status_code == status
        assert response.json()["requestId"] == response.headers["X-Request-ID"]


def test_transport_security(settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 60
    settings.SECURE_HSTS_PRELOAD = True
    client = Client()
    insecure = client.get("/api/v1/open")
    assert (insecure.status_code, insecure.headers["Location"]) == (301, "https://testserver/api/v1/open")
    secure = client.get("/api/v1/open", secure=True)
    assert secure.status_code == 200
    assert secure.headers["Strict-Transport-Security"] == "max-age=60; preload"


def test_metrics(anonymous: Client, shop: Shop, settings) -> None:
    def count() -> float:
        text = anonymous.get("/metrics").content.decode()
        found = re.findall(
            r'^http_request_duration_seconds_count\{method="GET",route="/api/v1/stores/<uuid:store_id>",status="404"\} (.*)$',
            text,
            re.MULTILINE,
        )
        return float(found[0]) if found else 0.0

    before = count()
    for last in range(3):
        shop.cashier.get(f"/stores/00000000-0000-7000-8000-00000000000{last}")
    assert count() == before + 3

    settings.METRICS_TOKEN = "s3cret"
    refused = anonymous.get("/metrics")
    assert (refused.status_code, refused.json()["code"]) == (401, "not_authenticated")
    assert anonymous.get("/metrics", headers={"authorization": "Bearer ü"}).status_code == 401
    assert anonymous.get("/metrics", headers={"authorization": "Bearer s3cret"}).status_code == 200


def test_strange_methods_make_no_series(anonymous: Client) -> None:
    anonymous.generic("BREW", "/api/v1/open")
    assert 'method="BREW"' not in anonymous.get("/metrics").content.decode()
