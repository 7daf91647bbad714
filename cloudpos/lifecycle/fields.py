"""Which side's value wins when two customers become one, and how to take it back. Pure functions, no database.

The target's value wins where it has one; the source fills the gaps, or wins where the caller says so. Tags are
united, notes joined, metadata united by key; a suspension on either side stays.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from customers.models import Customer
from customers.models.customer import METADATA_BYTES_MAX, TAGS_MAX

NOTES_CHARS_MAX = 5_000
NOTES_BETWEEN = "\n\n"

TARGET = "target"
SOURCE = "source"
BOTH = "both"

# What is taken from one side as a whole: a first name of one and a last name of the other would be a new person.
UNITS: Mapping[str, tuple[str, ...]] = {
    "name": ("first_name", "last_name"),
    "companyName": ("company_name",),
    "taxId": ("tax_id",),
    "email": ("email", "email_key"),
    "phone": ("phone",),
    "dateOfBirth": ("date_of_birth",),
    "gender": ("gender",),
    "language": ("language",),
    "homeStoreId": ("home_store_id",),
    "type": ("type",),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the preview. Values are columns' values; `taken_from` is target, source or both."""

    field: str
    target: Any
    source: Any
    result: Any
    taken_from: str

    @property
    def loses(self) -> bool:
        """Whether something that was known is known no longer."""
        lost = {TARGET: self.source, SOURCE: self.target}.get(self.taken_from)
        return bool(lost) and lost != self.result


def combine(
    target: Customer, source: Customer, *, from_source: Collection[str]
) -> tuple[dict[str, Any], list[Choice]]:
    """(the target's columns that change, what was chosen per field). `from_source` names UNITS that the source wins."""
    changed: dict[str, Any] = {}
    choices = []
    for name, columns in UNITS.items():
        mine = {column: getattr(target, column) for column in columns}
        theirs = {column: getattr(source, column) for column in columns}
        known, offered = any(mine.values()), any(theirs.values())
        wins = offered and (name in from_source or not known)
        result = theirs if wins else mine
        changed |= {column: value for column, value in result.items() if value != mine[column]}
        shown = _shown(name)
        taken_from = SOURCE if wins and mine != theirs else TARGET
        choices.append(Choice(name, shown(mine), shown(theirs), shown(result), taken_from))
    for name, united in (
        ("status", _status(target, source)),
        ("tags", _tags(target.tags, source.tags)),
        ("notes", _notes(target.notes, source.notes)),
        ("metadata", _metadata(target.metadata, source.metadata)),
    ):
        before, offered = getattr(target, name), getattr(source, name)
        if united != before:
            changed[name] = united
        taken_from = TARGET if united == before else SOURCE if united == offered else BOTH
        choices.append(Choice(name, before, offered, united, taken_from))
    return changed, choices


def take_apart(
    target: Customer, *, before: Mapping[str, Any], merged: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """(columns to write, columns that stay as they are because somebody changed them since the merge).

    `before` and `merged` are the target's columns that the merge changed: what they were, and what it made of them.
    Tags and metadata lose what the merge added and keep what was added since.
    """
    restored: dict[str, Any] = {}
    kept = []
    for column, old in before.items():
        now, made = getattr(target, column), merged[column]
        if now == made:
            restored[column] = old
        elif column == "tags":
            added = set(made) - set(old)
            restored[column] = [tag for tag in now if tag not in added]
        elif column == "metadata":
            new = {key: value for key, value in made.items() if key not in old}
            restored[column] = {key: value for key, value in now.items() if new.get(key, _NOTHING) != value}
        elif now != old:
            kept.append(column)
    return restored, kept


_NOTHING = object()


def _shown(name: str) -> Callable[[dict[str, Any]], Any]:
    if name == "name":
        return lambda columns: f"{columns['first_name']} {columns['last_name']}".strip()
    return lambda columns: next(iter(columns.values()))


def _status(target: Customer, source: Customer) -> str:
    # Nobody gets around a suspension by having a second record.
    suspended = Customer.Status.SUSPENDED.value
    return suspended if source.status == suspended else target.status


def _tags(target: list[str], source: list[str]) -> list[str]:
    return sorted({*target, *[tag for tag in source if tag not in target][: max(0, TAGS_MAX - len(target))]})


def _notes(target: str, source: str) -> str:
    if not source or source in target:
        return target
    joined = f"{target}{NOTES_BETWEEN}{source}" if target else source
    # The source keeps its own: nothing is lost that its record does not show.
    return joined if len(joined) <= NOTES_CHARS_MAX else target


def _metadata(target: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    united = {**source, **target}
    return united if len(json.dumps(united).encode()) <= METADATA_BYTES_MAX else target
