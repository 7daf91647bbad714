"""What customers' purchases say of them."""

from loyalty.verification.checks import Check

CHECKS = (
    Check(
        18,
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
