"""A merchant with years of sales, written by set-based SQL: what benchmarks.recalculation works on."""

from typing import Any

PURCHASES_PER_CUSTOMER = 10
HISTORY_DAYS = 1_000
LINES_PER_PURCHASE = 2
RETURNED_SHARE = 0.03

# Ids by time, like the service's; rows in the order in which they happened, so that a customer's are all over the table.
_FUNCTION = """
CREATE FUNCTION id_at(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
        || '8' || substr(md5(random()::text), 1, 15))::uuid
$$
"""

_CUSTOMERS = """
INSERT INTO customers (id, merchant_id, customer_number, type, status, first_name, last_name, company_name, tax_id, email,
    email_key, phone, gender, language, notes, tags, metadata, tier, points, segment, total_spent, visit_count, search, sort_name,
    version, created_at, updated_at)
SELECT id_at(at), %(merchant)s, number, 'individual', 'active', 'Ada', 'Nobody', '', '', '', '', '', '', '', '', '{}', '{}', '',
    0, 'new', 0, 0, '{}', 'nobody ada', 1, at, at
FROM (
    SELECT number, now() - number * (%(days)s * interval '1 day') / %(customers)s AS at
    FROM generate_series(%(customers)s, 1, -1) AS number
) opened
"""

# Each at a rate and for a time of their own, both exponential; the first purchase is on the day of joining.
_PURCHASES = """
INSERT INTO purchases (id, merchant_id, customer_id, store_id, transaction_id, amount, tax, discount, currency, payment_method,
    channel, occurred_at, recorded_at, content_hash, receipt)
SELECT id_at(at), %(merchant)s, customer_id, store_id, row_number() OVER (ORDER BY at), amount, 0, 0, 'GBP', 'card', 'store',
    at, at, decode(md5(random()::text) || md5(random()::text), 'hex'),
    jsonb_build_object('pointsEarned', 10, 'balance', 100, 'explanation', jsonb_build_array(repeat(md5(random()::text), 8)))
FROM (
    SELECT customer.id AS customer_id,
        customer.created_at + random() ^ 2 * life.days * interval '1 day' * least(1, (n - 1)) AS at,
        (%(stores)s::uuid[])[1 + (n + customer.visit_count) %% array_length(%(stores)s::uuid[], 1)] AS store_id,
        round((exp(random() * 2 + random() * 2) * 3)::numeric, 2) AS amount
    FROM customers customer
    CROSS JOIN LATERAL (
        SELECT least(extract(day FROM now() - customer.created_at), -ln(1 - random()) * %(days)s) AS days,
            1 + floor(-ln(1 - random()) * (%(per_customer)s - 1) + random())::int AS purchases
        WHERE customer.id IS NOT NULL
    ) life
    CROSS JOIN LATERAL generate_series(1, life.purchases) AS n
    WHERE customer.merchant_id = %(merchant)s
    ORDER BY 2
) sale
"""

_ITEMS = """
INSERT INTO purchase_items (id, merchant_id, purchase_id, line, sku, name, category, quantity, unit_price, tax)
SELECT id_at(occurred_at), merchant_id, id, line, 'SKU-' || (random() * 5000)::int, 'An article of some length', 'Household',
    1 + floor(random() * 4), amount / 2, 0
FROM (SELECT * FROM purchases WHERE merchant_id = %(merchant)s ORDER BY id) purchase
CROSS JOIN generate_series(1, %(lines)s) AS line
"""

_RETURNS = """
INSERT INTO purchase_returns (id, merchant_id, purchase_id, customer_id, store_id, transaction_id, amount, reason, occurred_at,
    recorded_at, content_hash, receipt)
SELECT id_at(occurred_at), merchant_id, id, customer_id, store_id, 'R' || transaction_id,
    CASE WHEN random() < 0.5 THEN amount ELSE round(amount / 2, 2) END, '', occurred_at + interval '2 hours', occurred_at,
    content_hash, '{}'
FROM purchases WHERE merchant_id = %(merchant)s AND random() < %(returned)s AND amount > 1
"""

_STANDING = """
UPDATE customers SET visit_count = v.visits, total_spent = v.spent - coalesce(r.back, 0), first_visit_at = v.first,
    last_visit_at = v.last
FROM (SELECT customer_id, count(*) AS visits, sum(amount) AS spent, min(occurred_at) AS first, max(occurred_at) AS last
      FROM purchases WHERE merchant_id = %(merchant)s GROUP BY 1) v
LEFT JOIN (SELECT customer_id, sum(amount) AS back FROM purchase_returns WHERE merchant_id = %(merchant)s GROUP BY 1) r
    ON r.customer_id = v.customer_id
WHERE customers.merchant_id = %(merchant)s AND customers.id = v.customer_id
"""


def fill(customers: int) -> Any:
    """One merchant with five stores in three zones; its id. The database must be nobody else's: no key is checked meanwhile."""
    from django.db import connection, transaction

    from cloudpos.tenancy.models import Merchant, Store

    merchant = Merchant.objects.create(name="Large", slug="large", timezone="Europe/London", currency="GBP")
    zones = ("", "", "", "America/New_York", "Pacific/Auckland")
    stores = [
        Store.objects.create(merchant=merchant, name=f"Store {n}", code=f"S{n}", timezone=zone)
        for n, zone in enumerate(zones)
    ]
    values = {
        "merchant": merchant.pk,
        "customers": customers,
        "days": HISTORY_DAYS,
        "stores": [store.pk for store in stores],
        "per_customer": PURCHASES_PER_CUSTOMER,
        "lines": LINES_PER_PURCHASE,
        "returned": RETURNED_SHARE,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        # Keys are right by construction; to check tens of millions of them would take longer than all the rest.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("SET LOCAL work_mem = '256MB'; SET LOCAL maintenance_work_mem = '256MB'")
        cursor.execute(_FUNCTION)
        for statement in (_CUSTOMERS, _PURCHASES, _ITEMS, _RETURNS, _STANDING):
            cursor.execute(statement, {name: values[name] for name in values if f"%({name})s" in statement})
        cursor.execute("DROP FUNCTION id_at(timestamptz)")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE customers, purchases, purchase_items, purchase_returns")
    return merchant.pk
