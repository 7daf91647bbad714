"""How long the sweep of expired points takes, beside the same rows written by plain SQL.

    python -m benchmarks.loyalty_expiry --lots 1000000 --accounts 200000

fills a throw-away database of its own (the one of DATABASE_URL with `_expiry` behind its name) with accounts whose lots are
all over, and expires them twice: by six statements in one transaction, which is then rolled back, and by `expire_lots`. Each
lot of an account was over at a midnight of its own, as after days without a sweep, which is the most work there can be; with
`--one-midnight` all of them at the same, as at the end of a month.
"""

import argparse
import contextlib
import os
import random
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from benchmarks.database import UNLIMITED, maintenance_connection
from cloudpos import embedded

SEED = 3002
POINTS = 10
EXPIRES_AT = {
    False: "date_trunc('day', at) + interval '365 days'",
    True: "date_trunc('day', now()) - interval '1 day'",
}

# Rows in the order in which tills make them, under keys of version 7: members as they came, then day by day what each of them
# was given, in no order among themselves. With random keys every row would be on another page than the one before.
_FILL = """
CREATE FUNCTION pg_temp.key(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (regexp_replace(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0'), '(.{8})(.{4})', '\\1-\\2-7')
        || substr(gen_random_uuid()::text, 16))::uuid
$$;
CREATE TEMP TABLE member AS
    SELECT customer_id, pg_temp.key(now() - interval '500 days' + number * interval '1 second') AS id, number
    FROM (SELECT id AS customer_id, row_number() OVER (ORDER BY id) AS number FROM customers WHERE merchant_id = %(merchant)s) c;
CREATE TEMP TABLE credit AS
    SELECT *, pg_temp.key(at) AS id, pg_temp.key(at) AS lot_id, pg_temp.key(at) AS event_id
    FROM (
        SELECT id AS enrollment_id, customer_id, n,
            date_trunc('day', now()) + (n - 400) * interval '1 day' + random() * interval '20 hours' AS at
        FROM member CROSS JOIN generate_series(1, %(lots)s) n
    ) c ORDER BY at;
ANALYZE credit;
INSERT INTO loyalty_enrollments (id, merchant_id, customer_id, program_id, balance, version, tier, net_spend,
        enrolled_at)
    SELECT id, %(merchant)s, customer_id, %(program)s, %(lots)s * %(points)s, %(lots)s, '', 0, now() FROM member ORDER BY id;
INSERT INTO loyalty_transactions (id, merchant_id, enrollment_id, version, type, points, balance_before, balance_after,
        description, transaction_id, occurred_at, recorded_at)
    SELECT id, %(merchant)s, enrollment_id, n, 'earned', %(points)s, (n - 1) * %(points)s, n * %(points)s, '', '', at, at
    FROM credit ORDER BY at;
INSERT INTO loyalty_lots (id, merchant_id, enrollment_id, entry_id, points, remaining, earned_at, expires_at)
    SELECT lot_id, %(merchant)s, enrollment_id, id, %(points)s, %(points)s, at, {expires_at}
    FROM credit ORDER BY at;
INSERT INTO customer_events (id, merchant_id, customer_id, type, data, external_id, request_id, occurred_at, recorded_at,
        dispatched_at)
    SELECT event_id, %(merchant)s, customer_id, 'points.earned',
        jsonb_build_object('entryId', id, 'points', %(points)s, 'balance', n * %(points)s), '', '', at, at, at
    FROM credit ORDER BY at;
UPDATE customers SET points = %(lots)s * %(points)s WHERE merchant_id = %(merchant)s;
"""

# The same rows as the sweep's, all at once, joined by hashing, with an ANALYZE between: what a database person would write.
_PLAIN = """
CREATE TEMP TABLE over ON COMMIT DROP AS
    SELECT *, first_value(key) OVER instant AS entry_id, sum(remaining) OVER (PARTITION BY enrollment_id, expires_at) AS points,
        dense_rank() OVER (PARTITION BY enrollment_id ORDER BY expires_at) AS number,
        sum(remaining) OVER (PARTITION BY enrollment_id ORDER BY expires_at) AS gone,
        row_number() OVER instant = 1 AS is_first,
        row_number() OVER (PARTITION BY enrollment_id ORDER BY expires_at DESC, lot_id DESC) = 1 AS is_last
    FROM (
        SELECT l.id AS lot_id, l.enrollment_id, l.expires_at, l.remaining, gen_random_uuid() AS key, e.customer_id, e.balance,
            e.version
        FROM loyalty_lots l JOIN loyalty_enrollments e ON e.merchant_id = l.merchant_id AND e.id = l.enrollment_id
        WHERE l.merchant_id = %(merchant)s AND l.remaining > 0 AND l.expires_at <= now()
    ) due WINDOW instant AS (PARTITION BY enrollment_id, expires_at ORDER BY lot_id);
ANALYZE over;
UPDATE loyalty_lots SET remaining = 0 FROM over WHERE loyalty_lots.merchant_id = %(merchant)s AND loyalty_lots.id = lot_id;
INSERT INTO loyalty_transactions (id, merchant_id, enrollment_id, version, type, points, balance_before, balance_after,
        description, transaction_id, occurred_at, recorded_at)
    SELECT entry_id, %(merchant)s, enrollment_id, version + number, 'expired', -points, balance - gone + points,
        balance - gone, '', '', expires_at, now() FROM over WHERE is_first;
INSERT INTO loyalty_allocations (id, merchant_id, entry_id, lot_id, points, expired)
    SELECT gen_random_uuid(), %(merchant)s, entry_id, lot_id, remaining, true FROM over;
UPDATE loyalty_enrollments e SET balance = o.balance - gone, version = o.version + number
    FROM over o WHERE is_last AND e.merchant_id = %(merchant)s AND e.id = o.enrollment_id;
UPDATE customers c SET points = o.balance - gone, version = c.version + 1, updated_at = now()
    FROM over o WHERE is_last AND c.merchant_id = %(merchant)s AND c.id = o.customer_id;
INSERT INTO customer_events (id, merchant_id, customer_id, type, data, external_id, request_id, occurred_at, recorded_at)
    SELECT gen_random_uuid(), %(merchant)s, customer_id, 'points.expired',
        jsonb_build_object('entryId', entry_id, 'points', -points, 'balance', balance - gone), '', '', expires_at, now()
    FROM over WHERE is_first;
SET CONSTRAINTS ALL IMMEDIATE;
"""


