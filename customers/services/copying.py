"""COPY of model instances. The text is made here: psycopg's adaptation of each value takes three times as long."""

import json
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from typing import Any

import orjson
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models

from customers.search import LexemesField, tsvector_literal

CHARS_PER_WRITE = 262_144

# What separates and escapes in COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html).
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NULL = "\\N"


def column_names(model: type[models.Model]) -> str:
    """The columns that `copy_in` writes, quoted, in its order."""
    texts, others = _columns(model)
    names = {field.attname: str(field.column) for field in model._meta.concrete_fields}
    return ", ".join(
        connection.ops.quote_name(names[name]) for name in (*texts, *(name for name, _ in others))
    )


def copy_lines(model: type[models.Model], instances: Iterable[Any]) -> str:
    """Instances as lines of COPY's text format, as they are."""
    texts, others = _columns(model)
    lines = []
    for instance in instances:
        values = instance.__dict__
        written = [values[name] for name in texts]
        # Nearly all text has nothing to escape, and to see that of all at once takes a tenth of the time.
        together = "".join(written)
        if "\\" in together or not together.isprintable():
            written = [text.translate(_ESCAPES) for text in written]
        for name, text in others:
            value = values[name]
            written.append(_NULL if value is None else text(value))
        lines.append("\t".join(written))
    lines.append("")
    return "\n".join(lines)


def line_like(model: type[models.Model], instance: Any, ids: Collection[str]) -> str:
    """A line that differs from the instance's in some ids (attribute names): `line % {"id": new_id().int, ...}` makes it."""
    texts, others = _columns(model)
    values = instance.__dict__
    written = [_escaped(values[name]).replace("%", "%%") for name in texts]
    for name, text in others:
        if name in ids:
            written.append(f"%({name})032x")
        else:
            written.append(_NULL if values[name] is None else text(values[name]).replace("%", "%%"))
    return "\t".join(written) + "\n"


def copy_in(model: type[models.Model], lines: Iterable[str], *, table: str | None = None) -> None:
    """Append lines to the model's table, or to one with the same columns: no conflict is handled."""
    text = "".join(lines)
    if not text:
        return
    target = table or model._meta.db_table
    with (
        connection.cursor() as cursor,
        # What is wrong with the rows is said when the copy ends, which Django does not see by itself.
        connection.wrap_database_errors,
        cursor.copy(f"COPY {target} ({column_names(model)}) FROM STDIN") as copy,
    ):
        for start in range(0, len(text), CHARS_PER_WRITE):
            copy.write(text[start : start + CHARS_PER_WRITE])


def update_in(model: type[models.Model], instances: Sequence[Any], columns: Sequence[str]) -> None:
    """Write these columns (attribute names) of rows that there are, in one statement, inside the caller's transaction."""
    update_lines(model, copy_lines(model, instances), columns)


def update_lines(model: type[models.Model], lines: str, columns: Sequence[str]) -> None:
    """`update_in` for lines that `copy_lines` made."""
    if not lines:
        return
    quote = connection.ops.quote_name
    table = model._meta.db_table
    given = f"{table}_changing"
    names = {field.attname: str(field.column) for field in model._meta.concrete_fields}
    written = ", ".join(f"{quote(names[name])} = given.{quote(names[name])}" for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {given} (LIKE {table}) ON COMMIT DELETE ROWS")
        cursor.execute(f"TRUNCATE {given}")
        copy_in(model, [lines], table=given)
        cursor.execute(
            f"UPDATE {table} SET {written} FROM {given} given"  # noqa: S608 - names of the model
            f" WHERE {table}.merchant_id = given.merchant_id AND {table}.id = given.id"
        )


@cache
def _columns(
    model: type[models.Model],
) -> tuple[tuple[str, ...], tuple[tuple[str, Callable[[Any], str]], ...]]:
    """The columns of text that is never null, then each of the others with what writes its value."""
    fields = model._meta.concrete_fields
    texts = [
        field.attname
        for field in fields
        if isinstance(field, models.CharField | models.TextField) and not field.null
    ]
    others = [(field.attname, _writer(field)) for field in fields if field.attname not in texts]
    return tuple(texts), tuple(others)


def _writer(field: "models.Field[Any, Any]") -> Callable[[Any], str]:
    if isinstance(field, LexemesField):
        return lambda found: _escaped(tsvector_literal(found))
    if isinstance(field, models.JSONField):
        return _json
    if isinstance(field, models.UUIDField | models.ForeignKey):
        return _uuid
    if isinstance(field, ArrayField):
        return _array
    if isinstance(field, models.CharField | models.TextField | models.GenericIPAddressField):
        return _escaped
    if isinstance(field, models.DateTimeField):
        return _times()
    # Numbers and days hold nothing to escape.
    return str


def _times() -> Callable[[Any], str]:
    """Many rows have the very same time."""
    last: tuple[Any, str] = (None, "")

    def text(value: Any) -> str:
        nonlocal last
        known, written = last
        if value is not known:
            written = str(value)
            last = (value, written)
        return written

    return text


def _array(values: Sequence[str]) -> str:
    quoted = ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return _escaped(f"{{{quoted}}}")


def _json(value: Any) -> str:
    if value == {}:
        return "{}"
    if value == []:
        return "[]"
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        # A whole number beyond 64 bits, which PostgreSQL keeps as it is.
        text = json.dumps(value, ensure_ascii=False)
    return _escaped(text)


def _uuid(value: uuid.UUID) -> str:
    # PostgreSQL reads it without hyphens too, and `str` takes three times as long.
    return f"{value.int:032x}"


def _escaped(text: str) -> str:
    # Nearly all text has nothing to escape, and to see that takes a tenth of the time of `translate`.
    return text if text.isprintable() and "\\" not in text else text.translate(_ESCAPES)
