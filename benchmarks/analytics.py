"""How long a merchant's figures take over very many purchases.

    python -m benchmarks.analytics --customers 100000 --purchases 1000000 [--keep]

Fills a throw-away database (the one of DATABASE_URL with `_rollups` behind its name; see benchmarks.analytics_population), sums
the purchases up as the background does after an import, and asks each question over HTTP (without a network):

    cold         in a new process with empty caches; the database's own memory is as it is
    after a sale again in that process, when a sale has come in: nothing that was answered before holds
    warm         again, when nothing has changed; the median of five

Prints seconds beside the goals, which are for 1,000,000 customers with 10,000,000 purchases on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from benchmarks import database
from benchmarks.server import BASE_DIR

COLD_GOAL_SECONDS = 1.5
COHORTS_GOAL_SECONDS = 3.0
WARM_GOAL_SECONDS = 0.05
ASKED_AGAIN = 5


def questions() -> dict[str, tuple[str, float]]:
    """Path and cold goal in seconds of each."""
    today = datetime.now(UTC).date()

    def since(days: int) -> str:
        return f"from={today - timedelta(days=days - 1)}&to={today}"

    cohorts = f"startDate={today - timedelta(days=730)}&endDate={today}"
    return {
        "overview, 30 days": (f"/analytics/overview?{since(30)}", COLD_GOAL_SECONDS),
        "overview, 365 days": (f"/analytics/overview?{since(365)}", COLD_GOAL_SECONDS),
        "overview, all time": (f"/analytics/overview?{since(1_100)}", COLD_GOAL_SECONDS),
        "segments": ("/analytics/segments", COLD_GOAL_SECONDS),
        "cohorts, 24 months": (f"/analytics/cohorts?{cohorts}", COHORTS_GOAL_SECONDS),
        "cohorts, value": (f"/analytics/cohorts?{cohorts}&metric=cumulativeValue", COHORTS_GOAL_SECONDS),
        "cohorts, weeks": (f"/analytics/cohorts?{cohorts}&granularity=week", COHORTS_GOAL_SECONDS),
        "products, 30 days": (f"/analytics/products?{since(30)}", COLD_GOAL_SECONDS),
        "products, 365 days": (f"/analytics/products?{since(365)}", COLD_GOAL_SECONDS),
    }


def main() -> None:
    options = _options()
    if options.ask:
        ask(options.ask)
        return
    # What is measured is the work, not the limit that ends a request.
    os.environ.setdefault("STATEMENT_TIMEOUT_MS", "3600000")
    name = database.point_environment_at_own_database("_rollups")
    os.environ["DJANGO_SETTINGS_MODULE"] = "cloudpos.settings"
    is_new = database.make(name, options)
    try:
        prepare(options, is_new=is_new)
        if is_new:
            database.mark(name, options)
        if not options.load_only:
            measure(options)
    finally:
        if not options.keep:
            database.drop(name)


def prepare(options: argparse.Namespace, *, is_new: bool) -> None:
    import django

    django.setup()
    from django.db import connections

    from analytics.rollups.refresh import refresh
    from benchmarks.analytics_population import fill
    from cloudpos.tenancy.models import Merchant

    if is_new:
        with timed(f"filled: {options.customers:,} customers, {options.purchases:,} purchases"):
            fill(options.customers, options.purchases)
    if is_new or options.again:
        with timed("first summing up, in the background"):
            days = refresh(merchant_id=Merchant.objects.get().pk, again=True)
        print(f"    {days:,} days")
        _tell_sizes()
    connections.close_all()


def measure(options: argparse.Namespace) -> None:
    print(f"{'':24}{'cold':>8} {'goal':>6} {'after a sale':>14} {'warm':>8} {'goal':>6}")
    for what, (path, goal) in questions().items():
        if options.only and not what.startswith(options.only):
            continue
        command = [sys.executable, "-m", "benchmarks.analytics", "--ask", path]
        done = subprocess.run(command, cwd=BASE_DIR, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{what:24}{found['cold']:8.3f} {goal:6.2f} {found['after']:14.3f} {found['warm']:8.4f} {WARM_GOAL_SECONDS:6.2f}",
            flush=True,
        )


def ask(path: str) -> None:
    """One question in this new process; prints seconds as JSON."""
    import django

    django.setup()
    from django.core.cache import cache
    from django.test import Client

    from benchmarks.analytics_population import sell
    from cloudpos.tenancy.models import Store, User
    from cloudpos.tenancy.tokens import mint_access_token

    headers = {
        "authorization": f"Bearer {mint_access_token(user_id=User.objects.get().pk)}",
        "x-store-id": str(Store.objects.get(code="S1").pk),
    }
    client = Client(headers=headers)
    # Imports and the connection are there before the question is.
    client.get("/api/v1/customers?limit=1")
    cache.clear()

    def timed_answer() -> float:
        started = time.perf_counter()
        answer = client.get(f"/api/v1{path}")
        seconds = time.perf_counter() - started
        if answer.status_code != 200:
            raise SystemExit(f"{path}: {answer.status_code} {answer.content[:300]!r}")
        return seconds

    cold = timed_answer()
    sell(7)
    after = timed_answer()
    warm = statistics.median(timed_answer() for _ in range(ASKED_AGAIN))
    print(json.dumps({"cold": cold, "after": after, "warm": warm}))


def _tell_sizes() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class"
            " WHERE relkind = 'r' AND (relname LIKE 'analytics%' OR relname = 'purchases')"
            " AND pg_total_relation_size(oid) > 1000000 ORDER BY pg_total_relation_size(oid) DESC"
        )
        for table, size in cursor.fetchall():
            print(f"    {table}: {size}")


@contextmanager
def timed(title: str) -> Iterator[None]:
    wall, process = time.perf_counter(), time.process_time()
    yield
    print(
        f"{time.perf_counter() - wall:9.1f} s  {title} ({time.process_time() - process:.1f} s of this process)",
        flush=True,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--purchases", type=int, default=1_000_000)
    parser.add_argument("--keep", action="store_true", help="use the database that was left, and leave it")
    parser.add_argument("--again", action="store_true", help="sum up anew")
    parser.add_argument("--only", default="", help="only the questions that begin so")
    parser.add_argument("--load-only", action="store_true", help="fill and sum up, without asking")
    parser.add_argument("--ask", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
