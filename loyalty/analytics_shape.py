"""How the program's figures are asked for and look outside."""

from __future__ import annotations

import uuid
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from cloudpos.api.parameters import Choices, Day, Identifier
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import Schema
from cloudpos.api.schema import Fields, Many
from cloudpos.api.shape_schema import MONEY, nullable
from cloudpos.tenancy.access import Access
from loyalty.analytics import Flow, ProgramFigures
from loyalty.analytics_breakage import Breakage
from loyalty.analytics_periods import GRANULARITIES, Span

CENT = Decimal("0.01")

_COUNT: Schema = {"type": "integer"}
_DAY: Schema = {"type": "string", "format": "date"}
_TEXT: Schema = {"type": "string"}
_RATE: Schema = {"type": "number"}
_STORE: Schema = {"type": ["string", "null"], "format": "uuid"}

REDEMPTION_RATE = (
    "Points redeemed (less those that cancelled redemptions gave back) per point earned (less those that returns took"
    " back), both in the period; null when none was earned."
)
BREAKAGE_METHOD = (
    "Life table of the points by age in months with expiry as a competing exit (Aalen-Johansen); 95 % prediction interval"
    " with what months and members have in common. Points still unspent at the horizon count as never redeemed."
)

_FLOW: dict[str, Any] = {
    "earned": _COUNT,
    "redeemed": _COUNT,
    "expired": _COUNT,
    "takenBack": {**_COUNT, "description": "By returned purchases and reversals of earnings."},
    "restored": {**_COUNT, "description": "By cancelled redemptions."},
    "adjusted": {**_COUNT, "description": "Signed: corrections and manual adjustments."},
}
_PERIOD: dict[str, Any] = {
    "from": _DAY,
    "to": _DAY,
    "points": Fields("ProgramPoints", _FLOW),
    "activeMembers": {**_COUNT, "description": "Accounts that earned or redeemed."},
    "newMembers": _COUNT,
}
_RATED = {**_PERIOD, "redemptionRate": {**nullable(_RATE), "description": REDEMPTION_RATE}}

PROGRAM_ANALYTICS = Fields(
    "ProgramAnalytics",
    {
        **_RATED,
        "granularity": {"type": "string", "enum": list(GRANULARITIES)},
        "timezone": _TEXT,
        "currency": _TEXT,
        "members": {**_COUNT, "description": "Accounts in the program now."},
        "series": Many(Fields("ProgramStep", _PERIOD)),
        "previous": Fields("ProgramBefore", _RATED),
        "change": Fields(
            "ProgramChange",
            {
                name: nullable(
                    {**_RATE, "description": "0.1 is a tenth more; null when there was nothing before."}
                )
                for name in ("earned", "redeemed", "expired", "activeMembers", "newMembers")
            },
        ),
        "liability": Fields(
            "ProgramLiability",
            {
                "points": {**_COUNT, "description": "Points that can still be spent, now."},
                "amount": nullable(MONEY),
                "redeemValue": nullable({**MONEY, "description": "Money per point; null when not offered."}),
                "pastExpiry": {
                    **_COUNT,
                    "description": "Points whose time is over and whose expiry is not booked yet; not in `points`.",
                },
            },
        ),
        "breakage": Fields(
            "ProgramBreakage",
            {
                "status": {"type": "string", "enum": ["estimated", "insufficient_data"]},
                "method": {**_TEXT, "description": BREAKAGE_METHOD},
                "points": {
                    **nullable(_COUNT),
                    "description": "Of the points on the books (liability and pastExpiry), never to be redeemed.",
                },
                "low": nullable(_COUNT),
                "high": nullable(_COUNT),
                "rate": {**nullable(_RATE), "description": "Of the points on the books."},
                "rateOfNewPoints": nullable(_RATE),
                "amount": nullable(MONEY),
                "horizonMonths": {
                    **_COUNT,
                    "description": "The oldest age seen in three months of earning or more.",
                },
                "sampleMonths": _COUNT,
                "samplePoints": _COUNT,
                "observed": Fields(
                    "ProgramBreakageObserved",
                    {
                        "earned": {
                            **_COUNT,
                            "description": "Points a year old or more, less those taken back.",
                        },
                        "redeemed": _COUNT,
                        "expired": _COUNT,
                        "unspent": _COUNT,
                        "neverRedeemedRate": nullable(_RATE),
                    },
                ),
            },
        ),
        "tiers": Many(
            Fields("ProgramTierMembers", {"code": _TEXT, "name": _TEXT, "members": _COUNT}),
        ),
        "tierMovements": Many(
            Fields(
                "ProgramTierMovement",
                {
                    "from": _TEXT,
                    "to": _TEXT,
                    "members": _COUNT,
                    "direction": {"type": ["string", "null"], "enum": ["up", "down", None]},
                },
            )
        ),
        "settlement": Many(
            Fields(
                "ProgramSettlement",
                {
                    "earnedStoreId": _STORE,
                    "earnedStore": {"type": ["string", "null"]},
                    "spentStoreId": _STORE,
                    "spentStore": {"type": ["string", "null"]},
                    "points": _COUNT,
                    "amount": nullable(MONEY),
                },
            )
        ),
    },
)


