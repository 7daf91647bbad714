"""Points that a client moves by hand: earned, redeemed, adjusted, reversed. Exactly once per transaction id.

What `reversed` means follows Square (a reward given up returns its points) and Talon.One (rolling back a closed session
returns and takes back): it undoes, wholly or in part, what one earlier transaction did. A reversed earning is debited from
the points it gave first; a reversed redemption goes back into the lots it came from, with their own times.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
from django.conf import settings
from django.db.models import Sum

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import BadRequest, Conflict, Forbidden, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.permissions import RoleTooLow
from cloudpos.tenancy.roles import Role
from cloudpos.tenancy.rows import Rows
from cloudpos.tenancy.statements import Statement
from customers.events import add_events
from customers.services import CustomerNotFound, add_standing, lock_customer, visible_customer_id
from loyalty.ledger import WRITTEN, Account, Cause, Entry, LotState
from loyalty.models import Allocation, LedgerEntry, Lot
from loyalty.services.sales import open_settled_account

Type = LedgerEntry.Type
_ENTRIES = Rows(LedgerEntry)
REVERSIBLE = (Type.EARNED, Type.REDEEMED, Type.ADJUSTED)


class NoProgram(Conflict):
    code = "no_program"
    message = "This merchant has no active loyalty program"


class InsufficientPoints(Conflict):
    code = "insufficient_points"
    message = "The customer does not have enough points"


class StoreTakesNoPart(Conflict):
    code = "store_takes_no_part"
    message = "This store does not take part in the loyalty program"


class BelowMinimum(Conflict):
    code = "below_redeem_minimum"
    message = "The program redeems more points at once than these"


class AdjustmentTooLarge(Forbidden):
    code = "adjustment_too_large"
    message = "Only an owner may adjust so many points at once"


class PointsConflict(Conflict):
    code = "transaction_conflict"
    message = "This transactionId was already used at this store with other content"


class OriginalNotFound(NotFound):
    code = "transaction_not_found"
    message = "There is no such points transaction at this store to reverse"


class AmbiguousReversal(Conflict):
    code = "ambiguous_reversal"
    message = "This transaction did several things: say which one to reverse in reversesType"


class ReversalExceeds(Conflict):
    code = "reversal_exceeds_original"
    message = "More cannot be reversed than the transaction moved"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a points request is answered with; `is_new` is False for a repeated one."""

    transaction: dict[str, Any]
    is_new: bool


@use_case
def post_points(
    *,
    access: Access,
    customer_id: uuid.UUID,
    type: str,
    points: int,
    description: str = "",
    transaction_id: str = "",
    reverses_transaction_id: str = "",
    reverses_type: str = "",
) -> Answer:
    """Move points of a customer, once per (store, type, transaction id).

    The same request again gets the same answer; another one under the same id raises PointsConflict. Raises
    InsufficientPoints, BelowMinimum, CustomerNotFound, NoProgram, and for reversals OriginalNotFound,
    AmbiguousReversal and ReversalExceeds; RoleTooLow when a cashier adjusts, and AdjustmentTooLarge above
    settings.ADJUSTMENT_POINTS_MAX for all but owners.
    """
    if type == Type.REVERSED and not (transaction_id or reverses_transaction_id):
        raise BadRequest("Name the transaction to reverse.", field="transactionId", code="required")
    if type == Type.ADJUSTED and not access.may(Role.MANAGER):
        raise RoleTooLow("Only a manager may adjust points")
    if type == Type.ADJUSTED:
        _check_adjustment(access, points)
    if points < 0 and type != Type.ADJUSTED:
        raise BadRequest("Only an adjustment may be negative.", field="points", code="min_value")
    content_hash = hash_content(
        {
            "customerId": str(customer_id),
            "points": points,
            "description": description,
            "reversesTransactionId": reverses_transaction_id,
            "reversesType": reverses_type,
        }
    )
    try:
        customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    except CustomerNotFound:
        # The answer to a repeated request outlives its customer.
        if (repeated := _repeated(access, type, transaction_id, content_hash)) is not None:
            return repeated
        raise
    # Under the lock: a till that sends twice at once waited for its first request.
    if (repeated := _repeated(access, type, transaction_id, content_hash)) is not None:
        return repeated
    account = open_settled_account(customer=customer, actor_id=access.user_id)
    if account is None:
        raise NoProgram()
    cause = Cause(
        at=account.at,
        description=description,
        transaction_id=transaction_id,
        content_hash=content_hash if transaction_id else None,
        actor_id=access.user_id,
        store_id=access.store_id,
    )
    if type == Type.EARNED:
        entry = earn(account=account, points=points, cause=cause)
    elif type == Type.REDEEMED:
        entry = redeem(account=account, points=points, cause=cause)
    elif type == Type.ADJUSTED:
        entry = adjust(account=account, points=points, cause=cause)
    else:
        entry = reverse(
            account=account,
            points=points,
            cause=cause,
            original_transaction_id=reverses_transaction_id or transaction_id,
            original_type=reverses_type,
        )
    statement = Statement()
    account.add_to(statement)
    add_standing(statement, customer, points=account.balance, tier=account.tier)
    add_events(
        statement,
        account.events(store_id=access.store_id, actor_id=access.user_id, request_id=current_request_id()),
    )
    (written,) = statement.execute(f"SELECT {WRITTEN}")
    account.check(written)
    return Answer(describe_entry(account, entry), is_new=True)


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
    return _debit(account, Type.REDEEMED.value, points, cause, reserved=reserved, spending=True)


