"""What came of a campaign, for its page: the funnel, what it brought beside the control group, and when it was read."""

import json
from dataclasses import dataclass
from typing import Any

from django.utils.timezone import now

from cloudpos.admin.charts import chart_options
from cloudpos.tenancy.formats import count, counted, money
from cloudpos.tenancy.models import Merchant
from marketing.campaigns.gifts import Given
from marketing.campaigns.results import Funnel, Results, results_of
from marketing.campaigns.uplift import Comparison, Estimate
from marketing.models import Campaign
from marketing.models_messaging import Channel

REASONS = {
    "no_consent": "withdrew their consent", "no_address": "have no address", "suppressed": "bounced or complained before",
    "not_active": "are not active", "gone": "are gone", "too_late": "could not be reached in time",
    "too_often": "had enough messages that week", "no_program": "could not be given points",
    "reward_out_of_stock": "came too late for the reward", "reward_limit_reached": "had the reward as often as allowed",
    "reward_wrong_tier": "have a tier that the reward is not for", "reward_ended": "came after the reward had ended",
    "reward_inactive": "came when the reward was switched off", "reward_archived": "came when the reward was archived",
    "reward_not_started": "came before the reward began",
}  # fmt: skip
SHADES = {"opens": "#8a94a6", "clicks": "#0d9488"}


@dataclass(frozen=True, slots=True)
class Step:
    """A bar of the funnel; `width` and `share` in per cent of all recipients."""

    name: str
    n: int
    width: float
    share: str


def results_shown(campaign: Campaign, merchant: Merchant) -> dict[str, Any]:
    found = results_of(merchant_id=merchant.pk, campaign_id=campaign.pk, zone=merchant.tz, at=now())
    # Nothing tells of reading but the picture of a mail.
    has_openings = campaign.channel == Channel.EMAIL
    return {
        "found": found,
        "has_openings": has_openings,
        "steps": _steps(found.funnel, has_openings),
        "left_out": [(REASONS.get(reason, reason), n) for reason, n in sorted(found.funnel.skipped.items())],
        "uplift": None if found.uplift is None else _compared(found.uplift, merchant.currency),
        "rows": _rows(found, merchant.currency),
        "against_first": [(key, each.words, _points(each.rate)) for key, each in found.against_first.items()],
        "chart": json.dumps(_chart(found, has_openings)) if found.series else "",
        "chart_options": json.dumps(chart_options(mark=(8, 8), gap=16)),
        "moments": [(_label(found, each.at), each.opens, each.clicks) for each in found.series],
        "revenue": money(found.funnel.revenue, merchant.currency),
        "given": _given(found.given, merchant.currency),
    }


def _given(given: Given, currency: str) -> str:
    if given.points:
        return f"It gave {counted(given.points, 'point')} to {counted(given.messages, 'recipient')}."
    if given.vouchers:
        used = f"{count(given.used)} of them used"
        worth = f", {money(given.discount, currency)} off" if given.discount else ""
        return f"It gave {counted(given.vouchers, 'voucher')}, {used}{worth}."
    return ""


def _steps(funnel: Funnel, has_openings: bool) -> list[Step]:
    named = [
        ("Meant to get it", funnel.recipients),
        ("Sent", funnel.sent),
        ("Delivered", funnel.delivered),
        *([("Opened", funnel.opened)] if has_openings else []),
        ("Clicked", funnel.clicked),
        ("Bought", funnel.converted),
    ]
    # Not every way of sending says what was delivered.
    shown = [(name, n) for name, n in named if name != "Delivered" or n]
    return [Step(name, n, _percent(n, funnel.recipients), _share(n, funnel.recipients)) for name, n in shown]


def _percent(n: int, of: int) -> float:
    return round(100 * n / of, 2) if of else 0.0


def _share(n: int, of: int) -> str:
    return f"{100 * n / of:.1f}%" if of else "–"


def _compared(uplift: Comparison, currency: str) -> dict[str, Any]:
    return {
        "words": uplift.words,
        "rate": _points(uplift.rate),
        "treated": f"{100 * uplift.treated.rate:.1f}%",
        "base": f"{100 * uplift.base.rate:.1f}%",
        "relative": None if uplift.relative is None else f"{100 * uplift.relative:+.0f}%",
        "customers": f"{uplift.conversions.value:+,.0f} ({uplift.conversions.low:+,.0f} to {uplift.conversions.high:+,.0f})",
        "revenue": _amounts(uplift.revenue, currency),
        "notes": uplift.notes,
    }


def _points(rate: Estimate) -> str:
    return f"{100 * rate.value:+.1f} points ({100 * rate.low:+.1f} to {100 * rate.high:+.1f})"


def _amounts(found: Estimate, currency: str) -> str:
    value, low, high = (money(round(each), currency) for each in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def _rows(found: Results, currency: str) -> list[dict[str, Any]]:
    """The variants, and the control group at the end."""
    groups = [
        (f"Variant {key}" if len(found.variants) > 1 else "Got it", each)
        for key, each in found.variants.items()
    ]
    if found.control.recipients:
        groups.append(("Control group", found.control))
    return [
        {
            "name": name,
            "recipients": funnel.recipients,
            "sent": funnel.sent,
            "opened": _share(funnel.opened, funnel.sent),
            "clicked": _share(funnel.clicked, funnel.sent),
            "unsubscribed": funnel.unsubscribed,
            "complained": funnel.complained,
            "bounced": funnel.bounced,
            "converted": f"{count(funnel.converted)} ({_share(funnel.converted, funnel.recipients)})",
            "revenue": money(funnel.revenue, currency),
            "told": counted(funnel.purchases, "purchase"),
        }
        for name, funnel in groups
    ]


def _label(found: Results, at: Any) -> str:
    return f"{at:%-d %b %H:00}" if found.interval == "hour" else f"{at:%-d %b}"


def _chart(found: Results, has_openings: bool) -> dict[str, Any]:
    opened, clicked = [each.opens for each in found.series], [each.clicks for each in found.series]
    bars = [("Opened", opened, "opens")] if has_openings else []
    bars.append(("Clicked", clicked, "clicks"))
    return {
        "labels": [_label(found, each.at) for each in found.series],
        "datasets": [
            {"label": label, "data": numbers, "backgroundColor": SHADES[shade]}
            for label, numbers, shade in bars
        ],
    }