class ProgramAnalyticsFilters(StrictFilterSet):
    paged = False
    cursors = False

    from_ = Day(method="", description="First day; when absent, of the month eleven months before `to`.")
    to = Day(method="", description="Last day, included; today when absent.")
    store_id = Identifier(
        method="",
        description="What happened at one store. Members, tiers, liability and breakage are the program's always.",
    )
    granularity = Choices(
        GRANULARITIES,
        many=False,
        method="",
        description="Step of the series; chosen by the length when absent.",
    )


def render_program_figures(found: ProgramFigures, access: Access) -> dict[str, Any]:
    value = found.redeem_value
    return {
        **_period(found.steps.span, found.current),
        "redemptionRate": found.current.redemption_rate,
        "granularity": found.steps.granularity,
        "timezone": access.timezone,
        "currency": access.currency,
        "members": found.members,
        "series": [_period(span, flow) for span, flow in zip(found.steps.steps, found.series, strict=True)],
        "previous": {
            **_period(found.steps.span.before, found.previous),
            "redemptionRate": found.previous.redemption_rate,
        },
        "change": {
            "earned": _change(found.previous.earned, found.current.earned),
            "redeemed": _change(found.previous.redeemed, found.current.redeemed),
            "expired": _change(found.previous.expired, found.current.expired),
            "activeMembers": _change(found.previous.active, found.current.active),
            "newMembers": _change(found.previous.enrolled, found.current.enrolled),
        },
        "liability": {
            "points": found.outstanding,
            "amount": in_money(found.outstanding, value),
            "redeemValue": None if value is None else f"{value.normalize():f}",
            "pastExpiry": found.past_expiry,
        },
        "breakage": _breakage(found.breakage, value),
        "tiers": [{"code": tier.code, "name": tier.name, "members": tier.members} for tier in found.tiers],
        "tierMovements": [
            {"from": move.origin, "to": move.target, "members": move.members, "direction": move.direction}
            for move in found.movements
        ],
        "settlement": [
            {
                "earnedStoreId": row.earned_store_id,
                "earnedStore": _store(found, row.earned_store_id),
                "spentStoreId": row.spent_store_id,
                "spentStore": _store(found, row.spent_store_id),
                "points": row.points,
                "amount": in_money(row.points, value),
            }
            for row in found.settlement
        ],
    }


def in_money(points: int | None, redeem_value: Decimal | None) -> Decimal | None:
    """What points are worth at the till, in the merchant's currency; None when they buy no money off."""
    if points is None or redeem_value is None:
        return None
    return (points * redeem_value).quantize(CENT, ROUND_HALF_UP)


def _period(span: Span, flow: Flow) -> dict[str, Any]:
    return {
        "from": span.first,
        "to": span.last,
        "points": {
            "earned": flow.earned,
            "redeemed": flow.redeemed,
            "expired": flow.expired,
            "takenBack": flow.taken_back,
            "restored": flow.restored,
            "adjusted": flow.adjusted,
        },
        "activeMembers": flow.active,
        "newMembers": flow.enrolled,
    }


def _breakage(found: Breakage, value: Decimal | None) -> dict[str, Any]:
    observed = found.observed
    return {
        "status": "insufficient_data" if found.points is None else "estimated",
        "method": BREAKAGE_METHOD,
        "points": found.points,
        "low": found.low,
        "high": found.high,
        "rate": None if found.points is None else _share(found.points, found.outstanding),
        "rateOfNewPoints": None if found.rate_of_new is None else round(found.rate_of_new, 4),
        "amount": in_money(found.points, value),
        "horizonMonths": found.horizon_months,
        "sampleMonths": found.cohorts,
        "samplePoints": found.sample_points,
        "observed": {
            "earned": observed.earned,
            "redeemed": observed.redeemed,
            "expired": observed.expired,
            "unspent": observed.unspent,
            "neverRedeemedRate": _share(observed.expired + observed.unspent, observed.earned),
        },
    }


def _store(found: ProgramFigures, store_id: uuid.UUID | None) -> str | None:
    return None if store_id is None else found.stores.get(store_id)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _change(before: int, after: int) -> float | None:
    return round((after - before) / before, 4) if before else None
