"""Holds: a till reserves points while it closes a sale, then captures them, wholly or in part, or lets go.

A hold is over at its instant, whether or not it was swept: what is held is summed when an account is opened. Locks are taken
in the order customer, hold, reward; the sweep takes holds and rewards only.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.timezone import now

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import BadRequest, Conflict, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.drafting import draft
from cloudpos.tenancy.statements import Statement, Table
from customers.events import add_events, emit, event
from customers.models import Customer
from customers.services import add_standing, lock_customer
from loyalty.ledger import Account, Cause
from loyalty.models import Hold, LedgerEntry, Redemption
from loyalty.services.effects import PointsConflict, hash_content, once, open_for
from loyalty.services.lapsing import put_back
from loyalty.services.redemptions import draft_redemption, redeem
from loyalty.services.spending import check_minimum, check_spendable, check_store, spend
from loyalty.services.stock import take_for

HOLD_SECONDS_DEFAULT = 900
HOLD_SECONDS_MAX = 86_400

State = Hold.State
_HOLDS = Table(Hold)


class HoldNotFound(NotFound):
    code = "hold_not_found"
    message = "There is no such hold"


class HoldClosed(Conflict):
    code = "hold_closed"
    message = "This hold was captured or released before"


class HoldLapsed(Conflict):
    code = "hold_lapsed"
    message = "This hold has lapsed: its points are free again"


class CaptureExceeds(Conflict):
    code = "capture_exceeds_hold"
    message = "More cannot be captured than is held"


class HoldMoved(Conflict):
    code = "hold_moved"
    message = "The customer is being merged: try again"


@dataclass(frozen=True, slots=True)
class HoldAnswer:
    """`is_new` is False for a repeated request, which gets the hold as it is by now."""

    hold: Hold
    is_new: bool


@use_case
def hold_points(
    *,
    access: Access,
    customer_id: uuid.UUID,
    transaction_id: str,
    points: int | None = None,
    reward_id: uuid.UUID | None = None,
    ttl_seconds: int = HOLD_SECONDS_DEFAULT,
) -> HoldAnswer:
    """Reserve points, or what a reward costs, for `ttl_seconds`: once per (store, transaction id).

    Give `points` or `reward_id`. Raises CustomerNotFound, NoProgram, PointsConflict for another request under this
    transaction id, InsufficientPoints, BelowMinimum, and for rewards RewardNotFound and RewardUnavailable.
    """
    if (points is None) == (reward_id is None):
        raise BadRequest("Give either points or rewardId.", field="points", code="required")
    content_hash = hash_content(
        {
            "customerId": str(customer_id),
            "points": points,
            "rewardId": str(reward_id) if reward_id else None,
            "ttlSeconds": ttl_seconds,
        }
    )

    def repeated() -> HoldAnswer | None:
        return _repeated(access, transaction_id, content_hash)

    def work(customer: Customer, account: Account) -> HoldAnswer:
        check_store(account, access.store_id)
        if is_redeemed(
            merchant_id=access.merchant_id, store_id=access.store_id, transaction_id=transaction_id
        ):
            raise PointsConflict(field="transactionId")
        wanted = points
        if reward_id is not None:
            wanted = take_for(account=account, reward_id=reward_id).points
        assert wanted is not None
        if reward_id is None:
            check_minimum(account, wanted)
        check_spendable(account=account, points=wanted, reserved=account.held)
        hold = draft(
            Hold,
            merchant_id=access.merchant_id,
            customer_id=customer.pk,
            reward_id=reward_id,
            points=wanted,
            store_id=access.store_id,
            actor_id=access.user_id,
            transaction_id=transaction_id,
            content_hash=content_hash,
            created_at=account.at,
            expires_at=account.at + timedelta(seconds=ttl_seconds),
        )
        statement = Statement()
        statement.insert(_HOLDS, [_HOLDS.row(hold)])
        # A new version of the customer: whoever read without the lock what there is to spend must look again.
        add_standing(statement, customer)
        held = _event("points.held", hold, access, account.at, expiresAt=hold.expires_at.isoformat())
        add_events(statement, [held])
        statement.execute("SELECT 1")
        return HoldAnswer(hold, is_new=True)

    return once(access=access, customer_id=customer_id, repeated=repeated, work=work)


@dataclass(frozen=True, slots=True)
class Capture:
    """A captured hold, what it became, and the balance right after it."""

    hold: Hold
    redemption: Redemption
    balance: int


@use_case
def capture_hold(*, access: Access, hold_id: uuid.UUID, points: int | None = None) -> Capture:
    """Redeem what is held, or `points` of it; the rest is free again.

    Points that expired or were taken back by a return meanwhile are gone, held or not: InsufficientPoints says what is
    left. Raises HoldNotFound, HoldClosed, HoldLapsed, CaptureExceeds, BelowMinimum, and BadRequest for a part of a reward.
    """
    customer, hold = _lock_hold(access, hold_id)
    _check_open(hold)
    account = open_for(customer, access)
    # What the account has held was summed a moment before `account.at`: a hold that is open then is in the sum.
    if hold.expires_at <= account.at:
        raise HoldLapsed()
    taken = _points_to_capture(account, hold, points)
    if is_redeemed(merchant_id=hold.merchant_id, store_id=hold.store_id, transaction_id=hold.transaction_id):
        raise PointsConflict("This hold's transactionId was meanwhile redeemed otherwise")
    cause = Cause(
        at=account.at,
        description=f"Reward: {hold.reward.name}" if hold.reward else "",
        transaction_id=hold.transaction_id,
        content_hash=bytes(hold.content_hash),
        actor_id=access.user_id,
        store_id=hold.store_id,
    )
    entry = spend(account=account, points=taken, cause=cause, reserved=account.held - hold.points)
    hold.state, hold.captured_points, hold.closed_at, hold.entry_id = (
        State.CAPTURED, taken, account.at, entry.id,
    )  # fmt: skip
    redemption = draft_redemption(account=account, entry=entry, reward=hold.reward, hold_id=hold.pk)
    statement = Statement()
    account.add_to(statement)
    statement.add(
        "hold",
        "UPDATE loyalty_holds SET state = %s, captured_points = %s, closed_at = %s, entry_id = %s"  # noqa: S608
        f" WHERE merchant_id = %s AND id = %s AND {statement.condition}",
        [str(State.CAPTURED), taken, account.at, entry.id, hold.merchant_id, hold.pk],
    )
    captured = _event("hold.captured", hold, access, account.at, captured=taken, entryId=str(entry.id))
    redeem(
        statement,
        access=access,
        customer=customer,
        account=account,
        redemption=redemption,
        events=[captured],
    )
    return Capture(hold, redemption, entry.balance_after)


def _points_to_capture(account: Account, hold: Hold, points: int | None) -> int:
    if points is None or points == hold.points:
        return hold.points
    if points > hold.points:
        raise CaptureExceeds(field="points", extra={"held": hold.points})
    if hold.reward_id is not None:
        raise BadRequest("A reward is captured as a whole.", field="points", code="not_applicable")
    check_minimum(account, points)
    return points


@use_case
def release_hold(*, access: Access, hold_id: uuid.UUID) -> Hold:
    """Free what is held. Raises HoldNotFound, HoldClosed, HoldLapsed."""
    _, hold = _lock_hold(access, hold_id)
    at = now()
    _check_open(hold)
    if hold.expires_at <= at:
        raise HoldLapsed()
    hold.state, hold.closed_at = State.RELEASED, at
    hold.save(update_fields=["state", "closed_at"])
    if hold.reward_id is not None:
        put_back(merchant_id=hold.merchant_id, reward_id=hold.reward_id)
    emit(_event("hold.released", hold, access, at))
    return hold


def find_hold(*, merchant_id: uuid.UUID, hold_id: uuid.UUID) -> Hold:
    """One hold. Raises HoldNotFound."""
    found: Hold | None = Hold.objects.for_merchant(merchant_id).filter(pk=hold_id).first()
    if found is None:
        raise HoldNotFound()
    return found


def state_of(hold: Hold, *, at: datetime) -> str:
    """The state at an instant: a hold whose time is over has lapsed, swept or not."""
    if hold.state == State.HELD and hold.expires_at <= at:
        return str(State.LAPSED)
    return str(hold.state)


def is_redeemed(*, merchant_id: uuid.UUID, store_id: uuid.UUID, transaction_id: str) -> bool:
    """Whether points were redeemed under this transaction id already."""
    return bool(
        LedgerEntry.objects.for_merchant(merchant_id)
        .filter(store_id=store_id, type=LedgerEntry.Type.REDEEMED, transaction_id=transaction_id)
        .exclude(transaction_id="")
        .exists()
    )


def _lock_hold(access: Access, hold_id: uuid.UUID) -> tuple[Customer, Hold]:
    """The customer, then the hold, both locked."""
    found = find_hold(merchant_id=access.merchant_id, hold_id=hold_id)
    customer = lock_customer(merchant_id=access.merchant_id, customer_id=found.customer_id)
    hold: Hold = (
        Hold.objects.for_merchant(access.merchant_id)
        .select_related("reward")
        .select_for_update(of=("self",), no_key=True)
        .get(pk=hold_id)
    )
    # A merge or its undo moved it between the look and the lock.
    if hold.customer_id != customer.pk:
        raise HoldMoved()
    return customer, hold


def _check_open(hold: Hold) -> None:
    if hold.state == State.LAPSED:
        raise HoldLapsed()
    if hold.state != State.HELD:
        raise HoldClosed(f"This hold was {hold.state} before", extra={"state": str(hold.state)})


def _repeated(access: Access, transaction_id: str, content_hash: bytes) -> HoldAnswer | None:
    found = (
        Hold.objects.for_merchant(access.merchant_id)
        .filter(store_id=access.store_id, transaction_id=transaction_id)
        .first()
    )
    if found is None:
        return None
    if bytes(found.content_hash) != content_hash:
        raise PointsConflict(field="transactionId")
    return HoldAnswer(found, is_new=False)


def _event(type: str, hold: Hold, access: Access, at: datetime, **more: Any) -> Any:
    return event(
        merchant_id=hold.merchant_id,
        customer_id=hold.customer_id,
        store_id=hold.store_id,
        actor_id=access.user_id,
        request_id=current_request_id(),
        type=type,
        data={"holdId": str(hold.pk), "points": hold.points, **more},
        occurred_at=at,
    )
