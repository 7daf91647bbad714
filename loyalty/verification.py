"""Is the ledger sound? Every invariant as SQL over the whole database, and purchases' points against the rules.

Each check selects what offends: (merchant_id, id of the account or row, what is wrong). The numbers are those of the
invariants in docs/loyalty-ledger.md. `{only}` is replaced by a condition on the merchant of the alias before it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from customers.purchases import history
from loyalty.models import Enrollment
from loyalty.rules import from_cents, replay
from loyalty.services import read_account
from loyalty.services.postings import NOTHING_RECORDED, as_sale, as_take_back, recorded_points

OFFENDERS_SHOWN_MAX = 20
# Whole tables are joined and grouped, which the few MB of a till's statements would do on disk.
WORK_MEMORY = "256MB"


@dataclass(frozen=True, slots=True)
class Check:
    number: int
    says: str
    sql: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What offends a check: the first OFFENDERS_SHOWN_MAX, and how many there are."""

    number: int
    says: str
    offenders: list[tuple[uuid.UUID, Any, str]]
    total: int


CHECKS = (
    Check(
        1,
        "a balance is the sum of its entries",
        """
        SELECT a.merchant_id, a.id, format('balance %s, entries %s', a.balance, coalesce(e.points, 0))
        FROM loyalty_enrollments a LEFT JOIN (
            SELECT merchant_id, enrollment_id, sum(points) AS points FROM loyalty_transactions GROUP BY 1, 2
        ) e ON e.merchant_id = a.merchant_id AND e.enrollment_id = a.id
        WHERE a.balance <> coalesce(e.points, 0) AND {only:a}
        """,
    ),
    Check(
        1,
        "a balance is the sum of its lots' remainders",
        """
        SELECT a.merchant_id, a.id, format('balance %s, lots %s', a.balance, coalesce(l.points, 0))
        FROM loyalty_enrollments a LEFT JOIN (
            SELECT merchant_id, enrollment_id, sum(remaining) AS points FROM loyalty_lots GROUP BY 1, 2
        ) l ON l.merchant_id = a.merchant_id AND l.enrollment_id = a.id
        WHERE a.balance <> coalesce(l.points, 0) AND {only:a}
        """,
    ),
    Check(
        1,
        "a customer shows the balance and tier of their account",
        """
        SELECT c.merchant_id, c.id,
            format('shows %s %L, has %s %L', c.points, c.tier, coalesce(a.balance, 0), coalesce(a.tier, ''))
        FROM customers c
        JOIN loyalty_programs p ON p.merchant_id = c.merchant_id AND p.is_active
        LEFT JOIN loyalty_enrollments a
            ON a.merchant_id = c.merchant_id AND a.customer_id = c.id AND a.program_id = p.id
        WHERE c.deleted_at IS NULL AND (c.points, c.tier) <> (coalesce(a.balance, 0), coalesce(a.tier, ''))
            AND {only:c}
        """,
    ),
    Check(
        2,
        "no balance is below zero",
        "SELECT a.merchant_id, a.id, format('balance %s', a.balance) FROM loyalty_enrollments a"
        " WHERE a.balance < 0 AND {only:a}",
    ),
    Check(
        3,
        "a lot holds between nothing and what it was opened with",
        "SELECT l.merchant_id, l.enrollment_id, format('lot %s: %s of %s', l.id, l.remaining, l.points)"
        " FROM loyalty_lots l WHERE (l.remaining < 0 OR l.remaining > l.points) AND {only:l}",
    ),
    Check(
        3,
        "a lot holds what its allocations left",
        """
        SELECT l.merchant_id, l.enrollment_id,
            format('lot %s: %s of %s, allocated %s', l.id, l.remaining, l.points, coalesce(m.points, 0))
        FROM loyalty_lots l LEFT JOIN (
            SELECT a.merchant_id, a.lot_id, sum(a.points * sign(e.points)) AS points
            FROM loyalty_allocations a
            JOIN loyalty_transactions e ON e.merchant_id = a.merchant_id AND e.id = a.entry_id GROUP BY 1, 2
        ) m ON m.merchant_id = l.merchant_id AND m.lot_id = l.id
        WHERE l.remaining <> l.points + coalesce(m.points, 0) AND {only:l}
        """,
    ),
    Check(
        4,
        "a debit's allocations add up to it; a credit opens lots, or refills them, for all of its points",
        """
        SELECT e.merchant_id, e.enrollment_id,
            format('entry %s (%s): %s points, allocations %s, lots %s', e.version, e.type, e.points,
                coalesce(a.points, 0), coalesce(l.points, 0))
        FROM loyalty_transactions e
        LEFT JOIN (
            SELECT merchant_id, entry_id, sum(points) AS points FROM loyalty_allocations GROUP BY 1, 2
        ) a ON a.merchant_id = e.merchant_id AND a.entry_id = e.id
        LEFT JOIN (
            SELECT merchant_id, entry_id, sum(points) AS points FROM loyalty_lots GROUP BY 1, 2
        ) l ON l.merchant_id = e.merchant_id AND l.entry_id = e.id
        WHERE (abs(e.points) <> coalesce(a.points, 0) + coalesce(l.points, 0) OR (e.points < 0 AND l.points > 0))
            AND {only:e}
        """,
    ),
    Check(
        5,
        "a redemption used up earlier lots before later ones",
        """
        WITH used AS MATERIALIZED (
            SELECT a.merchant_id, a.lot_id, max(e.version) AS touched,
                min(e.version) FILTER (WHERE e.type = 'redeemed') AS redeemed
            FROM loyalty_allocations a
            JOIN loyalty_transactions e ON e.merchant_id = a.merchant_id AND e.id = a.entry_id
            WHERE {only:a} GROUP BY 1, 2
        ), suspect AS MATERIALIZED (
            -- Only where a lot is touched, or still open, after one behind it was redeemed from: rarely any.
            SELECT DISTINCT merchant_id, enrollment_id FROM (
                SELECT l.merchant_id, l.enrollment_id, used.redeemed,
                    max(CASE WHEN l.remaining > 0 THEN 2147483647 ELSE used.touched END) OVER (
                        PARTITION BY l.merchant_id, l.enrollment_id
                        ORDER BY coalesce(l.expires_at, 'infinity'), l.earned_at, l.id
                        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                    ) AS open_until
                FROM loyalty_lots l LEFT JOIN used ON used.merchant_id = l.merchant_id AND used.lot_id = l.id
                WHERE {only:l}
            ) placed WHERE open_until > redeemed
        )
        SELECT DISTINCT e.merchant_id, e.enrollment_id,
            format('entry %s took from lot %s before lot %s', e.version, used.id, earlier.id)
        FROM suspect
        JOIN loyalty_transactions e
            ON e.merchant_id = suspect.merchant_id AND e.enrollment_id = suspect.enrollment_id
        JOIN loyalty_allocations a ON a.merchant_id = e.merchant_id AND a.entry_id = e.id
        JOIN loyalty_lots used ON used.merchant_id = a.merchant_id AND used.id = a.lot_id
        JOIN loyalty_lots earlier ON earlier.merchant_id = e.merchant_id AND earlier.enrollment_id = e.enrollment_id
            AND (coalesce(earlier.expires_at, 'infinity'), earlier.earned_at, earlier.id)
                < (coalesce(used.expires_at, 'infinity'), used.earned_at, used.id)
            AND (earlier.expires_at IS NULL OR earlier.expires_at > e.recorded_at)
        JOIN loyalty_transactions opened ON opened.merchant_id = earlier.merchant_id
            AND opened.id = earlier.entry_id AND opened.version < e.version
        WHERE e.type = 'redeemed' AND {only:e} AND earlier.points + coalesce((
            SELECT sum(moved.points * sign(mover.points)) FROM loyalty_allocations moved
            JOIN loyalty_transactions mover ON mover.merchant_id = moved.merchant_id AND mover.id = moved.entry_id
            WHERE moved.merchant_id = e.merchant_id AND moved.lot_id = earlier.id AND mover.version <= e.version
        ), 0) > 0
        """,
    ),
    Check(
        6,
        "nothing burns from a lot whose time is over, or goes back into it",
        """
        SELECT e.merchant_id, e.enrollment_id, format('entry %s (%s) took from lot %s', e.version, e.type, l.id)
        FROM loyalty_allocations a
        JOIN loyalty_transactions e ON e.merchant_id = a.merchant_id AND e.id = a.entry_id
        JOIN loyalty_lots l ON l.merchant_id = a.merchant_id AND l.id = a.lot_id
        WHERE e.type <> 'expired' AND l.expires_at <= e.recorded_at AND {only:e}
        """,
    ),
    Check(
        7,
        "a lot expires once, not before its time, and with all that was left of it",
        """
        SELECT l.merchant_id, l.enrollment_id, format('lot %s: %s left after entry %s (%s)', l.id, l.remaining, e.version, e.type)
        FROM loyalty_allocations a
        JOIN loyalty_transactions e ON e.merchant_id = a.merchant_id AND e.id = a.entry_id
        JOIN loyalty_lots l ON l.merchant_id = a.merchant_id AND l.id = a.lot_id
        WHERE (a.expired <> (e.type = 'expired') OR (a.expired
            AND (l.remaining > 0 OR l.expires_at IS NULL OR l.expires_at > e.recorded_at OR l.expires_at <> e.occurred_at)))
            AND {only:a}
        UNION ALL
        SELECT a.merchant_id, a.lot_id, format('lot %s expired %s times', a.lot_id, count(*))
        FROM loyalty_allocations a WHERE a.expired AND {only:a} GROUP BY a.merchant_id, a.lot_id HAVING count(*) > 1
        """,
    ),
    Check(
        8,
        "a transaction is not reversed beyond what it moved",
        """
        SELECT o.merchant_id, o.enrollment_id, format('entry %s: %s points, reversed %s', o.version, o.points, r.points)
        FROM loyalty_transactions o JOIN (
            SELECT merchant_id, reverses_id, sum(points) AS points FROM loyalty_transactions
            WHERE reverses_id IS NOT NULL GROUP BY 1, 2
        ) r ON r.merchant_id = o.merchant_id AND r.reverses_id = o.id
        WHERE (sign(r.points) = sign(o.points) OR abs(r.points) > abs(o.points)) AND {only:o}
        """,
    ),
    Check(
        8,
        "no more points are taken back for a purchase than it earned",
        """
        SELECT e.merchant_id, min(e.enrollment_id::text)::uuid, format('purchase %s: %s points', e.purchase_id, sum(e.points))
        FROM loyalty_transactions e WHERE e.purchase_id IS NOT NULL AND {only:e}
        GROUP BY e.merchant_id, e.purchase_id HAVING sum(e.points) < 0
        """,
    ),
    Check(
        8,
        "no more is returned of a purchase than was sold",
        """
        SELECT p.merchant_id, p.customer_id, format('purchase %s: %s of %s returned', p.id, sum(r.amount), p.amount)
        FROM purchase_returns r JOIN purchases p ON p.merchant_id = r.merchant_id AND p.id = r.purchase_id
        WHERE {only:p} GROUP BY p.merchant_id, p.customer_id, p.id, p.amount HAVING sum(r.amount) > p.amount
        """,
    ),
    Check(
        10,
        "the database refuses changes of what is append-only",
        """
        SELECT '00000000-0000-0000-0000-000000000000'::uuid, t.name, 'its trigger is missing or switched off'
        FROM unnest(ARRAY['loyalty_transactions', 'loyalty_allocations', 'loyalty_shortfalls',
            'loyalty_program_versions', 'purchases', 'purchase_items', 'purchase_returns', 'purchase_return_items'
        ]) t (name) WHERE NOT EXISTS (
            SELECT 1 FROM pg_trigger g WHERE g.tgrelid = t.name::regclass AND g.tgenabled IN ('O', 'A')
                AND g.tgname IN (t.name || '_append_only', t.name || '_immutable')
        )
        """,
    ),
    Check(
        11,
        "versions have no gaps, and each entry begins where the one before ended",
        """
        SELECT f.merchant_id, f.enrollment_id, format('entry %s: %s + %s = %s after %s', f.version, f.balance_before,
            f.points, f.balance_after, f.ended)
        FROM (
            SELECT e.*, coalesce(lag(e.balance_after) OVER w, 0) AS ended, row_number() OVER w AS place
            FROM loyalty_transactions e WHERE {only:e}
            WINDOW w AS (PARTITION BY e.merchant_id, e.enrollment_id ORDER BY e.version)
        ) f
        WHERE f.version <> f.place OR f.balance_before <> f.ended OR f.balance_after <> f.balance_before + f.points
        """,
    ),
    Check(
        11,
        "an account's version is the number of its entries",
        """
        SELECT a.merchant_id, a.id, format('version %s, entries %s', a.version, coalesce(e.entries, 0))
        FROM loyalty_enrollments a LEFT JOIN (
            SELECT merchant_id, enrollment_id, count(*) AS entries FROM loyalty_transactions GROUP BY 1, 2
        ) e ON e.merchant_id = a.merchant_id AND e.enrollment_id = a.id
        WHERE a.version <> coalesce(e.entries, 0) AND {only:a}
        """,
    ),
    Check(
        13,
        "one effect per store, type and transaction",
        """
        SELECT e.merchant_id, min(e.enrollment_id::text)::uuid, format('%s %s: %s times', e.type, e.transaction_id, count(*))
        FROM loyalty_transactions e WHERE e.transaction_id <> '' AND {only:e}
        GROUP BY e.merchant_id, e.store_id, e.type, e.transaction_id HAVING count(*) > 1
        """,
    ),
    Check(
        13,
        "a purchase earns once",
        """
        SELECT e.merchant_id, e.enrollment_id, format('purchase %s: %s times', e.purchase_id, count(*))
        FROM loyalty_transactions e WHERE e.type = 'earned' AND e.purchase_id IS NOT NULL AND {only:e}
        GROUP BY e.merchant_id, e.enrollment_id, e.purchase_id HAVING count(*) > 1
        """,
    ),
    Check(
        14,
        "nothing crosses merchants or accounts",
        """
        SELECT e.merchant_id, e.enrollment_id, format('entry %s', e.id)
        FROM loyalty_transactions e
        JOIN loyalty_enrollments a ON a.id = e.enrollment_id
        LEFT JOIN purchases p ON p.id = e.purchase_id LEFT JOIN stores s ON s.id = e.store_id
        WHERE (a.merchant_id, coalesce(p.merchant_id, e.merchant_id), coalesce(s.merchant_id, e.merchant_id))
            <> (e.merchant_id, e.merchant_id, e.merchant_id) AND {only:e}
        UNION ALL
        SELECT l.merchant_id, l.enrollment_id, format('lot %s', l.id)
        FROM loyalty_lots l JOIN loyalty_transactions e ON e.id = l.entry_id
        WHERE (e.merchant_id, e.enrollment_id) <> (l.merchant_id, l.enrollment_id) AND {only:l}
        UNION ALL
        SELECT m.merchant_id, l.enrollment_id, format('allocation %s', m.id)
        FROM loyalty_allocations m JOIN loyalty_transactions e ON e.id = m.entry_id JOIN loyalty_lots l ON l.id = m.lot_id
        WHERE ((e.merchant_id, e.enrollment_id) <> (l.merchant_id, l.enrollment_id) OR m.merchant_id <> l.merchant_id)
            AND {only:m}
        UNION ALL
        SELECT a.merchant_id, a.id, 'account' FROM loyalty_enrollments a JOIN customers c ON c.id = a.customer_id
        WHERE c.merchant_id <> a.merchant_id AND {only:a}
        """,
    ),
    Check(
        16,
        "an entry has 1 to 1,000,000,000 points",
        """
        SELECT e.merchant_id, e.enrollment_id, format('entry %s: %s points', e.version, e.points)
        FROM loyalty_transactions e WHERE (abs(e.points) NOT BETWEEN 1 AND 1000000000) AND {only:e}
        """,
    ),
    Check(
        0,
        "a customer's spend and visits are the sums of their purchases and returns",
        """
        SELECT c.merchant_id, c.id, format('%s in %s visits, on record %s in %s', c.total_spent, c.visit_count,
            coalesce(p.amount, 0) - coalesce(r.amount, 0), coalesce(p.visits, 0))
        FROM customers c
        LEFT JOIN (
            SELECT merchant_id, customer_id, sum(amount) AS amount, count(*) AS visits, min(occurred_at) AS first,
                max(occurred_at) AS last FROM purchases GROUP BY 1, 2
        ) p ON p.merchant_id = c.merchant_id AND p.customer_id = c.id
        LEFT JOIN (
            SELECT merchant_id, customer_id, sum(amount) AS amount FROM purchase_returns GROUP BY 1, 2
        ) r ON r.merchant_id = c.merchant_id AND r.customer_id = c.id
        WHERE c.merged_into_id IS NULL AND {only:c}
            AND ((c.total_spent, c.visit_count) <> (coalesce(p.amount, 0) - coalesce(r.amount, 0), coalesce(p.visits, 0))
                OR (c.first_visit_at, c.last_visit_at) IS DISTINCT FROM (p.first, p.last))
        """,
    ),
)


