"""The loyalty program of the demonstration merchant: a little of everything, so that each page has something to show."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Store
from demo import reader
from loyalty.models import Enrollment, LedgerEntry, Program, Promotion, Reward
from loyalty.rules import TierRule, to_cents
from loyalty.rules.calendar import midnight
from loyalty.services import InsufficientPoints, create_program, post_points
from loyalty.services.promotions import create_promotion
from loyalty.services.redemptions import redeem_reward
from loyalty.services.rewards import create_reward

MONTHS = 12
TIERS = (
    TierRule("bronze", "Bronze", 0, Decimal(1), ("A birthday present",)),
    TierRule("silver", "Silver", to_cents(Decimal(500)), Decimal("1.25"), ("Free gift wrapping",)),
    TierRule(
        "gold", "Gold", to_cents(Decimal(1500)), Decimal("1.5"), ("Free gift wrapping", "Free delivery")
    ),
    TierRule(
        "platinum", "Platinum", to_cents(Decimal(5000)), Decimal(2),
        ("Free gift wrapping", "Free delivery", "The sale a day early"),
    ),
)  # fmt: skip
PROGRAM: dict[str, Any] = {
    "name": "Gift Club",
    "tier_window": Program.Window.ROLLING,
    "tier_months": MONTHS,
    "tier_downgrade": Program.Downgrade.IMMEDIATE,
    "tier_grace_days": 30,
    "expiry": Program.Expiry.AFTER_EARNING,
    "expiry_months": MONTHS,
    "expiry_month_end": True,
    "redeem_value": Decimal("0.01"),
    "redeem_points_min": 100,
}
REWARDS = (
    {"name": "5 off", "kind": Reward.Kind.FIXED, "value": Decimal(5), "points": 500},
    {
        "name": "10 % off", "kind": Reward.Kind.PERCENTAGE, "value": Decimal(10), "points": 1200,
        "tiers": ["gold", "platinum"],
    },
    {
        "name": "An inflatable globe", "kind": Reward.Kind.FREE_ITEM, "sku": "10002", "points": 300, "stock": 40,
        "limit_per_member": 1,
    },
)  # fmt: skip
# One member in so many comes today to spend points, those who have enough do; some of them take the globe.
ONE_IN = 6
GLOBE_ONE_IN = 48


def open_program(*, access: Access, until: date) -> None:
    """The program with its promotions and rewards. `until` is the last day of the data."""
    create_program(merchant_id=access.merchant_id, tiers=TIERS, **PROGRAM)

    def day(after: int) -> datetime:
        return midnight(until + timedelta(days=after), reader.zone())

    for values in (
        {
            "name": "Double points on Christmas things", "kind": Promotion.Kind.MULTIPLIER, "multiplier": Decimal(2),
            "categories": ["Christmas"], "starts_at": day(-60), "ends_at": day(31), "status": Promotion.Status.ACTIVE,
        },
        {
            "name": "Birthday present", "kind": Promotion.Kind.BONUS, "points": 50, "birthday_days": 7,
            "min_spend": Decimal(10), "member_times": 1, "member_period": Promotion.CapPeriod.DAY,
            "starts_at": day(-730), "status": Promotion.Status.ACTIVE,
        },
    ):  # fmt: skip
        create_promotion(merchant_id=access.merchant_id, values=values, actor_id=access.user_id)
    for reward in REWARDS:
        create_reward(merchant_id=access.merchant_id, values=reward)


def spend_some(*, access: Access) -> int:
    """Some members spend points today: money off, or the globe, at one store after the other.

    Harmless when done twice; returns how many have.
    """
    stores = list(
        Store.objects.for_merchant(access.merchant_id).order_by("code").values_list("pk", flat=True)
    )
    globe = Reward.objects.for_merchant(access.merchant_id).get(sku="10002")
    members = (
        Enrollment.objects.for_merchant(access.merchant_id)
        .order_by("customer__customer_number")
        .values_list("customer_id", "customer__customer_number")
    )
    spent = 0
    for place, (customer_id, number) in enumerate(members):
        if place % ONE_IN:
            continue
        till = replace(access, store_id=stores[place // ONE_IN % len(stores)])
        try:
            if place % GLOBE_ONE_IN:
                post_points(
                    access=till,
                    customer_id=customer_id,
                    type=LedgerEntry.Type.REDEEMED,
                    points=100 * (place // ONE_IN % 4 + 1),
                    description="Money off at the till",
                    transaction_id=f"OFF-{number}",
                )
            else:
                redeem_reward(
                    access=till,
                    customer_id=customer_id,
                    reward_id=globe.pk,
                    transaction_id=f"GLOBE-{number}",
                )
        except InsufficientPoints:
            continue
        spent += 1
    return spent
