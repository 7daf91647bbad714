"""Several writes in one statement: a till waits for each round trip.

Each domain adds its part to a Statement that the use case sends. Rows travel as one JSON parameter per table, so the text is the
same for one row and for a thousand: it is prepared once per connection, and never meets the limit of 65,535 parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

import orjson
from django.db import connection, models, transaction
from psycopg.types.numeric import Int8

Row = Mapping[str, Any]


class Table:
    """A model's table, to insert rows into: dicts of column names and values. Columns that are left out become NULL.

    Those that the database keeps itself are named in `but`: they are not written.
    """

    def __init__(self, model: type[models.Model], *, but: Collection[str] = ()) -> None:
        self.name = model._meta.db_table
        # Attribute and column of each.
        self._fields = [
            (field.attname, str(field.column))
            for field in model._meta.concrete_fields
            if field.attname not in but
        ]

    @cached_property
    def insert(self) -> str:
        """INSERT ... SELECT ... FROM one JSON parameter."""
        columns = ", ".join(column for _, column in self._fields)
        # By the table's own row type: psycopg reads a text of more than 4,096 characters anew at each use.
        return (
            f"INSERT INTO {self.name} ({columns})"  # noqa: S608
            f" SELECT {columns} FROM jsonb_populate_recordset(NULL::{self.name}, %s) AS v"
        )

    def row(self, instance: models.Model) -> Row:
        """An instance's values by column, as they are."""
        return {column: getattr(instance, name) for name, column in self._fields}

    @staticmethod
    def rows(rows: Sequence[Row]) -> str:
        """The parameter."""
        return orjson.dumps(rows, default=_plain).decode()


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    raise TypeError(f"{type(value).__name__} cannot be written")


class Statement:
    """Parts of a WITH, in the caller's transaction.

    All parts see the database as it was before the statement, not each other's rows. After `only_if` is set, the parts that
    are added do nothing unless that part returned a row.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._parameters: list[Any] = []
        self.only_if = ""
        # Called after the transaction that holds the statement, be it the statement's own.
        self.after_commit: list[Callable[[], None]] = []

    @property
    def condition(self) -> str:
        """What a part of one's own puts behind its WHERE."""
        return f"EXISTS (SELECT FROM {self.only_if})" if self.only_if else "true"

    def insert(
        self, table: Table, rows: Sequence[Row], *, name: str = "", ending: str = "", of: str = ""
    ) -> None:
        """Insert rows; `ending` is what follows (ON CONFLICT, RETURNING). Nothing is added without rows.

        With `of`, a column of the table, only the rows whose owner the `only_if` part returned by its id.
        """
        if rows:
            condition = f"{of} IN (SELECT id FROM {self.only_if})" if of else self.condition  # noqa: S608
            self.add(
                name or f"{table.name}_new",
                f"{table.insert} WHERE {condition} {ending}",
                [table.rows(rows)],
            )

    def add(self, name: str, sql: str, parameters: Sequence[Any]) -> None:
        """Any other part."""
        self._parts.append(f"{name} AS ({sql})")
        self._parameters.extend(parameters)

    def execute(self, question: str) -> tuple[Any, ...]:
        """Send the parts with a SELECT that asks what they returned; its one row."""
        # Whole numbers of one width: their size must not make another prepared statement of it.
        parameters = [Int8(value) if type(value) is int else value for value in self._parameters]
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH {', '.join(self._parts)} {question}" if self._parts else question, parameters
            )
            row: tuple[Any, ...] = cursor.fetchone()
        for call in self.after_commit:
            # robust: what follows a write must not fail it.
            transaction.on_commit(call, robust=True)
        return row
