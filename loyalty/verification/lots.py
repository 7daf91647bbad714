"""Lots, and what allocations took from them and put back."""

from loyalty.verification.checks import Check
from loyalty.verification.screens import ACCOUNTS, MOVES, SUMS

CHECKS = (
    Check(
        3,
        "a lot holds between nothing and what it was opened with",
        "SELECT l.merchant_id, l.enrollment_id, format('lot %s: %s of %s', l.id, l.remaining, l.points)"
        " FROM loyalty_lots l WHERE (l.remaining < 0 OR l.remaining > l.points) AND {only:l}",
        screens=(ACCOUNTS, MOVES, SUMS),
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
        screens=(ACCOUNTS, MOVES, SUMS),
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
        screens=(ACCOUNTS, MOVES, SUMS),
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
            AND (earlier.available_at IS NULL OR earlier.available_at <= e.recorded_at)
        JOIN loyalty_transactions opened ON opened.merchant_id = earlier.merchant_id
            AND opened.id = earlier.entry_id AND opened.version < e.version
        WHERE e.type = 'redeemed' AND {only:e} AND earlier.points + coalesce((
            SELECT sum(moved.points * sign(mover.points)) FROM loyalty_allocations moved
            JOIN loyalty_transactions mover ON mover.merchant_id = moved.merchant_id AND mover.id = moved.entry_id
            WHERE moved.merchant_id = e.merchant_id AND moved.lot_id = earlier.id AND mover.version <= e.version
        ), 0) > 0
        """,
        screens=(ACCOUNTS, MOVES, SUMS),
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
        screens=(ACCOUNTS, MOVES, SUMS),
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
        screens=(ACCOUNTS, MOVES, SUMS),
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
