"""Passes over the whole ledger that take seconds where the checks themselves take minutes.

A screen compares sums in which every row has a weight of its own: the hash of its id under a number that is drawn for each run.
When rows that ought to match do not, the sums are equal once in two thousand million runs.
"""

from loyalty.verification.checks import Screen

# The most of an entry, and so of a lot and an allocation. The remainder only keeps damaged numbers from overflowing.
POINTS_MAX = 1_000_000_000
_MARK = "(({points}) % 4294967291) * (uuid_hash_extended({id}, {{seed}}) & 2147483647)"
_PAIR = "(({points}) % 4294967291) * (uuid_hash_extended({id}, uuid_hash_extended({owner}, {{seed}})) & 2147483647)"


def mark(points: str, id: str) -> str:
    """Points times the weight of an id."""
    return _MARK.format(points=points, id=id)


def pair(points: str, id: str, owner: str) -> str:
    """Points times the weight of an id together with the account that it belongs to."""
    return _PAIR.format(points=points, id=id, owner=owner)


# The chain: what each entry ends with is what the next begins with, so each (version, balance) is there twice, the account's
# own and (0, 0) included, and cancels itself out. With as many entries as versions, each version is then there once.
ACCOUNTS = Screen(
    "each account against its entries",
    f"""
    SELECT DISTINCT a.merchant_id, NULL::uuid
    FROM loyalty_enrollments a
    LEFT JOIN (
        SELECT e.enrollment_id, count(*) AS entries, bit_xor(hashint8extended(e.balance_after, e.version)
                # hashint8extended(e.balance_before, e.version - 1)) AS chain,
            bool_or(e.balance_after <> e.balance_before + e.points OR abs(e.points) > {POINTS_MAX}) AS odd
        FROM loyalty_transactions e WHERE {{only:e}} GROUP BY 1
    ) e ON e.enrollment_id = a.id
    WHERE {{only:a}} AND (a.version <> coalesce(e.entries, 0) OR e.odd
        OR coalesce(e.chain, 0) # hashint8extended(0, 0) # hashint8extended(a.balance, a.version) <> 0)
    """,  # noqa: S608
)

# Each allocation with its entry and lot, and along each account's lots in the order of their use: was one before this still open,
# or touched later, when this one was redeemed from? Of open lots only an account's first can have been passed over. A lot that a
# reversed redemption refilled was touched later too, so of these accounts only the order is looked at. Credits have allocations
# only when they refill lots; if another one had, the sums would not be right.
MOVES = Screen(
    "each allocation with its entry and lot, in the order of use",
    """
    SELECT DISTINCT merchant_id, CASE WHEN NOT wrong THEN enrollment_id END FROM (
        SELECT merchant_id, enrollment_id, wrong, redeemed, max(open) OVER (
            PARTITION BY enrollment_id ORDER BY over_at, earned_at, lot_id GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS open_until
        FROM (
            SELECT l.merchant_id, l.enrollment_id, coalesce(l.expires_at, 'infinity') AS over_at, l.earned_at, l.id AS lot_id,
                e.version AS open, CASE WHEN e.type = 'redeemed' THEN e.version END AS redeemed,
                e.enrollment_id <> l.enrollment_id OR a.expired <> (e.type = 'expired') OR CASE
                    WHEN NOT a.expired THEN coalesce(l.expires_at <= e.recorded_at, false)
                        OR (e.type = 'redeemed' AND coalesce(l.available_at > e.recorded_at, false))
                    WHEN l.while_active THEN l.remaining > 0 OR l.expires_at IS NOT NULL OR e.occurred_at > e.recorded_at
                        OR e.occurred_at <= l.earned_at
                    ELSE l.remaining > 0 OR l.expires_at IS NULL OR l.expires_at > e.recorded_at
                        OR l.expires_at <> e.occurred_at END AS wrong
            FROM loyalty_allocations a
            JOIN loyalty_transactions e ON e.id = a.entry_id AND (e.points < 0 OR e.type = 'reversed')
            JOIN loyalty_lots l ON l.id = a.lot_id
            WHERE {only:a}
            UNION ALL
            (SELECT DISTINCT ON (l.merchant_id, l.enrollment_id) l.merchant_id, l.enrollment_id,
                coalesce(l.expires_at, 'infinity'), l.earned_at, l.id, 2147483647, NULL, false
            FROM loyalty_lots l WHERE l.remaining > 0 AND {only:l}
            ORDER BY l.merchant_id, l.enrollment_id, l.expires_at, l.earned_at, l.id)
        ) moved
    ) placed WHERE wrong OR redeemed < open_until
    """,
)

# By how much an entry changed what is owed: that part of it is in no lot.
_OWED = "(greatest(-e.balance_after, 0) - greatest(-e.balance_before, 0))"

# Entries against the allocations and lots that make them up, lots against what allocations took from them, and lots against the
# accounts of their entries. So an account's lots hold what its entries add up to, which is its balance as the chain has it.
SUMS = Screen(
    "the sums of entries, allocations and lots",
    f"""
    SELECT merchant_id, NULL::uuid FROM (
        SELECT e.merchant_id, sum({mark(f"abs(e.points) - abs({_OWED})", "e.id")}) AS parts, 0 AS taken,
            sum({pair(f"e.points + {_OWED}", "e.id", "e.enrollment_id")}) FILTER (WHERE e.points > 0) AS owners, false AS odd
        FROM loyalty_transactions e WHERE {{only:e}} GROUP BY 1
        UNION ALL
        SELECT a.merchant_id, -sum({mark("a.points", "a.entry_id")}), sum({mark("a.points", "a.lot_id")}), 0,
            bool_or(abs(a.points) > {POINTS_MAX})
        FROM loyalty_allocations a WHERE {{only:a}} GROUP BY 1
        UNION ALL
        SELECT l.merchant_id, -sum({mark("l.points", "l.entry_id")}), -sum({mark("l.points - l.remaining", "l.id")}),
            -sum({pair("l.points", "l.entry_id", "l.enrollment_id")}),
            bool_or(l.remaining < 0 OR l.remaining > l.points OR l.points > {POINTS_MAX})
        FROM loyalty_lots l WHERE {{only:l}} GROUP BY 1
        UNION ALL
        SELECT e.merchant_id, 0, -2 * sum({mark("a.points", "a.lot_id")}), -sum({pair("a.points", "e.id", "e.enrollment_id")}),
            false
        FROM loyalty_transactions e JOIN loyalty_allocations a ON a.merchant_id = e.merchant_id AND a.entry_id = e.id
        WHERE e.type = 'reversed' AND e.points > 0 AND {{only:e}} GROUP BY 1
    ) sums GROUP BY merchant_id HAVING sum(parts) <> 0 OR sum(taken) <> 0 OR sum(owners) <> 0 OR bool_or(odd)
    """,  # noqa: S608
)

# What one of them overlooks, another sees: only together they say that all of an account is well.
LEDGER = (ACCOUNTS, MOVES, SUMS)
