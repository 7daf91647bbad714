"""A rule as a component of the OpenAPI document: named there, and described in full by GET /segments/schema.

Generators of clients do not understand a language that nests in itself and chooses by constants; they would leave it out.
"""

from typing import Any

from marketing.segments.schema import Schema

RULE_COMPONENT = "SegmentRule"
RULE_REFERENCE = {"$ref": f"#/components/schemas/{RULE_COMPONENT}"}


def add_rule(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Postprocessing: a component of its own, so that the fields that hold one say so."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas[RULE_COMPONENT] = {
        "type": "object",
        "additionalProperties": True,
        "description": "A tree of conditions. Its JSON Schema is answered by GET /api/v1/segments/schema.",
        "examples": [{"field": {"name": "totalSpent", "op": "gte", "value": "100.00"}}],
    }
    return result
