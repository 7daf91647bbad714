"""Holds, what they became, rewards and their stock."""

from loyalty.verification.checks import Check

CHECKS = (
    Check(
        19,
        "a captured hold is one redemption of what it captured; any other is none",
        """
        SELECT h.merchant_id, h.customer_id, format('hold %s (%s): captured %s of %s, entry %s points, redemption %s points',
            h.id, h.state, h.captured_points, h.points, e.points, r.points)
        FROM loyalty_holds h
        LEFT JOIN loyalty_transactions e ON e.merchant_id = h.merchant_id AND e.id = h.entry_id
        LEFT JOIN loyalty_redemptions r ON r.merchant_id = h.merchant_id AND r.hold_id = h.id
        WHERE {only:h} AND CASE WHEN h.state = 'captured' THEN
                (e.type, -e.points, e.transaction_id, e.store_id, r.entry_id, r.points)
                    IS DISTINCT FROM ('redeemed', h.captured_points, h.transaction_id, h.store_id, h.entry_id, h.captured_points)
                OR h.captured_points NOT BETWEEN 1 AND h.points
            ELSE h.captured_points <> 0 OR h.entry_id IS NOT NULL OR r.id IS NOT NULL END
        """,
    ),
    Check(
        19,
        "a hold holds something, and ends once: before its time by a till, or at its time",
        """
        SELECT h.merchant_id, h.customer_id, format('hold %s (%s): %s points until %s, closed %s', h.id, h.state, h.points,
            h.expires_at, h.closed_at)
        FROM loyalty_holds h
        WHERE {only:h} AND (h.points < 1 OR CASE h.state
            WHEN 'held' THEN h.closed_at IS NOT NULL
            WHEN 'lapsed' THEN h.closed_at IS DISTINCT FROM h.expires_at
            ELSE h.closed_at IS NULL OR h.closed_at < h.created_at OR h.closed_at >= h.expires_at END)
        """,
    ),
    Check(
        20,
        "of a reward as many are taken as are redeemed, held and given, and never more than there are",
        """
        SELECT w.merchant_id, w.id, format('reward: taken %s of %s, redeemed %s, held %s, given %s', w.taken, w.stock,
            coalesce(r.redeemed, 0), coalesce(h.held, 0), coalesce(v.given, 0))
        FROM loyalty_rewards w
        LEFT JOIN (
            SELECT merchant_id, reward_id, count(*) AS redeemed FROM loyalty_redemptions WHERE state = 'redeemed' GROUP BY 1, 2
        ) r ON r.merchant_id = w.merchant_id AND r.reward_id = w.id
        LEFT JOIN (
            SELECT merchant_id, reward_id, count(*) AS held FROM loyalty_holds WHERE state = 'held' GROUP BY 1, 2
        ) h ON h.merchant_id = w.merchant_id AND h.reward_id = w.id
        LEFT JOIN (
            SELECT merchant_id, reward_id, count(*) AS given FROM loyalty_vouchers WHERE state <> 'lapsed' GROUP BY 1, 2
        ) v ON v.merchant_id = w.merchant_id AND v.reward_id = w.id
        WHERE {only:w} AND (
            w.taken <> coalesce(r.redeemed, 0) + coalesce(h.held, 0) + coalesce(v.given, 0) OR w.taken > w.stock)
        """,
    ),
    Check(
        21,
        "a redemption is an entry of its points, and gives all of them back when it is cancelled",
        """
        SELECT r.merchant_id, r.customer_id, format('redemption %s (%s): %s points, entry %s points, given back %s', r.id,
            r.state, r.points, e.points, coalesce(b.points, 0))
        FROM loyalty_redemptions r
        LEFT JOIN loyalty_transactions e ON e.merchant_id = r.merchant_id AND e.id = r.entry_id
        LEFT JOIN (
            SELECT merchant_id, reverses_id, sum(points) AS points FROM loyalty_transactions
            WHERE reverses_id IS NOT NULL GROUP BY 1, 2
        ) b ON b.merchant_id = r.merchant_id AND b.reverses_id = r.entry_id
        WHERE {only:r} AND ((e.type, -e.points, e.transaction_id) IS DISTINCT FROM ('redeemed', r.points, r.transaction_id)
            OR (r.state = 'cancelled' AND coalesce(b.points, 0) <> r.points))
        """,
    ),
)