def verify(*, merchant_id: uuid.UUID | None = None) -> Iterator[tuple[Check, Finding | None]]:
    """Run every check over the whole database, or one merchant's part of it; a finding for each that fails."""
    for check in CHECKS:
        yield check, _run(check, merchant_id)


def _run(check: Check, merchant_id: uuid.UUID | None) -> Finding | None:
    if merchant_id is None:
        sql, parameters = _ONLY.sub("true", check.sql), None
    else:
        # The format() calls are full of percent signs, which only matter beside a parameter.
        sql = _ONLY.sub(r"\1.merchant_id = %(merchant)s", check.sql.replace("%", "%%"))
        parameters = {"merchant": merchant_id}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('work_mem', %s, true)", [WORK_MEMORY])
        cursor.execute(
            f"SELECT *, count(*) OVER () FROM ({sql}) offending LIMIT {OFFENDERS_SHOWN_MAX}",  # noqa: S608
            parameters,
        )
        rows = cursor.fetchall()
    if not rows:
        return None
    return Finding(check.number, check.says, [row[:3] for row in rows], rows[0][3])


_ONLY = re.compile(r"{only:(\w+)}")

REPLAY = Check(12, "every purchase has the points, and every customer the tier, that the rules say", "")


def verify_replay(
    *,
    merchant_id: uuid.UUID | None = None,
    accounts_max: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Finding | None:
    """Fold the history of every account (or of `accounts_max` of them, at random) and compare."""
    offenders: list[tuple[uuid.UUID, Any, str]] = []
    total = 0
    for merchant, customer_id in _accounts(merchant_id, accounts_max):
        for wrong in _compare(merchant, customer_id):
            total += 1
            if len(offenders) < OFFENDERS_SHOWN_MAX:
                offenders.append((merchant, customer_id, wrong))
        if progress is not None:
            progress(1)
    return Finding(REPLAY.number, REPLAY.says, offenders, total) if total else None


def count_accounts(merchant_id: uuid.UUID | None = None) -> int:
    """How many accounts `verify_replay` looks at without `accounts_max`."""
    accounts = Enrollment.objects.filter(program__is_active=True)
    if merchant_id is not None:
        accounts = accounts.filter(merchant_id=merchant_id)
    return accounts.count()


def _accounts(merchant_id: uuid.UUID | None, accounts_max: int | None) -> list[tuple[uuid.UUID, uuid.UUID]]:
    accounts = Enrollment.objects.filter(program__is_active=True)
    if merchant_id is not None:
        accounts = accounts.filter(merchant_id=merchant_id)
    if accounts_max is not None:
        accounts = accounts.order_by("?")[:accounts_max]
    return list(accounts.values_list("merchant_id", "customer_id"))


def _compare(merchant_id: uuid.UUID, customer_id: uuid.UUID) -> Iterator[str]:
    account = read_account(merchant_id=merchant_id, customer_id=customer_id)
    assert account is not None
    sales, returns = history(
        merchant_id=merchant_id, customer_id=customer_id, with_items=account.book.needs_lines
    )
    outcome = replay(
        [as_sale(sale) for sale in sales], [as_take_back(back) for back in returns], account.book
    )
    recorded = recorded_points(account, [sale.id for sale in sales])
    for points in outcome.points.values():
        held = recorded.get(points.sale.id, NOTHING_RECORDED).nominal
        if held != points.net:
            yield f"purchase {points.sale.reference[0]} has {held} points, by the rules {points.net}"
    if account.spend_cents != outcome.spend_cents:
        yield f"spend {from_cents(account.spend_cents)}, by the history {from_cents(outcome.spend_cents)}"
    reached = account.rules.tier_for(outcome.spend_cents)
    if account.tier != (reached.code if reached is not None else ""):
        yield f"tier {account.tier!r}, by the history {reached.code if reached is not None else ''!r}"
