"""Customers at risk: whom to win back first, and a way to do it."""

from django.http import HttpRequest

from analytics.churn_words import reasons_of
from analytics.models import CustomerFigures
from analytics.overview import money as from_cents
from analytics.people import customers_at_risk, value_at_risk
from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.admin.analytics.people import Column, People, Person, people_shown
from cloudpos.tenancy.formats import counted, day, money
from cloudpos.tenancy.models import Merchant

SHOWN_ON_OVERVIEW = 8
COLUMNS = (
    Column("12-month value", "value12Months"),
    Column("Likely to leave", "churnProbability"),
    Column("Last purchase", "lastPurchase"),
    Column("Used to buy every", "usualGapDays"),
)


@analytics_page("Customers at risk", "people")
def at_risk_page(request: HttpRequest, merchant: Merchant) -> Shown:
    def read(offset: int, limit: int) -> People:
        return at_risk(merchant, offset, limit)

    shown = people_shown(
        request, merchant, columns=COLUMNS, read=read, file_name="customers-at-risk", of_one_segment=True
    )
    if not isinstance(shown, dict):
        return shown
    risk = value_at_risk(merchant_id=merchant.pk)
    told = (
        "They bought more than once, and are likely not to come back. In the last 12 months they spent"
        f" {money(risk.value, merchant.currency)}."
    )
    note = "Who spent most comes first. The exported file says who may be written to for marketing."
    return shown | {"told": told, "note": note}


@analytics_page("Customers at risk", "at_risk")
def at_risk_part(request: HttpRequest, merchant: Merchant) -> Shown:
    """For the overview."""
    found = at_risk(merchant, 0, SHOWN_ON_OVERVIEW)
    return {"total": found.total, "people": found.rows, "columns": COLUMNS}


def at_risk(merchant: Merchant, offset: int, limit: int) -> People:
    found = customers_at_risk(merchant_id=merchant.pk, offset=offset, limit=limit)
    return People(found.total, [person(row, merchant.currency) for row in found.rows])


def person(row: CustomerFigures, currency: str) -> Person:
    """A customer with the figures of COLUMNS, and the weightiest reason for leaving."""
    value = from_cents(row.spend_365d_cents)
    gap = row.mean_gap_days
    return Person(
        customer=row.customer,
        figures=(
            money(value, currency),
            f"{100 * row.churn:.0f}%",
            day(row.last_day),
            "–" if gap is None else counted(round(gap), "day"),
        ),
        values=(value, round(row.churn, 3), row.last_day, None if gap is None else round(gap, 1)),
        told=next((reason.sentence for reason in reasons_of(row) if reason.raises), ""),
    )
