"""Points that a client moves by hand: earned, redeemed, adjusted, reversed. Exactly once per transaction id."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from cloudpos.api.errors import ApiError, BadRequest, Forbidden
from cloudpos.api.transactions import one_statement_use_case, use_case
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.permissions import RoleTooLow
from cloudpos.tenancy.roles import Role
from cloudpos.tenancy.rows import Rows
from cloudpos.tenancy.statements import Statement
from customers.models import Customer, Event
from loyalty.ledger import Account, Cause, Entry, StaleAccount
from loyalty.models import LedgerEntry
from loyalty.services.effects import PointsConflict, hash_content, once, try_unlocked, turns, write
from loyalty.services.redemptions import take_back_redemption
from loyalty.services.reversals import reverse
from loyalty.services.spending import adjust, earn, redeem

Type = LedgerEntry.Type
_ENTRIES = Rows(LedgerEntry)
# Where another process is faster, looking once more takes less time than the lock, and holds nobody up.
UNLOCKED_TRIES = 6


class AdjustmentTooLarge(Forbidden):
    code = "adjustment_too_large"
    message = "Only an owner may adjust so many points at once"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a points request is answered with; `is_new` is False for a repeated one."""

    transaction: dict[str, Any]
    is_new: bool


@dataclass(frozen=True, slots=True)
class Move:
    """A points request that its caller may make."""

    access: Access
    customer_id: uuid.UUID
    type: str
    points: int
    description: str
    transaction_id: str
    reverses_transaction_id: str
    reverses_type: str
    content_hash: bytes

    def cause(self, account: Account) -> Cause:
        return Cause(
            at=account.at,
            description=self.description,
            transaction_id=self.transaction_id,
            content_hash=self.content_hash if self.transaction_id else None,
            actor_id=self.access.user_id,
            store_id=self.access.store_id,
        )

    def repeated(self) -> Answer | None:
        """The answer given before to this transaction id. Raises PointsConflict for other content."""
        if not self.transaction_id:
            return None
        access = self.access
        # The back office is at no store: NULL equals nothing.
        at_store, store = ("= %s", [access.store_id]) if access.store_id else ("IS NULL", [])
        # <> '': what the partial index is on.
        found = _ENTRIES.fetch(
            f"merchant_id = %s AND store_id {at_store} AND type = %s AND transaction_id = %s AND transaction_id <> ''",
            [access.merchant_id, *store, self.type, self.transaction_id],
        )
        if found is None:
            return None
        if bytes(found.content_hash or b"") != self.content_hash:
            raise PointsConflict(field="transactionId")
        return Answer(_describe_recorded(found), is_new=False)


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
    """Move points of a customer, once per (store, type, transaction id). A use case.

    The same request again gets the same answer; another one under the same id raises PointsConflict. Raises
    InsufficientPoints, BelowMinimum, CustomerNotFound, NoProgram, and for reversals OriginalNotFound,
    AmbiguousReversal, ReversalExceeds and RewardIsWhole; RoleTooLow when a cashier adjusts, and AdjustmentTooLarge above
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
    content = {
        "customerId": str(customer_id),
        "points": points,
        "description": description,
        "reversesTransactionId": reverses_transaction_id,
        "reversesType": reverses_type,
    }
    move = Move(
        access, customer_id, type, points, description, transaction_id, reverses_transaction_id, reverses_type,
        hash_content(content),
    )  # fmt: skip
    with turns.taken(customer_id):
        # Without a store no index keeps a transaction id from being used twice: that takes the lock. So does a reversal,
        # which reads other rows than the account's.
        if type != Type.REVERSED and access.store_id is not None:
            for _ in range(UNLOCKED_TRIES):
                if (answer := _post_unlocked(move)) is not None:
                    return answer
        return _post_locked(move)


@one_statement_use_case
def _post_unlocked(move: Move) -> Answer | None:
    """None, and nothing written, when it takes the lock to do it, or to say why not."""

    def work(customer: Customer, account: Account, statement: Statement) -> Answer | None:
        try:
            entry = _post(account, move)
        except ApiError:
            # It may be the answer to a request that was done, or to what is not so any more.
            return None
        account.add_to(statement)
        if not write(statement, access=move.access, customer=customer, account=account):
            return None
        return Answer(_describe(account, entry), is_new=True)

    debits = move.type == Type.REDEEMED or move.points < 0
    return try_unlocked(access=move.access, customer_id=move.customer_id, debits=debits, work=work)


@use_case
def _post_locked(move: Move) -> Answer:
    def work(customer: Customer, account: Account) -> Answer:
        events: list[Event] = []
        if move.type == Type.REVERSED:
            reversal = reverse(
                account=account,
                points=move.points,
                cause=move.cause(account),
                original_transaction_id=move.reverses_transaction_id or move.transaction_id,
                original_type=move.reverses_type,
            )
            entry = reversal.entry
            events = take_back_redemption(access=move.access, reversal=reversal, at=account.at)
        else:
            entry = _post(account, move)
        statement = Statement()
        account.add_to(statement)
        if write(statement, access=move.access, customer=customer, account=account, events=events):
            return Answer(_describe(account, entry), is_new=True)
        # While we waited, another request used this transaction id, for another customer.
        if (repeated := move.repeated()) is not None:
            return repeated
        raise StaleAccount(account.id)

    return once(access=move.access, customer_id=move.customer_id, repeated=move.repeated, work=work)


def _post(account: Account, move: Move) -> Entry:
    verb = {Type.EARNED: earn, Type.REDEEMED: redeem, Type.ADJUSTED: adjust}[Type(move.type)]
    return verb(account=account, points=move.points, cause=move.cause(account))


def _check_adjustment(access: Access, points: int) -> None:
    limit = settings.ADJUSTMENT_POINTS_MAX
    if abs(points) > limit and not access.may(Role.OWNER):
        raise AdjustmentTooLarge(
            f"Only an owner may adjust more than {limit:,} points at once",
            field="points",
            extra={"limit": limit},
        )


def _describe(account: Account, entry: Entry) -> dict[str, Any]:
    """What was written, and the balance right after it."""
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


def _describe_recorded(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "id": entry.pk,
        "customerId": entry.enrollment.customer_id,
        "type": entry.type,
        "points": entry.points,
        "balanceBefore": entry.balance_before,
        "balance": entry.balance_after,
        "description": entry.description,
        "transactionId": entry.transaction_id,
        "storeId": entry.store_id,
        "occurredAt": entry.occurred_at,
        "recordedAt": entry.recorded_at,
    }
