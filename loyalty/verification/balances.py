"""Balances and versions of accounts, and the chain of their entries."""

from loyalty.verification.checks import Check
from loyalty.verification.screens import LEDGER

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
        screens=LEDGER,
    ),
    Check(
        1,
        "a balance is the sum of its lots' remainders; below zero there are none",
        """
        SELECT a.merchant_id, a.id, format('balance %s, lots %s', a.balance, coalesce(l.points, 0))
        FROM loyalty_enrollments a LEFT JOIN (
            SELECT merchant_id, enrollment_id, sum(remaining) AS points FROM loyalty_lots GROUP BY 1, 2
        ) l ON l.merchant_id = a.merchant_id AND l.enrollment_id = a.id
        WHERE greatest(a.balance, 0) <> coalesce(l.points, 0) AND {only:a}
        """,
        screens=LEDGER,
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
        "no balance is below zero, nor may be, unless the program has ever let points be owed",
        """
        SELECT a.merchant_id, a.id, format('balance %s', a.balance) FROM loyalty_enrollments a
        WHERE (a.balance < 0 OR a.debt_allowed) AND {only:a} AND NOT EXISTS (
            SELECT 1 FROM loyalty_program_versions v WHERE v.merchant_id = a.merchant_id
                AND v.program_id = a.program_id AND v.rules->>'shortfall' = 'unlimited'
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
        screens=LEDGER,
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
        screens=LEDGER,
    ),
)
