"""Undoing what an earlier transaction did to an account, wholly or in part.

What `reversed` means follows Square (a reward given up returns its points) and Talon.One (rolling back a closed session
returns and takes back). A reversed earning is debited from the points it gave first; a reversed redemption goes back into the
lots it came from, with their own times.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from django.db.models import Sum

from cloudpos.api.errors import Conflict, NotFound
from customers.services import visible_customer_id
from loyalty.ledger import Account, Cause, Entry, LotState
from loyalty.models import Allocation, LedgerEntry, Lot
from loyalty.services.spending import debit

Type = LedgerEntry.Type
REVERSIBLE = (Type.EARNED, Type.REDEEMED, Type.ADJUSTED)


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
class Reversal:
    """What was undone: the new entry, the one it undoes, and how many points of that stand after it."""

    entry: Entry
    original: LedgerEntry
    left: int


def reverse(
    *, account: Account, points: int, cause: Cause, original_transaction_id: str, original_type: str = ""
) -> Reversal:
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
        entry = debit(
            account, Type.REVERSED.value, points, cause, reserved=account.held, original_id=original.pk
        )
    else:
        entry = give_back(account=account, original=original, points=points, cause=cause)
    return Reversal(entry, original, left - points)


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
            )
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
