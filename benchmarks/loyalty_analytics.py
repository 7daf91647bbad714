"""How long the program's figures and `verify_ledger` take over a large ledger.

    python -m benchmarks.loyalty_analytics --entries 500000 [--verify] [--explain] [--keep]

Fills a throw-away database (the one of DATABASE_URL with `_analytics` behind its name) by set-based SQL: 20 entries per
account over 1,000 days at ten stores, three purchases of 100 points and then a redemption of 150, five times over; every
tenth account takes its last redemption back. Every invariant of the ledger holds. Prints the first summing up (what the
background does after an import), then the figures cold (nothing in the cache), after new sales, and warm; seconds of the
wall, and of this process.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from cloudpos import embedded

ENTRIES_PER_ACCOUNT = 20
STORES = 10
NEW_SALES = 50
ACCOUNTS_PER_STATEMENT = 25_000
# Of so many accounts one has its last redemption reversed, which refills an earlier lot.
ACCOUNTS_PER_REVERSAL = 10
# Sequential, so that the indexes are filled at their end as by a service that makes its ids by time.
IDS = {
    "event": "9",
    "customer": "a",
    "account": "b",
    "purchase": "c",
    "entry": "d",
    "lot": "e",
    "allocation": "f",
}


def identity(kind: str, number: str) -> str:
    return f"('0190000{IDS[kind]}-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"


def main() -> None:
    options = _options()
    base = urlsplit(os.environ.get("DATABASE_URL") or embedded.database_url())
    name = f"{base.path.strip('/')}_analytics"
    os.environ["DATABASE_URL"] = urlunsplit(base._replace(path=f"/{name}"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudpos.settings")
    # What is measured is the work, not the limit that ends a request.
    os.environ.setdefault("STATEMENT_TIMEOUT_MS", "600000")
    server = psycopg.connect(urlunsplit(base._replace(path="/postgres")), autocommit=True)
    if not options.reuse:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}"')
    try:
        import django

        django.setup()
        measure(options)
    finally:
        if not options.keep:
            from django.db import connections

            connections.close_all()
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def measure(options: argparse.Namespace) -> None:
    from django.core.cache import cache
    from django.utils.timezone import now

    from cloudpos.tenancy.models import Merchant
    from loyalty import analytics_rollups
    from loyalty.analytics import program_figures
    from loyalty.analytics_periods import read_steps
    from loyalty.verification import verify

    if not options.reuse:
        with timed("filled"):
            fill(options.entries // ENTRIES_PER_ACCOUNT)
    merchant = Merchant.objects.get()
    today = now().date()

    def read(days: int, **more: Any) -> Any:
        steps = read_steps(first=today - timedelta(days=days), last=today, granularity=None, today=today)
        return program_figures(merchant_id=merchant.pk, steps=steps, at=now(), **more)

    if not options.reuse:
        with timed("first summing up, in the background"):
            entries = analytics_rollups.refresh(merchant_id=merchant.pk)
        print(f"    {entries:,} entries")
    cache.clear()
    for title, days in (("12 months", 365), ("everything", 1_100)):
        with timed(f"{title}: cold"):
            read(days)
        for _ in range(3):
            with timed(f"{title}: warm"):
                read(days)
    sell(merchant)
    with timed(f"12 months: after {NEW_SALES} sales"):
        read(365)
    found = read(365)
    print(f"    {found.outstanding:,} points outstanding, {found.current.active:,} active, {found.breakage}")
    if options.explain:
        explain(merchant.pk)
    if options.verify:
        started = time.perf_counter()
        for check, finding in verify(timed=_tell, sessions=2):
            if finding:
                print(f"FAILS {check.says}: {finding}")
        print(f"{time.perf_counter() - started:9.2f} s  verify_ledger")


def _tell(says: str, seconds: float) -> None:
    print(f"    {seconds:7.2f} s  {says}", flush=True)


def fill(accounts: int) -> None:
    """Every row is a copy of one that the service wrote, with other ids, times and points."""
    from django.core.management import call_command
    from django.db import connection
    from django.utils.timezone import now

    call_command("migrate", verbosity=0)
    merchant, customer = _first_customer()
    with connection.cursor() as cursor:
        # The rows are right by construction; triggers and foreign keys would check each of them.
        cursor.execute("SET session_replication_role = replica")
        start = now() - timedelta(days=1_005)
        for first in range(0, accounts, ACCOUNTS_PER_STATEMENT):
            _fill(cursor, merchant, start, first, min(first + ACCOUNTS_PER_STATEMENT, accounts))
        for table in (
            "customer_events",
            "loyalty_allocations",
            "loyalty_lots",
            "loyalty_transactions",
            "loyalty_enrollments",
            "purchases",
        ):
            cursor.execute(f"DELETE FROM {table} WHERE id::text NOT LIKE '0190000_-0000-7000-8000-%'")
        cursor.execute("DELETE FROM customers WHERE id = %s", [customer])
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM (ANALYZE)")


def _first_customer() -> tuple[Any, Any]:
    from cloudpos.checkout.sales import take_purchase
    from cloudpos.tenancy.models import Store
    from customers.services import create_customer
    from loyalty.services import create_program, post_points

    access = _access(new=True)
    for number in range(1, STORES):
        Store.objects.create(merchant_id=access.merchant_id, name=f"Store {number}", code=f"S{number}")
    create_program(merchant_id=access.merchant_id)
    customer = create_customer(access=access, data={"first_name": "Alice"})
    sale = {"customer_id": customer.pk, "transaction_id": "FIRST", "amount": Decimal(100)}
    take_purchase(access=access, sale=sale)
    post_points(access=access, customer_id=customer.pk, type="redeemed", points=50, transaction_id="FIRST")
    return access.merchant_id, customer.pk


def _access(*, new: bool = False) -> Any:
    from cloudpos.tenancy.access import access_for
    from cloudpos.tenancy.models import Membership, Merchant, Role, Store, User

    if new:
        merchant = Merchant.objects.create(
            name="Large", slug="large", timezone="Europe/London", currency="GBP", country="GB"
        )
        Store.objects.create(merchant=merchant, name="Store 0", code="S0")
        user = User.objects.create_user("owner@large.example", name="Owner")
        Membership.objects.create(merchant=merchant, user=user, role=Role.OWNER)
    found = access_for(user_id=User.objects.get().pk, store_id=Store.objects.get(code="S0").pk)
    assert found is not None
    return found


def _fill(cursor: Any, merchant: Any, start: datetime, first: int, end: int) -> None:
    """Accounts `first` to `end`; entry v (0..19) of account n has the number 20 n + v, as have its purchase and lot."""
    sources = {
        "m": merchant,
        "start": start,
        "first": first,
        "last": end - 1,
        "versions": ENTRIES_PER_ACCOUNT,
    }
    stores = "(ARRAY(SELECT id FROM stores WHERE merchant_id = %(m)s ORDER BY code))[1 + (n + {v}) %% 10]"
    at = "%(start)s::timestamptz + v * interval '50 days' + (n %% 4700) * interval '15 minutes'"
    each = (
        "SELECT n, v, n * 20 + v AS number, v / 4 AS g, v %% 4 AS j"
        " FROM generate_series(%(first)s::int, %(last)s::int) n, generate_series(0, %(versions)s::int - 1) v"
    )
    is_reversed = f"n %% {ACCOUNTS_PER_REVERSAL} = 0"
    kept = f"(CASE WHEN {is_reversed} THEN 600 ELSE 750 END)"
    spent = f"coalesce(least(greatest({kept} - 100 * (g * 3 + j), 0), 100), 0)"

    def copy(table: str, rows: str, changed: dict[str, str], template: str = "") -> None:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public'"
            " AND is_generated = 'NEVER' ORDER BY ordinal_position",
            [table],
        )
        columns = [column for (column,) in cursor.fetchall()]
        values = ", ".join(changed.get(column, f"t.{column}") for column in columns)
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM ({rows}) r,"
            f" (SELECT * FROM {table} WHERE merchant_id = %(m)s AND id::text NOT LIKE '0190000_-0000-7000-8000-%%%%'"
            f" {template} LIMIT 1) t",
            sources,
        )

    people = "SELECT n FROM generate_series(%(first)s::int, %(last)s::int) n"
    begin, over = (at.replace("v *", f"{v} *") for v in (0, 18))
    copy("customers", people, {
        "id": identity("customer", "n"), "customer_number": "(2000000000 + n)::text", "points": f"1500 - {kept}",
        "total_spent": "1500", "visit_count": "15", "first_visit_at": begin, "last_visit_at": over,
    })  # fmt: skip
    copy("loyalty_enrollments", people, {
        "id": identity("account", "n"), "customer_id": identity("customer", "n"), "balance": f"1500 - {kept}",
        "version": f"CASE WHEN {is_reversed} THEN 21 ELSE 20 END", "net_spend": "1500", "last_activity_at": over,
        "enrolled_at": begin,
    })  # fmt: skip
    copy("purchases", f"{each} WHERE v %% 4 < 3", {
        "id": identity("purchase", "number"), "customer_id": identity("customer", "n"), "store_id": stores.format(v="v"),
        "transaction_id": "'P' || number", "amount": "100", "occurred_at": at, "recorded_at": at,
    })  # fmt: skip
    for what, points, balance, purchase in (
        ("< 3", "100", "g * 150 + j * 100", identity("purchase", "number")),
        ("= 3", "-150", "g * 150 + 300", "NULL::uuid"),
    ):
        copy("loyalty_transactions", f"{each} WHERE v %% 4 {what}", {
            "id": identity("entry", "number"), "enrollment_id": identity("account", "n"), "version": "v + 1",
            "points": points, "balance_before": balance, "balance_after": f"{balance} + {points}",
            "purchase_id": purchase, "transaction_id": "''" if points == "100" else "'X' || number",
            "store_id": stores.format(v="v" if points == "100" else "v * v"), "occurred_at": at, "recorded_at": at,
        }, "AND type = 'earned'" if points == "100" else "AND type = 'redeemed'")  # fmt: skip
        copy("customer_events", f"{each} WHERE v %% 4 {what}", {
            "id": identity("event", "number"), "customer_id": identity("customer", "n"),
            "data": f"jsonb_build_object('entryId', {identity('entry', 'number')}, 'points', {points},"
            f" 'balance', {balance} + {points})",
            "occurred_at": at, "recorded_at": at, "dispatched_at": at,
        }, "AND type = 'points.earned'" if points == "100" else "AND type = 'points.redeemed'")  # fmt: skip
    copy("loyalty_lots", f"{each} WHERE v %% 4 < 3", {
        "id": identity("lot", "number"), "enrollment_id": identity("account", "n"), "entry_id": identity("entry", "number"),
        "purchase_id": identity("purchase", "number"), "points": "100", "remaining": f"100 - {spent}", "earned_at": at,
    })  # fmt: skip
    # Redemption g takes points 150 g to 150 g + 150 of all that was earned, 100 to a lot: a whole lot and half of one.
    lot = "3 * (g / 2) + g %% 2 + part"
    copy("loyalty_allocations", f"SELECT * FROM ({each} WHERE v %% 4 = 3) s, generate_series(0, 1) part", {
        "id": identity("allocation", "number * 2 + part"), "entry_id": identity("entry", "number"),
        "lot_id": identity("lot", f"n * 20 + 4 * (({lot}) / 3) + ({lot}) %% 3"),
        "points": "CASE WHEN (g + part) %% 2 = 0 THEN 100 ELSE 50 END",
    })  # fmt: skip
    copy("customer_events", people, {
        "id": identity("event", "2000000000 + n"), "customer_id": identity("customer", "n"), "occurred_at": begin,
        "recorded_at": begin, "dispatched_at": begin,
    }, "AND type = 'tier.changed'")  # fmt: skip
    # Beyond the numbers of all others.
    undone = identity("entry", "1000000000 + n")
    last = identity("entry", "n * 20 + 19")
    reversals = f"SELECT n, 19 AS v FROM generate_series(%(first)s::int, %(last)s::int) n WHERE {is_reversed}"
    copy("loyalty_transactions", reversals, {
        "id": undone, "enrollment_id": identity("account", "n"), "version": "21", "type": "'reversed'", "points": "150",
        "balance_before": "750", "balance_after": "900", "reverses_id": last, "transaction_id": "''",
        "store_id": stores.format(v="v * v"), "occurred_at": f"{at} + interval '1 hour'",
        "recorded_at": f"{at} + interval '1 hour'",
    }, "AND type = 'redeemed'")  # fmt: skip
    copy("customer_events", reversals, {
        "id": identity("event", "1000000000 + n"), "customer_id": identity("customer", "n"), "type": "'points.reversed'",
        "data": f"jsonb_build_object('entryId', {undone}, 'points', 150, 'balance', 900)",
        "occurred_at": f"{at} + interval '1 hour'", "recorded_at": f"{at} + interval '1 hour'",
        "dispatched_at": f"{at} + interval '1 hour'",
    }, "AND type = 'points.redeemed'")  # fmt: skip
    copy("loyalty_allocations", f"SELECT * FROM ({reversals}) s, generate_series(0, 1) part", {
        "id": identity("allocation", "2000000000 + n * 2 + part"), "entry_id": undone,
        "lot_id": identity("lot", "n * 20 + 8 + part"), "points": "CASE part WHEN 0 THEN 100 ELSE 50 END",
    })  # fmt: skip


def sell(merchant: Any) -> None:
    from cloudpos.checkout.sales import take_purchase
    from customers.models import Customer

    access = _access()
    ids = list(Customer.objects.for_merchant(merchant).values_list("pk", flat=True)[:NEW_SALES])
    for number, customer_id in enumerate(ids):
        sale = {
            "customer_id": customer_id,
            "transaction_id": f"NEW-{number}-{time.time_ns()}",
            "amount": Decimal(10),
        }
        take_purchase(access=access, sale=sale)


def explain(merchant_id: Any) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        for sql in (
            "SELECT tier, count(*), sum(balance)::bigint, sum(version)::bigint FROM loyalty_enrollments"
            " WHERE merchant_id = %s GROUP BY tier",
            "SELECT account.id FROM loyalty_enrollments account LEFT JOIN loyalty_rollup_accounts rolled"
            " ON rolled.merchant_id = account.merchant_id AND rolled.enrollment_id = account.id"
            " WHERE account.merchant_id = %s AND account.version > coalesce(rolled.version, 0)",
        ):
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", [merchant_id])
            print("\n".join(line for (line,) in cursor.fetchall()))


@contextmanager
def timed(title: str) -> Iterator[None]:
    wall, process = time.perf_counter(), time.process_time()
    yield
    print(
        f"{time.perf_counter() - wall:9.3f} s  {title} ({time.process_time() - process:.3f} s of this process)",
        flush=True,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entries", type=int, default=500_000)
    parser.add_argument("--verify", action="store_true", help="time each check of verify_ledger too")
    parser.add_argument("--explain", action="store_true", help="print the plans of what every reading does")
    parser.add_argument("--keep", action="store_true", help="leave the database")
    parser.add_argument("--reuse", action="store_true", help="measure what --keep left")
    return parser.parse_args()


if __name__ == "__main__":
    main()
