"""Arrays of numbers from PostgreSQL: its binary COPY format has rows of one width when no column is NULL or text."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

# PGCOPY, a line end of each kind, a zero byte; no flags; no extension.
SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
END = b"\xff\xff"

Rows = NDArray[np.void]


def read(statement: str, parameters: Mapping[str, Any], columns: Sequence[tuple[str, str]]) -> Rows:
    """The rows of a SELECT as a structured array. `columns` are (name, numpy type): i2, i4, i8 or f8, as SQL has them.

    Raises ValueError when a row holds a NULL or has other columns.
    """
    layout = _layout(columns)
    with (
        connection.cursor() as cursor,
        # Not Django's, whose debugging wrapper takes no parameters.
        cursor.cursor.copy(f"COPY ({statement}) TO STDOUT (FORMAT binary)", parameters) as copy,
    ):
        stream = b"".join(copy)
    rows = np.frombuffer(stream[len(SIGNATURE) : -len(END)], dtype=layout)
    announced = {"_columns": len(columns), **{f"_bytes_{name}": layout[name].itemsize for name, _ in columns}}
    if any(np.any(rows[name] != number) for name, number in announced.items()):
        raise ValueError("a row holds a NULL, or not the columns that were announced")
    return rows


def _layout(columns: Sequence[tuple[str, str]]) -> np.dtype[np.void]:
    """A row: how many columns, and before each its length in bytes; all of it big-endian."""
    fields: list[tuple[str, str]] = [("_columns", ">i2")]
    for name, type in columns:
        fields += [(f"_bytes_{name}", ">i4"), (name, f">{type}")]
    return np.dtype(fields)
