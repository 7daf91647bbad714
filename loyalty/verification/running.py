"""Running the checks: screens first, then a close look at whom they suspect."""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db import connection, transaction

from loyalty.verification import balances, bounds, events, lots, promotions, purchases, reversals, spending
from loyalty.verification.checks import OFFENDERS_SHOWN_MAX, Check, Finding, Screen
from loyalty.verification.guards import GUARDS

# Whole tables are joined and grouped, which the few MB of a till's statements would do on disk.
SETTINGS = {
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

_ONLY = re.compile(r"{only:(\w+)}")
_MERCHANTS = "%(merchants)s"


def verify(
    *,
    merchant_id: uuid.UUID | None = None,
    exact: bool = False,
    timed: Callable[[str, float], None] | None = None,
) -> Iterator[tuple[Check, Finding | None]]:
    """Run every check over the whole database, or one merchant's part of it; a finding for each that fails.

    `exact` leaves out the screens, and checks what constraints make impossible. `timed` is told of each statement, and how
    many seconds it took.
    """
    run = _Run(None if merchant_id is None else [merchant_id], exact, timed)
    for check in CHECKS:
        yield check, run.check(check)


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
        self._suspects: dict[Screen, set[uuid.UUID]] = {}
        self._missing: set[str] | None = None

    def check(self, check: Check) -> Finding | None:
        merchants = self._merchants
        if not self._exact:
            if check.guards and self.missing_guards().isdisjoint(check.guards):
                return None
            if check.screens:
                merchants = sorted(set().union(*(self.suspects(screen) for screen in check.screens)))
                if not merchants:
                    return None
        rows = self._select(
            check.says,
            f"SELECT *, count(*) OVER () FROM ({check.sql}) offending LIMIT {OFFENDERS_SHOWN_MAX}",  # noqa: S608
            merchants,
        )
        if not rows:
            return None
        return Finding(check.number, check.says, [row[:3] for row in rows], rows[0][3])

    def suspects(self, screen: Screen) -> set[uuid.UUID]:
        if screen not in self._suspects:
            rows = self._select(screen.says, screen.sql, self._merchants)
            self._suspects[screen] = {merchant_id for (merchant_id,) in rows}
        return self._suspects[screen]

    def missing_guards(self) -> set[str]:
        if self._missing is None:
            self._missing = {name for _, name, _ in self._select(GUARDS.says, GUARDS.sql, None)}
        return self._missing

    def _select(self, says: str, sql: str, merchants: Sequence[uuid.UUID] | None) -> list[tuple[Any, ...]]:
        sql = sql.replace("{seed}", str(self._seed))
        if merchants is None:
            sql, parameters = _ONLY.sub("true", sql), None
        else:
            # The format() calls are full of percent signs, which only matter beside a parameter.
            sql = _ONLY.sub(rf"\1.merchant_id = ANY({_MERCHANTS})", sql.replace("%", "%%"))
            parameters = {"merchants": list(merchants)}
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
