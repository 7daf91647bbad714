"""What a column of a file is: where it comes from, and what kind of value a spreadsheet is told that it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any


class Holds(Enum):
    TEXT = auto()
    INTEGER = auto()
    MONEY = auto()
    NUMBER = auto()
    DAY = auto()
    INSTANT = auto()
    FLAG = auto()
    """yes or no"""


@dataclass(frozen=True, slots=True)
class Column:
    """`sql` is a value of the source's rows, `params` what it needs; `joins` names what must be joined for it.

    `title` stands above the column. `target` is what an import takes a column of that title for.
    """

    name: str
    title: str
    sql: str
    holds: Holds = Holds.TEXT
    group: str = ""
    joins: tuple[str, ...] = ()
    default: bool = True
    params: Sequence[Any] = ()
    target: str | None = None
    width: int = 16
