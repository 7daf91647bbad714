"""Lots, and what allocations took from them and put back."""

from loyalty.verification.checks import Check
from loyalty.verification.screens import LEDGER

CHECKS = (
    Check(
        3,
        "a lot holds between nothing and what it was opened with",
        "SELECT l.merchant_id, l.enrollment_id, format('lot %s: %s of %s', l.id, l.remaining, l.points)"
        " FROM loyalty_lots l WHERE (l.remaining < 0 OR l.remaining > l.points) AND {only:l}",
        screens=LEDGER,
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
        screens=LEDGER,
    ),
    Check(
        4,
        "a debit's allocations add up to it; a credit opens lots, or refills them, for all of its points; the rest is owed",
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
        WHERE (abs(e.points) - abs(greatest(-e.balance_after, 0) - greatest(-e.balance_before, 0))
                <> coalesce(a.points, 0) + coalesce(l.points, 0) OR (e.points < 0 AND l.points > 0))
            AND {only:e}
        """,
        screens=LEDGER,
    ),
    Check(
        5,
        "a redemption used up earlier lots before later ones",
        """
        WITH lot AS MATERIALIZED (
            SELECT l.merchant_id, l.enrollment_id, l.id, l.points, l.remaining, coalesce(l.expires_at, 'infinity') AS over_at,
                l.earned_at, l.available_at, o.version AS opened
            FROM loyalty_lots l JOIN loyalty_transactions o ON o.merchant_id = l.merchant_id AND o.id = l.entry_id
            WHERE {only:l} AND {whose:l}
        ), move AS MATERIALIZED (
            SELECT a.lot_id, e.version, a.points * sign(e.points) AS points, e.type = 'redeemed' AS redeemed, e.recorded_at
            FROM loyalty_transactions e
            JOIN loyalty_allocations a ON a.merchant_id = e.merchant_id AND a.entry_id = e.id
            WHERE {only:e} AND {whose:e}
        ), suspect AS MATERIALIZED (
            -- Only where a lot is touched, or still open, after one behind it was redeemed from.
            SELECT DISTINCT enrollment_id FROM (
                SELECT lot.enrollment_id, used.redeemed,
                    max(CASE WHEN lot.remaining > 0 THEN 2147483647 ELSE used.touched END) OVER (
                        PARTITION BY lot.enrollment_id ORDER BY lot.over_at, lot.earned_at, lot.id
                        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                    ) AS open_until
                FROM lot LEFT JOIN (
                    SELECT lot_id, max(version) AS touched, min(version) FILTER (WHERE redeemed) AS redeemed
                    FROM move GROUP BY 1
                ) used ON used.lot_id = lot.id
            ) placed WHERE open_until > redeemed
        ), state AS MATERIALIZED (
            -- What was left in a lot from one version of the account on, until another.
            SELECT each.*, sum(moved) OVER w AS left_over, lead(version, 1, 2147483647) OVER w AS until
            FROM (
                SELECT lot.*, opened AS version, points AS moved, false AS redeemed, NULL AS recorded_at
                FROM lot JOIN suspect USING (enrollment_id)
                UNION ALL
                SELECT lot.*, move.version, move.points, move.redeemed, move.recorded_at
                FROM lot JOIN suspect USING (enrollment_id) JOIN move ON move.lot_id = lot.id
            ) each
            WINDOW w AS (PARTITION BY id ORDER BY version)
        )
        SELECT DISTINCT used.merchant_id, used.enrollment_id,
            format('entry %s took from lot %s before lot %s', used.version, used.id, earlier.id)
        FROM state used JOIN state earlier ON earlier.enrollment_id = used.enrollment_id AND earlier.left_over > 0
            AND used.version >= earlier.version AND used.version < earlier.until
            AND (earlier.over_at, earlier.earned_at, earlier.id) < (used.over_at, used.earned_at, used.id)
            AND (earlier.available_at IS NULL OR earlier.available_at <= used.recorded_at)
        WHERE used.redeemed
        """,
        screens=LEDGER,
        by_account=True,
    ),
    Check(
        6,
        "nothing burns from a lot whose time is over, or goes back into it, or is redeemed before it can be spent",
        """
        SELECT e.merchant_id, e.enrollment_id, format('entry %s (%s) took from lot %s', e.version, e.type, l.id)
        FROM loyalty_allocations a
        JOIN loyalty_transactions e ON e.merchant_id = a.merchant_id AND e.id = a.entry_id
        JOIN loyalty_lots l ON l.merchant_id = a.merchant_id AND l.id = a.lot_id
        WHERE {only:e} AND (e.type <> 'expired' AND l.expires_at <= e.recorded_at
            OR e.type = 'redeemed' AND l.available_at > e.recorded_at)
        """,
        screens=LEDGER,
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
            AND (l.remaining > 0 OR CASE WHEN l.while_active
                THEN l.expires_at IS NOT NULL OR e.occurred_at > e.recorded_at OR e.occurred_at <= l.earned_at
                ELSE l.expires_at IS NULL OR l.expires_at > e.recorded_at OR l.expires_at <> e.occurred_at END)))
            AND {only:a}
        """,
        screens=LEDGER,
    ),
    Check(
        7,
        "a lot does not expire again",
        """
        SELECT l.merchant_id, l.enrollment_id, format('lot %s expired %s times', l.id, count(*))
        FROM loyalty_allocations a JOIN loyalty_lots l ON l.merchant_id = a.merchant_id AND l.id = a.lot_id
        WHERE a.expired AND {only:l} GROUP BY l.merchant_id, l.enrollment_id, l.id HAVING count(*) > 1
        """,
        guards=("loyalty_allocations_expires_once",),
    ),
)
