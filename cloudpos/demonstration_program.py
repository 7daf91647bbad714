"""The loyalty program of the demonstration merchant: a little of everything, so that each page has something to show."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from cloudpos.api.transactions import use_case
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Store
from cloudpos.tenancy.statements import Statement
from customers.models import Customer
from demo import reader
from loyalty.ledger import Account, Cause
from loyalty.models import Enrollment, LedgerEntry, Program, Promotion, Reward
from loyalty.rules import TierRule, to_cents
from loyalty.rules.calendar import midnight
from loyalty.services import InsufficientPoints, create_program
from loyalty.services.effects import hash_content, once, write
from loyalty.services.promotions import create_promotion
from loyalty.services.redemptions import draft_redemption
from loyalty.services.redemptions import redeem as write_redemption
from loyalty.services.rewards import create_reward
from loyalty.services.spending import redeem
from loyalty.services.stock import take_for

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
# One member in so many has spent points, if they had enough, this many days at most after earning them; some took the globe.
ONE_IN = 6
GLOBE_ONE_IN = 48
DAYS_MAX = 45


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
    """Some members have spent points in the last year: money off, or the globe, at one store after the other.

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
        turn = place // ONE_IN
        till = replace(access, store_id=stores[turn % len(stores)])
        with suppress(InsufficientPoints):
            if place % GLOBE_ONE_IN:
                _spend(till, customer_id, f"OFF-{number}", 100 * (turn % 4 + 1), days=turn % DAYS_MAX + 1)
            else:
                _spend(
                    till, customer_id, f"GLOBE-{number}", globe.points, days=turn % DAYS_MAX + 1, reward=globe
                )
            spent += 1
    return spent


@use_case
def _spend(
    access: Access,
    customer_id: uuid.UUID,
    transaction_id: str,
    points: int,
    *,
    days: int,
    reward: Reward | None = None,
) -> None:
    """Spend points so many days after the last of them was earned, as a till would have done then. Once."""
    done = LedgerEntry.objects.for_merchant(access.merchant_id).filter(transaction_id=transaction_id)

    def work(customer: Customer, account: Account) -> None:
        account.at = min(account.at, _earned_at(account, points) + timedelta(days=days))
        cause = Cause(
            at=account.at,
            description="Money off at the till" if reward is None else f"Reward: {reward.name}",
            transaction_id=transaction_id,
            content_hash=hash_content({}),
            actor_id=access.user_id,
            store_id=access.store_id,
        )
        if reward is not None:
            take_for(account=account, reward_id=reward.pk)
        entry = redeem(account=account, points=points, cause=cause)
        statement = Statement()
        account.add_to(statement)
        if reward is None:
            write(statement, access=access, customer=customer, account=account)
        else:
            redemption = draft_redemption(account=account, entry=entry, reward=reward)
            write_redemption(
                statement, access=access, customer=customer, account=account, redemption=redemption
            )

    once(
        access=access,
        customer_id=customer_id,
        repeated=lambda: transaction_id if done.exists() else None,
        work=work,
    )


def _earned_at(account: Account, points: int) -> datetime:
    """When the last of the points that are spent first was earned."""
    last = account.at
    found = 0
    for number, lot in enumerate(account.lots.burnable(points, at=account.at, pending=False)):
        last = lot.earned_at if number == 0 else max(last, lot.earned_at)
        found += lot.remaining
        if found >= points:
            break
    return last
