"""What was bought in a period, customer by customer, in the words of the rules: a stream, whatever its length."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import connection

from loyalty.rules import Line, Sale, TakeBack, TierOverride, to_cents
from loyalty.services.courses import read_overrides

CHUNK_ROWS = 5_000
# (promotion, points): what a purchase was given.
Facts = dict[uuid.UUID, list[tuple[uuid.UUID, int]]]


@dataclass(slots=True)
class Person:
    """A customer who bought something in the period. `visits` and `opening_cents` are those of before it."""

    id: uuid.UUID
    segment: str
    birthday: date | None
    visits: int
    opening_cents: int
    overrides: Sequence[TierOverride] = ()
    returns: list[TakeBack] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Period:
    """From the first instant to the last, which is not included. `whole` histories are read from their beginning."""

    begin: datetime
    end: datetime
    whole: bool


def count_purchases(merchant_id: uuid.UUID, period: Period, *, most: int) -> int:
    """How many there are to read; not more than `most` are counted."""
    begin = "" if period.whole else "AND occurred_at >= %s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT FROM purchases WHERE merchant_id = %s AND occurred_at < %s {begin}"  # noqa: S608
            " LIMIT %s) found",
            [merchant_id, period.end, *([] if period.whole else [period.begin]), most],
        )
        return int(cursor.fetchone()[0])


def read_people(merchant_id: uuid.UUID, program_id: uuid.UUID, period: Period) -> dict[uuid.UUID, Person]:
    """Everybody who bought in the period, with what they returned of it, or ever."""
    # What is since the period began is subtracted from what is on record, so nothing of before has to be read.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.id, c.segment, c.date_of_birth, c.visit_count - p.visits,
                c.total_spent - p.amount + coalesce(r.amount, 0)
            FROM (
                SELECT customer_id, count(*) AS visits, sum(amount) AS amount FROM purchases
                WHERE merchant_id = %s AND occurred_at >= %s
                GROUP BY 1 HAVING bool_or(occurred_at < %s)
            ) p
            JOIN customers c ON c.merchant_id = %s AND c.id = p.customer_id
            LEFT JOIN (
                SELECT b.customer_id, sum(b.amount) AS amount FROM purchase_returns b
                JOIN purchases o ON o.merchant_id = b.merchant_id AND o.id = b.purchase_id
                WHERE b.merchant_id = %s AND greatest(b.occurred_at, o.occurred_at) >= %s GROUP BY 1
            ) r ON r.customer_id = p.customer_id
            """,
            [merchant_id, period.begin, period.end, merchant_id, merchant_id, period.begin],
        )
        people = {
            row[0]: Person(row[0], row[1], row[2], 0, 0)
            if period.whole
            else Person(row[0], row[1], row[2], row[3], to_cents(row[4]))
            for row in cursor.fetchall()
        }
    for customer_id, overrides in read_overrides(
        merchant_id=merchant_id, program_id=program_id, customer_ids=list(people)
    ).items():
        people[customer_id].overrides = overrides
    _add_returns(merchant_id, period, people)
    return people


def _add_returns(merchant_id: uuid.UUID, period: Period, people: dict[uuid.UUID, Person]) -> None:
    begin = "" if period.whole else "AND greatest(b.occurred_at, o.occurred_at) >= %s"
    for customer_id, id_, purchase_id, amount, at, number, store_id in _stream(
        "SELECT b.customer_id, b.id, b.purchase_id, b.amount, greatest(b.occurred_at, o.occurred_at),"  # noqa: S608
        " b.transaction_id, b.store_id FROM purchase_returns b"
        " JOIN purchases o ON o.merchant_id = b.merchant_id AND o.id = b.purchase_id"
        f" WHERE b.merchant_id = %s {begin}",
        [merchant_id, *([] if period.whole else [period.begin])],
    ):
        person = people.get(customer_id)
        if person is not None:
            person.returns.append(TakeBack(id_, purchase_id, to_cents(amount), at, (number, store_id)))


def read_sales(
    merchant_id: uuid.UUID,
    people: dict[uuid.UUID, Person],
    period: Period,
    *,
    facts: Facts,
    with_lines: bool,
) -> Iterator[tuple[Person, list[Sale]]]:
    """Each person's purchases to the end of the period, with what promotions gave for them."""
    begin = "" if period.whole else "AND occurred_at >= %s"
    rows = _stream(
        "SELECT customer_id, id, amount, tax, discount, occurred_at, transaction_id, store_id FROM purchases"  # noqa: S608
        f" WHERE merchant_id = %s AND occurred_at < %s {begin} ORDER BY customer_id",
        [merchant_id, period.end, *([] if period.whole else [period.begin])],
        prepare=(lambda chunk: _lines_of(merchant_id, chunk)) if with_lines else None,
    )
    for customer_id, group in groupby(rows, key=itemgetter(0)):
        person = people.get(customer_id)
        if person is None:
            continue
        sales = []
        for _, id_, amount, tax, discount, at, number, store_id, *lines in group:
            given = facts.get(id_, ())
            sales.append(
                Sale(
                    id_, to_cents(amount), at, (number, store_id), to_cents(tax), to_cents(discount),
                    lines[0] if lines else (), sum(points for _, points in given),
                )
            )  # fmt: skip
        yield person, sales


def read_facts(merchant_id: uuid.UUID, program_id: uuid.UUID, period: Period) -> Facts:
    """By purchase, what promotions gave for it."""
    found: Facts = {}
    begin = "" if period.whole else "AND a.occurred_at >= %s"
    for purchase_id, promotion_id, points in _stream(
        "SELECT a.purchase_id, a.promotion_id, a.points FROM loyalty_awards a"  # noqa: S608
        " JOIN loyalty_promotions p ON p.merchant_id = a.merchant_id AND p.id = a.promotion_id"
        f" WHERE a.merchant_id = %s AND p.program_id = %s AND a.occurred_at < %s {begin}",
        [merchant_id, program_id, period.end, *([] if period.whole else [period.begin])],
    ):
        found.setdefault(purchase_id, []).append((promotion_id, points))
    return found


def _lines_of(merchant_id: uuid.UUID, chunk: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows of purchases, each with its lines."""
    lines: dict[uuid.UUID, list[Line]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT purchase_id, sku, category, quantity, unit_price FROM purchase_items"
            " WHERE merchant_id = %s AND purchase_id = ANY(%s) ORDER BY purchase_id, line",
            [merchant_id, [row[1] for row in chunk]],
        )
        for purchase_id, sku, category, quantity, price in cursor.fetchall():
            cents = int((quantity * price * 100).quantize(Decimal(1), ROUND_HALF_UP))
            lines.setdefault(purchase_id, []).append(Line(sku, category, cents, quantity))
    return [(*row, tuple(lines.get(row[1], ()))) for row in chunk]


def _stream(sql: str, parameters: list[Any], *, prepare: Any = None) -> Iterator[tuple[Any, ...]]:
    """Rows through a cursor of the server's: never more than a chunk of them here. Inside a transaction."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, parameters)
        while chunk := cursor.fetchmany(CHUNK_ROWS):
            yield from prepare(chunk) if prepare is not None else chunk
