"""What promotions give in a posting, and what is left of those that are limited for all customers together."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from cloudpos.api.errors import Unavailable


@dataclass(frozen=True, slots=True)
class AwardRow:
    """A promotion's award about to be written; `counted` when the promotion's total caps count it."""

    promotion_id: uuid.UUID
    purchase_id: uuid.UUID
    entry_id: uuid.UUID
    points: int
    at: datetime
    counted: bool


@dataclass(slots=True)
class Budget:
    """How often a promotion was applied and what it gave, with this transaction, and the most of each."""

    times: int
    points: int
    times_max: int | None
    points_max: int | None


class Budgets:
    """The promotions with total caps that a transaction gives from.

    With `lock` their rows stay locked to its end: whoever comes next sees what was given here.
    """

    __slots__ = ("_found", "_lock", "_merchant_id")

    def __init__(self, *, merchant_id: uuid.UUID, lock: bool) -> None:
        self._merchant_id = merchant_id
        self._lock = " FOR NO KEY UPDATE" if lock else ""
        self._found: dict[uuid.UUID, Budget] = {}

    def read(self, promotion_ids: Iterable[uuid.UUID]) -> None:
        """Read, and lock in order of id, those that are not known yet."""
        wanted = [promotion_id for promotion_id in promotion_ids if promotion_id not in self._found]
        if not wanted:
            return
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, used_times, used_points, total_times, total_points FROM loyalty_promotions"  # noqa: S608
                f" WHERE merchant_id = %s AND id = ANY(%s) ORDER BY id{self._lock}",
                [self._merchant_id, wanted],
            )
            for promotion_id, *rest in cursor.fetchall():
                self._found[promotion_id] = Budget(*rest)

    def of(self, promotion_id: uuid.UUID) -> Budget | None:
        return self._found.get(promotion_id)

    def give(self, promotion_id: uuid.UUID, points: int) -> None:
        budget = self._found[promotion_id]
        budget.times += 1
        budget.points += points


# Behind the lock that `Budgets` holds; the table's CHECK has the last word.
USE_BUDGETS = """
UPDATE loyalty_promotions SET used_times = used_times + v.times, used_points = used_points + v.points
FROM unnest(%s::uuid[], %s::int[], %s::bigint[]) v (id, times, points)
WHERE loyalty_promotions.merchant_id = %s AND loyalty_promotions.id = v.id AND {condition}
"""


# Whoever gives a promotion its first total cap waits for us, and counts what we gave; or we waited, and see the cap.
UNCAPPED = """
SELECT id FROM loyalty_promotions
WHERE merchant_id = %s AND id = ANY(%s::uuid[]) AND total_times IS NULL AND total_points IS NULL FOR KEY SHARE
"""


class PromotionCapped(Unavailable):
    """A promotion got a total cap while something was given of it uncounted. Nothing is written: to be done again."""


def use_budgets(*, merchant_id: uuid.UUID, awards: Sequence[AwardRow]) -> None:
    """Count awards that were copied in towards the total caps, in statements of their own. Raises PromotionCapped."""
    used, free = counted(awards), uncounted(awards)
    with connection.cursor() as cursor:
        if used:
            cursor.execute(USE_BUDGETS.format(condition="true"), budget_values(used, merchant_id))
        if free:
            cursor.execute(UNCAPPED, [merchant_id, free])
            if len(cursor.fetchall()) != len(free):
                raise PromotionCapped()


def budget_values(used: Mapping[uuid.UUID, tuple[int, int]], merchant_id: uuid.UUID) -> list[Any]:
    """The values of USE_BUDGETS."""
    times, points = [each[0] for each in used.values()], [each[1] for each in used.values()]
    return [list(used), times, points, merchant_id]


def uncounted(rows: Iterable[AwardRow]) -> list[uuid.UUID]:
    """The promotions without total caps of these awards, each once."""
    return list(dict.fromkeys(row.promotion_id for row in rows if not row.counted))


def counted(rows: Iterable[AwardRow]) -> dict[uuid.UUID, tuple[int, int]]:
    """By promotion with total caps: how often these awards apply it, and their points."""
    found: dict[uuid.UUID, tuple[int, int]] = {}
    for row in rows:
        if row.counted:
            times, points = found.get(row.promotion_id, (0, 0))
            found[row.promotion_id] = (times + 1, points + row.points)
    return found
