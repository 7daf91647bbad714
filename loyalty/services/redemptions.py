"""Redemptions: a reward had at once, what a captured hold became, and taking either back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import Conflict, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.drafting import draft
from cloudpos.tenancy.statements import Statement, Table
from customers.events import event
from customers.models import Customer, Event
from customers.services import lock_customer
from loyalty.ledger import Account, Cause, Entry, StaleAccount
from loyalty.models import Hold, LedgerEntry, Redemption, Reward
from loyalty.services.effects import PointsConflict, hash_content, once, open_for, write
from loyalty.services.lapsing import put_back
from loyalty.services.reversals import Reversal, give_back, reversed_points
from loyalty.services.spending import check_store, spend
from loyalty.services.stock import take_for

CENT = Decimal("0.01")
_REDEMPTIONS = Table(Redemption)


class RedemptionNotFound(NotFound):
    code = "redemption_not_found"
    message = "There is no such redemption"


class RedemptionCancelled(Conflict):
    code = "redemption_cancelled"
    message = "This redemption was cancelled before"


class RewardIsWhole(Conflict):
    code = "reward_is_whole"
    message = "A reward is given back as a whole"


@dataclass(frozen=True, slots=True)
class RedemptionAnswer:
    """A redemption with the balance right after it; `is_new` is False for a repeated request."""

    redemption: Redemption
    balance: int
    is_new: bool = True


def money_for(points: int, redeem_value: Decimal | None) -> Decimal | None:
    """What points are worth, in whole cents, rounded down; None when the program has no value for them."""
    return None if redeem_value is None else (points * redeem_value).quantize(CENT, ROUND_DOWN)


def draft_redemption(
    *, account: Account, entry: Entry, reward: Reward | None, hold_id: uuid.UUID | None = None
) -> Redemption:
    """The row of a debit that an account is about to write."""
    discount = money_for(-entry.points, account.redeem_value)
    if reward is not None:
        discount = reward.value if reward.kind == Reward.Kind.FIXED else None
    return draft(
        Redemption,
        merchant_id=account.merchant_id,
        customer_id=account.customer_id,
        reward_id=reward.pk if reward is not None else None,
        hold_id=hold_id,
        entry_id=entry.id,
        points=-entry.points,
        discount=discount,
        store_id=entry.cause.store_id,
        actor_id=entry.cause.actor_id,
        transaction_id=entry.cause.transaction_id,
        content_hash=entry.cause.content_hash,
        redeemed_at=account.at,
    )


def redemption_event(type: str, redemption: Redemption, *, actor_id: uuid.UUID | None, at: datetime) -> Event:
    """`redemption.made` or `redemption.cancelled`."""
    return event(
        merchant_id=redemption.merchant_id,
        customer_id=redemption.customer_id,
        store_id=redemption.store_id,
        actor_id=actor_id,
        request_id=current_request_id(),
        type=type,
        data={
            "redemptionId": str(redemption.pk),
            "rewardId": str(redemption.reward_id) if redemption.reward_id else None,
            "entryId": str(redemption.entry_id),
            "points": redemption.points,
        },
        occurred_at=at,
    )


@use_case
def redeem_reward(
    *, access: Access, customer_id: uuid.UUID, reward_id: uuid.UUID, transaction_id: str
) -> RedemptionAnswer:
    """Spend a reward's points and have it, once per (store, transaction id).

    Raises CustomerNotFound, NoProgram, RewardNotFound, RewardUnavailable, InsufficientPoints, and PointsConflict for
    another request under this transaction id.
    """
    content_hash = hash_content({"customerId": str(customer_id), "rewardId": str(reward_id)})

    def repeated() -> RedemptionAnswer | None:
        return _repeated(access, transaction_id, content_hash)

    def work(customer: Customer, account: Account) -> RedemptionAnswer:
        check_store(account, access.store_id)
        reward = take_for(account=account, reward_id=reward_id)
        cause = Cause(
            at=account.at,
            description=f"Reward: {reward.name}",
            transaction_id=transaction_id,
            content_hash=content_hash,
            actor_id=access.user_id,
            store_id=access.store_id,
        )
        entry = spend(account=account, points=reward.points, cause=cause, reserved=account.held)
        redemption = draft_redemption(account=account, entry=entry, reward=reward)
        statement = Statement()
        account.add_to(statement)
        redeem(statement, access=access, customer=customer, account=account, redemption=redemption)
        return RedemptionAnswer(redemption, entry.balance_after)

    return once(access=access, customer_id=customer_id, repeated=repeated, work=work)


def redeem(
    statement: Statement,
    *,
    access: Access,
    customer: Customer,
    account: Account,
    redemption: Redemption,
    events: Sequence[Event] = (),
) -> None:
    """Add a redemption to the statement with the debit that it is, and send it. Raises PointsConflict.

    Runs in the caller's transaction.
    """
    statement.insert(_REDEMPTIONS, [_REDEMPTIONS.row(redemption)])
    made = redemption_event("redemption.made", redemption, actor_id=access.user_id, at=account.at)
    if not write(
        statement,
        access=access,
        customer=customer,
        account=account,
        store_id=redemption.store_id,
        events=[*events, made],
    ):
        # While this one waited, another request redeemed under its transaction id.
        raise PointsConflict(field="transactionId")


@use_case
def cancel_redemption(*, access: Access, redemption_id: uuid.UUID) -> RedemptionAnswer:
    """Put a redemption's points back into the lots that they came from, and its reward back into stock.

    What was reversed before by its transaction id stays as it is. Raises RedemptionNotFound, RedemptionCancelled.
    """
    rows = Redemption.objects.for_merchant(access.merchant_id).filter(pk=redemption_id)
    customer_id = rows.values_list("customer_id", flat=True).first()
    if customer_id is None:
        raise RedemptionNotFound()
    customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    redemption: Redemption = (
        rows.select_related("entry__enrollment").select_for_update(of=("self",), no_key=True).get()
    )
    if redemption.state != Redemption.State.REDEEMED:
        raise RedemptionCancelled()
    account = open_for(customer, access)
    left = redemption.points - reversed_points(redemption.entry)
    if left:
        cause = Cause(
            at=account.at,
            description="Redemption cancelled",
            reverses_id=redemption.entry_id,
            actor_id=access.user_id,
            store_id=access.store_id,
        )
        give_back(account=account, original=redemption.entry, points=left, cause=cause)
    cancelled = _cancel(access, redemption, account.at)
    statement = Statement()
    account.add_to(statement)
    if not write(statement, access=access, customer=customer, account=account, events=[cancelled]):
        raise StaleAccount(account.id)
    return RedemptionAnswer(redemption, account.balance)


def take_back_redemption(*, access: Access, reversal: Reversal, at: datetime) -> list[Event]:
    """Cancel the redemption, if it was one, whose points are about to be all given back. What there is to tell.

    Runs in the caller's transaction, which holds the customer's lock. Raises RewardIsWhole for a part of a reward.
    """
    redemption: Redemption | None = (
        Redemption.objects.for_merchant(reversal.original.merchant_id)
        .filter(entry_id=reversal.original.pk)
        .select_for_update(no_key=True)
        .first()
    )
    if redemption is None or redemption.state != Redemption.State.REDEEMED:
        return []
    if redemption.reward_id is not None and reversal.left:
        raise RewardIsWhole(field="points", extra={"reversible": reversal.entry.points + reversal.left})
    return [] if reversal.left else [_cancel(access, redemption, at)]


def _cancel(access: Access, redemption: Redemption, at: datetime) -> Event:
    """A locked redemption's row and its reward's stock; the points are the caller's. The event to be told."""
    redemption.state, redemption.cancelled_at = Redemption.State.CANCELLED, at
    redemption.cancelled_by = access.user_id
    redemption.save(update_fields=["state", "cancelled_at", "cancelled_by"])
    if redemption.reward_id is not None:
        put_back(merchant_id=redemption.merchant_id, reward_id=redemption.reward_id)
    return redemption_event("redemption.cancelled", redemption, actor_id=access.user_id, at=at)


def _repeated(access: Access, transaction_id: str, content_hash: bytes) -> RedemptionAnswer | None:
    """The redemption made before under this transaction id. Raises PointsConflict for anything else under it."""
    mine = {"store_id": access.store_id, "transaction_id": transaction_id}
    found = Redemption.objects.for_merchant(access.merchant_id).filter(**mine).select_related("entry").first()
    if found is not None:
        if bytes(found.content_hash) != content_hash:
            raise PointsConflict(field="transactionId")
        return RedemptionAnswer(found, found.entry.balance_after, is_new=False)
    redeemed = LedgerEntry.objects.for_merchant(access.merchant_id).filter(
        **mine, type=LedgerEntry.Type.REDEEMED
    )
    held = Hold.objects.for_merchant(access.merchant_id).filter(**mine)
    if redeemed.exists() or held.exists():
        raise PointsConflict(field="transactionId")
    return None
