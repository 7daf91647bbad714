"""Everything that is shown of one customer: how they buy, what is expected of them and why, and how that went over time."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime

from analytics.models import CustomerFigures, CustomerSnapshot, CutPoints, ModelRun
from analytics.reading.engagement import Engagement, engagement
from analytics.reading.purchases import Habits, habits
from analytics.recalculations import day_of
from analytics.segments import Facts, Reason, explain
from analytics.thresholds import rules_of
from cloudpos.tenancy.models import Merchant
from customers.models import Customer
from customers.services import find_customer

MONTHS_SHOWN_MAX = 120


@dataclass(frozen=True, slots=True)
class CustomerPortrait:
    """`figures` are as of their own day, None before the first are worked out; the rest is of this moment.

    `runs` are those the figures come from, by kind. `cut_on`: the day of the cut points, without which scores mean nothing.
    """

    customer: Customer
    habits: Habits
    reason: Reason | None
    explanation: str
    figures: CustomerFigures | None
    runs: dict[str, ModelRun]
    cut_on: date | None
    engagement: Engagement | None
    history: list[CustomerSnapshot]


def customer_portrait(*, merchant_id: uuid.UUID, customer_id: uuid.UUID, at: datetime) -> CustomerPortrait:
    """A merged one's is that of the customer it became. Raises CustomerNotFound."""
    customer = find_customer(merchant_id=merchant_id, id=customer_id)
    today = day_of(Merchant.objects.get(pk=merchant_id), at=at)
    figures = CustomerFigures.objects.for_merchant(merchant_id).filter(customer_id=customer.pk).first()
    found = habits(merchant_id=merchant_id, customer_id=customer.pk, today=today)
    reason, explanation = _segment(customer, figures, bought=bool(found.days.days))
    snapshots = CustomerSnapshot.objects.for_merchant(merchant_id).filter(customer_id=customer.pk)
    return CustomerPortrait(
        customer=customer,
        habits=found,
        reason=reason,
        explanation=explanation,
        figures=figures,
        runs=_runs(figures),
        cut_on=CutPoints.objects.for_merchant(merchant_id).values_list("for_day", flat=True).first(),
        engagement=engagement(merchant_id=merchant_id, customer_id=customer.pk),
        history=list(reversed(snapshots.order_by("-month")[:MONTHS_SHOWN_MAX])),
    )


def _segment(
    customer: Customer, figures: CustomerFigures | None, *, bought: bool
) -> tuple[Reason | None, str]:
    """Which line put the customer where they are; None while that is being worked out."""
    rules = rules_of(customer.merchant_id)
    if figures is None and not bought and customer.segment == Customer.Segment.NEW:
        return Reason.NO_PURCHASE, explain(Reason.NO_PURCHASE, None, rules)
    if figures is None or not figures.segment_reason or figures.segment != customer.segment:
        return None, "Being worked out from the latest purchases."
    reason = Reason(figures.segment_reason)
    return reason, explain(reason, facts_of(figures), rules)


def facts_of(figures: CustomerFigures) -> Facts:
    """What the rules decided by."""
    return Facts(
        as_of=figures.as_of,
        first_day=figures.first_day,
        last_day=figures.last_day,
        purchase_days=figures.purchase_days,
        spend_365d_cents=figures.spend_365d_cents,
        churn=figures.churn,
    )


def _runs(figures: CustomerFigures | None) -> dict[str, ModelRun]:
    if figures is None:
        return {}
    runs = ModelRun.objects.for_merchant(figures.merchant_id).filter(
        pk__in=[figures.churn_run_id, figures.value_run_id]
    )
    return {run.kind: run for run in runs}
