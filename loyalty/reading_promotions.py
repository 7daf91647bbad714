"""Promotions as they are shown."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from cloudpos.api.query import start_of_day
from cloudpos.tenancy.models import Merchant, Store
from loyalty.models import Promotion, Tier
from loyalty.rules import plain
from loyalty.rules.promotions import PromotionRule
from loyalty.rules.wording import sentence
from loyalty.services.promotions import Figures, figures_of, promotions_at, rule_of


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the sentences of a merchant's promotions need to know."""

    zone: ZoneInfo
    currency: str
    stores: Mapping[uuid.UUID, str]
    tiers: Mapping[str, str]

    def sentence(self, rule: PromotionRule) -> str:
        return sentence(rule, zone=self.zone, currency=self.currency, stores=self.stores, tiers=self.tiers)


def vocabulary_of(merchant_id: uuid.UUID) -> Vocabulary:
    zone, currency = Merchant.objects.values_list("timezone", "currency").get(pk=merchant_id)
    stores = Store.objects.for_merchant(merchant_id).order_by("name").values_list("pk", "name")
    tiers = Tier.objects.for_merchant(merchant_id).filter(program__is_active=True)
    return Vocabulary(ZoneInfo(zone), currency, dict(stores), dict(tiers.values_list("code", "name")))


def promotions_shown(
    *,
    merchant_id: uuid.UUID,
    statuses: list[str] | None,
    at: date | datetime | None,
    zone: tzinfo,
) -> QuerySet[Any]:
    """Newest first; `at` a day means its first instant in `zone`."""
    rows: QuerySet[Any] = Promotion.objects.for_merchant(merchant_id).order_by("-created_at", "-pk")
    if statuses:
        rows = rows.filter(status__in=statuses)
    if at is not None:
        rows = promotions_at(rows, at if isinstance(at, datetime) else start_of_day(at, zone))
    return rows


def describe_promotion(promotion: Promotion, words: Vocabulary) -> dict[str, Any]:
    return {
        "id": promotion.pk,
        "name": promotion.name,
        "description": promotion.description,
        "kind": str(promotion.kind),
        "multiplier": None if promotion.multiplier is None else plain(promotion.multiplier),
        "points": promotion.points,
        "status": str(promotion.status),
        "startsAt": promotion.starts_at,
        "endsAt": promotion.ends_at,
        "weekdays": sorted(promotion.weekdays) or None,
        "opens": None if promotion.opens is None else f"{promotion.opens:%H:%M}",
        "closes": None if promotion.closes is None else f"{promotion.closes:%H:%M}",
        "storeIds": promotion.stores,
        "tiers": promotion.tiers,
        "segments": promotion.segments,
        "categories": promotion.categories,
        "skus": promotion.skus,
        "minQuantity": None if promotion.min_quantity is None else plain(promotion.min_quantity),
        "minSpend": None if promotion.min_spend is None else f"{promotion.min_spend:.2f}",
        "firstPurchase": promotion.first_purchase,
        "birthdayDays": promotion.birthday_days,
        "everyVisit": promotion.every_visit,
        "memberTimes": promotion.member_times,
        "memberPoints": promotion.member_points,
        "memberPeriod": str(promotion.member_period),
        "totalTimes": promotion.total_times,
        "totalPoints": promotion.total_points,
        "priority": promotion.priority,
        "exclusive": promotion.exclusive,
        "summary": words.sentence(rule_of(promotion)),
        "version": promotion.version,
        "createdAt": promotion.created_at,
        "updatedAt": promotion.updated_at,
    }


def with_usage(promotion: Promotion) -> dict[str, Any]:
    """A promotion with what it has done so far."""
    found = figures_of(merchant_id=promotion.merchant_id, promotion_ids=[promotion.pk])
    figures = found.get(promotion.pk, Figures())
    return {
        **describe_promotion(promotion, vocabulary_of(promotion.merchant_id)),
        "usage": {
            "times": figures.times,
            "points": figures.points,
            "pointsReturned": figures.returned,
            "pointsNet": figures.points - figures.returned,
            "customers": figures.customers,
            "sales": str(figures.sales),
        },
    }
