"""Pieces of SQL with their parameters. The text is ours; whatever a rule says is a parameter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Sql(NamedTuple):
    text: str
    params: tuple[Any, ...] = ()

    def __add__(self, other: Any) -> Sql:
        piece = other if isinstance(other, Sql) else Sql(other)
        return Sql(self.text + piece.text, self.params + piece.params)

    def wrapped(self, before: str, after: str = ")") -> Sql:
        return Sql(before + self.text + after, self.params)


def joined(separator: str, pieces: Iterable[Sql]) -> Sql:
    listed = list(pieces)
    return Sql(
        separator.join(piece.text for piece in listed),
        tuple(param for piece in listed for param in piece.params),
    )


# From so many values on PostgreSQL looks one up in a hash table; of fewer it compares each.
_HASHED_FROM = 9


def one_of(column: str, cast: str, values: Sequence[Any]) -> Sql:
    """Whether a column has one of these values; NULL may stand for false. For columns of which very many rows are read."""
    if len(values) == 1:
        return Sql(f"{column} = %s::{cast}", (values[0],))
    # NULL is nobody's value, and no row is expected for it.
    filled = [*values, *[None] * (_HASHED_FROM - len(values))]
    return Sql(f"{column} = ANY(%s::{cast}[])", (filled,))
