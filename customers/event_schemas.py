"""JSON Schemas that merchants write for their events: a part of 2020-12 that cannot be made slow, and what does not fit.

No references, which could lead out of here or into themselves, and no patterns, which can take for ever on a few characters.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

DEPTH_MAX = 5
PROBLEMS_SHOWN_MAX = 10

_NOTES = frozenset({"$schema", "title", "description", "examples", "default", "format"})
_CHECKS = frozenset(
    {
        "type", "enum", "const", "properties", "required", "additionalProperties", "items", "minItems", "maxItems",
        "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    }
)  # fmt: skip


class SchemaRefused(ValueError):
    """The message names the part that is wrong."""


def check_schema(schema: dict[str, Any]) -> None:
    """Raises SchemaRefused."""
    _check_part(schema, "schema", 1)
    if schema.get("type") != "object":
        raise SchemaRefused('schema: the type must be "object", as the data of an event are.')
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = ".".join(str(part) for part in ("schema", *error.absolute_path))
        raise SchemaRefused(f"{where}: {error.message[:200]}") from None


def _check_part(part: Any, where: str, depth: int) -> None:
    if isinstance(part, bool):
        return
    if not isinstance(part, dict):
        raise SchemaRefused(f"{where}: this must be an object.")
    if depth > DEPTH_MAX:
        raise SchemaRefused(f"{where}: schemas are at most {DEPTH_MAX} levels deep.")
    for keyword, value in part.items():
        if keyword not in _NOTES | _CHECKS:
            raise SchemaRefused(f"{where}.{keyword}: this keyword is not known here.")
        if keyword == "properties" and isinstance(value, dict):
            for name, inner in value.items():
                _check_part(inner, f"{where}.properties.{name}", depth + 1)
        elif keyword in ("items", "additionalProperties"):
            _check_part(value, f"{where}.{keyword}", depth + 1)


def problems(schema: dict[str, Any], data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(path below the data, what is wrong there), of a schema that was checked; at most PROBLEMS_SHOWN_MAX."""
    for number, error in enumerate(_validator(orjson.dumps(schema)).iter_errors(data)):
        if number == PROBLEMS_SHOWN_MAX:
            return
        yield ".".join(str(part) for part in error.absolute_path), error.message[:200]


@lru_cache(maxsize=512)
def _validator(schema: bytes) -> Draft202012Validator:
    return Draft202012Validator(orjson.loads(schema))
