"""A customer's standing in the program, read without locks."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from django.db.models import Case, F, Sum, When

from cloudpos.tenancy.access import Access
from customers.services import find_customer
from loyalty.ledger import Account
from loyalty.models import Enrollment, LedgerEntry, Lot, Program
from loyalty.reading_tiers import NO_TIERS, tier_facts
from loyalty.rules import TierRule, from_cents, plain, to_cents
from loyalty.services import active_program, read_account
from loyalty.services.courses import load_courses
from loyalty.services.programs import tiers_of
from loyalty.services.redemptions import money_for


def standing(*, access: Access, customer_id: uuid.UUID) -> dict[str, Any]:
    """Balance, tier, spend and when points expire. Raises CustomerNotFound."""
    customer = find_customer(merchant_id=access.merchant_id, id=customer_id)
    account = read_account(merchant_id=access.merchant_id, customer_id=customer.pk)
    if account is None:
        return {
            "customerId": customer.pk,
            "enrolled": False,
            "balance": 0,
            "held": 0,
            "pending": 0,
            "available": 0,
            "redeemableAmount": None,
            "tier": None,
            "multiplier": "1",
            "qualifyingSpend": str(customer.total_spent),
            "currency": access.currency,
            "nextTier": None,
            **NO_TIERS,
            "expiring": [],
            "inactiveAt": None,
        }
    if account.is_new and customer.visit_count:
        # Enrolled with the next purchase; what is on record counts then.
        if not account.tiers.follows_spend:
            load_courses(account)
        account.spend_cents = to_cents(customer.total_spent)
        account.settle_tier()
    tier = account.tiers.rule
    # A return may have taken back what is on hold.
    pending = account.pending
    available = max(0, account.balance - account.held - pending)
    return {
        "customerId": customer.pk,
        "enrolled": not account.is_new,
        "balance": account.balance,
        "held": account.held,
        "pending": pending,
        "available": available,
        "redeemableAmount": _redeemable(account, available),
        "tier": tier.code if tier is not None else None,
        "multiplier": plain(tier.multiplier) if tier is not None else "1",
        "qualifyingSpend": str(from_cents(account.spend_cents)),
        "currency": access.currency,
        "nextTier": _next_tier(account),
        **tier_facts(access, account),
        "expiring": [] if account.is_new else _expiring(access, account),
        "inactiveAt": account.inactive_at,
    }


def _redeemable(account: Account, available: int) -> str | None:
    """The money off that the available points buy now: 0.00 below the minimum, None when points buy none."""
    worth = money_for(available if available >= account.redeem_points_min else 0, account.redeem_value)
    return None if worth is None else str(worth)


def _next_tier(account: Account) -> dict[str, Any] | None:
    following = account.next_tier()
    if following is None:
        return None
    points = following.points
    if points is None:
        points = account.rules.points_for(following.spend_cents or 0, account.tiers.rule)
    return {
        "tier": following.tier.code,
        "name": following.tier.name,
        "threshold": str(from_cents(following.tier.threshold_cents)),
        "spendToReach": None if following.spend_cents is None else str(from_cents(following.spend_cents)),
        "pointsToReach": points,
    }


def _expiring(access: Access, account: Account) -> list[dict[str, Any]]:
    """Points by the day (in the store's zone) on which they expire, never last; they add up to the balance.

    Those that last while the member is active expire when that is over, unless there is activity before. Where points are
    owed there are none.
    """
    rows = (
        Lot.objects.for_merchant(access.merchant_id)
        .filter(enrollment_id=account.id, remaining__gt=0)
        # Over by the instant of the balance, and not yet swept.
        .exclude(expires_at__lte=account.at)
        .exclude(while_active=True, enrollment__inactive_at__lte=account.at)
        .values(ends_at=Case(When(while_active=True, then="enrollment__inactive_at"), default="expires_at"))
        .annotate(points=Sum("remaining"))
        .order_by(F("ends_at").asc(nulls_last=True))
        .values_list("ends_at", "points")
    )
    days: dict[date | None, tuple[datetime | None, int]] = {}
    for at, points in rows:
        day = at.astimezone(access.tz).date() if at is not None else None
        first, before = days.get(day, (at, 0))
        days[day] = (first, before + int(points))
    return [{"expiresAt": at, "points": points} for at, points in days.values()]


def entries_of(*, access: Access, customer_id: uuid.UUID) -> Any:
    """The ledger entries of a customer's account in the active program. Raises CustomerNotFound."""
    customer = find_customer(merchant_id=access.merchant_id, id=customer_id)
    enrollment_id = (
        Enrollment.objects.for_merchant(access.merchant_id)
        .filter(customer_id=customer.pk, program__is_active=True)
        .values_list("pk", flat=True)
        .first()
    )
    if enrollment_id is None:
        return LedgerEntry.objects.none()
    return LedgerEntry.objects.for_merchant(access.merchant_id).filter(enrollment_id=enrollment_id)


def program_of(merchant_id: uuid.UUID) -> dict[str, Any] | None:
    """The merchant's active program with its tiers, or None."""
    program = active_program(merchant_id)
    return None if program is None else describe_program(program)


def describe_program(program: Program, tiers: Sequence[TierRule] | None = None) -> dict[str, Any]:
    """A program with its tiers: those on record, or these."""
    return {
        "id": program.pk,
        "name": program.name,
        "pointName": program.point_name,
        "pointsName": program.points_name,
        "pointsPerUnit": plain(program.points_per_unit),
        "rounding": str(program.rounding),
        "expiry": str(program.expiry),
        "expiryMonths": program.expiry_months,
        "expiryMonthEnd": program.expiry_month_end,
        "graceDays": program.grace_days,
        "redeemValue": None if program.redeem_value is None else plain(program.redeem_value),
        "redeemPointsMin": program.redeem_points_min,
        "earnsOnTax": program.earns_on_tax,
        "earnsOnDiscount": program.earns_on_discount,
        "categoriesIn": program.categories_in,
        "categoriesOut": program.categories_out,
        "skusIn": program.skus_in,
        "skusOut": program.skus_out,
        "storeIds": program.store_ids,
        "pendingDays": program.pending_days,
        "returns": str(program.returns),
        "shortfall": str(program.shortfall),
        "tierMetric": str(program.tier_metric),
        "tierWindow": str(program.tier_window),
        "tierMonths": program.tier_months,
        "tierDowngrade": str(program.tier_downgrade),
        "tierGraceDays": program.tier_grace_days,
        "tiers": [_tier(tier) for tier in (tiers_of(program) if tiers is None else tiers)],
        "isActive": program.is_active,
        "revision": program.revision,
        "createdAt": program.created_at,
    }


def _tier(tier: TierRule) -> dict[str, Any]:
    return {
        "code": tier.code,
        "name": tier.name,
        "threshold": str(from_cents(tier.threshold_cents)),
        "multiplier": plain(tier.multiplier),
        "benefits": list(tier.benefits),
    }
