"""Giving and taking points of an opened account. Nothing is written before the account is."""

from __future__ import annotations

import uuid

from cloudpos.api.errors import Conflict
from loyalty.ledger import Account, Cause, Entry, LotState
from loyalty.models import LedgerEntry

Type = LedgerEntry.Type


class InsufficientPoints(Conflict):
    code = "insufficient_points"
    message = "The customer does not have enough points"


class StoreTakesNoPart(Conflict):
    code = "store_takes_no_part"
    message = "This store does not take part in the loyalty program"


class BelowMinimum(Conflict):
    code = "below_redeem_minimum"
    message = "The program redeems more points at once than these"


def earn(*, account: Account, points: int, cause: Cause) -> Entry:
    """Credit points in a lot of their own. Raises StoreTakesNoPart."""
    check_store(account, cause.store_id)
    return account.credit(type=Type.EARNED.value, points=points, cause=cause)


def redeem(*, account: Account, points: int, cause: Cause) -> Entry:
    """Use points up: earliest expiry first, then earliest earned.

    Raises StoreTakesNoPart, BelowMinimum and InsufficientPoints.
    """
    check_store(account, cause.store_id)
    check_minimum(account, points)
    return spend(account=account, points=points, cause=cause, reserved=account.held)


def check_store(account: Account, store_id: uuid.UUID | None) -> None:
    """Raises StoreTakesNoPart at a store where points are neither given nor redeemed."""
    if not account.rules.takes_part(store_id):
        raise StoreTakesNoPart()


def check_minimum(account: Account, points: int) -> None:
    """Raises BelowMinimum for fewer points than the program redeems at once."""
    if points < account.redeem_points_min:
        raise BelowMinimum(
            f"At least {account.redeem_points_min} points are redeemed at once",
            field="points",
            extra={"minimum": account.redeem_points_min},
        )


def spend(*, account: Account, points: int, cause: Cause, reserved: int) -> Entry:
    """Redeem points, leaving `reserved` ones alone. Raises InsufficientPoints."""
    return debit(account, Type.REDEEMED.value, points, cause, reserved=reserved, spending=True)


def check_spendable(*, account: Account, points: int, reserved: int) -> None:
    """Raises InsufficientPoints unless `points` could be spent now beside the `reserved` ones."""
    _choose_lots(account, points, reserved, spending=True)


def adjust(*, account: Account, points: int, cause: Cause) -> Entry:
    """Give (positive) or take (negative) points by a person's decision. Raises InsufficientPoints."""
    if points > 0:
        return account.credit(type=Type.ADJUSTED.value, points=points, cause=cause)
    return debit(account, Type.ADJUSTED.value, -points, cause, reserved=account.held)


def debit(
    account: Account,
    type: str,
    points: int,
    cause: Cause,
    *,
    reserved: int,
    original_id: uuid.UUID | None = None,
    spending: bool = False,
) -> Entry:
    """Exactly `points`, or InsufficientPoints. The lots of entry `original_id` go first."""
    lots = _choose_lots(account, points, reserved, original_id, spending=spending)
    account.debit_lots(type=type, lots=lots, cause=cause)
    return account.entries[-1]


def _choose_lots(
    account: Account,
    points: int,
    reserved: int,
    original_id: uuid.UUID | None = None,
    *,
    spending: bool = False,
) -> list[tuple[LotState, int]]:
    """The lots to take `points` from, so that `reserved` more are left. Raises InsufficientPoints."""
    lots: list[tuple[LotState, int]] = []
    missing, found, wanted = points, 0, points + reserved
    # What a customer spends must be available by now; what is taken from them need not be.
    pending = not spending
    own: list[LotState] = account.lots.of_entry(original_id) if original_id is not None else []
    used = {lot.id for lot in own}
    for lot in [*own, *account.lots.burnable(wanted, at=account.at, but=used, pending=pending)]:
        found += lot.remaining
        taken = min(missing, lot.remaining)
        if taken:
            lots.append((lot, taken))
            missing -= taken
        if found >= wanted:
            return lots
    available = max(0, found - reserved)
    waiting = account.pending if spending else 0
    # What is owed has to be filled before anything can be spent.
    missing = points - available + max(0, -account.balance)
    besides = [f"{reserved} on hold"] * bool(reserved) + [f"{waiting} not to be spent yet"] * bool(waiting)
    but = f" to spend and {' and '.join(besides)}" if besides else ""
    extra = {"balance": account.balance, "available": available, "missing": missing}
    if waiting:
        extra["pending"] = waiting
    raise InsufficientPoints(f"The customer has {available} points{but}, {missing} too few", extra=extra)
