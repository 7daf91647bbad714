"""Every error, whoever raised it, has the envelope and tells no secret."""

import logging

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


def body_of(response) -> dict:
    assert response.headers["Content-Type"] == "application/json"
    body = response.json()
    assert body.pop("requestId") == response.headers["X-Request-ID"]
    assert body["success"] is False
    return body


def test_domain_error_with_field_and_facts(anonymous: Client) -> None:
    response = anonymous.get("/api/v1/fail/bent")
    assert response.status_code == 409
    assert body_of(response) == {
        "success": False,
        "message": "The card is bent.",
        "errors": [{"field": "card", "message": "The card is bent.", "code": "bent"}],
        "code": "bent",
        "balance": 5,
    }


def test_errors_carry_paths(anonymous: Client) -> None:
    errors = body_of(anonymous.get("/api/v1/fail/paths"))["errors"]
    assert errors == [{"field": "items.3.quantity", "message": "Too many.", "code": "too_many"}]


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("http404", 404, "not_found"),
        ("drf", 403, "forbidden"),
        ("throttled", 429, "rate_limited"),
        ("gone", 503, "unavailable"),
        ("timeout", 503, "unavailable"),
        ("range", 400, "validation_error"),
        ("missing-table", 500, "internal_error"),
        ("crash", 500, "internal_error"),
    ],
)
def test_whoever_raises(anonymous: Client, how: str, status: int, code: str) -> None:
    response = anonymous.get(f"/api/v1/fail/{how}")
    assert response.status_code == status
    body = body_of(response)
    assert body["code"] == code
    assert "secret" not in str(body)
    assert "Retry-After" in response.headers or status not in (429, 503)


@pytest.mark.parametrize("how", ["bent", "crash", "gone", "http404"])
def test_a_plain_django_view_under_an_api_path(anonymous: Client, how: str) -> None:
    assert body_of(anonymous.get(f"/api/v1/plain?fail={how}"))["success"] is False


@pytest.mark.parametrize(
    ("status", "code"), [(400, "bad_request"), (405, "method_not_allowed"), (502, "internal_error")]
)
def test_an_answer_that_is_not_an_envelope_becomes_one(anonymous: Client, status: int, code: str) -> None:
    response = anonymous.get(f"/api/v1/plain?status={status}")
    assert response.status_code == status if status < 500 else 500
    assert body_of(response)["code"] == code


def test_crash_of_a_middleware(anonymous: Client, monkeypatch, caplog) -> None:
    from corsheaders.middleware import CorsMiddleware

    def crash(self, request):
        raise RuntimeError("middleware secret")

    monkeypatch.setattr(CorsMiddleware, "__call__", crash)
    response = anonymous.get("/api/v1/open", headers={"origin": "http://localhost:3000"})
    assert response.status_code == 500
    assert body_of(response)["code"] == "internal_error"
    assert any(record.exc_info and record.name == "cloudpos.api" for record in caplog.records)


def test_absent_path(anonymous: Client) -> None:
    response = anonymous.get("/api/v1/nowhere")
    assert response.status_code == 404
    assert body_of(response) == {"success": False, "message": "Not found.", "errors": [], "code": "not_found"}


def test_trailing_slash_is_absent_and_never_redirected(anonymous: Client) -> None:
    for method in (anonymous.get, anonymous.post):
        response = method("/api/v1/open/")
        assert response.status_code == 404
        body_of(response)


def test_debug_pages_stay_out_of_the_api(anonymous: Client, settings) -> None:
    settings.DEBUG = True
    response = anonymous.get("/api/v1/nowhere")
    assert response.status_code == 404
    assert body_of(response)["code"] == "not_found"


def test_a_page_outside_the_api_is_html(anonymous: Client) -> None:
    response = anonymous.get("/nowhere")
    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")


def test_page_without_database_is_503(anonymous: Client) -> None:
    response = anonymous.get("/page?fail=gone")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"


def test_method_not_allowed_names_the_others(anonymous: Client) -> None:
    response = anonymous.delete("/api/v1/open")
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, POST, HEAD"
    assert body_of(response)["code"] == "method_not_allowed"
    assert anonymous.options("/api/v1/open").status_code == 405


def test_not_acceptable(anonymous: Client) -> None:
    response = anonymous.get("/api/v1/open", headers={"accept": "text/csv"})
    assert response.status_code == 406
    assert body_of(response)["code"] == "not_acceptable"
    for accept in ("*/*", "application/json", "application/*;q=0.1", "text/html, */*;q=0.8", ""):
        assert anonymous.get("/api/v1/open", headers={"accept": accept}).status_code == 200


def test_every_unknown_error_is_logged_with_its_trace_and_no_arguments_of_sql(
    anonymous: Client, caplog
) -> None:
    with caplog.at_level(logging.ERROR):
        anonymous.get("/api/v1/fail/crash")
    (record,) = [record for record in caplog.records if record.name == "cloudpos.api"]
    assert record.exc_info is not None


def test_drf_responses_get_the_envelope(anonymous: Client) -> None:
    assert anonymous.get("/api/v1/drf").json() == {"success": True, "data": {"money": "1.50"}, "message": ""}
