"""What cannot be a promotion, and why: every field that does not go with the others."""

from __future__ import annotations

from cloudpos.api.errors import BadRequest, FieldError
from cloudpos.tenancy.models import Store
from cloudpos.tenancy.zones import store_zones
from customers.models import Customer
from loyalty.models import Promotion, Tier
from loyalty.models_promotions import (
    BIRTHDAY_DAYS_MAX,
    CAP_MAX,
    LIST_MAX,
    MULTIPLIER_MAX,
    PRIORITY_MAX,
    PROMOTION_POINTS_MAX,
    VISITS_MAX,
)
from loyalty.rules.hours import occur_between

Kind = Promotion.Kind
Wrong = list[tuple[str, str]]
CAPS = {
    "member_times": "memberTimes",
    "member_points": "memberPoints",
    "total_times": "totalTimes",
    "total_points": "totalPoints",
}


def check_promotion(promotion: Promotion) -> None:
    """Raises BadRequest naming every field that is wrong, by its name in the API."""
    wrong = [
        *_of_kind(promotion),
        *_of_time(promotion),
        *_of_lists(promotion),
        *_of_basket(promotion),
        *_of_caps(promotion),
    ]
    if wrong:
        errors = [FieldError(field, message, "invalid") for field, message in wrong]
        raise BadRequest("Please correct the promotion.", errors=errors)


def _of_kind(promotion: Promotion) -> Wrong:
    if promotion.kind == Kind.MULTIPLIER:
        wrong = [("points", "Only a bonus has points.")] if promotion.points is not None else []
        if promotion.multiplier is None or not 1 < promotion.multiplier <= MULTIPLIER_MAX:
            wrong.append(
                ("multiplier", f"Say how many times the points: more than 1, {MULTIPLIER_MAX} at most.")
            )
        return wrong
    wrong = (
        [("multiplier", "Only multiplied points have a multiplier.")]
        if promotion.multiplier is not None
        else []
    )
    if promotion.points is None or not 1 <= promotion.points <= PROMOTION_POINTS_MAX:
        wrong.append(("points", f"Say how many points: 1 to {PROMOTION_POINTS_MAX:,}."))
    return wrong


def _of_time(promotion: Promotion) -> Wrong:
    wrong: Wrong = []
    start, end = promotion.starts_at, promotion.ends_at
    if start is not None and end is not None and start >= end:
        wrong.append(("endsAt", "This must be later than the start, which is now unless it is given."))
    if (promotion.opens is None) != (promotion.closes is None):
        missing = "opens" if promotion.opens is None else "closes"
        wrong.append((missing, "Give both hours, or neither."))
    elif promotion.opens is not None and promotion.opens == promotion.closes:
        wrong.append(("closes", "The hours are the same: leave both empty for the whole day."))
    days = promotion.weekdays
    if len(set(days)) != len(days) or not set(days) <= set(range(1, 8)):
        wrong.append(("weekdays", "Weekdays are 1 (Monday) to 7 (Sunday), each once."))
    if not wrong and not _occurs(promotion):
        field = "weekdays" if days else "opens"
        wrong.append((field, "Between its start and its end there is no such time at any of its stores."))
    return wrong


def _occurs(promotion: Promotion) -> bool:
    """Whether its days and hours come about between its start and its end, by the clock of one of its stores."""
    start, end = promotion.starts_at, promotion.ends_at
    if start is None or end is None:
        return True
    zones = {
        zone
        for store_id, zone in store_zones(promotion.merchant_id).items()
        if not promotion.stores or store_id in promotion.stores
    }
    return not zones or any(
        occur_between(promotion.weekdays, promotion.opens, promotion.closes, begin=start, end=end, zone=zone)
        for zone in zones
    )


def _of_lists(promotion: Promotion) -> Wrong:
    wrong: Wrong = []
    for field, outside in (
        ("stores", "storeIds"),
        ("tiers", "tiers"),
        ("segments", "segments"),
        ("categories", "categories"),
        ("skus", "skus"),
    ):
        values = getattr(promotion, field)
        if len(values) > LIST_MAX:
            wrong.append((outside, f"At most {LIST_MAX} of these."))
        elif not all(values):
            wrong.append((outside, "One of these is empty."))
    if wrong:
        return wrong
    merchant = promotion.merchant_id
    if promotion.stores:
        known = Store.objects.for_merchant(merchant).filter(pk__in=promotion.stores)
        if known.count() != len(set(promotion.stores)):
            wrong.append(("storeIds", "There is no such store."))
    if promotion.tiers:
        codes = Tier.objects.for_merchant(merchant).filter(program__is_active=True)
        if not set(promotion.tiers) <= set(codes.values_list("code", flat=True)):
            wrong.append(("tiers", "There is no such tier."))
    if not set(promotion.segments) <= set(Customer.Segment.values):
        wrong.append(("segments", "There is no such segment."))
    return wrong


def _of_basket(promotion: Promotion) -> Wrong:
    wrong: Wrong = []
    if promotion.min_quantity is not None:
        if promotion.kind != Kind.BONUS:
            wrong.append(("minQuantity", "Only a bonus has a least quantity."))
        elif not (promotion.categories or promotion.skus):
            wrong.append(("minQuantity", "Say of which categories or items."))
        elif promotion.min_quantity <= 0:
            wrong.append(("minQuantity", "This must be more than 0."))
    if promotion.min_spend is not None and promotion.min_spend <= 0:
        wrong.append(("minSpend", "This must be more than 0."))
    if promotion.every_visit is not None:
        if not 2 <= promotion.every_visit <= VISITS_MAX:
            wrong.append(("everyVisit", f"Every second to every {VISITS_MAX:,}th purchase."))
        elif promotion.first_purchase:
            wrong.append(("everyVisit", "The first purchase is never the second or third."))
    if promotion.birthday_days is not None and not 0 <= promotion.birthday_days <= BIRTHDAY_DAYS_MAX:
        wrong.append(("birthdayDays", f"0 to {BIRTHDAY_DAYS_MAX} days."))
    return wrong


def _of_caps(promotion: Promotion) -> Wrong:
    wrong: Wrong = []
    for field, outside in CAPS.items():
        cap = getattr(promotion, field)
        if cap is not None and not 1 <= cap <= CAP_MAX:
            wrong.append((outside, "A limit is 1 or more; leave it empty for none."))
    if abs(promotion.priority) > PRIORITY_MAX:
        wrong.append(("priority", f"From -{PRIORITY_MAX:,} to {PRIORITY_MAX:,}."))
    return wrong
