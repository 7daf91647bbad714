"""What the database refuses by itself: changes, doubles, rows of two merchants, numbers without bounds."""

from loyalty.verification.checks import Check
from loyalty.verification.guards import BOUNDS, EFFECTS, KEYS
from loyalty.verification.screens import LEDGER

CHECKS = (
    Check(
        10,
        "the database refuses changes of what is append-only",
        """
        SELECT '00000000-0000-0000-0000-000000000000'::uuid, t.name, 'its trigger is missing or switched off'
        FROM unnest(ARRAY['loyalty_transactions', 'loyalty_allocations', 'loyalty_shortfalls',
            'loyalty_program_versions', 'loyalty_awards', 'purchases', 'purchase_items', 'purchase_returns',
            'purchase_return_items'
        ]) t (name) WHERE NOT EXISTS (
            SELECT 1 FROM pg_trigger g WHERE g.tgrelid = t.name::regclass AND g.tgenabled IN ('O', 'A')
                AND g.tgname IN (t.name || '_append_only', t.name || '_immutable')
        )
        """,
    ),
    Check(
        13,
        "one effect per store, type and transaction",
        """
        SELECT e.merchant_id, min(e.enrollment_id::text)::uuid, format('%s %s: %s times', e.type, e.transaction_id, count(*))
        FROM loyalty_transactions e WHERE e.transaction_id <> '' AND {only:e}
        GROUP BY e.merchant_id, e.store_id, e.type, e.transaction_id HAVING count(*) > 1
        """,
        guards=EFFECTS,
    ),
    Check(
        13,
        "a purchase earns once",
        """
        SELECT e.merchant_id, e.enrollment_id, format('purchase %s: %s times', e.purchase_id, count(*))
        FROM loyalty_transactions e WHERE e.type = 'earned' AND e.purchase_id IS NOT NULL AND {only:e}
        GROUP BY e.merchant_id, e.enrollment_id, e.purchase_id HAVING count(*) > 1
        """,
        guards=EFFECTS,
    ),
    Check(
        13,
        "one effect per type and transaction of the back office",
        """
        SELECT e.merchant_id, min(e.enrollment_id::text)::uuid, format('%s %s: %s times', e.type, e.transaction_id, count(*))
        FROM loyalty_transactions e WHERE e.transaction_id <> '' AND e.store_id IS NULL AND {only:e}
        GROUP BY e.merchant_id, e.type, e.transaction_id HAVING count(*) > 1
        """,
    ),
    Check(
        14,
        "nothing crosses merchants",
        """
        SELECT e.merchant_id, e.enrollment_id, format('entry %s', e.id)
        FROM loyalty_transactions e
        JOIN loyalty_enrollments a ON a.id = e.enrollment_id
        LEFT JOIN purchases p ON p.id = e.purchase_id LEFT JOIN stores s ON s.id = e.store_id
        WHERE (a.merchant_id, coalesce(p.merchant_id, e.merchant_id), coalesce(s.merchant_id, e.merchant_id))
            <> (e.merchant_id, e.merchant_id, e.merchant_id) AND {only:e}
        UNION ALL
        SELECT l.merchant_id, l.enrollment_id, format('lot %s', l.id)
        FROM loyalty_lots l JOIN loyalty_transactions e ON e.id = l.entry_id
        WHERE e.merchant_id <> l.merchant_id AND {only:l}
        UNION ALL
        SELECT m.merchant_id, l.enrollment_id, format('allocation %s', m.id)
        FROM loyalty_allocations m JOIN loyalty_transactions e ON e.id = m.entry_id JOIN loyalty_lots l ON l.id = m.lot_id
        WHERE (e.merchant_id, l.merchant_id) <> (m.merchant_id, m.merchant_id) AND {only:m}
        UNION ALL
        SELECT a.merchant_id, a.id, 'account' FROM loyalty_enrollments a JOIN customers c ON c.id = a.customer_id
        WHERE c.merchant_id <> a.merchant_id AND {only:a}
        """,
        guards=KEYS,
    ),
    Check(
        14,
        "nothing crosses accounts",
        """
        SELECT l.merchant_id, l.enrollment_id, format('lot %s', l.id)
        FROM loyalty_lots l JOIN loyalty_transactions e ON e.merchant_id = l.merchant_id AND e.id = l.entry_id
        WHERE e.enrollment_id <> l.enrollment_id AND {only:l}
        UNION ALL
        SELECT m.merchant_id, l.enrollment_id, format('allocation %s', m.id)
        FROM loyalty_allocations m
        JOIN loyalty_transactions e ON e.merchant_id = m.merchant_id AND e.id = m.entry_id
        JOIN loyalty_lots l ON l.merchant_id = m.merchant_id AND l.id = m.lot_id
        WHERE e.enrollment_id <> l.enrollment_id AND {only:m}
        """,
        screens=LEDGER,
    ),
    Check(
        16,
        "an entry has 1 to 1,000,000,000 points",
        """
        SELECT e.merchant_id, e.enrollment_id, format('entry %s: %s points', e.version, e.points)
        FROM loyalty_transactions e WHERE (abs(e.points) NOT BETWEEN 1 AND 1000000000) AND {only:e}
        """,
        guards=BOUNDS,
    ),
)
