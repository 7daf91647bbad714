"""What was reversed, taken back and returned."""

from loyalty.verification.checks import Check

CHECKS = (
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
        FROM loyalty_transactions e
        WHERE {only:e} AND e.purchase_id IN (
            SELECT t.purchase_id FROM loyalty_transactions t WHERE t.points < 0 AND t.purchase_id IS NOT NULL AND {only:t}
        )
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
)
