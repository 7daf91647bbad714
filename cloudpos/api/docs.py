"""/api/schema and /api/docs. Nothing is loaded from outside, and no script stands in the page."""

from functools import lru_cache
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

SCHEMA_TYPE = "application/vnd.oai.openapi+json"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CloudPOS Customer Service API</title>
<link rel="icon" href="{icon}">
<link rel="stylesheet" href="{style}">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. The description itself is at <a href="/api/schema">/api/schema</a>.</noscript>
<script src="{bundle}"></script>
<script src="/api/docs.js"></script>
</body>
</html>
"""
_SCRIPT = """"use strict";
window.ui = SwaggerUIBundle({
  url: "/api/schema",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  persistAuthorization: true,
  displayRequestDuration: true,
  tagsSorter: "alpha",
  validatorUrl: null
});
"""


@lru_cache(maxsize=1)
def _document() -> bytes:
    """The description, generated once per process: it takes a second and never changes while the process runs."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return orjson.dumps(schema)


@require_safe
def schema_view(request: HttpRequest) -> HttpResponse:
    """GET /api/schema: OpenAPI 3.1 as JSON."""
    response = HttpResponse(_document(), content_type=SCHEMA_TYPE)
    response.headers["Cache-Control"] = "no-cache"
    return response


@require_safe
def docs_view(request: HttpRequest) -> HttpResponse:
    """GET /api/docs: Swagger UI."""
    # Each file by its own name: production adds a hash of the content to it.
    files = {"icon": "favicon-32x32.png", "style": "swagger-ui.css", "bundle": "swagger-ui-bundle.js"}
    assets = {name: static(f"drf_spectacular_sidecar/swagger-ui-dist/{file}") for name, file in files.items()}
    return HttpResponse(_PAGE.format(**assets))


@require_safe
def docs_script_view(request: HttpRequest) -> HttpResponse:
    """GET /api/docs.js: a script of its own, so that the content security policy can forbid inline ones."""
    return HttpResponse(_SCRIPT, content_type="text/javascript; charset=utf-8")
