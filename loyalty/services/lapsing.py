"""Holds and vouchers whose time is over: written down, and what they had of a reward's stock put back.

A hold's points are free from the instant itself; this is bookkeeping, and may be late.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import connection

from cloudpos.api.transactions import use_case
from customers.events import emit_all, event
from loyalty.models import Hold

LAPSED_AT_ONCE_MAX = 500


def lapse_holds(
    *,
    at: datetime,
    merchant_id: uuid.UUID | None = None,
    progress: Callable[[int], None] = lambda number: None,
) -> int:
    """Write down that holds are over, in parts of LAPSED_AT_ONCE_MAX with a transaction each. Returns how many.

    Any number may run at once: each takes the rows that no other has. `progress` is told of each part.
    """
    total = 0
    while lapsed := lapse_some(at=at, merchant_id=merchant_id):
        progress(lapsed)
        total += lapsed
    return total


def count_due(*, at: datetime, merchant_id: uuid.UUID | None = None) -> int:
    """How many holds are over and not written down."""
    due = Hold.objects.filter(state=Hold.State.HELD, expires_at__lte=at)
    return (due.for_merchant(merchant_id) if merchant_id else due).count()


@use_case
def lapse_some(*, at: datetime, merchant_id: uuid.UUID | None = None) -> int:
    """One part of `lapse_holds`; 0 when nothing is left that nobody else is at."""
    return len(lapse_due(at=at, merchant_id=merchant_id))


def lapse_due(
    *, at: datetime, merchant_id: uuid.UUID | None = None, reward_id: uuid.UUID | None = None
) -> Sequence[uuid.UUID]:
    """Lapse some holds in the caller's transaction: those of a merchant, or of a reward. Returns their ids."""
    where, only = "", []
    if merchant_id is not None:
        where, only = " AND merchant_id = %s", [merchant_id]
    if reward_id is not None:
        where, only = f"{where} AND reward_id = %s", [*only, reward_id]
    with connection.cursor() as cursor:
        # Over since its own instant, however late it is found.
        cursor.execute(
            "WITH due AS (SELECT id FROM loyalty_holds WHERE state = 'held' AND expires_at <= %s"  # noqa: S608
            f"{where} ORDER BY expires_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED)"
            " UPDATE loyalty_holds h SET state = 'lapsed', closed_at = h.expires_at FROM due WHERE h.id = due.id"
            " RETURNING h.merchant_id, h.id, h.customer_id, h.store_id, h.reward_id, h.points, h.expires_at",
            [at, *only, LAPSED_AT_ONCE_MAX],
        )
        rows = cursor.fetchall()
    # In order: two of these never wait for each other crosswise.
    rewards = Counter((merchant, reward) for merchant, _, _, _, reward, _, _ in rows if reward is not None)
    for (merchant, reward), number in sorted(rewards.items()):
        put_back(merchant_id=merchant, reward_id=reward, number=number)
    emit_all(
        [
            event(
                merchant_id=merchant,
                customer_id=customer,
                store_id=store,
                type="hold.lapsed",
                data={"holdId": str(hold), "points": points},
                occurred_at=expires_at,
            )
            for merchant, hold, customer, store, _, points, expires_at in rows
        ]
    )
    return [row[1] for row in rows]


def lapse_vouchers(*, at: datetime) -> int:
    """Write down that vouchers are over, in parts as `lapse_holds`. Returns how many."""
    total = 0
    while lapsed := _lapse_some_vouchers(at):
        total += lapsed
    return total


@use_case
def _lapse_some_vouchers(at: datetime) -> int:
    return len(lapse_vouchers_due(at=at))


def lapse_vouchers_due(
    *, at: datetime, merchant_id: uuid.UUID | None = None, reward_id: uuid.UUID | None = None
) -> Sequence[uuid.UUID]:
    """Lapse some vouchers in the caller's transaction: all merchants', or those of a merchant's reward. Returns their ids."""
    only = "" if reward_id is None else " AND merchant_id = %s AND reward_id = %s"
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH due AS (SELECT merchant_id, id FROM loyalty_vouchers WHERE state = 'open' AND expires_at <= %s"  # noqa: S608
            f"{only} ORDER BY expires_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED)"
            " UPDATE loyalty_vouchers v SET state = 'lapsed' FROM due"
            " WHERE v.merchant_id = due.merchant_id AND v.id = due.id RETURNING v.merchant_id, v.id, v.reward_id",
            [at, *([] if reward_id is None else [merchant_id, reward_id]), LAPSED_AT_ONCE_MAX],
        )
        rows = cursor.fetchall()
    rewards = Counter((merchant, reward) for merchant, _, reward in rows)
    for (merchant, reward), number in sorted(rewards.items()):
        put_back(merchant_id=merchant, reward_id=reward, number=number)
    return [row[1] for row in rows]


def put_back(*, merchant_id: uuid.UUID, reward_id: uuid.UUID, number: int = 1) -> None:
    """Return to stock what was released, has lapsed or was cancelled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE loyalty_rewards SET taken = taken - %s WHERE merchant_id = %s AND id = %s",
            [number, merchant_id, reward_id],
        )
