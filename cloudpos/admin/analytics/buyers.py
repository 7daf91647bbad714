"""Who bought: the customers behind the overview's cards, its charts and their tables."""

from datetime import date
from decimal import Decimal
from typing import Any

from django.http import Http404, HttpRequest

from analytics.buyers import ACTIVE, GROUPS, NEW, REPEAT, buyers
from analytics.periods import Period, read_period
from cloudpos.admin.analytics.choice import Choice, read_choice
from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.admin.analytics.people import Column, People, Person, people_shown, span
from cloudpos.api.errors import BadRequest
from cloudpos.tenancy.formats import count, money
from cloudpos.tenancy.models import Merchant
from customers.models import Customer

TITLES = {ACTIVE: "Active customers", NEW: "New customers", REPEAT: "Customers who came again"}
TOLD = {
    ACTIVE: "Bought {span}{where}.",
    NEW: "Bought for the first time {span}{where}.",
    REPEAT: "Bought {span}{where}, and had bought before or came twice.",
}
NOTE = "Spent is what was bought less what was given back in these days. Who spent most comes first."
COLUMNS = (Column("Purchases", "purchases"), Column("Spent", "spent"))


@analytics_page("Customers", "people")
def buyers_page(request: HttpRequest, merchant: Merchant, group: str) -> Shown:
    if group not in GROUPS:
        raise Http404
    choice = read_choice(request, merchant)
    period = _period(request, choice)

    def read(offset: int, limit: int) -> People:
        found = buyers(
            merchant_id=merchant.pk,
            period=period,
            group=group,
            store_id=choice.store_id,
            offset=offset,
            limit=limit,
        )
        return People(
            total=found.total,
            rows=[bought(row.customer, row.purchases, row.revenue, merchant.currency) for row in found.rows],
        )

    shown = people_shown(
        request,
        merchant,
        columns=COLUMNS,
        read=read,
        file_name=f"{group}-customers-{period.first}-{period.last}",
    )
    if not isinstance(shown, dict):
        return shown
    where = f" at {choice.store.name}" if choice.store is not None else ""
    told: dict[str, Any] = {
        "title": TITLES[group],
        "told": TOLD[group].format(span=span(period.first, period.last), where=where),
        "note": NOTE,
    }
    return shown | told


def bought(customer: Customer, purchases: int, revenue: Decimal, currency: str) -> Person:
    """A customer with the figures of COLUMNS."""
    return Person(customer, (count(purchases), money(revenue, currency)), (purchases, revenue))


def _period(request: HttpRequest, choice: Choice) -> Period:
    """Two days of the address, such as a step of a chart has; the chosen period without them."""
    days = [_day(request.GET.get(name, "")) for name in ("from", "to")]
    if None in days:
        return choice.period
    try:
        return read_period(first=days[0], last=days[1], today=choice.today)
    except BadRequest:
        return choice.period


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
