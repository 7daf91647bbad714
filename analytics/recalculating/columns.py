"""Whole columns of numbers from PostgreSQL and to it, in its binary format: no Python object for each value."""

import struct
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

# numpy's kind and bytes: SQL's name of the type, the numbers by which PostgreSQL knows it and its array.
_TYPES = {
    "i2": ("int2", 21, 1005),
    "i4": ("int4", 23, 1007),
    "i8": ("int8", 20, 1016),
    "f8": ("float8", 701, 1022),
}
_UUID = ("uuid", 2950, 2951)

Rows = NDArray[np.void]


def layout(columns: Sequence[tuple[str, str]]) -> np.dtype[np.void]:
    """A row as `packed` writes it. `columns` are (name, numpy type): i2, i4, i8 or f8, as SQL has them."""
    return np.dtype([(name, f">{type}") for name, type in columns])


def packed(columns: Sequence[tuple[str, str]], of: str) -> str:
    """SQL of an aggregate of the rows of `of`: their columns, one after the other. A row that holds a NULL is left out."""
    row = " || ".join(f"{_TYPES[type][0]}send({of}.{name})" for name, type in columns)
    return f"string_agg({row}, ''::bytea)"


def read(statement: str, parameters: Mapping[str, Any], columns: Sequence[tuple[str, str]]) -> Rows:
    """The rows of a SELECT as a structured array. Raises ValueError when a row holds a NULL."""
    sql = f"SELECT count(*)::int, {packed(columns, 'found')} FROM ({statement}) AS found"  # noqa: S608 - ours
    ((number, content),) = binary(sql, parameters)
    rows = np.frombuffer(content or b"", dtype=layout(columns))
    if len(rows) != number:
        raise ValueError("a row holds a NULL")
    return rows


def binary(sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """The rows of a statement, which come as PostgreSQL has them instead of as text. Parameters may be Columns."""
    with connection.cursor() as cursor:
        _execute(cursor, sql, parameters, binary=True)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def execute(sql: str, parameters: Mapping[str, Any]) -> None:
    """A statement without rows, of which some parameters are Columns."""
    with connection.cursor() as cursor:
        _execute(cursor, sql, parameters)


def _execute(cursor: Any, sql: str, parameters: Mapping[str, Any] | None, *, binary: bool = False) -> None:
    # Not Django's own, which knows no other format than text, and writes the values into it for debugging.
    cursor.cursor.adapters.register_dumper(Column, _ColumnDumper)
    cursor.cursor.execute(sql, parameters, binary=binary)


class Column:
    """An array that travels to PostgreSQL as it is. `values`: a numpy array of `_TYPES`, or of V16, the bytes of UUIDs."""

    def __init__(self, values: NDArray[Any]) -> None:
        kind = values.dtype.str[1:]
        self.sql_type, element, self.oid = _UUID if kind == "V16" else _TYPES[kind]
        body = np.empty(
            len(values), dtype=[("bytes", ">i4"), ("value", "V16" if kind == "V16" else f">{kind}")]
        )
        body["bytes"], body["value"] = values.dtype.itemsize, values
        # How many dimensions, whether there are NULLs, of what; how long, from which index on.
        shape = (1, 0, element, len(values), 1) if len(values) else (0, 0, element)
        self.content = struct.pack(f">{'i' * len(shape)}", *shape) + body.tobytes()


def uuids(ids: Sequence[uuid.UUID]) -> Column:
    return Column(np.frombuffer(b"".join(id_.bytes for id_ in ids), dtype="V16"))


class _ColumnDumper(Dumper):
    format = Format.BINARY

    def __init__(self, cls: type, context: Any = None) -> None:
        super().__init__(cls, context)
        self.oid = 0

    def get_key(self, obj: Any, format: Any) -> Any:
        return (Column, obj.oid)

    def upgrade(self, obj: Any, format: Any) -> Dumper:
        dumper = _ColumnDumper(Column)
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: Any) -> Buffer | None:
        content: bytes = obj.content
        return content
