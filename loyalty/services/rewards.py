"""The catalogue of rewards: a manager's to write."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.timezone import now

from cloudpos.api.errors import BadRequest, Conflict, FieldError
from cloudpos.api.etags import require_version
from cloudpos.api.transactions import use_case
from loyalty.models import Reward, Tier
from loyalty.services.stock import RewardNotFound, find_reward

Kind = Reward.Kind
REWARDS_MAX = 500
COLUMNS = frozenset(
    {
        "name", "description", "kind", "value", "sku", "points", "limit_per_member", "stock", "tiers", "valid_from",
        "valid_until", "is_active",
    }
)  # fmt: skip


class TooManyRewards(Conflict):
    code = "too_many_rewards"
    message = f"A merchant has at most {REWARDS_MAX} rewards: archive some first"


class StockBelowTaken(Conflict):
    code = "stock_below_taken"
    message = "More than these have been redeemed or are on hold already"


@use_case
def create_reward(*, merchant_id: uuid.UUID, values: Mapping[str, Any]) -> Reward:
    """Add a reward. Raises BadRequest for values that do not go together, TooManyRewards."""
    offered = Reward.objects.for_merchant(merchant_id).filter(archived_at__isnull=True)
    if offered.count() >= REWARDS_MAX:
        raise TooManyRewards()
    reward = Reward(merchant_id=merchant_id, **_known(values))
    _check(reward)
    reward.save(force_insert=True)
    return reward


@use_case
def update_reward(
    *,
    merchant_id: uuid.UUID,
    reward_id: uuid.UUID,
    changes: Mapping[str, Any],
    expected_version: int | None = None,
) -> Reward:
    """Change a reward; what was redeemed stays as it was.

    Raises RewardNotFound for archived ones too, PreconditionFailed, StockBelowTaken.
    """
    reward = find_reward(merchant_id=merchant_id, reward_id=reward_id, lock=True)
    if reward.archived_at is not None:
        raise RewardNotFound()
    require_version(expected_version, reward.version)
    changed = {name: value for name, value in _known(changes).items() if getattr(reward, name) != value}
    if not changed:
        return reward
    for name, value in changed.items():
        setattr(reward, name, value)
    _check(reward)
    if reward.stock is not None and reward.stock < reward.taken:
        raise StockBelowTaken(field="stock", extra={"taken": reward.taken})
    reward.updated_at = now()
    reward.version += 1
    reward.save(update_fields=[*changed, "updated_at", "version"])
    return reward


@use_case
def archive_reward(
    *, merchant_id: uuid.UUID, reward_id: uuid.UUID, expected_version: int | None = None
) -> Reward:
    """Take a reward out of the catalogue; redemptions and open holds of it stay. Harmless when done twice.

    Raises RewardNotFound, PreconditionFailed.
    """
    reward = find_reward(merchant_id=merchant_id, reward_id=reward_id, lock=True)
    require_version(expected_version, reward.version)
    if reward.archived_at is None:
        reward.archived_at = reward.updated_at = now()
        reward.version += 1
        reward.save(update_fields=["archived_at", "updated_at", "version"])
    return reward


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    unknown = values.keys() - COLUMNS
    if unknown:
        raise TypeError(f"not columns of a reward: {', '.join(sorted(unknown))}")
    return dict(values)


def _check(reward: Reward) -> None:
    """Raises BadRequest naming every field that does not go with the others."""
    errors = [
        FieldError(field, message, "invalid")
        for field, message in (*_of_kind(reward), *_of_window(reward.valid_from, reward.valid_until))
    ]
    codes = set(
        Tier.objects.for_merchant(reward.merchant_id)
        .filter(program__is_active=True)
        .values_list("code", flat=True)
    )
    errors += [
        FieldError("tiers", f"There is no tier {code}.", "invalid_choice")
        for code in reward.tiers
        if code not in codes
    ]
    if errors:
        raise BadRequest("Please correct the reward.", errors=errors)


def _of_kind(reward: Reward) -> list[tuple[str, str]]:
    if reward.kind == Kind.FREE_ITEM:
        wrong = [] if reward.sku else [("sku", "Name the item that is free.")]
        return wrong if reward.value is None else [*wrong, ("value", "A free item has no value.")]
    wrong = [("sku", "Only a free item has a SKU.")] if reward.sku else []
    if reward.value is None or reward.value <= 0:
        wrong.append(("value", "Say how much comes off: more than 0."))
    elif reward.kind == Kind.PERCENTAGE and reward.value > Decimal(100):
        wrong.append(("value", "At most 100 per cent come off."))
    return wrong


def _of_window(start: datetime | None, end: datetime | None) -> list[tuple[str, str]]:
    if start is not None and end is not None and start >= end:
        return [("validUntil", "This must be later than validFrom.")]
    return []
