"""What is declared of a table that knows a customer."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db.models import Model


class OnMerge(StrEnum):
    """What becomes of the source's rows."""

    MOVES = "moves"
    """They become the target's; the merge keeps their ids for its undo."""
    FOLLOWS = "follows"
    """They hang on a row that moves."""
    STAYS = "stays"
    """They stay with the source, which the export and the timeline of the target include."""


class OnErase(StrEnum):
    DELETED = "deleted"
    EMPTIED = "emptied"
    """The columns in `emptied` lose their content; the row stays."""
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Table:
    """`path` leads from the model to the customer's id; `key` names the rows in the export, in order of `order`.

    `hidden` columns are not exported: they repeat others in a form of ours (search lexemes, hashes).
    """

    model: type[Model]
    path: str
    key: str
    on_merge: OnMerge
    on_erase: OnErase
    why: str
    emptied: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ("pk",)
    hidden: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        return self.model._meta.label

    @property
    def columns(self) -> tuple[str, ...]:
        """The attribute names of what is exported."""
        return tuple(
            column.attname
            for column in self.model._meta.concrete_fields
            if column.name != "merchant" and column.attname not in self.hidden
        )