def check_spendable(*, account: Account, points: int, reserved: int) -> None:
    """Raises InsufficientPoints unless `points` could be spent now beside the `reserved` ones."""
    _choose_lots(account, points, reserved, spending=True)


def adjust(*, account: Account, points: int, cause: Cause) -> Entry:
    """Give (positive) or take (negative) points by a person's decision. Raises InsufficientPoints."""
    if points > 0:
        return account.credit(type=Type.ADJUSTED.value, points=points, cause=cause)
    return _debit(account, Type.ADJUSTED.value, -points, cause, reserved=account.held)


def _check_adjustment(access: Access, points: int) -> None:
    limit = settings.ADJUSTMENT_POINTS_MAX
    if abs(points) > limit and not access.may(Role.OWNER):
        raise AdjustmentTooLarge(
            f"Only an owner may adjust more than {limit:,} points at once",
            field="points",
            extra={"limit": limit},
        )


def reverse(
    *, account: Account, points: int, cause: Cause, original_transaction_id: str, original_type: str = ""
) -> Entry:
    """Undo `points` of what an earlier transaction of this account did at this store.

    Raises OriginalNotFound, AmbiguousReversal without `original_type` when it both earned and redeemed,
    ReversalExceeds, and InsufficientPoints when an earning's points are spent.
    """
    original = _original(account, cause.store_id, original_transaction_id, original_type)
    left = abs(original.points) - reversed_points(original)
    if points > left:
        raise ReversalExceeds(extra={"reversible": left})
    cause = replace(cause, reverses_id=original.pk)
    if original.points > 0:
        return _debit(
            account, Type.REVERSED.value, points, cause, reserved=account.held, original_id=original.pk
        )
    return give_back(account=account, original=original, points=points, cause=cause)


def reversed_points(entry: LedgerEntry) -> int:
    """How many of an entry's points were reversed so far."""
    found = (
        LedgerEntry.objects.for_merchant(entry.merchant_id)
        .filter(reverses_id=entry.pk)
        .aggregate(points=Sum("points"))["points"]
    )
    return abs(found or 0)


def give_back(*, account: Account, original: LedgerEntry, points: int, cause: Cause) -> Entry:
    """Put `points` of a debit back into the lots that it took them from. `cause` names what it reverses."""
    lots = _lots_to_refill(account, original, points)
    # Redeemed by a customer who was merged into this one: lots like them are opened here.
    own = original.enrollment_id == account.id
    return account.restore(type=Type.REVERSED.value, lots=lots, cause=cause, own=own)


