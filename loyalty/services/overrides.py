"""Tiers that a person gives and takes back, for customers whose history does not say what they deserve."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from cloudpos.api.errors import BadRequest, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.statements import Statement
from customers.models import Customer
from customers.services import lock_customer
from loyalty.ledger import Account
from loyalty.models import TierOverride
from loyalty.services.courses import load_courses, read_overrides
from loyalty.services.effects import open_for, write

REPLACED = "Replaced by another one"


class UnknownTier(BadRequest):
    code = "unknown_tier"
    message = "The program has no such tier"


class OverrideIsOver(BadRequest):
    code = "in_the_past"
    message = "This is over already: give a time to come"


class OverrideNotFound(NotFound):
    code = "override_not_found"
    message = "This customer has no tier that was given by hand"


@dataclass(frozen=True, slots=True)
class Given:
    """An override as it was recorded or ended, and the tier that the customer has with it."""

    override: TierOverride
    tier: str


@use_case
def give_tier(
    *,
    access: Access,
    customer_id: uuid.UUID,
    tier: str,
    reason: str,
    mode: str = "at_least",
    until: datetime | None = None,
) -> Given:
    """Give a customer a tier from now on, instead of one that was given before.

    Purchases of before keep what they earned. Raises CustomerNotFound, NoProgram, UnknownTier, OverrideIsOver.
    """
    customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    account = open_for(customer, access)
    if account.rules.ladder.by_code(tier) is None:
        raise UnknownTier(field="tier")
    at = _after_all(account)
    if until is not None and until <= at:
        raise OverrideIsOver(field="until")
    _end(account, at, access=access, reason=REPLACED)
    override = TierOverride(
        merchant_id=access.merchant_id,
        customer_id=customer.pk,
        program_id=account.program_id,
        tier=tier,
        mode=mode,
        begins_at=at,
        until=until,
        reason=reason,
        actor_id=access.user_id,
    )
    override.save(force_insert=True)
    return Given(override, _settle(access, customer, account, at))


@use_case
def end_tier(*, access: Access, customer_id: uuid.UUID, reason: str = "") -> Given:
    """Take back every tier that was given to a customer and still holds; theirs is what their purchases reach.

    Raises CustomerNotFound, NoProgram, OverrideNotFound.
    """
    customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    account = open_for(customer, access)
    at = _after_all(account)
    ended = _end(account, at, access=access, reason=reason)
    if not ended:
        raise OverrideNotFound()
    return Given(ended[-1], _settle(access, customer, account, at))


def overrides_in_force(*, merchant_id: uuid.UUID, customer_id: uuid.UUID, at: datetime) -> list[TierOverride]:
    """Those that hold at an instant, in the order of recording: the last one counts."""
    return list(
        TierOverride.objects.for_merchant(merchant_id)
        .filter(Q(until=None) | Q(until__gt=at), customer_id=customer_id, ended_at=None)
        .order_by("recorded_at", "pk")
    )


def _after_all(account: Account) -> datetime:
    """Now, or just after the latest purchase on record: a till's clock may be a little ahead of ours."""
    latest = account.last_activity_at
    return account.at if latest is None or latest < account.at else latest + timedelta(microseconds=1)


def _end(account: Account, at: datetime, *, access: Access, reason: str) -> list[TierOverride]:
    found = overrides_in_force(merchant_id=account.merchant_id, customer_id=account.customer_id, at=at)
    for override in found:
        # Given at this very instant, by a clock that stood still: it never held.
        override.ended_at, override.ended_by, override.end_reason = (
            max(at, override.begins_at),
            access.user_id,
            reason,
        )
        override.save(update_fields=["ended_at", "ended_by", "end_reason"])
    return found


def _settle(access: Access, customer: Customer, account: Account, at: datetime) -> str:
    """Write the tier that follows. Returns its code."""
    account.tiers.overrides = tuple(
        read_overrides(
            merchant_id=account.merchant_id, program_id=account.program_id, customer_ids=[customer.pk]
        )[customer.pk]
    )
    load_courses(account)
    account.tiers.settle(at)
    statement = Statement()
    account.add_to(statement)
    account.check(int(write(statement, access=access, customer=customer, account=account)))
    return account.tier
