"""How long all figures of a large merchant take, beside the SQL that they need at least, and what tills notice of it.

    python -m benchmarks.recalculation --customers 1000000 --purchases 10000000 [--keep]

Fills a throw-away database (`<name>_rollups`, the same that benchmarks.analytics makes and --keep leaves), then:

    bare SQL     one statement that reads what the figures are made of: of each customer the purchase days in the store's
                 zone net of returns, their number, first, last, gaps, sums and items; into a table of its own
    full         `manage.py recalculate --full`, with both models trained; peak memory of its process
    tills        a steady mix of requests (get, list, search, quote and sale) before, and while a second one runs
    incremental  `manage.py recalculate` after sales to so many customers

Prints the goals beside: full within 3x of bare SQL, less than 1.5 GB, the 99th percentile within 2x.
"""

import argparse
import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import psycopg

from benchmarks import database, load
from benchmarks.counterparties import headers, sample
from benchmarks.scenarios import SCENARIOS, Counterparty
from benchmarks.server import BASE_DIR, Server

RATIO_GOAL, MEMORY_GOAL_MB, P99_GOAL = 3.0, 1_500, 2.0
TOUCHED = (100, 1_000, 10_000)
# Of a chain of shops at noon.
REQUESTS_PER_SECOND = 50
MIX = ("get", "get", "list", "search", "quote", "purchase")
QUIET_SECONDS = 20.0
LOOK_SECONDS = 0.2

BARE_SQL = """
CREATE TABLE bare AS
WITH sale AS (
    SELECT p.customer_id, (p.occurred_at AT TIME ZONE zone.name)::date AS day,
        p.amount - coalesce(returned.amount, 0) AS net, coalesce(item.quantity, 0) AS quantity
    FROM purchases p
    JOIN (
        SELECT store.id, coalesce(nullif(store.timezone, ''), merchant.timezone) AS name
        FROM stores store JOIN merchants merchant ON merchant.id = store.merchant_id
    ) zone ON zone.id = p.store_id
    LEFT JOIN (SELECT purchase_id, sum(amount) AS amount FROM purchase_returns GROUP BY 1) returned ON returned.purchase_id = p.id
    LEFT JOIN (SELECT purchase_id, sum(quantity) AS quantity FROM purchase_items GROUP BY 1) item ON item.purchase_id = p.id
    WHERE p.merchant_id = %(merchant)s AND p.amount > coalesce(returned.amount, 0)
), per_day AS (
    SELECT customer_id, day, count(*) AS sales, sum(net) AS net, sum(quantity) AS quantity,
        day - lag(day) OVER (PARTITION BY customer_id ORDER BY day) AS gap
    FROM sale GROUP BY customer_id, day
)
SELECT customer_id, count(*) AS days, min(day) AS first, max(day) AS last, sum(sales) AS sales, sum(net) AS net,
    sum(net) FILTER (WHERE day > current_date - 365) AS net_365, sum(quantity) AS quantity,
    avg(gap) AS gap, stddev(gap) AS gap_sd
FROM per_day GROUP BY customer_id
"""


def main() -> None:
    chosen = _options()
    name = database.point_environment_at_own_database("_rollups")
    os.environ["DJANGO_SETTINGS_MODULE"] = "cloudpos.settings"
    is_new = database.make(name, chosen)
    import django

    django.setup()
    try:
        if is_new:
            _fill(chosen)
            database.mark(name, chosen)
        measure(chosen)
    finally:
        from django.db import connections

        connections.close_all()
        if not chosen.keep:
            database.drop(name)


def measure(chosen: argparse.Namespace) -> None:
    at = _counterparty()
    parts = chosen.parts.split(",")
    bare = 0.0
    if "bare" in parts:
        bare = _bare_sql(at)
        print(f"{bare:9.1f} s  bare SQL", flush=True)
    if "full" in parts:
        seconds, peak_mb = _recalculate("--full", cold=True)
        ratio = f", {seconds / bare:.2f}x of bare SQL (goal {RATIO_GOAL:.0f}x)" if bare else ""
        print(f"{seconds:9.1f} s  full, {peak_mb:,.0f} MB (goal {MEMORY_GOAL_MB:,}){ratio}", flush=True)
    if "tills" in parts:
        _tills(at)
    if "incremental" in parts:
        _recalculate()
        for touched in TOUCHED:
            _touch(touched)
            seconds, peak_mb = _recalculate()
            print(f"{seconds:9.1f} s  incremental, {touched:,} customers, {peak_mb:,.0f} MB", flush=True)


def _fill(chosen: argparse.Namespace) -> None:
    from django.db import connection

    from benchmarks.analytics_population import fill

    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    fill(chosen.customers, chosen.purchases)
    connection.close()
    print(f"{time.perf_counter() - started:9.1f} s  filled", flush=True)


