"""The sums of any days, from the purchases themselves: what is stored, and what is read where a day has changed since."""

from __future__ import annotations

import struct
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from analytics.periods import Period
from analytics.rollups.database import more_memory, rows
from analytics.rollups.members import Members
from analytics.rollups.sales import SALES, sales_of

_MEMBER = struct.Struct(">iiq")


@dataclass(slots=True)
class Sums:
    """What happened; money in cents."""

    purchases: int = 0
    sold: int = 0
    returned: int = 0
    discount: int = 0
    points_earned: int = 0
    points_redeemed: int = 0
    points_expired: int = 0

    def add(self, other: Sums) -> None:
        self.purchases += other.purchases
        self.sold += other.sold
        self.returned += other.returned
        self.discount += other.discount
        self.points_earned += other.points_earned
        self.points_redeemed += other.points_redeemed
        self.points_expired += other.points_expired


NOBODY = Members((), (), ())


@dataclass(slots=True)
class Sheet:
    """One day of one scope."""

    sums: Sums = field(default_factory=Sums)
    members: Members = NOBODY


@dataclass(slots=True)
class Sheets:
    """By (scope, day). `fresh` are customers who had no number yet, with those that they were given here."""

    by_day: dict[tuple[uuid.UUID, date], Sheet] = field(default_factory=dict)
    fresh: dict[uuid.UUID, int] = field(default_factory=dict)


def read_sheets(
    *, merchant_id: uuid.UUID, ranges: Sequence[Period], zones: Mapping[str, str], members: int
) -> Sheets:
    """What happened on the days of `ranges`, by store and in all, in one statement: as of one instant.

    `ranges` must not overlap. `members` is how many customers have numbers: who has none is given the next ones, which
    hold for this answer, and for good only if the caller stores `fresh` under the lock of the roll-up.
    """
    found = Sheets()
    if not ranges:
        return found
    more_memory()
    answer = rows(_SHEETS, {**sales_of(merchant_id, ranges, zones), "members": members})
    people: dict[date, list[Members]] = defaultdict(list)
    for kind, day, store_id, *figures, packed in answer:
        if kind == "fresh":
            found.fresh[store_id] = figures[0]
            continue
        # What a person books at no store is of the merchant's day.
        everything = found.by_day.setdefault((merchant_id, day), Sheet())
        sheets = [everything]
        if store_id is not None:
            sheets.append(found.by_day.setdefault((store_id, day), Sheet()))
        if kind == "members":
            part = Members.of(_MEMBER.iter_unpack(packed))
            sheets[-1].members = part
            people[day].append(part)
            continue
        a, b, c, d = figures
        sums = (
            Sums(purchases=a, sold=b, discount=d)
            if kind == "sold"
            else Sums(returned=a, points_earned=b, points_redeemed=c, points_expired=d)
        )
        for sheet in sheets:
            sheet.sums.add(sums)
    for day, parts in people.items():
        found.by_day[merchant_id, day].members = Members.together(parts)
    return found


# Money that came back counts on its own day. For people a purchase of which all came back, whenever that was, never happened.
_SHEETS = f"""
{SALES}, back AS MATERIALIZED (
    SELECT day, store_id, customer_id, purchase_id, amount FROM (
        SELECT returned.store_id, returned.customer_id, returned.purchase_id, returned.amount,
            asked.first, asked.last, (returned.occurred_at AT TIME ZONE store.zone)::date AS day
        FROM asked
        JOIN purchase_returns returned ON returned.merchant_id = %(merchant)s
            AND returned.occurred_at >= asked.begins AND returned.occurred_at < asked.ends
        JOIN store ON store.id = returned.store_id
    ) near WHERE day BETWEEN first AND last
), person AS MATERIALIZED (
    SELECT day, store_id, customer_id, sum(n)::int AS n, sum(cents)::bigint AS cents FROM (
        SELECT day, store_id, customer_id, 1 AS n, amount * 100 AS cents FROM sale WHERE returned = 0 OR returned < amount
        UNION ALL
        SELECT back.day, back.store_id, back.customer_id, 0, back.amount * -100 FROM back
        JOIN purchases purchase ON purchase.merchant_id = %(merchant)s AND purchase.id = back.purchase_id
            AND purchase.returned < purchase.amount
    ) each GROUP BY day, store_id, customer_id
), known AS MATERIALIZED (
    SELECT customer_id, number FROM analytics_members
    WHERE merchant_id = %(merchant)s AND customer_id IN (SELECT customer_id FROM person)
), fresh AS MATERIALIZED (
    SELECT customer_id, (%(members)s::int - 1 + row_number() OVER (ORDER BY min(day), customer_id))::int AS number
    FROM person WHERE customer_id NOT IN (SELECT customer_id FROM known) GROUP BY customer_id
), point AS (
    SELECT day, store_id, type, points FROM (
        SELECT entry.store_id, entry.type, entry.points, asked.first, asked.last,
            (entry.occurred_at AT TIME ZONE coalesce(store.zone, %(zone)s))::date AS day
        FROM asked
        JOIN loyalty_transactions entry ON entry.merchant_id = %(merchant)s
            AND entry.occurred_at >= asked.begins AND entry.occurred_at < asked.ends
            AND entry.type IN ('earned', 'bonus', 'redeemed', 'expired')
        LEFT JOIN store ON store.id = entry.store_id
    ) near WHERE day BETWEEN first AND last
)
SELECT 'sold' AS kind, day, store_id, count(*) AS a, (sum(amount) * 100)::bigint AS b, 0::bigint AS c,
    (sum(discount) * 100)::bigint AS d, NULL::bytea AS members
FROM sale GROUP BY day, store_id
UNION ALL
SELECT 'other', day, store_id, sum(returned)::bigint, sum(earned)::bigint, sum(redeemed)::bigint, sum(expired)::bigint, NULL
FROM (
    SELECT day, store_id, amount * 100 AS returned, 0 AS earned, 0 AS redeemed, 0 AS expired FROM back
    UNION ALL
    SELECT day, store_id, 0, CASE WHEN type IN ('earned', 'bonus') THEN points ELSE 0 END,
        CASE WHEN type = 'redeemed' THEN -points ELSE 0 END, CASE WHEN type = 'expired' THEN -points ELSE 0 END
    FROM point
) each GROUP BY day, store_id
UNION ALL
SELECT 'members', day, store_id, 0, 0, 0, 0, string_agg(int4send(number) || int4send(n) || int8send(cents), '')
FROM person JOIN (SELECT * FROM known UNION ALL SELECT * FROM fresh) numbered USING (customer_id)
GROUP BY day, store_id
UNION ALL
SELECT 'fresh', NULL, customer_id, number, 0, 0, 0, NULL FROM fresh
"""
