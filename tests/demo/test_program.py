"""The demonstration merchant's program lives: whoever looks at it finds every part in use."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import Count, Sum
from django.db.models.functions import TruncMonth
from django.utils.timezone import now

from cloudpos import demonstration
from cloudpos.tenancy.models import Merchant
from loyalty import analytics_rollups
from loyalty.analytics import program_figures
from loyalty.analytics_periods import read_steps
from loyalty.models import Enrollment, LedgerEntry, Lot, Promotion, PromotionAward, Redemption, Tier
from loyalty.verification import verify

pytestmark = pytest.mark.django_db


def test_members_in_all_tiers_promotions_expiring_points_returns_and_redemptions() -> None:
    at = now()
    loaded = demonstration.load(at=at, progress=lambda what, n: None)
    merchant = Merchant.objects.get(slug=demonstration.MERCHANT_SLUG)
    assert demonstration.load(at=at, progress=lambda what, n: None).loaded_before
    members = dict(
        Enrollment.objects.for_merchant(merchant).values_list("tier").annotate(Count("pk")).order_by()
    )
    assert set(members) == set(Tier.objects.for_merchant(merchant).values_list("code", flat=True))
    assert sum(members.values()) == loaded.customers
    assert min(members.values()) >= 20
    given = dict(
        PromotionAward.objects.for_merchant(merchant)
        .values_list("promotion")
        .annotate(Sum("points"))
        .order_by()
    )
    assert set(given) == set(Promotion.objects.for_merchant(merchant).values_list("pk", flat=True))
    assert len(given) == 2
    types = dict(
        LedgerEntry.objects.for_merchant(merchant).values_list("type").annotate(Count("pk")).order_by()
    )
    assert set(types) >= {"earned", "bonus", "reversed", "expired", "redeemed"}
    assert Lot.objects.for_merchant(merchant).filter(remaining__gt=0, expires_at__gt=at).exists()
    assert Redemption.objects.for_merchant(merchant).filter(reward__isnull=False).exists()
    # What was spent was spent over the year, so that there is something to estimate breakage from.
    spent_in = set(
        LedgerEntry.objects.for_merchant(merchant)
        .filter(type="redeemed")
        .annotate(month=TruncMonth("occurred_at"))
        .values_list("month", flat=True)
    )
    assert len(spent_in) >= 6
    today = at.astimezone(merchant.tz).date()
    steps = read_steps(first=today - timedelta(days=300), last=today, granularity="month", today=today)
    analytics_rollups.refresh(merchant_id=merchant.pk)
    breakage = program_figures(merchant_id=merchant.pk, steps=steps, at=now()).breakage
    assert breakage.points is not None and 0 < breakage.points < breakage.outstanding
    assert [finding for _, finding in verify(merchant_id=merchant.pk) if finding is not None] == []
