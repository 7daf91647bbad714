"""How thresholds are set and look outside."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from analytics.overview import money
from analytics.segments import Rules, Segment
from analytics.serializers.fields import COUNT, MONEY, RATE, TEXT
from analytics.settings import Preview, Settings
from cloudpos.api.naming import camel
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import CamelSerializer, MoneyField, StrictIntegerField
from cloudpos.api.shape_schema import nullable

SHARES = ("churned_probability", "churned_gaps", "at_risk_probability")


class ShareField(MoneyField):
    """A number with up to three decimals."""

    default_error_messages = {
        "invalid": "This must be a number such as 0.9.",
        "places": "This has at most {places} decimal places.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(places=3, max_digits=6, **kwargs)


def _probability(text: str) -> ShareField:
    return ShareField(min_value=0, max_value=1, help_text=text)


class SettingsInput(CamelSerializer):
    """All of them: what is left out is an error, not a default."""

    ignored_fields = ("suggestedHorizonDays", "updatedAt", "jobId")

    horizon_days = StrictIntegerField(
        min_value=7, max_value=730, help_text="Churned: no purchase within this many days"
    )
    new_days = StrictIntegerField(
        min_value=1, max_value=730, help_text="New: the first purchase at most this long ago"
    )
    active_days = StrictIntegerField(
        min_value=1, max_value=1830, help_text="Active, and so VIP: the last purchase at most this long ago"
    )
    vip_share = ShareField(
        min_value=Decimal("0.001"),
        max_value=Decimal("0.5"),
        help_text="VIP: this share of all by 12-month value",
    )
    churned_probability = _probability(
        "Churned: no purchase within the horizon with at least this probability"
    )
    churned_gaps = ShareField(
        min_value=1, max_value=100, help_text="Or silent for more than this many usual gaps"
    )
    churned_days = StrictIntegerField(
        min_value=1, max_value=1830, help_text="and for more than this many days"
    )
    at_risk_probability = _probability(
        "At risk: no purchase within the horizon with at least this probability"
    )
    at_risk_purchase_days = StrictIntegerField(
        min_value=1, max_value=100, help_text="and at least this many purchase days"
    )


RULES: dict[str, Any] = {
    "horizonDays": COUNT,
    "newDays": COUNT,
    "activeDays": COUNT,
    "vipShare": RATE,
    "churnedProbability": RATE,
    "churnedGaps": RATE,
    "churnedDays": COUNT,
    "atRiskProbability": RATE,
    "atRiskPurchaseDays": COUNT,
}
SETTINGS = Fields(
    "AnalyticsSettings",
    {
        **RULES,
        "suggestedHorizonDays": nullable(
            {
                **COUNT,
                "description": "85 % of all pauses between two purchases are at most this long; null before there is one.",
            }
        ),
        "updatedAt": nullable(
            {"type": "string", "format": "date-time", "description": "Null: nobody changed them."}
        ),
    },
)
CHANGED_SETTINGS = Fields(
    "ChangedAnalyticsSettings",
    {
        **SETTINGS.parts,
        "jobId": nullable(
            {
                "type": "string",
                "format": "uuid",
                "description": "In which everybody's segment follows; null: nothing changed.",
            }
        ),
    },
)
_SEGMENT = {"type": "string", "enum": [segment.value for segment in Segment]}
SETTINGS_PREVIEW = Fields(
    "AnalyticsSettingsPreview",
    {
        "segments": Many(
            Fields("SegmentPreview", {"name": _SEGMENT, "customers": COUNT, "customersAfter": COUNT})
        ),
        "movements": Many(Fields("SegmentMovement", {"from": _SEGMENT, "to": _SEGMENT, "customers": COUNT})),
        "moving": {**COUNT, "description": "Customers who would change their segment."},
        "vipValue": nullable(
            {**MONEY, "description": "12-month value from which on a customer is VIP; null with too few."}
        ),
        "vipValueAfter": nullable(MONEY),
        "notes": Many(TEXT),
    },
)


def read_rules(values: dict[str, Any]) -> Rules:
    return Rules(**{**values, **{name: float(values[name]) for name in SHARES}})


def render_settings(found: Settings) -> dict[str, Any]:
    rules = {camel(name): value for name, value in asdict(found.rules).items()}
    return {
        **rules,
        "vipShare": float(found.rules.vip_share),
        "suggestedHorizonDays": found.suggested_horizon_days,
        "updatedAt": found.updated_at,
    }


def render_preview(found: Preview) -> dict[str, Any]:
    return {
        "segments": [
            {
                "name": segment.value,
                "customers": found.now[segment],
                "customersAfter": found.then[segment],
            }
            for segment in Segment
        ],
        "movements": [
            {"from": old.value, "to": new.value, "customers": customers}
            for (old, new), customers in found.moves.items()
        ],
        "moving": sum(found.moves.values()),
        "vipValue": None if found.vip_cents_now is None else money(found.vip_cents_now),
        "vipValueAfter": None if found.vip_cents_then is None else money(found.vip_cents_then),
        "notes": found.notes,
    }
