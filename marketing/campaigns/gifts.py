"""What a campaign gives with its messages: points, or a voucher for a reward; once for each message."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from loyalty.models import Voucher
from loyalty.services.vouchers import shown_code
from marketing.models import Campaign

SAMPLE_CODE = "ABCDE-12345"
# Of a campaign that gives none.
NO_REWARD: dict[str, Any] = {"code": "", "name": "", "expires_on": None}


def gift_of(message_id: uuid.UUID) -> str:
    """What points and vouchers say that they were given for."""
    return f"campaign:{message_id}"


def voucher_end(campaign: Campaign, at: datetime) -> datetime:
    """The midnight after the last of its days, in the merchant's time; the reward itself may end before."""
    zone = campaign.merchant.tz
    last = at.astimezone(zone).date() + timedelta(days=campaign.incentive_days)
    return datetime.combine(last + timedelta(days=1), time(), zone)


def rewards_of(campaign: Campaign, message_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
    """The variable `reward` by message, of those that came with a voucher."""
    if campaign.incentive_reward_id is None:
        return {}
    causes = {gift_of(message_id): message_id for message_id in message_ids}
    rows = Voucher.objects.for_merchant(campaign.merchant_id).filter(cause__in=causes)
    return {
        causes[cause]: {
            "code": shown_code(code),
            "name": name,
            "expires_on": _last_day(campaign, expires_at),
        }
        for cause, code, name, expires_at in rows.values_list("cause", "code", "reward__name", "expires_at")
    }


def sample_reward(campaign: Campaign, *, at: datetime) -> dict[str, Any]:
    """For a preview: a code that nobody has."""
    if campaign.incentive_reward is None:
        return NO_REWARD
    end = voucher_end(campaign, at)
    until = campaign.incentive_reward.valid_until
    return {
        "code": SAMPLE_CODE,
        "name": campaign.incentive_reward.name,
        "expires_on": _last_day(campaign, min(end, until or end)),
    }


def _last_day(campaign: Campaign, end: datetime) -> Any:
    return (end - timedelta(microseconds=1)).astimezone(campaign.merchant.tz).date()


@dataclass(frozen=True, slots=True)
class Given:
    """What a campaign gave. `discount`: money off by the vouchers that were used, as far as their reward says a sum."""

    messages: int = 0
    points: int = 0
    vouchers: int = 0
    used: int = 0
    discount: Decimal = Decimal(0)


_GIVEN = """
SELECT count(*), count(voucher.id), count(voucher.id) FILTER (WHERE voucher.state = 'used'),
    coalesce(sum(voucher.value) FILTER (WHERE voucher.state = 'used' AND voucher.kind = 'fixed'), 0)
FROM campaign_messages message
LEFT JOIN loyalty_vouchers voucher
    ON voucher.merchant_id = message.merchant_id AND voucher.cause = 'campaign:' || message.id
WHERE message.merchant_id = %s AND message.campaign_id = %s AND message.incentive_given
"""


def given_by(campaign: Campaign) -> Given:
    if not campaign.has_incentive:
        return Given()
    with connection.cursor() as cursor:
        cursor.execute(_GIVEN, [campaign.merchant_id, campaign.pk])
        messages, vouchers, used, discount = cursor.fetchone()
    return Given(messages, messages * (campaign.incentive_points or 0), vouchers, used, discount)
