"""How the results of a campaign look outside."""

from decimal import Decimal
from typing import Any

from cloudpos.api.rendering import Schema
from cloudpos.api.schema import Fields
from cloudpos.api.shape_schema import MONEY, nullable
from marketing.campaigns.results import Funnel, Results
from marketing.campaigns.uplift import Comparison, Estimate

_COUNT: Schema = {"type": "integer"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_COUNTS = (
    "recipients", "waiting", "sent", "delivered", "bounced", "failed", "unknown", "cancelled", "opened", "clicked",
    "unsubscribed", "complained", "converted", "purchases",
)  # fmt: skip


def _object(properties: dict[str, Schema], **more: Any) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        **more,
    }


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


_FUNNEL = _object(
    {
        **dict.fromkeys(_COUNTS, _COUNT),
        "skipped": {"type": "object", "additionalProperties": _COUNT, "description": "By reason"},
        "revenue": {**MONEY, "description": "Net of what was taken back"},
        "averageOrderValue": nullable(MONEY),
    }
)
_CONTROL = _object(
    {"recipients": _COUNT, "converted": _COUNT, "purchases": _COUNT, "revenue": MONEY, "averageOrderValue": nullable(MONEY)},
    description="Who got nothing, to compare with",
)  # fmt: skip
_ESTIMATE = _object(
    {"value": _NUMBER, "low": _NUMBER, "high": _NUMBER}, description="With its interval of 95 %"
)
_GROUP = _object({"customers": _COUNT, "converted": _COUNT, "rate": _NUMBER, "revenuePerCustomer": _NUMBER})
_COMPARISON = _object(
    {
        "treated": _GROUP,
        "base": _GROUP,
        "rateDifference": {**_ESTIMATE, "description": "In shares of customers"},
        "relativeUplift": nullable(_NUMBER),
        "revenuePerCustomerDifference": _ESTIMATE,
        "incrementalConversions": _ESTIMATE,
        "incrementalRevenue": _ESTIMATE,
        "isDistinguishable": {"type": "boolean", "description": "Whether the share of buyers differs by more than chance"},
        "words": _TEXT,
        "notes": _list(_TEXT),
    }
)  # fmt: skip
RESULTS = Fields(
    "CampaignResults",
    {
        "campaignId": {"type": "string", "format": "uuid"},
        "asOf": _INSTANT,
        "conversionDays": _COUNT,
        "windowEndsAt": nullable(_INSTANT),
        "overall": _FUNNEL,
        "control": _CONTROL,
        "runs": _list(_object({"number": _COUNT, "dueAt": _INSTANT, "funnel": _FUNNEL, "control": _CONTROL})),
        "variants": _list(_object({"key": _TEXT, "funnel": _FUNNEL})),
        "links": _list(
            _object({"variant": _TEXT, "link": _COUNT, "url": _TEXT, "clicks": _COUNT, "messages": _COUNT})
        ),
        "series": _object(
            {
                "interval": {"type": "string", "enum": ["hour", "day"]},
                "points": _list(_object({"at": _INSTANT, "opens": _COUNT, "clicks": _COUNT})),
            }
        ),
        "uplift": {
            **nullable(_COMPARISON),
            "description": "Everybody who was meant to get a message beside the control group (intention to treat)",
        },
        "comparisons": _list(_object({"variant": _TEXT, "against": _TEXT, "comparison": _COMPARISON})),
        "given": _object(
            {
                "messages": _COUNT,
                "points": _COUNT,
                "vouchers": _COUNT,
                "vouchersUsed": _COUNT,
                "discount": {**MONEY, "description": "By used vouchers, as far as their reward says a sum"},
            },
            description="What came with the messages",
        ),
        "notes": _list(_TEXT),
    },
)


def render_results(found: Results) -> dict[str, Any]:
    first = next(iter(found.variants), "")
    return {
        "campaignId": found.campaign_id,
        "asOf": found.as_of,
        "conversionDays": found.conversion_days,
        "windowEndsAt": found.window_ends_at,
        "overall": _funnel(found.funnel),
        "control": _control(found.control),
        "runs": [
            {
                "number": run.number,
                "dueAt": run.due_at,
                "funnel": _funnel(run.funnel),
                "control": _control(run.control),
            }
            for run in found.runs
        ],
        "variants": [{"key": key, "funnel": _funnel(funnel)} for key, funnel in found.variants.items()],
        "links": [
            {"variant": each.variant, "link": each.link, "url": each.url, "clicks": each.clicks, "messages": each.messages}
            for each in found.links
        ],
        "series": {
            "interval": found.interval,
            "points": [{"at": each.at, "opens": each.opens, "clicks": each.clicks} for each in found.series],
        },
        "uplift": None if found.uplift is None else _comparison(found.uplift),
        "comparisons": [
            {"variant": key, "against": first, "comparison": _comparison(compared)}
            for key, compared in found.against_first.items()
        ],
        "given": {
            "messages": found.given.messages,
            "points": found.given.points,
            "vouchers": found.given.vouchers,
            "vouchersUsed": found.given.used,
            "discount": _money(found.given.discount),
        },
        "notes": found.notes,
    }  # fmt: skip


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _funnel(funnel: Funnel) -> dict[str, Any]:
    return {**{name: getattr(funnel, name) for name in _COUNTS}, "skipped": funnel.skipped, **_bought(funnel)}


def _control(funnel: Funnel) -> dict[str, Any]:
    counts = {name: getattr(funnel, name) for name in ("recipients", "converted", "purchases")}
    return {**counts, **_bought(funnel)}


def _bought(funnel: Funnel) -> dict[str, Any]:
    average = funnel.average_order_value
    return {
        "revenue": _money(funnel.revenue),
        "averageOrderValue": None if average is None else _money(average),
    }


def _comparison(compared: Comparison) -> dict[str, Any]:
    groups = {
        name: {
            "customers": group.customers,
            "converted": group.converted,
            "rate": round(group.rate, 6),
            "revenuePerCustomer": round(group.mean, 4),
        }
        for name, group in (("treated", compared.treated), ("base", compared.base))
    }
    return {
        **groups,
        "rateDifference": _estimate(compared.rate, 6),
        "relativeUplift": None if compared.relative is None else round(compared.relative, 4),
        "revenuePerCustomerDifference": _estimate(compared.mean, 4),
        "incrementalConversions": _estimate(compared.conversions, 1),
        "incrementalRevenue": _estimate(compared.revenue, 2),
        "isDistinguishable": compared.rate.is_distinguishable,
        "words": compared.words,
        "notes": list(compared.notes),
    }


def _estimate(estimate: Estimate, places: int) -> dict[str, float]:
    return {
        "value": round(estimate.value, places),
        "low": round(estimate.low, places),
        "high": round(estimate.high, places),
    }
