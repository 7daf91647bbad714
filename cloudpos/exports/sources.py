"""What can be exported. A source says which rows, in which order; the rows are then read a thousand at a time, by their ids."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from cloudpos.api.query import StrictFilterSet
from cloudpos.exports.columns import Column
from cloudpos.tenancy.access import Access

Params = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rows of one export. `select` gives their ids in order, values written into the text: its best plan depends on them."""

    select: str
    # What `Source.joins` needs of the filters, by the joins' names.
    params: Mapping[str, Params] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of export.

    `rows` goes on after "FROM chosen ": it joins a row to its id, and starts with the merchant as its only parameter.
    `customer` is the id of who stands in a row. `joins` are added where a chosen column names them, in this order, each with
    its own parameters, of which every one is the merchant unless `Chosen` has others. `expand` makes columns of a name that
    stands for many.
    """

    title: str
    unit: str
    columns: Mapping[str, Column]
    filters: type[StrictFilterSet]
    choose: Callable[[Access, Any], Chosen]
    rows: str
    customer: str
    joins: Mapping[str, str]
    expand: Callable[[Chosen, Access, Sequence[str]], list[Column]] | None = None

    @property
    def defaults(self) -> list[str]:
        return [column.name for column in self.columns.values() if column.default]

    def chosen_columns(self, names: Sequence[str], chosen: Chosen, access: Access) -> list[Column]:
        """The columns of these names, in this order."""
        if self.expand is not None:
            return self.expand(chosen, access, names)
        return [self.columns[name] for name in names]

    def reading(
        self, columns: Sequence[Column], chosen: Chosen, merchant_id: uuid.UUID
    ) -> tuple[str, list[Any]]:
        """(the statement that reads the rows of some ids, its parameters): the ids come before all others.

        Each row begins with the customer's id. A row that is gone by now is left out.
        """
        joined = ""
        params: list[Any] = []
        for name, sql in self.joins.items():
            if any(name in column.joins for column in columns):
                joined += f" {sql}"
                params += chosen.params.get(name, [merchant_id] * sql.count("%s"))
        selected = ", ".join([self.customer, *(column.sql for column in columns)])
        values = [value for column in columns for value in column.params]
        text = (
            f"WITH chosen AS (SELECT * FROM unnest(%s::uuid[]) WITH ORDINALITY AS chosen (id, place)) "  # noqa: S608
            f"SELECT {selected} FROM chosen {self.rows}{joined} ORDER BY chosen.place"
        )
        return text, [*values, merchant_id, *params]


def written(sql: str, params: Params) -> str:
    """A statement with its values written into it."""
    text: str = connection.ops.compose_sql(sql, params)  # type: ignore[attr-defined]
    return text


def by_name(*columns: Column) -> dict[str, Column]:
    found = {column.name: column for column in columns}
    assert len(found) == len(columns)
    return found
