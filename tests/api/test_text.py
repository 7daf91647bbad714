"""Text in paths, queries and headers."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/open?a=%00",
        "/api/v1/open?%00=a",
        "/api/v1/open?a=%ff",
        "/api/v1/open?a=%ED%A0%80",
        "/api/v1/o%00pen",
    ],
)
def test_unusable(anonymous: Client, path: str) -> None:
    response = anonymous.get(path)
    assert response.status_code == 400
    assert response.json()["code"] == "invalid_text"


@pytest.mark.parametrize("path", ["/api/v1/open%ff", "/api/v1/%ED%A0%80", "/api/v1/ü", "/api/v1/%c3%bc"])
def test_absent(anonymous: Client, path: str) -> None:
    assert anonymous.get(path).status_code in (400, 404)


def test_header_with_nul(anonymous: Client) -> None:
    assert anonymous.get("/api/v1/open", HTTP_X_STORE_ID="a\x00b").status_code == 400


def test_usable(anonymous: Client) -> None:
    assert anonymous.get("/api/v1/open?q=%C3%BC%20%F0%9F%98%80&%C3%BC=1").status_code == 200


def test_pages_are_guarded_as_well(anonymous: Client) -> None:
    assert anonymous.get("/page?a=%00").status_code == 400
