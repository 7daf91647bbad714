"""What promotions gave."""

from loyalty.verification.checks import Check

CHECKS = (
    Check(
        22,
        "what a promotion gave is in the ledger",
        """
        SELECT e.merchant_id, e.enrollment_id, format('award %s: %s points, entry %s %s', a.id, a.points, e.type, e.points)
        FROM loyalty_awards a
        JOIN loyalty_transactions e ON e.merchant_id = a.merchant_id AND e.id = a.entry_id
        WHERE (e.type, e.points, e.purchase_id) IS DISTINCT FROM ('bonus', a.points, a.purchase_id) AND {only:a}
        """,
    ),
    Check(
        22,
        "a promotion's total caps count what it gave",
        """
        SELECT p.merchant_id, p.id, format('promotion %s: %s times and %s points counted, %s and %s given', p.name,
            p.used_times, p.used_points, coalesce(a.times, 0), coalesce(a.points, 0))
        FROM loyalty_promotions p LEFT JOIN (
            SELECT merchant_id, promotion_id, count(*) AS times, sum(points) AS points FROM loyalty_awards GROUP BY 1, 2
        ) a ON a.merchant_id = p.merchant_id AND a.promotion_id = p.id
        WHERE (p.total_times IS NOT NULL OR p.total_points IS NOT NULL)
            AND (p.used_times, p.used_points) <> (coalesce(a.times, 0), coalesce(a.points, 0)) AND {only:p}
        """,
    ),
)
