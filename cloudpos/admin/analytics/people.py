"""The customers behind a number: a page of them, and all of them as a file for a spreadsheet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse

from cloudpos.admin.customers.listing import closed_badge, segment_badge, tier_badge
from cloudpos.api.tables import Table
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.formats import day, phone
from cloudpos.tenancy.models import Merchant
from customers.exports import export_csv
from customers.models import Channel, Customer, Preferences, Purpose
from customers.services.consents import DEFAULTS

ROWS_PER_PAGE = 25
PAGES_MAX = 400
# A file is for writing to people, not for carrying the whole list away.
ROWS_IN_FILE_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of each customer: its heading on the page, and its name in the file."""

    title: str
    name: str


@dataclass(frozen=True, slots=True)
class Person:
    """`figures` as they are shown, `values` as they stand in a file, both one per column; `told` is a word more on the page."""

    customer: Customer
    figures: Sequence[str]
    values: Sequence[Any]
    told: str = ""


@dataclass(frozen=True, slots=True)
class People:
    total: int
    rows: list[Person]


# (offset, limit) of what is wanted
Read = Callable[[int, int], People]


def people_shown(
    request: HttpRequest,
    merchant: Merchant,
    *,
    columns: Sequence[Column],
    read: Read,
    file_name: str,
    of_one_segment: bool = False,
) -> dict[str, Any] | HttpResponse:
    """For the template `people.html`; with `format=csv` in the query the file.

    Where all are of one segment, a way to give them points stands in its place.
    """
    if request.GET.get("format") == "csv":
        table = _table(read(0, ROWS_IN_FILE_MAX), merchant, columns)
        return export_csv(access=acting_for(request, merchant), name=file_name, table=table)
    page = _page(request)
    found = read((page - 1) * ROWS_PER_PAGE, ROWS_PER_PAGE)
    pages = min(max(-(-found.total // ROWS_PER_PAGE), 1), PAGES_MAX)
    query = request.GET.copy()
    query.pop("page", None)
    return {
        "columns": columns,
        "total": found.total,
        "rows": [
            {
                "customer": person.customer,
                "tier": tier_badge(person.customer),
                "segment": closed_badge(person.customer) or segment_badge(person.customer),
                "figures": person.figures,
                "told": person.told,
            }
            for person in found.rows
        ],
        "of_one_segment": of_one_segment,
        "rows_in_file_max": ROWS_IN_FILE_MAX,
        "query": query.urlencode(),
        "page": page,
        "pages": pages,
        "earlier": page - 1 if page > 1 else None,
        "later": page + 1 if page < pages else None,
    }


def _page(request: HttpRequest) -> int:
    asked = request.GET.get("page", "")
    return min(max(int(asked), 1), PAGES_MAX) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 1


def _table(found: People, merchant: Merchant, columns: Sequence[Column]) -> Table:
    consents: dict[Any, dict[str, Any]] = dict(
        Preferences.objects.for_merchant(merchant)
        .filter(customer__in=[person.customer.pk for person in found.rows])
        .values_list("customer_id", "consents")
    )
    head = ("customerNumber", "name", "email", "phone", "mayBeEmailed", "mayBeTexted", "segment", "tier")
    rows = []
    for person in found.rows:
        customer = person.customer
        # Who was removed is counted, and is written to no more.
        is_here = customer.deleted_at is None
        said = consents.get(customer.pk, {})
        rows.append(
            (
                customer.customer_number,
                customer.display_name if is_here else "",
                customer.email if is_here else "",
                phone(customer.phone) if customer.phone and is_here else "",
                *(is_here and _allowed(said, channel) for channel in (Channel.EMAIL, Channel.SMS)),
                customer.segment,
                customer.tier,
                *person.values,
            )
        )
    return Table((*head, *(column.name for column in columns)), rows)


def _allowed(said: dict[str, Any], channel: str) -> bool:
    """Whether a customer may be written to for marketing."""
    purpose = Purpose.MARKETING.value
    return bool(said.get(channel, {}).get(purpose, DEFAULTS[purpose]))


def span(first: Any, last: Any) -> str:
    """Days in words: "on 3 Nov 2026", "from 1 Nov 2026 to 30 Nov 2026"."""
    return f"on {day(first)}" if first == last else f"from {day(first)} to {day(last)}"