def _counterparty() -> Counterparty:
    from cloudpos.tenancy.models import Merchant, Store, User

    merchant, store = Merchant.objects.get(), Store.objects.get(code="S1")
    at = Counterparty("large", merchant.pk, store.pk, User.objects.get().pk, 0)
    sample(at)
    return at


def _bare_sql(at: Counterparty) -> float:
    """Seconds of the statement, with as much memory as it can use; the second run, with what is cached then."""
    with closing(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)) as session:
        session.execute("SET work_mem = '256MB'")
        session.execute("SET jit = off")
        for _ in range(2):
            session.execute("DROP TABLE IF EXISTS bare")
            started = time.perf_counter()
            session.execute(BARE_SQL, {"merchant": at.merchant_id})
            seconds = time.perf_counter() - started
        session.execute("DROP TABLE bare")
    return seconds


def _recalculate(*arguments: str, cold: bool = False) -> tuple[float, float]:
    """Seconds, and megabytes of its process at most. `cold`: as if it had never run, so that the models are trained too."""
    if cold:
        with closing(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)) as session:
            session.execute("TRUNCATE analytics_promoted_models, analytics_model_runs CASCADE")
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "recalculate", *arguments],
        cwd=BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
    )
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, psutil.Process(process.pid).memory_info().rss)
        except psutil.Error:
            break
        time.sleep(LOOK_SECONDS)
    said = process.communicate()[0].strip().splitlines()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit("\n".join(said))
    print(f"{'':12} {said[-1] if said else ''}")
    return seconds, peak / 1_000_000


def _touch(customers: int) -> None:
    """As many customers have bought since, as the recalculation sees it."""
    with closing(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)) as session:
        session.execute(
            "UPDATE analytics_customers SET visit_count = visit_count - 1 WHERE id IN"
            " (SELECT id FROM analytics_customers ORDER BY md5(id::text) LIMIT %s)",
            [customers],
        )


def _tills(at: Counterparty) -> None:
    from customers.counting import compact_counts

    # Beat does so each minute; what the full run before left would make every list count half a million deltas.
    compact_counts()
    with closing(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)) as session:
        session.execute("VACUUM (ANALYZE) customer_counts")
    with (
        tempfile.TemporaryDirectory(prefix="cloudpos-benchmark-") as folder,
        Server(path="/health", log=Path(folder) / "web.log", environment=dict(os.environ)) as server,
    ):
        _steady(server, at, lambda started: time.perf_counter() - started < QUIET_SECONDS / 4)
        before = _steady(server, at, lambda started: time.perf_counter() - started < QUIET_SECONDS)
        recalculating = threading.Thread(target=_recalculate, args=["--full"])
        recalculating.start()
        during = _steady(server, at, lambda _: recalculating.is_alive())
        recalculating.join()
    for title, result in (("alone", before), ("beside it", during)):
        p50, p99, most = (result.percentile(percent) for percent in (50, 99, 100))
        print(
            f"{'':12} {REQUESTS_PER_SECOND} requests/s {title}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {most:.0f} ms,"
            f" {len(result.latencies):,} answers, statuses {dict(result.statuses)}",
            flush=True,
        )
    ratio = during.percentile(99) / before.percentile(99)
    print(f"{ratio:9.2f} x  p99 beside a recalculation (goal {P99_GOAL:.0f}x)", flush=True)


def _steady(server: Server, at: Counterparty, goes_on: Callable[[float], bool]) -> load.Result:
    """REQUESTS_PER_SECOND, each on time whether or not the one before was answered. Latencies count from when it was due."""
    scenarios = {scenario.name: scenario.calls(at) for scenario in SCENARIOS if scenario.name in MIX}
    kinds = itertools.cycle(MIX)
    lines = headers(at)
    result = load.Result()

    async def one(due: float) -> None:
        request = load.prepared(scenarios[next(kinds)](), lines + b"Connection: close\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request)
        answer = await reader.read()
        result.latencies.append(time.perf_counter() - due)
        result.statuses[int(answer[9:12])] += 1
        writer.close()

    async def all_of_them() -> None:
        started = due = time.perf_counter()
        under_way: set[asyncio.Task[None]] = set()
        while goes_on(started):
            task = asyncio.create_task(one(due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            due += 1 / REQUESTS_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await asyncio.gather(*under_way)
        result.seconds = time.perf_counter() - started

    asyncio.run(all_of_them())
    return result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--purchases", type=int, default=1_000_000)
    parser.add_argument("--keep", action="store_true", help="use the database that was left, and leave it")
    parser.add_argument("--parts", default="bare,full,tills,incremental", help="of these, in this order")
    return parser.parse_args()


if __name__ == "__main__":
    main()
