"""Points that follow a customer into another one, and back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection
from django.db.models import Sum

from customers.events import emit_all
from customers.models import Customer
from customers.services import write_standing
from loyalty.ledger import Account, Cause, LotState
from loyalty.models import LedgerEntry
from loyalty.rules import POINTS_PER_ENTRY_MAX
from loyalty.services.accounts import open_account

TRANSFERRED = LedgerEntry.Type.TRANSFERRED.value


@dataclass(frozen=True, slots=True)
class Transfer:
    """What moved, and the entries of the one who got it: to be kept for the undo."""

    points: int
    target_entry_ids: list[uuid.UUID]


def transfer_for_merge(
    *, source: Customer, target: Customer, at: datetime, actor_id: uuid.UUID | None = None
) -> Transfer | None:
    """Move all points of `source` to `target`, or what is owed; lots keep when they were earned and when they expire.

    Runs inside the merge's transaction, which holds both customers' locks. The purchases have to be moved too, and then
    `settle(customer=...)` called for both. None when there are no points to move.
    """
    why = f"Merged into {target.customer_number}"
    return _transfer(source, target, None, owed_max=None, at=at, actor_id=actor_id, why=why)


def undo_transfer(
    *,
    source: Customer,
    target: Customer,
    target_entry_ids: list[uuid.UUID],
    at: datetime,
    actor_id: uuid.UUID | None = None,
) -> Transfer | None:
    """Give back to `source` what is left of a transfer: its lots, and those of purchases that are `source`'s again.

    Call it after the purchases were moved back and before both customers are settled. Points that the target has spent
    meanwhile stay spent, and what they have filled of a debt that came along stays filled. None when nothing is left.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.id FROM loyalty_lots l"
            " LEFT JOIN purchases p ON p.merchant_id = l.merchant_id AND p.id = l.purchase_id"
            " JOIN loyalty_enrollments e ON e.merchant_id = l.merchant_id AND e.id = l.enrollment_id"
            " WHERE l.merchant_id = %s AND e.customer_id = %s AND l.remaining > 0"
            " AND (l.entry_id = ANY(%s) OR p.customer_id = %s)",
            [source.merchant_id, target.pk, target_entry_ids, source.pk],
        )
        lot_ids = [row[0] for row in cursor.fetchall()]
    owed = -(
        LedgerEntry.objects.for_merchant(source.merchant_id)
        .filter(pk__in=target_entry_ids, points__lt=0)
        .aggregate(points=Sum("points"))["points"]
        or 0
    )
    if not lot_ids and not owed:
        return None
    return _transfer(target, source, lot_ids, owed_max=owed, at=at, actor_id=actor_id, why="Merge undone")


def _transfer(
    giver: Customer,
    taker: Customer,
    lot_ids: list[uuid.UUID] | None,
    *,
    owed_max: int | None,
    at: datetime,
    actor_id: uuid.UUID | None,
    why: str,
) -> Transfer | None:
    """Move the given open lots, or all of them; and what is owed, as far as `owed_max` says or all of it."""
    # Accounts are locked in the order of their customers, which the caller has locked in it too.
    accounts: dict[uuid.UUID, Account] = {}
    for customer in sorted((giver, taker), key=lambda customer: customer.pk):
        account = open_account(customer=customer)
        if account is None:
            return None
        accounts[customer.pk] = account
    giving, taking = accounts[giver.pk], accounts[taker.pk]
    if giving.is_new:
        return None
    lots = giving.lots.all_open()
    if lot_ids is not None:
        wanted = set(lot_ids)
        lots = [lot for lot in lots if lot.id in wanted]
    # There are no lots beside a debt.
    owed = max(0, -giving.balance)
    owed = owed if owed_max is None else min(owed, owed_max)
    if not lots and not owed:
        return None
    if any(lot.while_active for lot in lots) and giving.inactive_at is not None:
        taking.inactive_at = max(giving.inactive_at, taking.inactive_at or giving.inactive_at)
    points, credited = -owed, []
    while owed:
        step = min(owed, POINTS_PER_ENTRY_MAX)
        giving.credit(type=TRANSFERRED, points=step, cause=_cause(at, why, actor_id))
        entry = taking.take_over_debt(type=TRANSFERRED, points=step, cause=_cause(at, why, actor_id))
        credited.append(entry.id)
        owed -= step
    for part in _parts(lots):
        copies = [replace(lot) for lot in part]
        points += giving.debit_lots(
            type=TRANSFERRED, lots=[(lot, lot.remaining) for lot in part], cause=_cause(at, why, actor_id)
        )
        entry = taking.credit_lots(type=TRANSFERRED, lots=copies, cause=_cause(at, why, actor_id))
        credited.append(entry.id)
    for customer, account in ((giver, giving), (taker, taking)):
        account.write()
        write_standing(customer, points=account.balance, tier=account.tier)
        emit_all(account.events(actor_id=actor_id))
    return Transfer(points, credited)


def _parts(lots: Sequence[LotState]) -> Iterator[list[LotState]]:
    """Lots in groups of at most POINTS_PER_ENTRY_MAX points: what one entry may move."""
    part: list[LotState] = []
    total = 0
    for lot in lots:
        if part and total + lot.remaining > POINTS_PER_ENTRY_MAX:
            yield part
            part, total = [], 0
        part.append(lot)
        total += lot.remaining
    if part:
        yield part


def _cause(at: datetime, why: str, actor_id: uuid.UUID | None) -> Cause:
    return Cause(at=at, description=why, actor_id=actor_id)
