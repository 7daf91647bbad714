"""Running the checks: screens first, then a close look at whom they suspect."""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connection, transaction

from loyalty.verification import balances, bounds, events, lots, promotions, purchases, reversals, spending
from loyalty.verification.checks import OFFENDERS_SHOWN_MAX, Check, Finding, Screen
from loyalty.verification.guards import GUARDS

# Whole tables are joined and grouped, which the few MB of a till's statements would do on disk.
SETTINGS = {
    # A whole database takes longer than any request may.
    "statement_timeout": "0",
    "work_mem": "256MB",
    # Compiling takes longer than it saves.
    "jit": "off",
}

CHECKS: tuple[Check, ...] = (
    GUARDS,
    *balances.CHECKS,
    *lots.CHECKS,
    *reversals.CHECKS,
    *bounds.CHECKS,
    *events.CHECKS,
    *purchases.CHECKS,
    *spending.CHECKS,
    *promotions.CHECKS,
)

# More accounts than these are not named to a check one by one: it looks at all of their merchants'.
ACCOUNTS_NAMED_MAX = 100_000

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")

_ONLY = re.compile(r"{only:(\w+)}")
_WHOSE = re.compile(r"{whose:(\w+)}")


def verify(
    *,
    merchant_id: uuid.UUID | None = None,
    exact: bool = False,
    timed: Callable[[str, float], None] | None = None,
    sessions: int = 1,
) -> Iterator[tuple[Check, Finding | None]]:
    """Run every check over the whole database, or one merchant's part of it; a finding for each that fails.

    `exact` leaves out the screens, and checks what constraints make impossible. `timed` is told of each statement, and how
    many seconds it took. `sessions` statements run at once, each in a session of its own; but within a transaction one after
    the other, since only its own session sees what it wrote.
    """
    run = _Run(None if merchant_id is None else [merchant_id], exact, timed)
    if sessions == 1 or connection.in_atomic_block:
        for check in CHECKS:
            yield check, run.check(check)
        return
    with ThreadPoolExecutor(sessions) as pool:
        if not exact:
            run.missing_guards()
            screens = dict.fromkeys(screen for check in CHECKS for screen in check.screens)
            list(pool.map(_in_own_session(run.suspected), screens))
        yield from zip(CHECKS, pool.map(_in_own_session(run.check), CHECKS), strict=True)


def _in_own_session(work: Callable[[_Asked], _Answer]) -> Callable[[_Asked], _Answer]:
    """`work` in a thread that leaves no connection behind."""

    def done(asked: _Asked) -> _Answer:
        try:
            return work(asked)
        finally:
            connection.close()

    return done


class _Run:
    def __init__(
        self,
        merchants: list[uuid.UUID] | None,
        exact: bool,
        timed: Callable[[str, float], None] | None,
    ) -> None:
        self._merchants = merchants
        self._exact = exact
        self._timed = timed
        self._seed = random.SystemRandom().getrandbits(62)
        self._suspects: dict[Screen, list[tuple[uuid.UUID, uuid.UUID | None]]] = {}
        self._missing: set[str] | None = None

    def check(self, check: Check) -> Finding | None:
        merchants, accounts = self._merchants, None
        if not self._exact:
            if check.guards and self.missing_guards().isdisjoint(check.guards):
                return None
            if check.screens:
                merchants, accounts = self.suspects(check)
                if not merchants:
                    return None
        rows = self._select(
            check.says,
            f"SELECT *, count(*) OVER () FROM ({check.sql}) offending LIMIT {OFFENDERS_SHOWN_MAX}",  # noqa: S608
            merchants,
            accounts,
        )
        if not rows:
            return None
        return Finding(check.number, check.says, [row[:3] for row in rows], rows[0][3])

    def suspects(self, check: Check) -> tuple[list[uuid.UUID], list[uuid.UUID] | None]:
        """The merchants that a check has to look at, and if not at all of their accounts, at which."""
        found = [row for screen in check.screens for row in self.suspected(screen)]
        whole = {merchant_id for merchant_id, account_id in found if account_id is None}
        accounts = {account_id for _, account_id in found if account_id is not None}
        if not check.by_account:
            return sorted(whole), None
        merchants = sorted({merchant_id for merchant_id, _ in found})
        # Damage that needs a close look at a whole merchant takes its time anyway.
        return merchants, None if whole or len(accounts) > ACCOUNTS_NAMED_MAX else sorted(accounts)

    def suspected(self, screen: Screen) -> list[tuple[uuid.UUID, uuid.UUID | None]]:
        if screen not in self._suspects:
            self._suspects[screen] = self._select(screen.says, screen.sql, self._merchants)
        return self._suspects[screen]

    def missing_guards(self) -> set[str]:
        if self._missing is None:
            self._missing = {name for _, name, _ in self._select(GUARDS.says, GUARDS.sql, None)}
        return self._missing

    def _select(
        self,
        says: str,
        sql: str,
        merchants: Sequence[uuid.UUID] | None,
        accounts: Sequence[uuid.UUID] | None = None,
    ) -> list[Any]:
        sql = sql.replace("{seed}", str(self._seed))
        if merchants is None:
            sql, parameters = _WHOSE.sub("true", _ONLY.sub("true", sql)), None
        else:
            # The format() calls are full of percent signs, which only matter beside a parameter.
            sql = _ONLY.sub(r"\1.merchant_id = ANY(%(merchants)s)", sql.replace("%", "%%"))
            whose = "true" if accounts is None else r"\1.enrollment_id = ANY(%(accounts)s)"
            sql = _WHOSE.sub(whose, sql)
            parameters = {"merchants": list(merchants), "accounts": list(accounts or ())}
        started = time.perf_counter()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config(name, value, true) FROM unnest(%s::text[], %s::text[]) s (name, value)",
                [list(SETTINGS), list(SETTINGS.values())],
            )
            cursor.execute(sql, parameters)
            rows = cursor.fetchall()
        if self._timed is not None:
            self._timed(says, time.perf_counter() - started)
        return rows
