"""The cards at the top of the overview."""

from decimal import Decimal
from functools import partial

from django.db.models import Sum
from django.urls import reverse

from analytics.overview import Overview, Totals, total_customers
from analytics.people import value_at_risk
from cloudpos.admin.analytics.choice import Choice
from cloudpos.admin.analytics.pages import kept
from cloudpos.admin.kpi import Kpi, percent_change, point_change
from cloudpos.tenancy.formats import count, counted, money, short_money
from cloudpos.tenancy.models import Merchant
from loyalty.models import Enrollment
from loyalty.services import active_program


def overview_kpis(found: Overview, merchant: Merchant, choice: Choice) -> list[Kpi]:
    current, previous = found.current, found.previous or Totals()
    people = partial(_people, choice)
    return [
        Kpi(
            title="Revenue",
            value=short_money(current.revenue, merchant.currency),
            exact=money(current.revenue, merchant.currency),
            detail=f"{counted(current.purchases, 'purchase')}, {money(current.returned, merchant.currency)} returned",
            url=people("active"),
            **percent_change(current.revenue, previous.revenue),
        ),
        Kpi(
            title="Active customers",
            value=count(current.active),
            detail=f"bought in these {choice.days} days; {count(previous.active)} before",
            url=people("active"),
            **percent_change(current.active, previous.active),
        ),
        Kpi(
            title="New customers",
            value=count(current.new),
            detail=f"bought for the first time; {count(previous.new)} before",
            url=people("new"),
            **percent_change(current.new, previous.new),
        ),
        Kpi(
            title="Repeat rate",
            value=_percent(current.repeat_rate),
            detail=f"{count(current.repeat)} of {count(current.active)} had bought before or came twice"
            if current.active
            else "nobody bought in these days",
            url=people("repeat"),
            **point_change(current.repeat_rate, previous.repeat_rate),
        ),
        Kpi(
            title="Average order",
            value=money(current.average_order_value, merchant.currency),
            detail="before returns"
            if previous.average_order_value is None
            else f"before returns; {money(previous.average_order_value, merchant.currency)} before",
            url=people("active"),
            **percent_change(current.average_order_value or 0, previous.average_order_value or 0),
        ),
        _at_risk(merchant),
        Kpi(
            title="Customers",
            value=count(total_customers(merchant.pk)),
            detail="on record, at all stores",
            url=reverse("admin:customers_customer_changelist"),
        ),
        _liability(found, merchant),
    ]


def _people(choice: Choice, group: str) -> str:
    return f"{reverse('buyers_page', args=[group])}?{choice.query()}"


def _at_risk(merchant: Merchant) -> Kpi:
    risk = value_at_risk(merchant_id=merchant.pk)
    return Kpi(
        title="Value at risk",
        value=short_money(risk.value, merchant.currency),
        exact=money(risk.value, merchant.currency),
        detail=f"spent in 12 months by {counted(risk.customers, 'customer')} who may not come back",
        url=reverse("at_risk_page"),
    )


def _liability(found: Overview, merchant: Merchant) -> Kpi:
    """What members could redeem now: in money where the program says what a point is worth, else in points."""
    points = kept(merchant, "points", partial(_points, merchant))
    program = active_program(merchant.pk)
    value = program.redeem_value if program is not None else None
    redeemed = found.current.sums.points_redeemed
    url = reverse("liability")
    if value is None:
        return Kpi(
            title="Points liability",
            value=f"{count(points)} points",
            detail=f"{count(redeemed)} redeemed in the period",
            url=url,
        )
    owed = Decimal(points) * value
    return Kpi(
        title="Points liability",
        value=short_money(owed, merchant.currency),
        exact=money(owed, merchant.currency),
        detail=f"{count(points)} points to spend; {count(redeemed)} redeemed in the period",
        url=url,
    )


def _points(merchant: Merchant) -> int:
    return Enrollment.objects.for_merchant(merchant).aggregate(sum=Sum("balance"))["sum"] or 0


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"
