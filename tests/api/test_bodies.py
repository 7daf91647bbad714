"""JSON bodies: what is refused before anything is done with it."""

import io
from types import SimpleNamespace

import pytest
from django.test import Client
from django.test.client import FakePayload

from cloudpos.api import parsing
from cloudpos.api.errors import RequestTimeout

pytestmark = pytest.mark.django_db
PATH = "/api/v1/fail/none"


def post(client: Client, body: str | bytes, content_type: str = "application/json", **extra):
    return client.generic("POST", PATH, body, content_type, **extra)


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[1,]",
        '{"a":}',
        "nul",
        "'a'",
        '{"a":1}{"b":2}',
        "NaN",
        '{"a":Infinity}',
        "-",
        "1e400",
        "\ufeff{}",
        '"\x00"',
        "[" * 9,
    ],
)
def test_malformed(anonymous: Client, body: str) -> None:
    response = post(anonymous, body)
    assert response.status_code == 400
    assert response.json()["code"] == "malformed_json"


def test_not_utf8(anonymous: Client) -> None:
    assert post(anonymous, b'{"a":"\xff"}').json()["code"] == "malformed_json"
    assert post(anonymous, '{"a":"ü"}'.encode("latin-1")).json()["code"] == "malformed_json"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('{"a": "x\\u0000y"}', "a"),
        ('{"items": [{"name": "ok"}, {"name": "\\u0000"}]}', "items.1.name"),
        ('{"metadata": {"deep": ["\\ud800"]}}', "metadata.deep.0"),
        ('{"metadata": {"\\udfff": 1}}', "metadata"),
        ('["\\uD83D"]', "0"),
        ('"\\u0000"', None),
    ],
)
def test_text_no_database_can_hold(anonymous: Client, body: str, path: str | None) -> None:
    response = post(anonymous, body)
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert (error["field"], error["code"]) == (path, "invalid_text")


def test_escapes_that_only_look_like_nul_pass(anonymous: Client) -> None:
    assert post(anonymous, '{"a": "\\\\u0000", "b": "\\ud83d\\ude00"}').json()["data"] == {
        "a": "\\u0000",
        "b": "😀",
    }


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "9" * 300])
def test_integers_beyond_64_bits(anonymous: Client, number: str) -> None:
    response = post(anonymous, f'{{"a": [{number}]}}')
    assert response.status_code == 400
    assert response.json()["errors"] == [
        {"field": "a.0", "message": "This number is too large.", "code": "number_too_large"}
    ]


def test_long_numbers_that_fit_pass(anonymous: Client) -> None:
    body = '{"a": 9223372036854775807, "b": "12345678901234567890123", "c": 0.1234567890123456789}'
    assert post(anonymous, body).json()["data"] == {
        "a": 9223372036854775807,
        "b": "12345678901234567890123",
        "c": 0.12345678901234568,
    }


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth(anonymous: Client, opening: str, closing: str) -> None:
    assert post(anonymous, opening * 31 + "1" + closing * 31).status_code == 200
    assert post(anonymous, opening * 32 + "1" + closing * 32).status_code == 200
    response = post(anonymous, opening * 33 + "1" + closing * 33)
    assert response.status_code == 400
    assert response.json()["code"] == "json_too_deep"
    assert post(anonymous, opening * 40_000).json()["code"] == "json_too_deep"


def test_width_is_not_depth_and_brackets_in_strings_are_text(anonymous: Client) -> None:
    assert post(anonymous, "[" + "[],{}," * 5000 + "1]").status_code == 200
    assert post(anonymous, '["' + "[{" * 500 + '\\"[", 1]').status_code == 200


def test_depth_is_found_before_parsing(anonymous: Client, monkeypatch) -> None:
    monkeypatch.setattr(parsing.orjson, "loads", lambda body: pytest.fail("parsed"))
    assert post(anonymous, "[" * 33 + "]" * 33).status_code == 400


def test_size(anonymous: Client, settings) -> None:
    filler = '"' + "x" * (settings.REQUEST_BODY_BYTES_MAX - 2) + '"'
    assert post(anonymous, filler).status_code == 200
    response = post(anonymous, filler + " ")
    assert response.status_code == 413
    assert response.json()["code"] == "too_large"
    assert response.json()["bytesMax"] == settings.REQUEST_BODY_BYTES_MAX


def test_size_is_decided_before_reading(anonymous: Client, monkeypatch) -> None:
    monkeypatch.setattr(FakePayload, "read", lambda *args: pytest.fail("read"))
    assert post(anonymous, "x" * 300_000).status_code == 413


def test_a_batch_may_be_larger(anonymous: Client, settings) -> None:
    rows = '{"rows": [' + ",".join(['"' + "x" * 1000 + '"'] * 900) + "]}"
    response = anonymous.generic("POST", "/api/v1/batch", rows, "application/json")
    assert response.json()["data"] == 900
    too_large = "x" * (settings.BATCH_BODY_BYTES_MAX + 1)
    assert anonymous.generic("POST", "/api/v1/batch", too_large, "application/json").status_code == 413


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx"],
)
def test_other_media_types(anonymous: Client, content_type: str) -> None:
    response = post(anonymous, "{}", content_type)
    assert response.status_code == 415
    assert response.json()["code"] == "unsupported_media_type"


def test_media_type_with_parameters(anonymous: Client) -> None:
    assert post(anonymous, '{"a": 1}', "Application/JSON; charset=utf-8").status_code == 200


def test_compressed_bodies_are_refused(anonymous: Client) -> None:
    response = post(anonymous, b"\x1f\x8b....", HTTP_CONTENT_ENCODING="gzip")
    assert response.status_code == 415
    assert post(anonymous, "{}", HTTP_CONTENT_ENCODING="identity").status_code == 200


def test_a_body_needs_its_length(anonymous: Client) -> None:
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_TYPE": "application/json"}
    response = anonymous.generic("POST", PATH, **chunked)
    assert response.status_code == 411
    for length in ("-1", "1_0", "²"):
        response = anonymous.generic("POST", PATH, "{}", "application/json", CONTENT_LENGTH=length)
        assert response.status_code == 400


def test_no_body_is_an_empty_object(anonymous: Client) -> None:
    assert anonymous.generic("POST", PATH).json()["data"] == {}


@pytest.mark.parametrize("sent", [b"", b'{"a": 1}'])
def test_a_body_that_ends_early(sent: bytes) -> None:
    meta = {"CONTENT_LENGTH": "20"}
    with pytest.raises(RequestTimeout):
        parsing.StrictJsonParser().parse(SimpleNamespace(META=meta, read=io.BytesIO(sent).read))
