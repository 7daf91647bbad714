"""The customers behind the figures of the overview, those who spent most first."""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from analytics.overview import money
from analytics.periods import Period
from analytics.rollups.customers import customers_of
from analytics.rollups.members import Members, numbers_in
from analytics.rollups.reading import Books, Scope, one_instant
from customers.models import Customer

ACTIVE, NEW, REPEAT = GROUPS = ("active", "new", "repeat")


@dataclass(frozen=True, slots=True)
class Buyer:
    """What a customer did in the period: purchases not wholly taken back, and what was spent less what was given back."""

    customer: Customer
    purchases: int
    revenue: Decimal


@dataclass(frozen=True, slots=True)
class BuyersFound:
    """A page of a group: `total` is how many are in it, the overview's own figure."""

    total: int
    rows: list[Buyer]


def buyers(
    *,
    merchant_id: uuid.UUID,
    period: Period,
    group: str,
    store_id: uuid.UUID | None = None,
    offset: int = 0,
    limit: int,
) -> BuyersFound:
    """Who is counted as active, new or repeat (one of GROUPS) in the period.

    Raises StoreNotFound, and AnalyticsBeingPrepared after a large import.
    """
    with one_instant():
        books = Books(merchant_id, until=period.last)
        scope = books.scope(store_id)
        group_set = _members_of(group, books, scope, period)
        spent = Members.together(list(scope.members(period)))
        # Python's own selection: no list of all is sorted for the few that are shown.
        best = heapq.nlargest(offset + limit, _within(spent, group_set))
        shown = best[offset:]
        people = customers_of(books, [-number for _, number, _ in shown])
    return BuyersFound(
        total=group_set.bit_count(),
        rows=[
            Buyer(people[-number], purchases, money(cents))
            for cents, number, purchases in shown
            if -number in people
        ],
    )


def _members_of(group: str, books: Books, scope: Scope, period: Period) -> int:
    """The set of a group's members, as the overview counts them."""
    (bought,) = scope.buyers(period)
    if group == ACTIVE:
        return bought.once
    # Who is new is so for all stores.
    everywhere = books.scope()
    (known,) = everywhere.buyers(everywhere.before(period.first))
    if group == NEW:
        return bought.once & ~known.once
    return (bought.once & known.once) | bought.again


def _within(members: Members, group: int) -> Iterator[tuple[int, int, int]]:
    """(cents, number negated so that of equals the older one comes first, purchases)"""
    wanted = set(numbers_in(group))
    for number, purchases, cents in zip(members.numbers, members.counts, members.cents, strict=True):
        if number in wanted:
            yield cents, -number, purchases
