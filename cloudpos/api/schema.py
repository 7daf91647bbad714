"""OpenAPI 3.1 that is true to the envelope: what a generated client decodes is what the service sends.

A view documents its operations by the keys of `roles` (action, or lower-case method):

    inputs  = {"create": CustomerInput}                     # a CamelSerializer class: the request body
    outputs = {
        "list": Paged("customers", CUSTOMER),               # one page
        "create": Output(CUSTOMER, status=201),             # 201 with Location
        "retrieve": CUSTOMER,                               # a RowShape, a serializer class, an OpenAPI schema, or None
        "sell": [Output(RECEIPT, status=201), Output(RECEIPT, status=200)],
    }
    filters = {"list": CustomerFilters}                     # query parameters
    summaries = {"list": "Search customers"}
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, force_instance
from rest_framework import serializers

from cloudpos.api.naming import camel
from cloudpos.api.parameter_schema import query_parameters
from cloudpos.api.rendering import RowShape, Schema
from cloudpos.api.roles import PUBLIC, SIGNED_IN
from cloudpos.api.schema_components import (
    COMPONENTS,
    ERRORS,
    INTRODUCTION,
    RANGE_HEADERS,
    RANGE_PARAMETERS,
    RATE_HEADERS,
    RETRY_HEADER,
)
from cloudpos.api.shape_schema import shape_schema
from cloudpos.api.tables import CSV

JSON = "application/json"
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_INSIDE_NAME = re.compile(r"[^A-Za-z0-9]+")

Described = RowShape | type[serializers.BaseSerializer[Any]] | serializers.BaseSerializer[Any] | Schema | None


_BYTES: Schema = {"type": "string", "format": "binary"}


@dataclass(frozen=True)
class Output:
    """One successful answer of an operation."""

    data: Any = None
    status: int = 200
    description: str = ""
    etag: bool = False


def once(data: Any, again: str) -> list[Output]:
    """The answers of `envelope.once`; `again` says what the same request gets when it is repeated."""
    return [Output(data, status=201), Output(data, status=200, description=again)]


@dataclass(frozen=True)
class Paged:
    """One page of a list: `key` is the plural noun that holds the rows."""

    key: str
    row: Any
    extra: Mapping[str, Schema] = field(default_factory=dict)


@dataclass(frozen=True)
class Many:
    """A JSON array of `row`, without pages."""

    row: Any


@dataclass(frozen=True)
class Fields:
    """An object of named parts, each described like an output: `Fields("Receipt", {"purchase": PURCHASE, ...})`."""

    name: str
    parts: Mapping[str, Any]
    optional: frozenset[str] = frozenset()


def _is_list(described: Any) -> bool:
    """Whether an output is a list and nothing else."""
    if isinstance(described, Fields):
        return len(described.parts) == 1 and all(isinstance(part, Many) for part in described.parts.values())
    return isinstance(described, Paged | Many)


class EnvelopeSchema(AutoSchema):
    """Reads the declarations of ApiView; other views keep drf-spectacular's own reading."""

    def _declared(self, table: str) -> Any:
        return getattr(self.view, table, {}).get(self._operation())

    def _operation(self) -> str:
        return getattr(self.view, "action", None) or self.method.lower()

    def _least_role(self) -> Any:
        return getattr(self.view, "roles", {}).get(self._operation())

    def _public(self) -> bool:
        return bool(self._least_role() == PUBLIC)

    def is_excluded(self) -> bool:
        return not hasattr(self.view, "roles")

    def get_operation_id(self) -> str:
        tokens = [token for token in self._tokenize_path() if token]
        verb = self._operation()
        if verb in ("get", "post", "put", "patch", "delete"):
            listed = _is_list(self._declared("outputs"))
            verb = {
                "get": "list" if listed else "retrieve",
                "post": "create",
                "put": "update",
                "patch": "partial_update",
            }.get(verb, "destroy")
        elif tokens and tokens[-1].replace("-", "_") == verb:
            # A named action already says what it does; its name usually ends the path as well.
            tokens = tokens[:-1]
        name = "_".join([*tokens, verb])
        return camel(_INSIDE_NAME.sub("_", name).strip("_").lower())

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular's own
        """The handler's docstring, else the view's own; never that of a base class, which speaks to developers."""
        handler = getattr(self.view, self._operation(), None)
        return inspect.cleandoc(
            getattr(handler, "__doc__", None) or type(self.view).__dict__.get("__doc__") or ""
        )

    def get_summary(self) -> str | None:
        summary: str | None = self._declared("summaries")
        return summary

    def get_auth(self) -> list[Schema]:
        if self._public():
            return []
        return (
            [{"bearerAuth": []}] if self._least_role() == SIGNED_IN else [{"bearerAuth": [], "storeId": []}]
        )

    def get_request_serializer(self) -> Any:
        return self._declared("inputs")

    def _get_request_body(self, direction: Any = "request") -> Schema | None:
        if self._operation() in getattr(self.view, "uploads", ()):
            content: Schema = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
            return {"content": content, "required": True}
        body: Schema | None = super()._get_request_body(direction)
        if body is not None and (examples := self._declared("examples")) is not None:
            body["content"][JSON]["examples"] = {name: {"value": value} for name, value in examples.items()}
        return body

    def get_response_serializers(self) -> Any:
        return None

    def _map_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> Schema:
        """As drf-spectacular's, without the docstring of a base class, which speaks to developers."""
        schema: Schema = super()._map_serializer(serializer, direction, bypass_extensions)
        if not type(force_instance(serializer)).__dict__.get("__doc__"):
            schema.pop("description", None)
        return schema

    def _get_parameters(self) -> list[Schema]:
        variables = re.findall(r"{(\w+)}", self.path)
        parameters = [
            {**parameter, "name": camel(parameter["name"])}
            for parameter in self._resolve_path_parameters(variables)
        ]
        filters = self._declared("filters")
        if filters is not None:
            parameters += query_parameters(filters)
        if self._has_ranges():
            parameters += RANGE_PARAMETERS
        if self.method in WRITES and getattr(self.view, "idempotent", False) and not self._public():
            parameters.append(
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "Send it again with the same key, at the same store: done once, answered twice.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
                }
            )
        return parameters

    def _get_response_bodies(self, direction: str = "response") -> Schema:
        responses: Schema = {}
        declared = self._declared("outputs")
        answers = declared if isinstance(declared, list | tuple) else [declared]
        for answer in answers:
            output = answer if isinstance(answer, Output) else Output(answer)
            responses[str(output.status)] = self._success(output)
            if self._has_ranges():
                responses["206"] = {**self._success(output), "description": "What `Range` asked for of it."}
        for status in self._error_statuses():
            headers = dict(RETRY_HEADER) if status in (429, 503) else {}
            responses[str(status)] = {
                "description": ERRORS[status],
                "content": {JSON: {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}},
                **({"headers": headers} if headers else {}),
            }
        return responses

    def _error_statuses(self) -> list[int]:
        # 401 also where no token is needed: logging in fails that way.
        statuses = [400, 401, 406, 429, 500, 503]
        if self._least_role() not in (PUBLIC, SIGNED_IN):
            statuses.append(403)
        if "{" in self.path or any(self._declared(what) is not None for what in ("inputs", "filters")):
            statuses.append(404)
        if self.method in WRITES:
            statuses += [408, 409, 411, 413, 415, 422]
            if self.method != "POST":
                statuses.append(412)
        if self._has_ranges():
            statuses += [409, 410, 416]
        return sorted(statuses)

    def _has_ranges(self) -> bool:
        return self._operation() in getattr(self.view, "ranges", ())

    def _success(self, output: Output) -> Schema:
        data = self._describe(output.data)
        name = self._response_name(output.data)
        envelope: Schema = {
            "type": "object",
            "properties": {
                "success": {"type": "boolean", "enum": [True]},
                "data": data,
                "message": {"type": "string"},
            },
            "required": ["success", "data", "message"],
        }
        headers = dict(RATE_HEADERS)
        if output.status in (201, 202):
            headers["Location"] = {"schema": {"type": "string"}, "description": "Path of what was made."}
        if output.etag:
            headers["ETag"] = {"schema": {"type": "string"}, "description": "The row's version."}
        if self._has_ranges():
            headers |= RANGE_HEADERS
        content: Schema = {JSON: {"schema": self._component(name, envelope)}}
        if self._operation() in getattr(self.view, "tables", ()):
            content[CSV] = {"schema": {"type": "string", "description": "The list alone, with a header row."}}
        if self._operation() in getattr(self.view, "files", ()):
            types = getattr(self.view, "file_types", (CSV,))
            content = {type: content.get(type, {"schema": _BYTES}) for type in types}
        descriptions = {200: "Done.", 201: "Created.", 202: "Accepted; `Location` tells the progress."}
        return {
            "description": output.description or descriptions.get(output.status, "Done."),
            "headers": headers,
            "content": content,
        }

    def _response_name(self, data: Any) -> str:
        name = self._name(data)
        return f"{name}Response" if name else f"{self._camel_operation()}Response"

    def _camel_operation(self) -> str:
        operation = self.get_operation_id()
        return operation[:1].upper() + operation[1:]

    def _name(self, data: Any) -> str:
        if isinstance(data, RowShape | Fields):
            return data.name
        if isinstance(data, Paged):
            row = self._name(data.row) or self._camel_operation()
            # The same rows under another key, or with more beside them, are another component.
            plain = data.key.lower().startswith(row.lower()[:4]) and not data.extra
            return f"{row}Page" if plain else f"{self._camel_operation()}Page"
        if isinstance(data, Many):
            return f"{self._name(data.row) or self._camel_operation()}List"
        if isinstance(data, type) and issubclass(data, serializers.BaseSerializer):
            return data.__name__.removesuffix("Serializer")
        if data is None:
            return "Empty"
        return ""

    def _component(self, name: str, schema: Schema) -> Schema:
        component = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, object=name, schema=schema)
        # Names are the identity: two shapes of one name would overwrite each other silently.
        found = self.registry._components.get(component.key)
        if found is None:
            self.registry._components[component.key] = component
        elif found.schema != schema:
            raise ValueError(f"OpenAPI: two different components are called {name}")
        return {"$ref": f"#/components/schemas/{name}"}

    def _describe(self, data: Any) -> Schema:
        """An OpenAPI schema, or a reference to the component that holds it."""
        if data is None:
            return {"type": "null"}
        if isinstance(data, RowShape):
            extra = {name: self._describe(part) for name, part in data.extra.items()}
            return self._component(data.name, shape_schema(data, extra))
        if isinstance(data, Fields):
            properties = {name: self._describe(part) for name, part in data.parts.items()}
            required = [name for name in properties if name not in data.optional]
            return self._component(
                data.name, {"type": "object", "properties": properties, "required": required}
            )
        if isinstance(data, Many):
            return {"type": "array", "items": self._describe(data.row)}
        if isinstance(data, Paged):
            return self._component(self._name(data), self._page(data))
        if isinstance(data, dict):
            return self._resolve(data)
        component = self.resolve_serializer(data, "response")
        reference: Schema = component.ref
        return reference

    def _resolve(self, schema: Schema) -> Schema:
        """A schema whose parts may be shapes."""
        return {key: self._resolve_part(part) for key, part in schema.items()}

    def _resolve_part(self, part: Any) -> Any:
        if isinstance(part, RowShape | Fields | Many | Paged):
            return self._describe(part)
        if isinstance(part, dict):
            return self._resolve(part)
        return [self._resolve_part(each) for each in part] if isinstance(part, list) else part

    def _page(self, page: Paged) -> Schema:
        properties: Schema = {
            page.key: {"type": "array", "items": self._describe(page.row)},
            "total": {"type": "integer"},
            "page": {"type": "integer"},
            "limit": {"type": "integer"},
            "totalPages": {"type": "integer"},
            "totalIsExact": {
                "type": "boolean",
                "description": "False when `total` is a bound or an estimate.",
            },
            "nextCursor": {
                "type": ["string", "null"],
                "description": "Give it as `cursor` for the next page.",
            },
        }
        properties |= {name: self._describe(part) for name, part in page.extra.items()}
        return {"type": "object", "properties": properties, "required": list(properties)}


def finish(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Postprocessing: camelCase path variables, the components every operation shares, the server."""
    result["paths"] = {
        re.sub(r"{(\w+)}", lambda match: "{" + camel(match.group(1)) + "}", path): item
        for path, item in result["paths"].items()
    }
    components = result.setdefault("components", {})
    for kind, named in COMPONENTS.items():
        components.setdefault(kind, {}).update(named)
    result["info"]["description"] = INTRODUCTION
    # Relative: the page of the documentation calls whichever host served it.
    result["servers"] = [{"url": "/"}]
    return result
