"""Instances from SQL of one's own, and inserts of instances, without compiling a query for each call.

The ORM takes longer to compile a SELECT of thirty columns than PostgreSQL to answer it. Where a till waits, the text is
made once per process; values pass through the model's fields all the same.
"""

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, models
from django.db.models.base import ModelState

M = TypeVar("M", bound=models.Model)


class Rows(Generic[M]):
    """The rows of one model's table; the fields in `but` stay deferred on instances that are read."""

    def __init__(self, model: type[M], *, but: Collection[str] = ()) -> None:
        self.model = model
        self.table = model._meta.db_table
        self._all: list[models.Field[Any, Any]] = list(model._meta.concrete_fields)
        self._read = [field for field in self._all if field.name not in but]
        self._names = [field.attname for field in self._read]
        self._converted = [
            (place, field.from_db_value)
            for place, field in enumerate(self._read)
            if hasattr(field, "from_db_value")
        ]

    @cached_property
    def columns(self) -> str:
        """The columns that are read, named with their table."""
        return ", ".join(f'"{self.table}"."{field.column}"' for field in self._read)

    @property
    def width(self) -> int:
        """How many they are."""
        return len(self._read)

    @cached_property
    def select(self) -> str:
        """SELECT ... FROM the table, to be followed by WHERE."""
        return f'SELECT {self.columns} FROM "{self.table}"'  # noqa: S608

    def fetch(self, condition: str, parameters: Sequence[Any]) -> M | None:
        """The first row under `condition` (all that follows WHERE), None when there is none. One query."""
        with connection.cursor() as cursor:
            cursor.execute(f"{self.select} WHERE {condition}", parameters)
            row = cursor.fetchone()
        return None if row is None else self.instance(row)

    def instance(self, row: Sequence[Any]) -> M:
        """An instance of a row of the columns that are read, in their order."""
        values = list(row)
        for place, convert in self._converted:
            values[place] = convert(values[place], None, connection)
        # What `from_db` makes, without its loop over descriptors and its signals.
        found = self.model.__new__(self.model)
        found.__dict__.update(zip(self._names, values, strict=True))
        found._state = ModelState()
        found._state.adding = False
        found._state.db = DEFAULT_DB_ALIAS
        return found

    def insert(self, instances: Sequence[M], *, ending: str = "") -> list[tuple[Any, ...]]:
        """Insert a few instances in one statement; what `ending` ("RETURNING ...") returns. No signals, like bulk_create."""
        parameters = [
            field.get_db_prep_save(getattr(instance, field.attname), connection)
            for instance in instances
            for field in self._all
        ]
        values = ", ".join([self._placeholders] * len(instances))
        with connection.cursor() as cursor:
            cursor.execute(f"{self._into} {values} {ending}", parameters)
            returned: list[tuple[Any, ...]] = cursor.fetchall() if cursor.description else []
        for instance in instances:
            instance._state.adding = False
            instance._state.db = DEFAULT_DB_ALIAS
        return returned

    @cached_property
    def _into(self) -> str:
        columns = ", ".join(f'"{field.column}"' for field in self._all)
        return f'INSERT INTO "{self.table}" ({columns}) VALUES'

    @cached_property
    def _placeholders(self) -> str:
        marks = [
            field.get_placeholder(None, None, connection) if hasattr(field, "get_placeholder") else "%s"
            for field in self._all
        ]
        return f"({', '.join(marks)})"
