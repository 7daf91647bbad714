"""A merchant's own thresholds, as the rules take them."""

import uuid
from dataclasses import fields

from analytics.models import AnalyticsSettings
from analytics.segments import Rules

RULE_NAMES = tuple(field.name for field in fields(Rules))


def rules_of(merchant_id: uuid.UUID) -> Rules:
    """What the merchant has set, else what holds for all."""
    found = AnalyticsSettings.objects.for_merchant(merchant_id).values(*RULE_NAMES).first()
    return Rules(**found) if found is not None else Rules()
