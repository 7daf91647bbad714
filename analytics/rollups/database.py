"""Statements of the roll-ups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

# Grouping a month by customer takes more than the few MB that a till's statements need.
WORK_MEMORY = "64MB"

Row = tuple[Any, ...]


def rows(sql: str, parameters: dict[str, Any] | None = None) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def run(sql: str, parameters: dict[str, Any] | None = None) -> int:
    """Returns how many rows were written."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)


def copy_rows(table: str, columns: Sequence[str], values: Sequence[Row]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        for row in values:
            copy.write_row(row)


def more_memory() -> None:
    """For the rest of the transaction."""
    run("SELECT set_config('work_mem', %(memory)s, true)", {"memory": WORK_MEMORY})
