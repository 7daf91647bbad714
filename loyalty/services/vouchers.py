"""Vouchers: a reward that a customer is given for no points, and takes at a till by a code."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime

from django.utils.timezone import now

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import Conflict, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.tenancy.access import Access
from customers.events import emit, event
from customers.models import Customer, Event
from customers.services import CustomerNotFound, lock_customer
from loyalty.models import Reward, Voucher
from loyalty.services.stock import take_one_for

State = Voucher.State
# Crockford's: no letter that is read as a digit, and no word that offends.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "U": "V"})
CODE_CHARS = 10
CODE_TYPED_CHARS_MAX = 30


class VoucherNotFound(NotFound):
    code = "voucher_not_found"
    message = "There is no such voucher"


class VoucherUsed(Conflict):
    code = "voucher_used"
    message = "This voucher was used before"


class VoucherLapsed(Conflict):
    code = "voucher_lapsed"
    message = "The time of this voucher is over"


class VoucherNotUsed(Conflict):
    code = "voucher_not_used"
    message = "This voucher was not used"


@dataclass(frozen=True, slots=True)
class VoucherAnswer:
    """`is_new` is False for a repeated request."""

    voucher: Voucher
    is_new: bool


def shown_code(code: str) -> str:
    """As people read it: ABCDE-12345."""
    return f"{code[: CODE_CHARS // 2]}-{code[CODE_CHARS // 2 :]}"


def typed_code(said: str) -> str:
    """What of a typed code counts: case, spaces and hyphens do not, nor that O is read for 0."""
    return "".join(said.upper().split()).replace("-", "").translate(_MISREAD)


def give_voucher(
    *, customer: Customer, reward_id: uuid.UUID, cause: str, expires_at: datetime, at: datetime
) -> Voucher:
    """Give a locked customer one of a reward, inside the caller's transaction, which sees to it that `cause` is given once.

    Not beyond the reward's own end. Raises RewardNotFound, RewardUnavailable.
    """
    reward = take_one_for(
        merchant_id=customer.merchant_id,
        customer_id=customer.pk,
        tier=customer.tier,
        at=at,
        reward_id=reward_id,
    )
    voucher: Voucher = Voucher.objects.create(
        merchant_id=customer.merchant_id,
        customer=customer,
        reward=reward,
        code="".join(secrets.choice(_LETTERS) for _ in range(CODE_CHARS)),
        cause=cause,
        kind=reward.kind,
        value=reward.value,
        sku=reward.sku,
        given_at=at,
        expires_at=min(expires_at, reward.valid_until or expires_at),
    )
    emit(_event("voucher.given", voucher, at))
    return voucher


@use_case
def use_voucher(*, access: Access, code: str, transaction_id: str) -> VoucherAnswer:
    """Take what a voucher is for, at the caller's store: once. The same sale again gets the same answer.

    Raises VoucherNotFound, VoucherUsed, VoucherLapsed.
    """
    voucher = _lock(access, Voucher.objects.for_merchant(access.merchant_id).filter(code=typed_code(code)))
    if voucher.state == State.USED:
        if (voucher.store_id, voucher.transaction_id) == (access.store_id, transaction_id):
            return VoucherAnswer(voucher, is_new=False)
        raise VoucherUsed()
    at = now()
    if state_of(voucher, at=at) != State.OPEN:
        raise VoucherLapsed()
    voucher.state, voucher.used_at = State.USED, at
    voucher.store_id, voucher.actor_id, voucher.transaction_id = (
        access.store_id, access.user_id, transaction_id,
    )  # fmt: skip
    voucher.save(update_fields=["state", "used_at", "store", "actor_id", "transaction_id"])
    emit(_event("voucher.used", voucher, at, access))
    return VoucherAnswer(voucher, is_new=True)


@use_case
def release_voucher(*, access: Access, voucher_id: uuid.UUID) -> Voucher:
    """The sale did not come about: the voucher is as before. Raises VoucherNotFound, VoucherNotUsed."""
    voucher = _lock(access, Voucher.objects.for_merchant(access.merchant_id).filter(pk=voucher_id))
    if voucher.state != State.USED:
        raise VoucherNotUsed()
    released = _event("voucher.released", voucher, now(), access)
    voucher.state, voucher.used_at, voucher.store, voucher.actor_id = State.OPEN, None, None, None
    voucher.transaction_id = ""
    voucher.save(update_fields=["state", "used_at", "store", "actor_id", "transaction_id"])
    emit(released)
    return voucher


def find_voucher(*, merchant_id: uuid.UUID, code: str) -> Voucher:
    """By what was typed. Raises VoucherNotFound."""
    found: Voucher | None = (
        Voucher.objects.for_merchant(merchant_id)
        .select_related("reward")
        .filter(code=typed_code(code), customer__deleted_at=None)
        .first()
    )
    if found is None:
        raise VoucherNotFound()
    return found


def state_of(voucher: Voucher, *, at: datetime) -> str:
    """The state at an instant: one whose time is over has lapsed, swept or not."""
    if voucher.state == State.OPEN and voucher.expires_at <= at:
        return str(State.LAPSED)
    return str(voucher.state)


def _lock(access: Access, rows: object) -> Voucher:
    """The customer, then the voucher: a merge or its undo moves it under the customer's lock."""
    found: Voucher | None = rows.first()  # type: ignore[attr-defined]
    if found is None:
        raise VoucherNotFound()
    try:
        lock_customer(merchant_id=access.merchant_id, customer_id=found.customer_id)
    except CustomerNotFound:
        # Nobody is left who was promised anything.
        raise VoucherNotFound() from None
    voucher: Voucher = (
        Voucher.objects.for_merchant(access.merchant_id)
        .select_related("reward")
        .select_for_update(of=("self",), no_key=True)
        .get(pk=found.pk)
    )
    return voucher


def _event(type: str, voucher: Voucher, at: datetime, access: Access | None = None) -> Event:
    return event(
        merchant_id=voucher.merchant_id,
        customer_id=voucher.customer_id,
        store_id=voucher.store_id,
        actor_id=access.user_id if access is not None else None,
        request_id=current_request_id(),
        type=type,
        data={"voucherId": str(voucher.pk), "rewardId": str(voucher.reward_id)},
        occurred_at=at,
    )


def money_off(voucher: Voucher) -> str | None:
    """None: it depends on the basket."""
    return f"{voucher.value:.2f}" if voucher.kind == Reward.Kind.FIXED else None
