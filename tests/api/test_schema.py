"""OpenAPI that is true to what is sent."""

from typing import Any

import jsonschema
import pytest
from django.test import Client

from cloudpos.api import docs
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def document(anonymous: Client) -> dict[str, Any]:
    docs._document.cache_clear()
    response = anonymous.get("/api/schema")
    assert response.headers["Content-Type"] == "application/vnd.oai.openapi+json"
    yield response.json()
    docs._document.cache_clear()


def operation(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    return document["paths"][path][method]


def check(document: dict[str, Any], path: str, method: str, response: Any) -> None:
    """The answer is what the document says of this status."""
    described = operation(document, path, method)["responses"][str(response.status_code)]
    schema = {**described["content"]["application/json"]["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(response.json())


def test_version_and_operations(document) -> None:
    assert document["openapi"].startswith("3.1")
    found = {
        item["operationId"]: f"{method} {path}"
        for path, methods in document["paths"].items()
        for method, item in methods.items()
    }
    assert found == {
        "storesList": "get /api/v1/stores",
        "storesCreate": "post /api/v1/stores",
        "storesRetrieve": "get /api/v1/stores/{storeId}",
        "storesUpdate": "put /api/v1/stores/{storeId}",
        "storesDestroy": "delete /api/v1/stores/{storeId}",
        "echoRetrieve": "get /api/v1/echo",
        "echoCreate": "post /api/v1/echo",
        "echoPartialUpdate": "patch /api/v1/echo",
        "openRetrieve": "get /api/v1/open",
        "openCreate": "post /api/v1/open",
        "undeclaredRetrieve": "get /api/v1/undeclared",
        "drfRetrieve": "get /api/v1/drf",
        "batchCreate": "post /api/v1/batch",
        "failRetrieve": "get /api/v1/fail/{how}",
        "failCreate": "post /api/v1/fail/{how}",
    }


def test_descriptions_are_for_callers(document) -> None:
    assert "First request" in document["info"]["description"]
    assert (
        operation(document, "/api/v1/echo", "post")["description"] == "What the input layer makes of a body."
    )
    for methods in document["paths"].values():
        for item in methods.values():
            assert "roles" not in item.get("description", "")


def test_security(document) -> None:
    assert operation(document, "/api/v1/stores", "get")["security"] == [{"bearerAuth": [], "storeId": []}]
    assert "security" not in operation(document, "/api/v1/open", "get")
    assert document["components"]["securitySchemes"]["storeId"]["name"] == "x-store-id"


def test_parameters(document) -> None:
    listed = operation(document, "/api/v1/stores", "get")["parameters"]
    by_name = {parameter["name"]: parameter for parameter in listed}
    assert list(by_name) == [
        "query", "code", "isActive", "latitudeMin", "floor", "storeId", "names", "createdFrom", "createdTo",
        "page", "limit", "cursor", "sortBy", "sortOrder",
    ]  # fmt: skip
    assert by_name["code"]["schema"] == {
        "type": "array",
        "items": {"type": "string", "enum": ["HIGH", "LOW", "MID"]},
    }
    assert by_name["code"]["explode"] is False
    assert by_name["limit"]["schema"]["maximum"] == 100
    (path,) = [
        p for p in operation(document, "/api/v1/stores/{storeId}", "get")["parameters"] if p["in"] == "path"
    ]
    assert (path["name"], path["schema"]) == ("storeId", {"type": "string", "format": "uuid"})
    assert [p["name"] for p in operation(document, "/api/v1/stores", "post")["parameters"]] == [
        "Idempotency-Key"
    ]
    assert "parameters" not in operation(document, "/api/v1/open", "post")


def test_bodies_are_camel_case(document) -> None:
    body = operation(document, "/api/v1/echo", "post")["requestBody"]["content"]["application/json"]["schema"]
    component = document["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]]
    assert "totalSpent" in component["properties"]
    assert component["required"] == ["firstName"]
    assert component["properties"]["lineItems"]["items"]["$ref"].startswith("#/components/schemas/LineInput")
    patched = operation(document, "/api/v1/echo", "patch")["requestBody"]["content"]["application/json"][
        "schema"
    ]
    assert "required" not in document["components"]["schemas"][patched["$ref"].rsplit("/", 1)[1]]


def test_shape_component(document) -> None:
    component = document["components"]["schemas"]["SampleStore"]
    assert component["required"] == list(component["properties"])
    assert component["properties"]["id"] == {"type": "string", "format": "uuid"}
    assert component["properties"]["createdAt"] == {"type": "string", "format": "date-time"}
    assert component["properties"]["latitude"]["type"] == ["string", "null"]
    assert component["properties"]["owner"] == {"type": "string"}


def test_answers_are_as_described(document, shop: Shop) -> None:
    client = shop.owner
    one = f"/stores/{shop.store.pk}"
    check(document, "/api/v1/stores", "get", client.get("/stores"))
    check(document, "/api/v1/stores", "get", client.get("/stores?who=1"))
    check(document, "/api/v1/stores/{storeId}", "get", client.get(one))
    check(
        document,
        "/api/v1/stores/{storeId}",
        "get",
        client.get("/stores/00000000-0000-7000-8000-000000000000"),
    )
    created = client.post("/stores", {"name": "a", "code": "b"})
    assert created.status_code == 201
    check(document, "/api/v1/stores", "post", created)
    check(document, "/api/v1/stores", "post", client.post("/stores", {"name": ""}))
    check(document, "/api/v1/stores", "post", client.post("/stores", {"name": "a", "code": "b"}))
    check(document, "/api/v1/stores/{storeId}", "delete", client.delete(one))
    check(document, "/api/v1/stores", "post", shop.cashier.post("/stores", {}))
    check(document, "/api/v1/fail/{how}", "get", client.get("/fail/gone"))


def test_it_is_made_once(document, anonymous: Client, monkeypatch) -> None:
    monkeypatch.setattr(docs, "SchemaGenerator", lambda: pytest.fail("made again"))
    assert anonymous.get("/api/schema").json() == document


def test_docs_page_loads_nothing_from_outside(anonymous: Client) -> None:
    page = anonymous.get("/api/docs")
    text = page.content.decode()
    assert page.status_code == 200
    assert "//" not in text.replace("<!doctype html>", "")
    assert "<script>" not in text
    script = anonymous.get("/api/docs.js")
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert b"SwaggerUIBundle" in script.content
    assert b"//" not in script.content
