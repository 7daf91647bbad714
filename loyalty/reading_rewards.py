"""Rewards, holds and redemptions as they are shown."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.timezone import now

from cloudpos.tenancy.access import Access
from customers.services import find_customer
from loyalty.models import Hold, Redemption, Reward, Voucher
from loyalty.services import read_account
from loyalty.services.holds import Capture, find_hold, state_of
from loyalty.services.redemptions import RedemptionAnswer
from loyalty.services.stock import INSUFFICIENT, Member, hindrances, lapsed_unswept, times_had
from loyalty.services.vouchers import money_off, shown_code
from loyalty.services.vouchers import state_of as voucher_state_of

VOUCHERS_SHOWN_MAX = 100


def describe_hold(hold: Hold, *, at: datetime | None = None) -> dict[str, Any]:
    """A hold as it is at an instant: lapsed from the end of its time on."""
    state = state_of(hold, at=at or now())
    return {
        "id": hold.pk,
        "customerId": hold.customer_id,
        "rewardId": hold.reward_id,
        "points": hold.points,
        "capturedPoints": hold.captured_points,
        "state": state,
        "transactionId": hold.transaction_id,
        "storeId": hold.store_id,
        "createdAt": hold.created_at,
        "expiresAt": hold.expires_at,
        "closedAt": hold.closed_at or (hold.expires_at if state == Hold.State.LAPSED else None),
    }


def describe_redemption(answer: RedemptionAnswer | Capture) -> dict[str, Any]:
    """A redemption, and the balance right after it was made or cancelled."""
    redemption: Redemption = answer.redemption
    return {
        "id": redemption.pk,
        "customerId": redemption.customer_id,
        "rewardId": redemption.reward_id,
        "holdId": redemption.hold_id,
        "points": redemption.points,
        "discount": None if redemption.discount is None else str(redemption.discount),
        "state": str(redemption.state),
        "balance": answer.balance,
        "transactionId": redemption.transaction_id,
        "storeId": redemption.store_id,
        "redeemedAt": redemption.redeemed_at,
        "cancelledAt": redemption.cancelled_at,
    }


def describe_voucher(voucher: Voucher, *, at: datetime | None = None) -> dict[str, Any]:
    """A voucher as it is at an instant: lapsed from the end of its time on."""
    return {
        "id": voucher.pk,
        "customerId": voucher.customer_id,
        "rewardId": voucher.reward_id,
        "name": voucher.reward.name,
        "code": shown_code(voucher.code),
        "kind": str(voucher.kind),
        "value": None if voucher.value is None else f"{voucher.value:.2f}",
        "sku": voucher.sku,
        "state": voucher_state_of(voucher, at=at or now()),
        "discount": money_off(voucher),
        "givenAt": voucher.given_at,
        "expiresAt": voucher.expires_at,
        "usedAt": voucher.used_at,
        "storeId": voucher.store_id,
        "transactionId": voucher.transaction_id,
    }


def open_vouchers_of(*, access: Access, customer_id: uuid.UUID) -> list[dict[str, Any]]:
    """What a customer can use at this moment: VOUCHERS_SHOWN_MAX, the first to expire first. Raises CustomerNotFound."""
    customer = find_customer(merchant_id=access.merchant_id, id=customer_id)
    at = now()
    rows = (
        Voucher.objects.for_merchant(access.merchant_id)
        .filter(customer_id=customer.pk, state=Voucher.State.OPEN, expires_at__gt=at)
        .select_related("reward")
        .order_by("expires_at", "pk")
    )
    return [describe_voucher(voucher, at=at) for voucher in rows[:VOUCHERS_SHOWN_MAX]]


def hold_of(*, access: Access, hold_id: uuid.UUID) -> dict[str, Any]:
    """One hold. Raises HoldNotFound."""
    return describe_hold(find_hold(merchant_id=access.merchant_id, hold_id=hold_id))


def open_holds_of(*, access: Access, customer_id: uuid.UUID) -> QuerySet[Any]:
    """A customer's holds that are in force at this moment. Raises CustomerNotFound."""
    customer = find_customer(merchant_id=access.merchant_id, id=customer_id)
    rows: QuerySet[Any] = Hold.objects.for_merchant(access.merchant_id).filter(
        customer_id=customer.pk, state=Hold.State.HELD, expires_at__gt=now()
    )
    return rows


def catalogue(merchant_id: uuid.UUID) -> QuerySet[Any]:
    """The rewards that are not archived."""
    rows: QuerySet[Any] = Reward.objects.for_merchant(merchant_id).filter(archived_at__isnull=True)
    return rows


def catalogue_shown(*, access: Access, kinds: Collection[str] = ()) -> list[dict[str, Any]]:
    """The catalogue, cheapest first: all of it, or some kinds."""
    lapsed = lapsed_unswept(merchant_id=access.merchant_id, at=now())
    rows = catalogue(access.merchant_id).order_by("points", "id")
    return [
        describe_reward(reward, lapsed=lapsed.get(reward.pk, 0))
        for reward in (rows.filter(kind__in=kinds) if kinds else rows)
    ]


def describe_reward(reward: Reward, *, lapsed: int | None = None) -> dict[str, Any]:
    """A reward with what is left of it; `lapsed` are those taken by holds that are over and not yet swept."""
    if lapsed is None:
        lapsed = lapsed_unswept(merchant_id=reward.merchant_id, at=now()).get(reward.pk, 0)
    taken = reward.taken - lapsed
    return {
        "id": reward.pk,
        "name": reward.name,
        "description": reward.description,
        "kind": str(reward.kind),
        "value": None if reward.value is None else f"{reward.value:.2f}",
        "sku": reward.sku,
        "points": reward.points,
        "limitPerMember": reward.limit_per_member,
        "stock": reward.stock,
        "taken": taken,
        "left": None if reward.stock is None else reward.stock - taken,
        "tiers": reward.tiers,
        "validFrom": reward.valid_from,
        "validUntil": reward.valid_until,
        "isActive": reward.is_active,
        "archivedAt": reward.archived_at,
        "version": reward.version,
        "createdAt": reward.created_at,
        "updatedAt": reward.updated_at,
    }


def offers(*, access: Access, customer_id: uuid.UUID) -> list[dict[str, Any]]:
    """Every reward of the catalogue, cheapest first, with whether this customer can have it now, and if not why.

    The rules are those of redeeming (`hindrances`). Raises CustomerNotFound.
    """
    customer = find_customer(merchant_id=access.merchant_id, id=customer_id)
    account = read_account(merchant_id=access.merchant_id, customer_id=customer.pk)
    at = now()
    ready = account.lots.burnable(_ALL, at=at, pending=False) if account is not None else []
    available = max(0, sum(lot.remaining for lot in ready) - (account.held if account is not None else 0))
    had = times_had(merchant_id=access.merchant_id, customer_id=customer.pk, at=at)
    lapsed = lapsed_unswept(merchant_id=access.merchant_id, at=at)
    tier = account.tier if account is not None else ""
    found = []
    for reward in catalogue(access.merchant_id).order_by("points", "id"):
        member = Member(tier, had.get(reward.pk, 0))
        over = lapsed.get(reward.pk, 0)
        reasons = hindrances(reward, member=member, taken=reward.taken - over, at=at)
        if reward.points > available:
            reasons.append(INSUFFICIENT)
        found.append(
            {
                "reward": describe_reward(reward, lapsed=over),
                "eligible": not reasons,
                "reasons": reasons,
                "missing": max(0, reward.points - available),
                "had": member.had,
            }
        )
    return found


# More points than an account can hold: every lot is read.
_ALL = 2**62
