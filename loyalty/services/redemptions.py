"""Redemptions: a reward had at once, what a captured hold became, and taking either back."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import Conflict, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.drafting import draft
from cloudpos.tenancy.statements import Statement, Table
from customers.events import add_events, event
from customers.models import Event
from customers.services import CustomerNotFound, add_standing, lock_customer
from loyalty.ledger import WRITTEN, Account, Cause, Entry
from loyalty.models import Hold, LedgerEntry, Redemption, Reward
from loyalty.services.lapsing import put_back
from loyalty.services.points import (
    NoProgram,
    PointsConflict,
    check_store,
    give_back,
    hash_content,
    reversed_points,
    spend,
)
from loyalty.services.sales import open_settled_account
from loyalty.services.stock import take_for

CENT = Decimal("0.01")
_REDEMPTIONS = Table(Redemption)


class RedemptionNotFound(NotFound):
    code = "redemption_not_found"
    message = "There is no such redemption"


class RedemptionCancelled(Conflict):
    code = "redemption_cancelled"
    message = "This redemption was cancelled before"


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
    try:
        customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    except CustomerNotFound:
        if (repeated := _repeated(access, transaction_id, content_hash)) is not None:
            return repeated
        raise
    # Under the lock: a till that sends twice at once waited for its first request.
    if (repeated := _repeated(access, transaction_id, content_hash)) is not None:
        return repeated
    account = open_settled_account(customer=customer, actor_id=access.user_id)
    if account is None:
        raise NoProgram()
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
    statement.insert(_REDEMPTIONS, [_REDEMPTIONS.row(redemption)])
    add_standing(statement, customer, points=account.balance, tier=account.tier)
    add_events(
        statement,
        [
            *account.events(
                store_id=access.store_id, actor_id=access.user_id, request_id=current_request_id()
            ),
            redemption_event("redemption.made", redemption, actor_id=access.user_id, at=account.at),
        ],
    )
    (written,) = statement.execute(f"SELECT {WRITTEN}")
    account.check(written)
    return RedemptionAnswer(redemption, entry.balance_after)


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
    account = open_settled_account(customer=customer, actor_id=access.user_id)
    if account is None:
        raise NoProgram()
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
    redemption.state, redemption.cancelled_at = Redemption.State.CANCELLED, account.at
    redemption.cancelled_by = access.user_id
    redemption.save(update_fields=["state", "cancelled_at", "cancelled_by"])
    if redemption.reward_id is not None:
        put_back(merchant_id=redemption.merchant_id, reward_id=redemption.reward_id)
    statement = Statement()
    account.add_to(statement)
    add_standing(statement, customer, points=account.balance, tier=account.tier)
    add_events(
        statement,
        [
            *account.events(
                store_id=access.store_id, actor_id=access.user_id, request_id=current_request_id()
            ),
            redemption_event("redemption.cancelled", redemption, actor_id=access.user_id, at=account.at),
        ],
    )
    (written,) = statement.execute(f"SELECT {WRITTEN}")
    account.check(written)
    return RedemptionAnswer(redemption, account.balance)


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