def statements(script: str) -> list[str]:
    return [part for part in script.split(";\n") if part.strip()]


def fill(lots: int, accounts: int, *, one_midnight: bool = False) -> Any:
    """A merchant with its members, their entries and lots; the merchant's id.

    Each lot of an account has a midnight of its own, or `one_midnight` is that of all.
    """
    from django.db import connection, transaction

    from benchmarks.population import merchants, people
    from customers.services.bulk import load_customers
    from loyalty.models import Program

    (access,) = merchants(1)
    load_customers(access=access, rows=people(accounts, random.Random(SEED)))
    program = Program.objects.for_merchant(access.merchant_id).get()
    values = {
        "merchant": access.merchant_id,
        "program": program.pk,
        "lots": lots // accounts,
        "points": POINTS,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements(_FILL.replace("{expires_at}", EXPIRES_AT[one_midnight])):
            cursor.execute(statement, {name: values[name] for name in values if f"%({name})s" in statement})
    return access.merchant_id


def run(lots: int, accounts: int, jobs: int, *, one_midnight: bool) -> None:
    from django.core.management import call_command
    from django.db import connection, transaction

    from loyalty.services import expire_lots
    from loyalty.verification import verify

    call_command("migrate", verbosity=0)
    merchant_id = fill(lots, accounts, one_midnight=one_midnight)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    started = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements(_PLAIN):
            if "%(merchant)s" in statement:
                cursor.execute(statement, {"merchant": merchant_id})
            else:
                cursor.execute(statement)
        plain = time.perf_counter() - started
        transaction.set_rollback(True)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")
    started, own = time.perf_counter(), time.process_time()
    found = expire_lots(merchant_id=merchant_id, jobs=jobs)
    swept, own = time.perf_counter() - started, time.process_time() - own
    unsound = [finding.says for _, finding in verify() if finding is not None]
    print(f"{found.lots:,} lots of {found.accounts:,} accounts")
    print(f"plain SQL, one connection {plain:7.1f} s")
    print(f"sweep, {jobs} at once          {swept:7.1f} s, of it {own:.1f} s of processor time in Python")
    print(f"ratio                     {swept / plain:7.2f}")
    print(f"verify_ledger: {', '.join(unsound) or 'sound'}")


@contextlib.contextmanager
def throw_away_database(suffix: str) -> Iterator[None]:
    """A database of this benchmark's own, with Django set up for it, in processes that are started too."""
    os.environ.setdefault("ENVIRONMENT", "development")
    base = urlsplit(os.environ.get("DATABASE_URL") or embedded.database_url())
    name = f"{base.path.strip('/')}{suffix}"
    os.environ["DATABASE_URL"] = urlunsplit(base._replace(path=f"/{name}"))
    os.environ["REDIS_URL"] = os.environ.get("REDIS_URL") or embedded.redis_url()
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    os.environ["RATE_LIMIT_USER"] = UNLIMITED
    # What is measured is the work, not the limit that ends a request.
    os.environ.setdefault("STATEMENT_TIMEOUT_MS", "600000")
    with contextlib.closing(maintenance_connection()) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}"')
    try:
        import django

        django.setup()
        yield
    finally:
        from django.db import connections

        connections.close_all()
        with contextlib.closing(maintenance_connection()) as server:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the sweep of expired points.")
    parser.add_argument("--lots", type=int, default=100_000)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--one-midnight", action="store_true", help="all lots of an account end at once")
    chosen = parser.parse_args()
    with throw_away_database("_expiry"):
        run(chosen.lots, chosen.accounts, chosen.jobs, one_midnight=chosen.one_midnight)


if __name__ == "__main__":
    main()
