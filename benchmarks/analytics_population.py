"""One merchant with very many purchases, by set-based SQL: every row is a copy of one that the service wrote.

Three years up to today at five stores in two time zones. Customers join all the time; half of the purchases are made by a
tenth of them. One purchase in thirty comes back, a third of these wholly. Every purchase has one to three items of 400 products
and earns points. Rows are in the order of time, as a service would have written them.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

DAYS = 1_095
STORES = 5
RETURNED_ONE_IN = 30
PURCHASES_PER_STATEMENT = 500_000
SEED = 0.3002
PRODUCT = "pg_temp.product(r.number, r.line)"

# Sequential, so that the indexes are filled at their end as by a service that makes its ids by time.
KINDS = {
    "customer": "a",
    "account": "b",
    "purchase": "c",
    "entry": "d",
    "return": "e",
    "item": "f",
    "event": "9",
}
MADE = "0190000_-0000-7000-8000-%"


def identity(kind: str, number: str) -> str:
    return f"('0190000{KINDS[kind]}-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"


def fill(customers: int, purchases: int) -> None:
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    merchant = _first_sale()
    with connection.cursor() as cursor:
        # The rows are right by construction; triggers and foreign keys would check each of them.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SET work_mem = '256MB'")
        cursor.execute("SET maintenance_work_mem = '512MB'")
        fill = _Fill(cursor, merchant, customers, purchases)
        fill.plan()
        fill.people()
        for first in range(0, purchases, PURCHASES_PER_STATEMENT):
            fill.sales(first, min(first + PURCHASES_PER_STATEMENT, purchases) - 1)
        fill.standing()
        fill.remove_templates()
        fill.figures()
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM (ANALYZE)")


def _first_sale() -> Any:
    from cloudpos.checkout.returns import return_purchase
    from cloudpos.checkout.sales import take_purchase
    from cloudpos.tenancy.access import access_for
    from cloudpos.tenancy.models import Membership, Merchant, Role, Store, User
    from customers.services import create_customer
    from loyalty.services import create_program

    merchant = Merchant.objects.create(
        name="Large", slug="large", timezone="Europe/London", currency="GBP", country="GB"
    )
    for number in range(STORES):
        zone = "" if number else "America/New_York"
        Store.objects.create(merchant=merchant, name=f"Store {number}", code=f"S{number}", timezone=zone)
    user = User.objects.create_user("owner@large.example", name="Owner")
    Membership.objects.create(merchant=merchant, user=user, role=Role.OWNER)
    access = access_for(user_id=user.pk, store_id=Store.objects.get(code="S1").pk)
    assert access is not None
    create_program(merchant_id=merchant.pk)
    customer = create_customer(access=access, data={"first_name": "Alice"})
    item = {
        "sku": "A",
        "name": "Apples",
        "category": "Fruit",
        "quantity": Decimal(1),
        "unit_price": Decimal(100),
    }
    sale = {"customer_id": customer.pk, "transaction_id": "FIRST", "amount": Decimal(100), "items": [item]}
    take_purchase(access=access, sale=sale)
    return_purchase(
        access=access,
        purchase_transaction_id="FIRST",
        back={"transaction_id": "BACK", "items": [{"line": 1, "quantity": Decimal(1)}]},
    )
    return merchant.pk


class _Fill:
    def __init__(self, cursor: Any, merchant: Any, customers: int, purchases: int) -> None:
        self.cursor, self.merchant = cursor, merchant
        self.sizes = {"m": merchant, "customers": customers, "purchases": purchases, "days": DAYS}

    def run(self, sql: str, **more: Any) -> None:
        self.cursor.execute(sql, {**self.sizes, **more})

    def copy(self, table: str, source: str, changed: dict[str, str], template: str = "", **more: Any) -> None:
        """Rows of `table` like the one the service wrote, once for each row `r` of `source`, with these columns changed."""
        self.run(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %(table)s AND table_schema = 'public'"
            " AND is_generated = 'NEVER' ORDER BY ordinal_position",
            table=table,
        )
        columns = [column for (column,) in self.cursor.fetchall()]
        values = ", ".join(changed.get(column, f"t.{column}") for column in columns)
        self.run(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM ({source}) r,"
            f" (SELECT * FROM {table} WHERE merchant_id = %(m)s AND id::text NOT LIKE '{MADE.replace('%', '%%')}'"
            f" {template} LIMIT 1) t ORDER BY r.number",
            **more,
        )

    def plan(self) -> None:
        """Who buys what when, in order of time. `number` is the purchase's, from 0."""
        self.run("SELECT setseed(%(seed)s)", seed=SEED)
        self.run(
            """
            CREATE TEMP TABLE plan AS
            SELECT (row_number() OVER (ORDER BY at) - 1)::int AS number, customer, at, cents, store FROM (
                SELECT customer,
                    now() - interval '1 hour' - %(days)s * interval '1 day'
                        * (1 - customer::float8 / %(customers)s) * power(random(), 0.8) AS at,
                    (200 + 9800 * power(random(), 3))::int AS cents, floor(random() * 5)::int AS store
                FROM (
                    SELECT least(CASE WHEN random() < 0.5 THEN floor(random() * %(customers)s / 10)::int * 10
                        ELSE floor(random() * %(customers)s)::int END, %(customers)s - 1) AS customer
                    FROM generate_series(1, %(purchases)s)
                ) who
            ) sale
            """
        )
        # The product of a line: few are sold often, and that of the second line goes with that of the first.
        self.run(
            """
            CREATE FUNCTION pg_temp.product(number int, line int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
                SELECT (400 * power((hashint4(number * 4 + CASE WHEN line = 2 AND number & 1 = 0 THEN 1 ELSE line END)::bigint
                    & 65535) / 65536.0::float8, 2))::int + CASE WHEN line = 2 AND number & 1 = 0 THEN 1 ELSE 0 END
            $$
            """
        )
        self.run("CREATE INDEX ON plan (number)")
        self.run("ANALYZE plan")

    def people(self) -> None:
        self.copy("customers", "SELECT n AS number FROM generate_series(0, %(customers)s::int - 1) n", {
            "id": identity("customer", "r.number"), "customer_number": "(2000000000 + r.number)::text",
        })  # fmt: skip
        self.copy("loyalty_enrollments", "SELECT n AS number FROM generate_series(0, %(customers)s::int - 1) n", {
            "id": identity("account", "r.number"), "customer_id": identity("customer", "r.number"),
        })  # fmt: skip

    def sales(self, first: int, last: int) -> None:
        stores = "(ARRAY(SELECT id FROM stores WHERE merchant_id = %(m)s ORDER BY code))[1 + r.store]"
        each = "SELECT * FROM plan WHERE number BETWEEN %(first)s AND %(last)s"
        span = {"first": first, "last": last}
        amount = "round(r.cents / 100.0, 2)"
        back_too = f"r.number %% {RETURNED_ONE_IN} = 0"
        amount_back = f"CASE WHEN r.number %% {RETURNED_ONE_IN * 3} = 0 THEN {amount} ELSE round(r.cents / 300.0, 2) END"
        # The triggers that would add up what came back are off.
        self.copy("purchases", each, {
            "id": identity("purchase", "r.number"), "customer_id": identity("customer", "r.customer"), "store_id": stores,
            "transaction_id": "'P' || r.number", "amount": amount, "occurred_at": "r.at", "recorded_at": "r.at",
            "returned": f"CASE WHEN {back_too} THEN {amount_back} ELSE 0 END",
        }, **span)  # fmt: skip
        self.copy("purchase_items", f"SELECT * FROM ({each}) sold, generate_series(1, 1 + cents %% 3) line", {
            "id": identity("item", "r.number * 4 + r.line"), "purchase_id": identity("purchase", "r.number"),
            "line": "r.line", "sku": f"'SKU' || {PRODUCT}", "name": f"'Product ' || {PRODUCT}",
            "category": f"'Category ' || {PRODUCT} %% 12", "unit_price": f"{amount} / (1 + r.cents %% 3)",
            "returned": f"CASE WHEN {back_too} AND r.line = 1 THEN t.quantity ELSE 0 END",
        }, **span)  # fmt: skip
        back = f"SELECT * FROM ({each}) sold WHERE number %% {RETURNED_ONE_IN} = 0"
        self.copy("purchase_returns", back, {
            "id": identity("return", "r.number"), "customer_id": identity("customer", "r.customer"), "store_id": stores,
            "purchase_id": identity("purchase", "r.number"), "transaction_id": "'R' || r.number",
            "amount": amount_back,
            "occurred_at": "least(r.at + interval '3 days', now())", "recorded_at": "least(r.at + interval '3 days', now())",
        }, **span)  # fmt: skip
        self.copy("purchase_return_items", back, {
            "id": identity("return", "r.number"), "purchase_return_id": identity("return", "r.number"),
        }, **span)  # fmt: skip
        self.copy("loyalty_transactions", each, {
            "id": identity("entry", "r.number"), "enrollment_id": identity("account", "r.customer"), "version": "r.number + 1",
            "points": "r.cents / 100", "balance_before": "0", "balance_after": "r.cents / 100", "store_id": stores,
            "purchase_id": identity("purchase", "r.number"), "occurred_at": "r.at", "recorded_at": "r.at",
        }, "AND type = 'earned'", **span)  # fmt: skip

    def standing(self) -> None:
        """What the service keeps of each customer; the segments as a nightly pass would leave them, about."""
        self.run("CREATE TEMP TABLE stood AS SELECT customer, count(*) AS n, sum(cents) AS cents, min(at) AS first,"
                 " max(at) AS last FROM plan GROUP BY customer")  # fmt: skip
        self.run(
            f"""
            UPDATE customers SET visit_count = n, total_spent = round(cents / 100.0, 2), first_visit_at = first,
                last_visit_at = last, segment = CASE WHEN first > now() - interval '30 days' THEN 'new'
                    WHEN n > 30 THEN 'vip' WHEN last < now() - interval '300 days' THEN 'churned'
                    WHEN last < now() - interval '120 days' THEN 'at_risk' ELSE 'regular' END
            FROM stood WHERE merchant_id = %(m)s AND id = {identity("customer", "customer")}
            """
        )

    def figures(self) -> None:
        """What a recalculation would keep of each customer, about: as many rows, as wide."""
        day = "at_zone.today"
        columns = {
            "id": "c.id", "merchant_id": "c.merchant_id", "customer_id": "c.id", "as_of": day,
            "first_day": f"least(c.first_visit_at::date, {day})", "last_day": f"least(c.last_visit_at::date, {day})",
            "purchase_days": "1", "purchases": "c.visit_count", "total_cents": "c.total_spent * 100",
            "spend_365d_cents": "CASE WHEN c.segment = 'churned' THEN 0 ELSE c.total_spent * 40 END",
            "recency_score": "1 + abs(hashtext(c.id::text)) % 5", "frequency_score": "1 + abs(hashtext(c.id::text || 'f')) % 5",
            "monetary_score": "1 + abs(hashtext(c.id::text || 'm')) % 5", "value_run_id": "c.id", "churn_run_id": "c.id",
            "alive": "0.5", "churn": "0.4", "churn_band": "1", "churn_confidence": "1",
            "churn_reasons": "'{1,-2}'", "purchases_180d": "1", "spend_90d_cents": "100", "milli_units": "1000",
            "segment": "c.segment", "segment_reason": "'buys_as_usual'", "visit_count": "c.visit_count",
            "total_spent_cents": "c.total_spent * 100", "updated_at": "now()",
            **{f"expected_purchases_{days}d": "1" for days in (90, 180, 365)},
            **{f"expected_{days}d{end}_cents": "100" for days in (90, 180, 365) for end in ("", "_low", "_high")},
        }  # fmt: skip
        self.run(
            f"INSERT INTO analytics_customers ({', '.join(columns)}) SELECT {', '.join(columns.values()).replace('%', '%%')}"
            " FROM customers c, (SELECT current_date + 1 AS today) at_zone WHERE c.merchant_id = %(m)s AND c.visit_count > 0"
        )

    def remove_templates(self) -> None:
        for table in (
            "customer_events", "loyalty_allocations", "loyalty_lots", "loyalty_transactions", "loyalty_enrollments",
            "purchase_return_items", "purchase_returns", "purchase_items", "purchases", "customers",
        ):  # fmt: skip
            self.run(
                f"DELETE FROM {table} WHERE merchant_id = %(m)s AND id::text NOT LIKE '{MADE.replace('%', '%%')}'"
            )
        self.run("DELETE FROM customer_counts")
        self.run(
            "INSERT INTO customer_counts (merchant_id, status, type, segment, tier, n)"
            " SELECT merchant_id, status, type, segment, tier, count(*) FROM customers GROUP BY 1, 2, 3, 4, 5"
        )


def sell(number: int) -> None:
    """A sale of this moment."""
    from cloudpos.checkout.sales import take_purchase
    from cloudpos.tenancy.access import access_for
    from cloudpos.tenancy.models import Store, User
    from customers.models import Customer

    access = access_for(user_id=User.objects.get().pk, store_id=Store.objects.get(code="S1").pk)
    assert access is not None
    customer = Customer.objects.order_by("id")[number]
    sale = {"customer_id": customer.pk, "transaction_id": f"NEW-{time.time_ns()}", "amount": Decimal(10)}
    take_purchase(access=access, sale=sale)
