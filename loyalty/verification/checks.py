"""What a check is, and what it found."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

OFFENDERS_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Screen:
    """One pass over large tables that says who needs a close look: `sql` selects (merchant_id, id of an account or NULL).

    A check's screens together never overlook what it would find. A row without an account sends all of the checks to the
    merchant; a row with one only those that look `by_account`, and these to that account alone. `{only:x}` as in a Check;
    `{seed}` is a number of this run, for marks that nobody can foresee.
    """

    says: str
    sql: str


@dataclass(frozen=True, slots=True)
class Check:
    """An invariant as SQL that selects what offends: (merchant_id, id of the account or row, what is wrong).

    `number` is that of docs/invariants.md. `{only:x}` is replaced by a condition on the merchant of the alias x, and with
    `by_account` `{whose:x}` by one on its account. With `screens`, only whom one of them suspects is looked at. With `guards`,
    names of constraints, of indexes and of `table.trigger`, nobody is looked at while all of them are in force: the database
    refuses what the check would find.
    """

    number: int
    says: str
    sql: str
    screens: tuple[Screen, ...] = ()
    guards: tuple[str, ...] = ()
    by_account: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What offends a check: the first OFFENDERS_SHOWN_MAX, and how many there are."""

    number: int
    says: str
    offenders: list[tuple[uuid.UUID, Any, str]]
    total: int
