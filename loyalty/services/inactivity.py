"""Expiring the points of members who have been inactive for as long as the program says.

Such points have no instant of their own: the account's `inactive_at` is theirs, and moves with each activity. It is over
at that instant, because whoever opens an account posts it first; this writes it down for those whom nobody opens.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime

from django.db import connection, transaction

from customers.events import emit_all
from customers.services import lock_customers, write_standing
from loyalty.services.accounts import open_account

CHUNK_ACCOUNTS = 500


def merchants_with_inactive_members(*, at: datetime) -> list[uuid.UUID]:
    """Merchants with accounts whose time of inactivity is over at this instant, and not yet written down."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.id FROM merchants m WHERE EXISTS (SELECT FROM loyalty_enrollments e"
            " WHERE e.merchant_id = m.id AND e.inactive_at <= %s) ORDER BY m.id",
            [at],
        )
        return [merchant_id for (merchant_id,) in cursor.fetchall()]


def expire_inactive(
    *, merchant_id: uuid.UUID, at: datetime, progress: Callable[[int], None] | None = None
) -> tuple[int, int, int]:
    """Expire what inactive members of a merchant have left, each in a transaction of its own.

    Any number of copies may run beside each other and beside tills, and be killed at any moment: an account that another
    one wrote meanwhile has nothing due any more. `progress` is called with the number of lots after each account. Returns
    points, lots and accounts.
    """
    total_points = total_lots = accounts = 0
    for customer_id in _walk(merchant_id, at):
        with transaction.atomic():
            points, lots = _expire(merchant_id, customer_id)
        total_points, total_lots, accounts = total_points + points, total_lots + lots, accounts + bool(lots)
        if progress is not None and lots:
            progress(lots)
    return total_points, total_lots, accounts


def _walk(merchant_id: uuid.UUID, at: datetime) -> Iterator[uuid.UUID]:
    """Customers along the index of what is over; who is done leaves it."""
    place = (datetime.min.replace(tzinfo=at.tzinfo), uuid.UUID(int=0))
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT inactive_at, id, customer_id FROM loyalty_enrollments WHERE merchant_id = %s"
                " AND inactive_at <= %s AND (inactive_at, id) > (%s, %s) ORDER BY inactive_at, id LIMIT %s",
                [merchant_id, at, *place, CHUNK_ACCOUNTS],
            )
            rows = cursor.fetchall()
        for inactive_at, enrollment_id, customer_id in rows:
            yield customer_id
            place = (inactive_at, enrollment_id)
        if len(rows) < CHUNK_ACCOUNTS:
            return


def _expire(merchant_id: uuid.UUID, customer_id: uuid.UUID) -> tuple[int, int]:
    (customer,) = lock_customers(merchant_id=merchant_id, customer_ids=[customer_id])
    account = open_account(customer=customer)
    if account is None or account.is_new:
        return 0, 0
    # Also when there was nothing left to expire: the instant is over, and is not found again.
    account.write()
    if not account.entries:
        return 0, 0
    write_standing(customer, points=account.balance, tier=account.tier)
    emit_all(account.events())
    return -sum(entry.points for entry in account.entries), len(account.allocations)
