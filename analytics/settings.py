"""A merchant's own thresholds: changing them, and what a change would do."""

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Sum
from django.utils.timezone import now

from analytics.cut_points import vip_cents
from analytics.models import AnalyticsSettings, CutPoints, ModelRun
from analytics.recalculations import start_recalculation, start_settling
from analytics.segmenting import SEGMENT, rule_parameters
from analytics.segments import Rules, Segment
from analytics.thresholds import RULE_NAMES, rules_of
from cloudpos.api.errors import BadRequest, Conflict
from cloudpos.api.transactions import use_case
from cloudpos.tenancy.access import Access
from customers.models import CustomerCount

HORIZON_LATER = "Churn in {days} days is predicted after the next training; until then by the present models, for {now} days."
AS_OF_FIGURES = "By the figures of the last recalculation, and each purchase since."


@dataclass(frozen=True, slots=True)
class Settings:
    """`suggested_horizon_days`: the p85 of the days between two purchases; None before anybody came twice."""

    rules: Rules
    suggested_horizon_days: int | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Preview:
    """Customers by segment now and then, who would move, and from which 12-month value on one is VIP, in cents."""

    now: dict[Segment, int]
    then: dict[Segment, int]
    moves: dict[tuple[Segment, Segment], int]
    vip_cents_now: int | None
    vip_cents_then: int | None
    notes: list[str]


def settings_of(merchant_id: uuid.UUID) -> Settings:
    churn_runs = ModelRun.objects.for_merchant(merchant_id).filter(kind=ModelRun.Kind.CHURN)
    row = AnalyticsSettings.objects.for_merchant(merchant_id).first()
    return Settings(
        rules=rules_of(merchant_id),
        suggested_horizon_days=churn_runs.order_by("-trained_at", "-pk")
        .values_list("horizon_suggestion_days", flat=True)
        .first(),
        updated_at=row.updated_at if row else None,
    )


@use_case
def change_settings(*, access: Access, rules: Rules) -> uuid.UUID | None:
    """Set all thresholds. Everybody's segment follows in a job, whose id is returned; None when nothing changed.

    Raises BadRequest when they contradict each other.
    """
    check(rules)
    merchant_id = access.merchant_id
    before = rules_of(merchant_id)
    if rules == before:
        return None
    AnalyticsSettings.objects.update_or_create(
        merchant_id=merchant_id, defaults={**_columns(rules), "actor_id": access.user_id, "updated_at": now()}
    )
    if rules.horizon_days != before.horizon_days:
        try:
            return start_recalculation(merchant_id=merchant_id, actor_id=access.user_id).pk
        except Conflict:
            # Some customers' figures are under way. The night trains for these days; segments need not wait for it.
            pass
    return start_settling(merchant_id=merchant_id, actor_id=access.user_id).pk


def check(rules: Rules) -> None:
    """Raises BadRequest."""
    if rules.at_risk_probability >= rules.churned_probability:
        raise BadRequest(
            "Nobody could be at risk: this must be lower than churnedProbability.",
            field="atRiskProbability",
            code="contradictory_thresholds",
        )


def preview_settings(*, merchant_id: uuid.UUID, rules: Rules) -> Preview:
    """How many customers each segment would have, and who would move where. Nothing is saved. Raises BadRequest."""
    check(rules)
    before = rules_of(merchant_id)
    cuts = CutPoints.objects.for_merchant(merchant_id).first()
    vip_now = cuts.vip_cents if cuts else None
    vip_then = (
        vip_cents(merchant_id=merchant_id, rules=rules) if rules.vip_share != before.vip_share else vip_now
    )
    moves = Counter(_moves(merchant_id, rules, vip_then))
    # Who has not bought is new by any thresholds.
    visible = CustomerCount.objects.filter(merchant_id=merchant_id).aggregate(n=Sum("n"))["n"] or 0
    moves[Segment.NEW, Segment.NEW] += max(0, visible - moves.total())
    now_, then = Counter[Segment](), Counter[Segment]()
    for (old, new), customers in moves.items():
        now_[old] += customers
        then[new] += customers
    notes = [AS_OF_FIGURES]
    if rules.horizon_days != before.horizon_days:
        notes.append(HORIZON_LATER.format(days=rules.horizon_days, now=before.horizon_days))
    return Preview(
        now={segment: now_[segment] for segment in Segment},
        then={segment: then[segment] for segment in Segment},
        moves={
            move: customers for move, customers in sorted(moves.items()) if move[0] != move[1] and customers
        },
        vip_cents_now=vip_now,
        vip_cents_then=vip_then,
        notes=notes,
    )


_MOVES = f"""
SELECT f.segment, {SEGMENT}, count(*) FROM analytics_customers f WHERE f.merchant_id = %(merchant)s GROUP BY 1, 2
"""  # noqa: S608 - words of ours


def _moves(merchant_id: uuid.UUID, rules: Rules, vip: int | None) -> dict[tuple[Segment, Segment], int]:
    parameters: dict[str, Any] = {**rule_parameters(rules, vip_cents=vip), "merchant": merchant_id}
    with connection.cursor() as cursor:
        cursor.execute(_MOVES, parameters)
        return {(Segment(old), Segment(new)): customers for old, new, customers in cursor.fetchall()}


def _columns(rules: Rules) -> Mapping[str, Any]:
    return {name: getattr(rules, name) for name in RULE_NAMES}
