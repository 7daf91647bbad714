"""Events: each change was told once, as it was; and what was told before an erasure is still so after it."""

from loyalty.verification.checks import Check, Screen

# What the books say must have been told. An event's subject is the first of redemptionId, holdId and entryId in its data.
_DONE = """
SELECT e.merchant_id, 'points.' || e.type AS type, e.id AS subject, e.points, e.balance_after AS balance,
    e.enrollment_id AS whose
FROM loyalty_transactions e WHERE {only:e}
UNION ALL
SELECT h.merchant_id, 'points.held', h.id, h.points, NULL, h.customer_id FROM loyalty_holds h WHERE {only:h}
UNION ALL
SELECT h.merchant_id, 'hold.' || h.state, h.id, h.points, NULL, h.customer_id
FROM loyalty_holds h WHERE h.state <> 'held' AND {only:h}
UNION ALL
SELECT r.merchant_id, 'redemption.made', r.id, r.points, NULL, r.customer_id FROM loyalty_redemptions r WHERE {only:r}
UNION ALL
SELECT r.merchant_id, 'redemption.cancelled', r.id, r.points, NULL, r.customer_id
FROM loyalty_redemptions r WHERE r.state = 'cancelled' AND {only:r}
"""
_TOLD = """
SELECT t.merchant_id, t.type, coalesce(t.data ->> 'redemptionId', t.data ->> 'holdId', t.data ->> 'entryId') AS subject,
    t.data ->> 'points' AS points, t.data ->> 'balance' AS balance
FROM customer_events t WHERE {only:t} AND t.type IN ('points.earned', 'points.redeemed', 'points.expired',
    'points.adjusted', 'points.reversed', 'points.bonus', 'points.transferred', 'points.held', 'hold.captured',
    'hold.released', 'hold.lapsed', 'redemption.made', 'redemption.cancelled')
"""
_WEIGHT = "sum(hashtextextended(concat_ws(' ', subject, points, balance), {seed}))"

TOLD = Screen(
    "the events of points, holds and redemptions",
    f"""
    SELECT DISTINCT merchant_id, NULL::uuid FROM (
        SELECT merchant_id, type, {_WEIGHT} AS mark FROM ({_DONE}) done GROUP BY 1, 2
        UNION ALL
        SELECT merchant_id, type, -{_WEIGHT} FROM ({_TOLD}) told GROUP BY 1, 2
    ) sums GROUP BY merchant_id, type HAVING sum(mark) <> 0
    """,  # noqa: S608
)

CHECKS = (
    Check(
        15,
        "each change of points, holds and redemptions was told by one event, as it is",
        f"""
        SELECT coalesce(done.merchant_id, told.merchant_id), coalesce(done.whose::text, told.subject),
            CASE WHEN done.subject IS NULL THEN format('%s is told of %s, which is not there', told.type, told.subject)
                ELSE format('%s of %s: %s points, balance %s; told %s times: %s, %s', done.type, done.subject, done.points,
                    done.balance, coalesce(told.times, 0), told.points, told.balance) END
        FROM ({_DONE}) done
        FULL JOIN (
            SELECT merchant_id, type, subject, count(*) AS times, max(points) AS points, max(balance) AS balance
            FROM ({_TOLD}) each GROUP BY 1, 2, 3
        ) told ON told.merchant_id = done.merchant_id AND told.type = done.type AND told.subject = done.subject::text
        WHERE told.times IS DISTINCT FROM 1 OR told.points IS DISTINCT FROM done.points::text
            OR told.balance IS DISTINCT FROM done.balance::text
        """,  # noqa: S608
        screens=(TOLD,),
    ),
    Check(
        15,
        "each change of a tier was told by one event",
        # Events lead from no tier to the account's: of each tier, as many lead to it as away from it, and one more to the present
        # one. Merges move events, so who was merged counts with whom they are now.
        """
        WITH RECURSIVE merged AS (
            SELECT c.id, c.merged_into_id AS into_id FROM customers c WHERE c.merged_into_id IS NOT NULL AND {only:c}
            UNION ALL
            SELECT merged.id, c.merged_into_id FROM merged JOIN customers c ON c.id = merged.into_id
            WHERE c.merged_into_id IS NOT NULL
        ), person AS (
            SELECT merged.id, merged.into_id FROM merged JOIN customers c ON c.id = merged.into_id
            WHERE c.merged_into_id IS NULL
        )
        SELECT moves.merchant_id, coalesce(person.into_id, moves.customer_id),
            format('tier %s: %s accounts, told of %s', moves.tier, sum(accounts), sum(told))
        FROM (
            SELECT a.merchant_id, a.customer_id, a.tier, 1 AS accounts, 0 AS told, false AS idle
            FROM loyalty_enrollments a WHERE {only:a}
            UNION ALL
            SELECT t.merchant_id, t.customer_id, unnest(ARRAY[t.data ->> 'to', t.data ->> 'from']), 0, unnest(ARRAY[1, -1]),
                t.data ->> 'to' = t.data ->> 'from'
            FROM customer_events t WHERE t.type = 'tier.changed' AND {only:t}
        ) moves
        LEFT JOIN person ON person.id = moves.customer_id
        WHERE moves.tier <> '' GROUP BY 1, 2, moves.tier HAVING sum(accounts) <> sum(told) OR bool_or(idle)
        """,
    ),
    Check(
        17,
        "erasing a customer changed no amount: all is as it was told",
        """
        SELECT c.merchant_id, c.id, format('%s: %s now, told %s', t.type, f.amount, f.told)
        FROM customers c
        JOIN customer_events t ON t.merchant_id = c.merchant_id AND t.customer_id = c.id
        CROSS JOIN LATERAL (
            SELECT e.points::numeric AS amount, (t.data ->> 'points')::numeric AS told FROM loyalty_transactions e
            WHERE t.type LIKE 'points.%' AND e.merchant_id = t.merchant_id AND e.id = (t.data ->> 'entryId')::uuid
            UNION ALL
            SELECT p.amount, (t.data ->> 'amount')::numeric FROM purchases p
            WHERE t.type = 'purchase.recorded' AND p.merchant_id = t.merchant_id AND p.id = (t.data ->> 'purchaseId')::uuid
            UNION ALL
            SELECT r.amount, (t.data ->> 'amount')::numeric FROM purchase_returns r
            WHERE t.type = 'purchase.returned' AND r.merchant_id = t.merchant_id AND r.id = (t.data ->> 'returnId')::uuid
        ) f
        WHERE c.erased_at IS NOT NULL AND f.amount <> f.told AND {only:c}
        """,
    ),
)
