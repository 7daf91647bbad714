"""From database rows to JSON: shapes declared once, and the renderer for DRF's own responses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Expression, F, QuerySet, TextField
from django.db.models.functions import Cast
from rest_framework.renderers import BaseRenderer

from cloudpos.api.encoding import embedded, encode
from cloudpos.api.naming import camel

Schema = dict[str, Any]


class EnvelopeRenderer(BaseRenderer):
    """For the few views that return DRF's Response: wraps its data unless it is an envelope already."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if isinstance(data, dict) and "success" in data:
            return encode(data)
        return encode({"success": True, "data": data, "message": ""})


class JsonText(Cast):
    """A jsonb column as text, so that it can be embedded in the answer without being parsed and encoded again."""

    def __init__(self, column: str) -> None:
        super().__init__(F(column), TextField())


@dataclass(frozen=True)
class Column:
    """One value of a row.

    `path` is the ORM path below the queryset's model ("customer__first_name"); `expression` replaces it by something
    computed in the database; `convert` is applied to values that are not None. `schema` is the OpenAPI 3.1 schema,
    taken from the model field when the shape knows its model. `name` is the outside name, camelCase of `path`
    unless given.
    """

    path: str
    name: str = ""
    expression: Expression | F | None = None
    convert: Callable[[Any], Any] | None = None
    schema: Schema | None = None

    @classmethod
    def json(cls, path: str, name: str = "", schema: Schema | None = None) -> Column:
        """A jsonb column embedded as it is stored."""
        return cls(
            path, name, JsonText(path), embedded, schema or {"type": "object", "additionalProperties": True}
        )


class RowShape:
    """What a resource looks like outside, declared once; renders tuples, never model instances.

        CUSTOMER = RowShape("Customer", ["id", "first_name", Column("address__city", "city")], model=Customer)
        rows = CUSTOMER.rows(Customer.objects.for_merchant(m))          # one query, a list of dicts

    `name` is the component's name in OpenAPI. `extra` describes keys that the caller adds to the rendered dicts.
    """

    def __init__(
        self,
        name: str,
        columns: Sequence[str | Column],
        *,
        model: type | None = None,
        extra: Mapping[str, Any] | None = None,
        description: str = "",
    ) -> None:
        self.name = name
        self.model = model
        self.description = description
        self.extra = dict(extra or {})
        self.columns = tuple(Column(column) if isinstance(column, str) else column for column in columns)
        self.names = tuple(column.name or camel(column.path.replace("__", "_")) for column in self.columns)
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"{name}: a name is used twice in {self.names}")
        self._annotations: dict[str, Any] = {}
        paths = []
        for column in self.columns:
            if column.expression is None:
                paths.append(column.path)
            else:
                alias = f"_{column.path}"
                self._annotations[alias] = column.expression
                paths.append(alias)
        self.paths = tuple(paths)
        self._converters = tuple(
            (column_name, column.convert)
            for column_name, column in zip(self.names, self.columns, strict=True)
            if column.convert is not None
        )

    @property
    def all_names(self) -> frozenset[str]:
        """Every key of the rendered object: what a write may send back and have ignored."""
        return frozenset(self.names) | frozenset(self.extra)

    def values(self, queryset: QuerySet[Any], also: Sequence[str] = ()) -> QuerySet[Any]:
        """The queryset reduced to this shape's tuples, followed by the columns in `also`: lazy, can be sliced."""
        if self._annotations:
            queryset = queryset.annotate(**self._annotations)
        return queryset.values_list(*self.paths, *also)

    def render(self, rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
        """Tuples in the order of `paths` (from `values` or from SQL of one's own) as dicts ready for the encoder."""
        names = self.names
        # strict would cost a third of the call, and the widths agree by construction.
        rendered = [dict(zip(names, row)) for row in rows]  # noqa: B905
        for name, convert in self._converters:
            for row in rendered:
                value = row[name]
                if value is not None:
                    row[name] = convert(value)
        return rendered

    def rows(self, queryset: QuerySet[Any]) -> list[dict[str, Any]]:
        """One query, a list of dicts."""
        return self.render(self.values(queryset))

    def one(self, queryset: QuerySet[Any]) -> dict[str, Any] | None:
        """The first row, None when there is none. One query."""
        rendered = self.render(self.values(queryset)[:1])
        return rendered[0] if rendered else None

    def instance(self, instance: Any) -> dict[str, Any]:
        """A saved model instance in this shape, without a query; not for shapes with expressions on other tables."""
        values = []
        for column in self.columns:
            value = instance
            for part in column.path.split("__"):
                value = getattr(value, part, None)
            if value is not None and column.convert is embedded:
                value = embedded(encode(value))
            elif value is not None and column.convert is not None:
                value = column.convert(value)
            values.append(value)
        return dict(zip(self.names, values, strict=True))
