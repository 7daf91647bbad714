"""The people behind a cell of the cohorts."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime

from analytics.periods import Period
from analytics.rollups.customers import customers_of
from analytics.rollups.members import numbers_in
from analytics.rollups.reading import Books, one_instant
from analytics.rollups.spans import first_of, nth, span
from cloudpos.api.errors import NotFound
from cloudpos.api.fields import YEAR_MAX, YEAR_MIN
from customers.models import Customer


class CohortNotFound(NotFound):
    code = "cohort_not_found"
    message = (
        "There is no such cohort: it is named by the first day of its week (a Monday), month or quarter."
    )


@dataclass(frozen=True, slots=True)
class Active:
    """One customer in a cell: purchases that were not taken back altogether, and net revenue in cents, in its period."""

    customer: Customer
    purchases: int
    cents: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A page of the customers of a cohort who were active in its k-th period, who spent most first. `total` is all of them."""

    cohort: Period
    period: Period
    size: int
    total: int
    page: list[Active]
    as_of: datetime | None


def read_cohort(name: str) -> date:
    """The day that names a cohort. Raises CohortNotFound for what is no day."""
    try:
        day = date.fromisoformat(name)
    except ValueError:
        raise CohortNotFound() from None
    if day.isoformat() != name or not YEAR_MIN <= day.year <= YEAR_MAX:
        raise CohortNotFound()
    return day


def cohort_customers(
    *,
    merchant_id: uuid.UUID,
    cohort: date,
    granularity: str,
    k: int,
    today: date,
    offset: int,
    limit: int,
    store_id: uuid.UUID | None = None,
) -> Cell:
    """Raises CohortNotFound, StoreNotFound, and AnalyticsBeingPrepared after a large import."""
    if first_of(cohort, granularity) != cohort or cohort > today:
        raise CohortNotFound()
    first, period = span(cohort, granularity), nth(cohort, granularity, k)
    with one_instant():
        books = Books(merchant_id, until=today)
        scope = books.scope(store_id)
        before, began, active = scope.buyers(scope.before(first.first), first, period)
        members = began.once & ~before.once
        cell = set(numbers_in(members & active.once))
        spent: dict[int, tuple[int, int]] = dict.fromkeys(cell, (0, 0))
        for part in scope.members(period):
            for number, purchases, cents in zip(part.numbers, part.counts, part.cents, strict=True):
                if number in cell:
                    known = spent[number]
                    spent[number] = (known[0] + purchases, known[1] + cents)
        ordered = sorted(cell, key=lambda number: (-spent[number][1], number))[offset : offset + limit]
        customers = customers_of(books, ordered)
    return Cell(
        cohort=first,
        period=period,
        size=members.bit_count(),
        total=len(cell),
        page=[Active(customers[number], *spent[number]) for number in ordered],
        as_of=books.as_of,
    )
