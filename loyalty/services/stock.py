"""Who may have a reward, and taking one of it: limits and stock that hold under concurrency."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from cloudpos.api.errors import Conflict, NotFound
from loyalty.ledger import Account
from loyalty.models import Reward
from loyalty.services.lapsing import lapse_due, lapse_vouchers_due


class RewardNotFound(NotFound):
    code = "reward_not_found"
    message = "There is no such reward"


class RewardUnavailable(Conflict):
    code = "reward_unavailable"
    message = "The customer cannot have this reward now"


# Why a reward cannot be had, as a cashier says it.
REASONS: Mapping[str, str] = {
    "archived": "it is no longer offered",
    "inactive": "it is switched off",
    "not_started": "it is not offered yet",
    "ended": "its time is over",
    "out_of_stock": "none are left",
    "wrong_tier": "it is for members of other tiers",
    "limit_reached": "the customer has had it as often as allowed",
}
INSUFFICIENT = "insufficient_points"


@dataclass(frozen=True, slots=True)
class Member:
    """What of a member decides: their tier, and how often they have had or hold the reward."""

    tier: str
    had: int


def hindrances(reward: Reward, *, member: Member, taken: int, at: datetime) -> list[str]:
    """The keys of REASONS that keep a member from a reward at an instant; `taken` counts all members'."""
    found = {
        "archived": reward.archived_at is not None,
        "inactive": not reward.is_active,
        "not_started": reward.valid_from is not None and at < reward.valid_from,
        "ended": reward.valid_until is not None and at >= reward.valid_until,
        "out_of_stock": reward.stock is not None and taken >= reward.stock,
        "wrong_tier": bool(reward.tiers) and member.tier not in reward.tiers,
        "limit_reached": reward.limit_per_member is not None and member.had >= reward.limit_per_member,
    }
    return [reason for reason, hinders in found.items() if hinders]


def find_reward(*, merchant_id: uuid.UUID, reward_id: uuid.UUID, lock: bool = False) -> Reward:
    """One reward, archived ones included. Raises RewardNotFound."""
    rows = Reward.objects.for_merchant(merchant_id)
    if lock:
        rows = rows.select_for_update(no_key=True)
    found: Reward | None = rows.filter(pk=reward_id).first()
    if found is None:
        raise RewardNotFound()
    return found


def take_for(*, account: Account, reward_id: uuid.UUID) -> Reward:
    """Take one of a reward for the owner of an opened account, in the caller's transaction.

    The customer's lock keeps the member's limit, the reward's row its stock. Raises RewardNotFound, RewardUnavailable.
    """
    return take_one_for(
        merchant_id=account.merchant_id,
        customer_id=account.customer_id,
        tier=account.tier,
        at=account.at,
        reward_id=reward_id,
    )


def take_one_for(
    *, merchant_id: uuid.UUID, customer_id: uuid.UUID, tier: str, at: datetime, reward_id: uuid.UUID
) -> Reward:
    """`take_for` a locked customer without their account."""
    reward = find_reward(merchant_id=merchant_id, reward_id=reward_id)
    had = times_had(merchant_id=merchant_id, customer_id=customer_id, at=at, reward_id=reward_id)
    member = Member(tier, had.get(reward_id, 0))
    # Whether any is left is what the statement below finds out.
    reasons = hindrances(reward, member=member, taken=0, at=at)
    if reasons:
        raise unavailable(reasons)
    if not _take_one(reward):
        # Holds on it and vouchers of it may be over and not yet swept.
        lapsed = [
            *lapse_due(at=at, merchant_id=merchant_id, reward_id=reward_id),
            *lapse_vouchers_due(at=at, merchant_id=merchant_id, reward_id=reward_id),
        ]
        if not (lapsed and _take_one(reward)):
            raise unavailable(["out_of_stock"])
    return reward


def unavailable(reasons: list[str]) -> RewardUnavailable:
    said = "; ".join(REASONS[reason] for reason in reasons)
    return RewardUnavailable(f"The customer cannot have this reward now: {said}", extra={"reasons": reasons})


def _take_one(reward: Reward) -> bool:
    """Compare and swap: of two that want the last one, one gets it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE loyalty_rewards SET taken = taken + 1 WHERE merchant_id = %s AND id = %s"
            " AND is_active AND archived_at IS NULL AND (stock IS NULL OR taken < stock)",
            [reward.merchant_id, reward.pk],
        )
        return cursor.rowcount == 1


def times_had(
    *, merchant_id: uuid.UUID, customer_id: uuid.UUID, at: datetime, reward_id: uuid.UUID | None = None
) -> dict[uuid.UUID, int]:
    """By reward, how often a customer has redeemed it (and not cancelled), holds it at this instant, or was given it."""
    only = " AND reward_id = %s" if reward_id is not None else " AND reward_id IS NOT NULL"
    which = [reward_id] if reward_id is not None else []
    at_this_instant: list[Any] = [merchant_id, customer_id, at, *which]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reward_id, count(*) FROM ("  # noqa: S608
            "SELECT reward_id FROM loyalty_redemptions"
            f" WHERE merchant_id = %s AND customer_id = %s AND state = 'redeemed'{only}"
            " UNION ALL "
            "SELECT reward_id FROM loyalty_holds"
            f" WHERE merchant_id = %s AND customer_id = %s AND state = 'held' AND expires_at > %s{only}"
            " UNION ALL "
            "SELECT reward_id FROM loyalty_vouchers WHERE merchant_id = %s AND customer_id = %s"
            f" AND (state = 'used' OR state = 'open' AND expires_at > %s){only}"
            ") had GROUP BY reward_id",
            [merchant_id, customer_id, *which, *at_this_instant, *at_this_instant],
        )
        return dict(cursor.fetchall())


def lapsed_unswept(*, merchant_id: uuid.UUID, at: datetime) -> dict[uuid.UUID, int]:
    """By reward, how many of those taken are free again although no sweep has come by."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reward_id, count(*) FROM ("
            "SELECT reward_id FROM loyalty_holds WHERE merchant_id = %s AND state = 'held'"
            " AND reward_id IS NOT NULL AND expires_at <= %s"
            " UNION ALL "
            "SELECT reward_id FROM loyalty_vouchers WHERE merchant_id = %s AND state = 'open' AND expires_at <= %s"
            ") lapsed GROUP BY reward_id",
            [merchant_id, at] * 2,
        )
        return dict(cursor.fetchall())
