"""The schema of rules as components of the OpenAPI document."""

from typing import Any

from marketing.segments.schema import RULE_SCHEMA, Schema

RULE_COMPONENT = "SegmentRule"
RULE_REFERENCE = {"$ref": f"#/components/schemas/{RULE_COMPONENT}"}
_INSIDE = "#/$defs/"


def _name(name: str) -> str:
    return f"{RULE_COMPONENT}{name[:1].upper()}{name[1:]}"


def _moved(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: f"#/components/schemas/{_name(value.removeprefix(_INSIDE))}"
            if key == "$ref"
            else _moved(value)
            for key, value in part.items()
        }
    return [_moved(each) for each in part] if isinstance(part, list) else part


def add_rule(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Postprocessing: the definitions of the rule's schema under names of their own."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    rule = {key: value for key, value in RULE_SCHEMA.items() if key not in ("$schema", "$defs")}
    schemas[RULE_COMPONENT] = _moved(rule)
    for name, definition in RULE_SCHEMA["$defs"].items():
        schemas[_name(name)] = _moved(definition)
    return result
