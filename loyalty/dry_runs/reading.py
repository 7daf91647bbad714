"""What was bought in a period, customer by customer, in the words of the rules: some customers at a time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db import connection, transaction

from loyalty.rules import Line, Sale, TakeBack, TierOverride, to_cents
from loyalty.services.courses import read_overrides

# What is in memory at a time: so many customers, or fewer who bought so much. One of them is always read whole.
PEOPLE_AT_ONCE = 2_000
PURCHASES_AT_ONCE = 10_000
# (promotion, points): what a purchase was given.
Given = Sequence[tuple[uuid.UUID, int]]


@dataclass(slots=True)
class Person:
    """A customer who bought something in the period. `visits` and `opening_cents` are those of before it.

    `sales` are in no order; `given` is by purchase what promotions gave for it.
    """

    id: uuid.UUID
    segment: str
    birthday: date | None
    visits: int
    opening_cents: int
    overrides: Sequence[TierOverride] = ()
    sales: list[Sale] = field(default_factory=list)
    returns: list[TakeBack] = field(default_factory=list)
    given: dict[uuid.UUID, Given] = field(default_factory=dict)
    # The sums that count this customer already.
    counted_in: set[Any] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Period:
    """From the first instant to the last, which is not included. `whole` histories are read from their beginning.

    Purchases and returns that were recorded after `as_of` are as if they were not there yet.
    """

    begin: datetime
    end: datetime
    whole: bool
    as_of: datetime

    def since(self, column: str) -> tuple[str, list[datetime]]:
        """What is read of a column of instants, as a condition and its parameters."""
        return ("", []) if self.whole else (f"AND {column} >= %s", [self.begin])


def count_purchases(merchant_id: uuid.UUID, period: Period, *, most: int) -> int:
    """How many there are to read; not more than `most` are counted."""
    since, begin = period.since("occurred_at")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT FROM purchases WHERE merchant_id = %s AND occurred_at < %s {since}"  # noqa: S608
            " LIMIT %s) found",
            [merchant_id, period.end, *begin, most],
        )
        return int(cursor.fetchone()[0])


def read_people(
    merchant_id: uuid.UUID, program_id: uuid.UUID, period: Period, *, with_lines: bool
) -> Iterator[list[Person]]:
    """Everybody who bought in the period with what they bought, returned and were given: some at a time, in order of id.

    Each statement is a transaction of its own, so that a long run holds nothing.
    """
    after = None
    while ids := _next_buyers(merchant_id, period, after):
        after = ids[-1]
        people = _read_standing(merchant_id, period, ids)
        overrides = read_overrides(merchant_id=merchant_id, program_id=program_id, customer_ids=ids)
        for customer_id, given in overrides.items():
            people[customer_id].overrides = given
        _add_given(merchant_id, program_id, period, people)
        _add_sales(merchant_id, period, people, with_lines=with_lines)
        _add_returns(merchant_id, period, people)
        yield [person for person in people.values() if person.sales]


def _next_buyers(merchant_id: uuid.UUID, period: Period, after: uuid.UUID | None) -> list[uuid.UUID]:
    """The next customers who bought in the period, in order of id."""
    since, begin = period.since("occurred_at")
    bought = "HAVING bool_or(occurred_at >= %s)" if period.whole else ""
    following = "AND customer_id > %s" if after is not None else ""
    with transaction.atomic(), connection.cursor() as cursor:
        # Asked again and again, it would get a plan for any period: one that sorts the whole of it each time.
        cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        cursor.execute(
            f"SELECT customer_id, count(*) FROM purchases WHERE merchant_id = %s AND occurred_at < %s {since} {following}"  # noqa: S608
            f" GROUP BY customer_id {bought} ORDER BY customer_id LIMIT %s",
            [
                merchant_id,
                period.end,
                *begin,
                *([after] if after is not None else []),
                *([period.begin] if period.whole else []),
                PEOPLE_AT_ONCE,
            ],
        )
        rows = cursor.fetchall()
    ids: list[uuid.UUID] = []
    purchases = 0
    for customer_id, number in rows:
        purchases += number
        if ids and purchases > PURCHASES_AT_ONCE:
            break
        ids.append(customer_id)
    return ids


def _read_standing(
    merchant_id: uuid.UUID, period: Period, ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, Person]:
    """Who they are, and what they had bought before the period."""
    with connection.cursor() as cursor:
        if period.whole:
            cursor.execute(
                "SELECT id, segment, date_of_birth, 0, 0 FROM customers WHERE merchant_id = %s AND id = ANY(%s)",
                [merchant_id, list(ids)],
            )
        else:
            # What is since the period began is subtracted from what is on record, so nothing of before has to be read. A return
            # counts by its own time, which `purchases.returned` does not know.
            cursor.execute(
                """
                SELECT c.id, c.segment, c.date_of_birth, c.visit_count - p.visits,
                    ((c.total_spent - p.amount + r.amount) * 100)::bigint
                FROM customers c
                CROSS JOIN LATERAL (
                    SELECT count(*) AS visits, coalesce(sum(amount), 0) AS amount FROM purchases
                    WHERE merchant_id = c.merchant_id AND customer_id = c.id AND occurred_at >= %s
                ) p
                CROSS JOIN LATERAL (
                    SELECT coalesce(sum(b.amount), 0) AS amount FROM purchase_returns b
                    JOIN purchases o ON o.merchant_id = b.merchant_id AND o.id = b.purchase_id
                    WHERE b.merchant_id = c.merchant_id AND b.customer_id = c.id
                        AND greatest(b.occurred_at, o.occurred_at) >= %s
                ) r
                WHERE c.merchant_id = %s AND c.id = ANY(%s)
                """,
                [period.begin, period.begin, merchant_id, list(ids)],
            )
        return {row[0]: Person(*row) for row in cursor.fetchall()}


def _add_given(
    merchant_id: uuid.UUID, program_id: uuid.UUID, period: Period, people: dict[uuid.UUID, Person]
) -> None:
    since, begin = period.since("a.occurred_at")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.customer_id, a.purchase_id, a.promotion_id, a.points FROM loyalty_awards a"  # noqa: S608
            " JOIN loyalty_promotions p ON p.merchant_id = a.merchant_id AND p.id = a.promotion_id"
            " WHERE a.merchant_id = %s AND a.customer_id = ANY(%s) AND p.program_id = %s"
            f" AND a.occurred_at < %s {since}",
            [merchant_id, list(people), program_id, period.end, *begin],
        )
        for customer_id, purchase_id, promotion_id, points in cursor.fetchall():
            given = people[customer_id].given
            given[purchase_id] = [*given.get(purchase_id, ()), (promotion_id, points)]


def _add_sales(
    merchant_id: uuid.UUID, period: Period, people: dict[uuid.UUID, Person], *, with_lines: bool
) -> None:
    since, begin = period.since("occurred_at")
    with connection.cursor() as cursor:
        # In cents: whole numbers are read three times as fast as decimals.
        cursor.execute(
            "SELECT customer_id, id, (amount * 100)::bigint, (tax * 100)::bigint, (discount * 100)::bigint,"  # noqa: S608
            " occurred_at, transaction_id, store_id FROM purchases"
            f" WHERE merchant_id = %s AND customer_id = ANY(%s) AND occurred_at < %s {since} AND recorded_at <= %s",
            [merchant_id, list(people), period.end, *begin, period.as_of],
        )
        rows = cursor.fetchall()
    lines = _lines_of(merchant_id, [row[1] for row in rows]) if with_lines else {}
    for customer_id, id_, cents, tax, discount, at, number, store_id in rows:
        person = people[customer_id]
        awarded = 0
        if person.given:
            awarded = sum(points for _, points in person.given.get(id_, ()))
        person.sales.append(
            Sale(id_, cents, at, (number, store_id), tax, discount, lines.get(id_, ()), awarded)
        )


def _add_returns(merchant_id: uuid.UUID, period: Period, people: dict[uuid.UUID, Person]) -> None:
    since, begin = period.since("greatest(b.occurred_at, o.occurred_at)")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT b.customer_id, b.id, b.purchase_id, b.amount, greatest(b.occurred_at, o.occurred_at),"  # noqa: S608
            " b.transaction_id, b.store_id FROM purchase_returns b"
            " JOIN purchases o ON o.merchant_id = b.merchant_id AND o.id = b.purchase_id"
            f" WHERE b.merchant_id = %s AND b.customer_id = ANY(%s) AND b.recorded_at <= %s {since}",
            [merchant_id, list(people), period.as_of, *begin],
        )
        for customer_id, id_, purchase_id, amount, at, number, store_id in cursor.fetchall():
            people[customer_id].returns.append(
                TakeBack(id_, purchase_id, to_cents(amount), at, (number, store_id))
            )


def _lines_of(merchant_id: uuid.UUID, purchase_ids: list[uuid.UUID]) -> dict[uuid.UUID, tuple[Line, ...]]:
    found: dict[uuid.UUID, list[Line]] = {}
    with connection.cursor() as cursor:
        # Half a cent is rounded away from zero, as by ROUND_HALF_UP.
        cursor.execute(
            "SELECT purchase_id, sku, category, round(quantity * unit_price * 100)::bigint, quantity FROM purchase_items"
            " WHERE merchant_id = %s AND purchase_id = ANY(%s) ORDER BY purchase_id, line",
            [merchant_id, purchase_ids],
        )
        for purchase_id, *line in cursor.fetchall():
            found.setdefault(purchase_id, []).append(Line(*line))
    return {purchase_id: tuple(lines) for purchase_id, lines in found.items()}
