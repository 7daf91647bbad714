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
from django.db.models import Sum

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import BadRequest, Conflict, NotFound
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
    InsufficientPoints, CustomerNotFound, NoProgram, and for reversals OriginalNotFound, AmbiguousReversal and
    ReversalExceeds; RoleTooLow when a cashier adjusts.
    """
    if type == Type.REVERSED and not (transaction_id or reverses_transaction_id):
        raise BadRequest("Name the transaction to reverse.", field="transactionId", code="required")
    if type == Type.ADJUSTED and not access.may(Role.MANAGER):
        raise RoleTooLow("Only a manager may adjust points")
    if points < 0 and type != Type.ADJUSTED:
        raise BadRequest("Only an adjustment may be negative.", field="points", code="min_value")
    content_hash = _content_hash(
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
    """Credit points in a lot of their own."""
    return account.credit(type=Type.EARNED.value, points=points, cause=cause)


def redeem(*, account: Account, points: int, cause: Cause) -> Entry:
    """Use points up: earliest expiry first, then earliest earned. Raises InsufficientPoints."""
    return _debit(account, Type.REDEEMED.value, points, cause)


def adjust(*, account: Account, points: int, cause: Cause) -> Entry:
    """Give (positive) or take (negative) points by a person's decision. Raises InsufficientPoints."""
    if points > 0:
        return account.credit(type=Type.ADJUSTED.value, points=points, cause=cause)
    return _debit(account, Type.ADJUSTED.value, -points, cause)


def reverse(
    *, account: Account, points: int, cause: Cause, original_transaction_id: str, original_type: str = ""
) -> Entry:
    """Undo `points` of what an earlier transaction of this account did at this store.

    Raises OriginalNotFound, AmbiguousReversal without `original_type` when it both earned and redeemed,
    ReversalExceeds, and InsufficientPoints when an earning's points are spent.
    """
    original = _original(account, cause.store_id, original_transaction_id, original_type)
    reversed_before = (
        LedgerEntry.objects.for_merchant(account.merchant_id)
        .filter(reverses_id=original.pk)
        .aggregate(points=Sum("points"))["points"]
        or 0
    )
    left = abs(original.points) - abs(reversed_before)
    if points > left:
        raise ReversalExceeds(extra={"reversible": left})
    cause = Cause(
        at=cause.at,
        description=cause.description,
        reverses_id=original.pk,
        transaction_id=cause.transaction_id,
        content_hash=cause.content_hash,
        actor_id=cause.actor_id,
        store_id=cause.store_id,
    )
    if original.points > 0:
        return _debit(account, Type.REVERSED.value, points, cause, original_id=original.pk)
    lots = _lots_to_refill(account, original, points)
    if original.enrollment_id != account.id:
        # Redeemed by a customer who was merged into this one: the same lots, opened here.
        return account.credit_lots(
            type=Type.REVERSED.value, lots=[replace(lot, remaining=given) for lot, given in lots], cause=cause
        )
    entry = account.restore(type=Type.REVERSED.value, lots=lots, cause=cause)
    # Points that come back into a lot whose time is over are over at once.
    over = [
        (lot, given) for lot, given in lots if lot.expires_at is not None and lot.expires_at <= account.at
    ]
    account.debit_lots(
        type=Type.EXPIRED.value, lots=over, cause=Cause(at=cause.at, description="Expired while redeemed")
    )
    return entry


def _debit(
    account: Account, type: str, points: int, cause: Cause, *, original_id: uuid.UUID | None = None
) -> Entry:
    """Exactly `points`, or InsufficientPoints. The lots of entry `original_id` go first."""
    lots: list[tuple[LotState, int]] = []
    missing = points
    own: list[LotState] = account.lots.of_entry(original_id) if original_id is not None else []
    used = {lot.id for lot in own}
    for lot in [*own, *account.lots.burnable(points, at=account.at, but=used)]:
        taken = min(missing, lot.remaining) if lot.burnable(account.at) else 0
        if taken:
            lots.append((lot, taken))
            missing -= taken
        if not missing:
            break
    if missing:
        raise InsufficientPoints(
            f"The customer has {points - missing} points, {missing} too few",
            extra={"balance": points - missing, "missing": missing},
        )
    account.debit_lots(type=type, lots=lots, cause=cause)
    return account.entries[-1]


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
    taken: dict[uuid.UUID, int] = {}
    for lot_id, entry_id, moved in (
        Allocation.objects.for_merchant(account.merchant_id)
        .filter(entry__in=_with_reversals(account, original))
        .values_list("lot_id", "entry_id", "points")
    ):
        taken[lot_id] = taken.get(lot_id, 0) + (moved if entry_id == original.pk else -moved)
    if original.enrollment_id == account.id:
        known = account.lots.by_id(list(taken))
    else:
        known = {
            lot.pk: LotState(
                lot.pk, lot.points, lot.remaining, lot.earned_at, lot.expires_at, lot.purchase_id
            )
            for lot in Lot.objects.for_merchant(account.merchant_id).filter(pk__in=list(taken))
        }
    lots: list[tuple[LotState, int]] = []
    for lot in sorted(known.values(), key=lambda lot: lot.order, reverse=True):
        given = min(points, taken[lot.id])
        if given > 0:
            lots.append((lot, given))
            points -= given
    assert points == 0, "a debit's allocations add up to it"
    return lots


def _with_reversals(account: Account, original: LedgerEntry) -> list[uuid.UUID]:
    reversals = (
        LedgerEntry.objects.for_merchant(account.merchant_id)
        .filter(reverses_id=original.pk)
        .values_list("pk", flat=True)
    )
    return [original.pk, *reversals]


def _content_hash(content: Mapping[str, Any]) -> bytes:
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
