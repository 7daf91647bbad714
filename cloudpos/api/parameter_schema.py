"""A list's query parameters in OpenAPI's words."""

from typing import Any

from cloudpos.api.parameters import Parameter
from cloudpos.api.rendering import Schema


def query_parameters(filters: Any) -> list[Schema]:
    """The query parameters of a StrictFilterSet class."""
    found = []
    for outside, (_, filter_) in filters.parameters().items():
        schema = filter_.schema if isinstance(filter_, Parameter) else {"type": "string"}
        parameter: Schema = {"name": outside, "in": "query", "schema": schema}
        if isinstance(filter_, Parameter):
            if filter_.description:
                parameter["description"] = filter_.description
            if filter_.many:
                parameter |= {"style": "form", "explode": False}
        found.append(parameter)
    if filters.paged:
        limit = {
            "type": "integer",
            "minimum": 1,
            "maximum": filters.limit_max,
            "default": filters.limit_default,
        }
        page: Schema = {
            "name": "page",
            "in": "query",
            "schema": {"type": "integer", "minimum": 1, "default": 1},
        }
        if filters.cursors:
            page["description"] = (
                "From 1. A long list may refuse pages far from both of its ends (`page_too_deep`): go on by `cursor`."
            )
        found.append(page)
        found.append({"name": "limit", "in": "query", "schema": limit})
        if filters.cursors:
            description = "`nextCursor` of the page before; instead of `page`."
            found.append(
                {"name": "cursor", "in": "query", "description": description, "schema": {"type": "string"}}
            )
    if filters.sortable:
        sort = {"type": "string", "enum": list(filters.sortable)}
        order = {"type": "string", "enum": ["asc", "desc"]}
        if filters.default_sort:
            sort["default"] = filters.default_sort
            order["default"] = "desc" if filters.default_descending else "asc"
        found.append({"name": "sortBy", "in": "query", "schema": sort})
        found.append({"name": "sortOrder", "in": "query", "schema": order})
    return found