def _debit(
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
        ready = lot.remaining if lot.burnable(account.at) else 0
        found += ready
        taken = min(missing, ready)
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


def _original(account: Account, store_id: uuid.UUID | None, transaction_id: str, type: str) -> LedgerEntry:
    found = list(
        LedgerEntry.objects.for_merchant(account.merchant_id)  # type: ignore[misc]  # None is a store too
        .filter(
            store_id=store_id,
            transaction_id=transaction_id,
            type__in=[type] if type else list(REVERSIBLE),
        )
        .select_related("enrollment")
        .only(
            "id",
            "merchant_id",
            "points",
            "enrollment__id",
            "enrollment__merchant_id",
            "enrollment__customer_id",
        )[:2]
    )
    if not found:
        raise OriginalNotFound()
    if len(found) > 1:
        raise AmbiguousReversal(field="reversesType")
    original: LedgerEntry = found[0]
    owner_id = original.enrollment.customer_id
    if owner_id != account.customer_id and account.customer_id != visible_customer_id(
        merchant_id=account.merchant_id, customer_id=owner_id
    ):
        raise OriginalNotFound()
    return original


def _lots_to_refill(account: Account, original: LedgerEntry, points: int) -> list[tuple[LotState, int]]:
    """Where `points` of a redemption go back: what was taken last goes back first, so what stays redeemed is FIFO."""
    taken: dict[uuid.UUID, int] = dict(
        Allocation.objects.for_merchant(account.merchant_id)
        .filter(entry_id=original.pk)
        .values_list("lot_id", "points")
    )
    if original.enrollment_id == account.id:
        known = account.lots.by_id(list(taken))
    else:
        known = {
            lot.pk: LotState(
                lot.pk,
                lot.points,
                lot.remaining,
                lot.earned_at,
                lot.expires_at,
                lot.purchase_id,
                available_at=lot.available_at,
                while_active=lot.while_active,
            )  # fmt: skip
            for lot in Lot.objects.for_merchant(account.merchant_id).filter(pk__in=list(taken))
        }
    # Given back before, by the same order: not always into these lots.
    skipped = reversed_points(original)
    lots: list[tuple[LotState, int]] = []
    for lot in sorted(known.values(), key=lambda lot: lot.order, reverse=True):
        passed = min(skipped, taken[lot.id])
        skipped -= passed
        given = min(points, taken[lot.id] - passed)
        if given > 0:
            lots.append((lot, given))
            points -= given
    assert points == 0, "a debit's allocations add up to it"
    return lots


def hash_content(content: Mapping[str, Any]) -> bytes:
    """What tells the same request from another one under the same transaction id."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()


def _repeated(access: Access, type: str, transaction_id: str, content_hash: bytes) -> Answer | None:
    """The answer given before to this transaction id. Raises PointsConflict for other content."""
    if not transaction_id:
        return None
    # The back office is at no store: NULL equals nothing.
    at_store, store = ("= %s", [access.store_id]) if access.store_id else ("IS NULL", [])
    # <> '': what the partial index is on.
    found = _ENTRIES.fetch(
        f"merchant_id = %s AND store_id {at_store} AND type = %s AND transaction_id = %s AND transaction_id <> ''",
        [access.merchant_id, *store, type, transaction_id],
    )
    if found is None:
        return None
    if bytes(found.content_hash or b"") != content_hash:
        raise PointsConflict(field="transactionId")
    return Answer(
        {
            "id": found.pk,
            "customerId": found.enrollment.customer_id,
            "type": found.type,
            "points": found.points,
            "balanceBefore": found.balance_before,
            "balance": found.balance_after,
            "description": found.description,
            "transactionId": found.transaction_id,
            "storeId": found.store_id,
            "occurredAt": found.occurred_at,
            "recordedAt": found.recorded_at,
        },
        is_new=False,
    )


def describe_entry(account: Account, entry: Entry) -> dict[str, Any]:
    """The answer to a points request: what was written, and the balance right after it."""
    return {
        "id": entry.id,
        "customerId": account.customer_id,
        "type": entry.type,
        "points": entry.points,
        "balanceBefore": entry.balance_before,
        "balance": entry.balance_after,
        "description": entry.cause.description,
        "transactionId": entry.cause.transaction_id,
        "storeId": entry.cause.store_id,
        "occurredAt": entry.cause.at,
        "recordedAt": entry.recorded_at,
    }
