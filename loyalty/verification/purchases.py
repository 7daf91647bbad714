"""What customers' purchases say of them."""

from loyalty.verification.checks import Check, Screen

# What each line of a return took back, with the purchase whose line it is.
_LINES_BACK = """
SELECT b.merchant_id, r.purchase_id, b.line, b.quantity FROM purchase_return_items b
JOIN purchase_returns r ON r.merchant_id = b.merchant_id AND r.id = b.purchase_return_id WHERE {only:b}
"""


def _mark(purchase: str, seed: str = "{seed}") -> str:
    """The weight of a purchase in a sum."""
    return f"(uuid_hash_extended({purchase}, {seed}) & 2147483647)"


def _line_mark(purchase: str, line: str) -> str:
    return _mark(purchase, f"hashint8extended({line}, {{seed}})")


RETURNED = Screen(
    "what purchases and their lines say came back, against the returns",
    f"""
    SELECT DISTINCT merchant_id, NULL::uuid FROM (
        SELECT p.merchant_id, 'purchases' AS what, sum(p.returned * {_mark("p.id")}) AS back
        FROM purchases p WHERE p.returned <> 0 AND {{only:p}} GROUP BY 1
        UNION ALL
        SELECT r.merchant_id, 'purchases', -sum(r.amount * {_mark("r.purchase_id")})
        FROM purchase_returns r WHERE {{only:r}} GROUP BY 1
        UNION ALL
        SELECT i.merchant_id, 'lines', sum(i.returned * {_line_mark("i.purchase_id", "i.line")})
        FROM purchase_items i WHERE i.returned <> 0 AND {{only:i}} GROUP BY 1
        UNION ALL
        SELECT merchant_id, 'lines', -sum(quantity * {_line_mark("purchase_id", "line")}) FROM ({_LINES_BACK}) b GROUP BY 1
    ) sums GROUP BY merchant_id, what HAVING sum(back) <> 0
    """,  # noqa: S608
)

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
    Check(
        23,
        "what came back of a purchase is the sum of its returns",
        """
        SELECT p.merchant_id, p.customer_id, format('purchase %s: %s came back, by its returns %s', p.id, p.returned,
            coalesce(r.amount, 0))
        FROM purchases p
        LEFT JOIN (
            SELECT r.merchant_id, r.purchase_id, sum(r.amount) AS amount FROM purchase_returns r WHERE {only:r} GROUP BY 1, 2
        ) r ON r.merchant_id = p.merchant_id AND r.purchase_id = p.id
        WHERE {only:p} AND p.returned <> coalesce(r.amount, 0)
        """,
        screens=(RETURNED,),
    ),
    Check(
        23,
        "what came back of a purchase's line is the sum of its returns' lines",
        f"""
        SELECT p.merchant_id, p.customer_id, format('purchase %s, line %s: %s came back, by its returns %s', p.id,
            coalesce(i.line, b.line), i.returned, coalesce(b.quantity, 0))
        FROM (SELECT * FROM purchase_items i WHERE {{only:i}}) i
        FULL JOIN (
            SELECT merchant_id, purchase_id, line, sum(quantity) AS quantity FROM ({_LINES_BACK}) b GROUP BY 1, 2, 3
        ) b ON b.merchant_id = i.merchant_id AND b.purchase_id = i.purchase_id AND b.line = i.line
        JOIN purchases p ON p.merchant_id = coalesce(i.merchant_id, b.merchant_id)
            AND p.id = coalesce(i.purchase_id, b.purchase_id)
        WHERE i.returned IS DISTINCT FROM coalesce(b.quantity, 0)
        """,  # noqa: S608
        screens=(RETURNED,),
    ),
    Check(
        23,
        "the database adds up what comes back",
        """
        SELECT '00000000-0000-0000-0000-000000000000'::uuid, t.name, 'its trigger is missing or switched off'
        FROM unnest(ARRAY['purchase_returns', 'purchase_return_items']) t (name) WHERE NOT EXISTS (
            SELECT 1 FROM pg_trigger g WHERE g.tgrelid = t.name::regclass AND g.tgenabled IN ('O', 'A')
                AND g.tgname = t.name || '_add_up'
        )
        """,
    ),
)
