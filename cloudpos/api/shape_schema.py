"""OpenAPI 3.1 schemas of row shapes, from their model's fields."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models

from cloudpos.api.rendering import Column, RowShape, Schema

MONEY = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["12.50"]}

# The first class that fits decides, so subclasses stand before their bases.
_BY_CLASS: tuple[tuple[type[models.Field[Any, Any]], Schema], ...] = (
    (models.UUIDField, {"type": "string", "format": "uuid"}),
    (models.DateTimeField, {"type": "string", "format": "date-time"}),
    (models.DateField, {"type": "string", "format": "date"}),
    (models.DecimalField, MONEY),
    (models.BooleanField, {"type": "boolean"}),
    (models.IntegerField, {"type": "integer"}),
    (models.FloatField, {"type": "number"}),
    (models.JSONField, {}),
    (models.TextField, {"type": "string"}),
    (models.CharField, {"type": "string"}),
)


def nullable(schema: Schema) -> Schema:
    """`schema` or null."""
    kind = schema.get("type")
    if isinstance(kind, str):
        widened = {**schema, "type": [kind, "null"]}
        if "enum" in schema:
            widened["enum"] = [*schema["enum"], None]
        return widened
    if not schema:
        return schema
    return {"oneOf": [schema, {"type": "null"}]}


def _field_schema(field: Any) -> Schema:
    if isinstance(field, models.ForeignKey):
        return _field_schema(field.target_field)
    base = getattr(field, "base_field", None)
    if base is not None:
        return {"type": "array", "items": _field_schema(base)}
    for kind, schema in _BY_CLASS:
        if isinstance(field, kind):
            choices = [choice for choice, _ in (field.choices or ()) if choice not in ("", None)]
            if choices and schema.get("type") == "string":
                return {**schema, "enum": choices + ([""] if field.blank else [])}
            return dict(schema)
    return {}


def column_schema(model: Any, column: Column) -> Schema:
    """The schema of one column: its own, else its model field's, null where any part of its path may be."""
    if column.schema is not None:
        return column.schema
    may_be_null = False
    field: Any = None
    for part in column.path.split("__"):
        if model is None:
            return {}
        try:
            field = model._meta.get_field(part)
        except FieldDoesNotExist:
            return {}
        may_be_null = may_be_null or getattr(field, "null", True)
        model = field.related_model
    schema = _field_schema(field)
    return nullable(schema) if may_be_null else schema


def shape_schema(shape: RowShape, extra: dict[str, Schema]) -> Schema:
    """The component of a shape; `extra` is its further keys, already resolved."""
    properties = {
        name: column_schema(shape.model, column)
        for name, column in zip(shape.names, shape.columns, strict=True)
    }
    properties |= extra
    schema: Schema = {"type": "object", "properties": properties, "required": list(properties)}
    if shape.description:
        schema["description"] = shape.description
    return schema
