"""Pieces of SQL with their parameters. The text is ours; whatever a rule says is a parameter."""

from __future__ import annotations

from collections.abc import Iterable
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
