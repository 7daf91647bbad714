"""How fast the service is, in one command.

    python -m benchmarks.run                                  100,000 customers, every scenario, about five minutes
    python -m benchmarks.run --customers 1000000 --keep       a million; the database stays for the next run
    python -m benchmarks.run --scenarios list,get --seconds 3
    python -m benchmarks.run --write                          and put the table into benchmarks/README.md

Makes a database of its own (`<name>_benchmark`) beside the one of DATABASE_URL or on the embedded engine, migrates it, loads it
through the bulk paths, and serves it by gunicorn as README.md says, with limits raised. The yardstick, an empty DRF view in an
empty project (benchmarks.bare), runs under the same gunicorn configuration and is measured in turn with the rest.
"""

import argparse
import contextlib
import logging
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import database, load, report
from benchmarks.counterparties import collect_cursors, counterparties, headers, refuse_wrong_answers
from benchmarks.population import tidy
from benchmarks.report import Measured
from benchmarks.scenarios import SCENARIOS, Counterparty, Scenario
from benchmarks.scenarios_points import POINTS_SCENARIOS
from benchmarks.server import BASE_DIR, Server, database_cpu_seconds

ALL_SCENARIOS = [*SCENARIOS, *POINTS_SCENARIOS]
ROUNDS = 3
# The yardstick is measured again after this many scenarios: on a shared machine its speed changes by the minute.
SCENARIOS_PER_YARDSTICK = 3
WARM_UP_SECONDS = 0.3
TRANSACTION_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.split("\n")[0])
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument(
        "--purchases", type=int, help="loaded before measuring; default: two per customer, at most 200,000"
    )
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="per scenario and merchant, over all rounds"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--scenarios", help=f"of {', '.join(s.name for s in ALL_SCENARIOS)}; default: all")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="use the database that an earlier run with --keep left, and leave it",
    )
    parser.add_argument(
        "--worker", action="store_true", help="let a Celery worker handle the events meanwhile"
    )
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    parser.add_argument("--quiet-exit", action="store_true", help="exit 0 even if a goal is missed")
    chosen = parser.parse_args(arguments)
    known = {scenario.name for scenario in ALL_SCENARIOS}
    chosen.scenarios = chosen.scenarios.split(",") if chosen.scenarios else sorted(known)
    unknown = set(chosen.scenarios) - known
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    if chosen.purchases is None:
        chosen.purchases = min(2 * chosen.customers, 200_000)
    return chosen


def count_queries(at: Counterparty, scenario: Scenario) -> int:
    """Statements of one request with warm caches, BEGIN and COMMIT not counted."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(headers=dict(line.split(": ", 1) for line in headers(at).decode().strip().split("\r\n")))
    next_call = scenario.calls(at)
    for _ in range(2):
        call = next_call()
        with CaptureQueriesContext(connection) as captured:
            client.generic(call.method, call.path, call.body, "application/json")
    return sum(not query["sql"].startswith(TRANSACTION_CONTROL) for query in captured.captured_queries)


# --- Measuring ----------------------------------------------------------------------------------------------


class Yardstick:
    """The empty DRF view, measured again and again."""

    def __init__(self, server: Server, seconds: float, connections: int) -> None:
        self.server, self.seconds, self.connections = server, seconds, connections
        self.total = load.Result()
        self.cpu_seconds = 0.0

    def rate(self) -> float:
        ready = load.prepared(load.Call("GET", self.server.path), b"")
        before = self.server.cpu_seconds()
        result = load.run(
            port=self.server.port,
            next_request=lambda: ready,
            seconds=self.seconds,
            connections=self.connections,
        )
        self.cpu_seconds += self.server.cpu_seconds() - before
        self.total.add(result)
        return result.per_second


def measure_one(
    server: Server, measured: Measured, at: Counterparty, name: str, seconds: float, n: int
) -> float:
    """One slice of one scenario. Returns its rate."""
    next_call = measured.scenario.calls(at)
    lines = headers(at)

    def next_request() -> bytes:
        return load.prepared(next_call(), lines)

    load.run(port=server.port, next_request=next_request, seconds=WARM_UP_SECONDS, connections=n)
    web, db = server.cpu_seconds(), database_cpu_seconds(name)
    result = load.run(port=server.port, next_request=next_request, seconds=seconds, connections=n)
    measured.web_cpu_seconds += server.cpu_seconds() - web
    db_after = database_cpu_seconds(name)
    if db is not None and db_after is not None:
        measured.database_cpu_seconds = (measured.database_cpu_seconds or 0.0) + max(0.0, db_after - db)
    measured.total.add(result)
    return result.per_second


def measure(
    server: Server,
    yardstick: Yardstick,
    plan: list[tuple[Measured, Counterparty]],
    name: str,
    chosen: argparse.Namespace,
) -> None:
    """All rounds, the yardstick between every few slices."""
    seconds = chosen.seconds / chosen.rounds
    if not plan:
        return
    yardstick.rate()
    for number in range(chosen.rounds):
        before = yardstick.rate()
        for start in range(0, len(plan), SCENARIOS_PER_YARDSTICK):
            some = plan[start : start + SCENARIOS_PER_YARDSTICK]
            rates = [
                (measured, measure_one(server, measured, at, name, seconds, chosen.connections))
                for measured, at in some
            ]
            after = yardstick.rate()
            for measured, rate in rates:
                measured.shares.append(2 * rate / (before + after))
            before = after
        print(f"round {number + 1} of {chosen.rounds} done", file=sys.stderr, flush=True)


@contextlib.contextmanager
def celery_worker(log: Path) -> Iterator[None]:
    """The worker and beat that script/server starts beside the web."""
    scripts = Path(sys.executable).parent
    celery = [str(scripts / "celery"), "-A", "cloudpos.celery", "--quiet"]
    commands = [
        [*celery, "worker", "--concurrency", "2", "-l", "warning", "--without-gossip", "--without-mingle"],
        [*celery, "beat", "-l", "warning", "-s", str(log.parent / "beat"), "--pidfile="],
    ]
    with open(log, "ab") as output:
        running = [
            subprocess.Popen(command, cwd=BASE_DIR, stdout=output, stderr=output) for command in commands
        ]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def machine() -> str:
    """In general terms: what a reader needs to compare with their own."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.closing(database.maintenance_connection()) as server:
        (version,) = server.execute("SHOW server_version").fetchone() or ("?",)
        durable = server.execute(
            "SELECT current_setting('fsync') || '/' || current_setting('synchronous_commit')"
        ).fetchone()
    return (
        f"{cores} cores ({platform.machine()}) shared by web, database, Redis and the load generator; "
        f"Python {platform.python_version()}, PostgreSQL {version} (fsync/synchronous_commit {durable[0] if durable else '?'})"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run it all. 1 when a goal was missed or an answer was wrong."""
    chosen = parse_arguments(arguments)
    name = database.point_environment_at_own_database()
    with tempfile.TemporaryDirectory(prefix="cloudpos-benchmark-") as folder:
        log = Path(folder) / "log"
        loaded: dict[str, Any] = {}
        if database.make(name, chosen):
            database.migrate(log)
            loaded = database.populate(chosen)
            database.mark(name, chosen)
        try:
            text, misses = measure_all(chosen, name, Path(folder), loaded)
        finally:
            if not chosen.keep:
                database.drop(name)
    print(text)
    if chosen.write:
        report.write(text)
    for miss in misses:
        print(f"missed: {miss}", file=sys.stderr)
    return 1 if misses and not chosen.quiet_exit else 0


def measure_all(
    chosen: argparse.Namespace, name: str, folder: Path, loaded: dict[str, Any]
) -> tuple[str, list[str]]:
    """The report, and what was promised and is not so."""
    import django

    django.setup()
    # Also after an earlier run: what a worker does every minute.
    tidy()
    largest, smallest = counterparties()
    environment = dict(os.environ)
    bare = Server(
        path="/empty",
        log=folder / "bare.log",
        environment=environment,
        application="benchmarks.bare:application",
    )
    service = Server(path="/health", log=folder / "web.log", environment=environment)
    with contextlib.ExitStack() as running:
        running.enter_context(bare)
        running.enter_context(service)
        if chosen.worker:
            running.enter_context(celery_worker(folder / "worker.log"))
        plan: list[tuple[Measured, Counterparty]] = []
        for scenario in ALL_SCENARIOS:
            if scenario.name not in chosen.scenarios:
                continue
            for at in (largest, smallest) if scenario.both else (largest,):
                if scenario.name == "cursor" and not at.cursors:
                    collect_cursors(service.port, at)
                refuse_wrong_answers(service.port, scenario, at)
                plan.append((Measured(scenario, f"{at.label} ({at.customers:,})"), at))
        yardstick = Yardstick(bare, chosen.seconds / chosen.rounds, chosen.connections)
        # Reading first: a merchant of 200 customers is one only until some are created.
        for writing in (False, True):
            part = [(measured, at) for measured, at in plan if measured.scenario.writes is writing]
            measure(service, yardstick, part, name, chosen)
    rows = [measured for measured, _ in plan]
    logging.disable()
    for measured, at in plan:
        if measured.scenario.check is not None:
            answered = measured.total.statuses[measured.scenario.expected]
            measured.wrong = measured.scenario.check(at, answered)
        measured.queries = count_queries(at, measured.scenario)
    return compose(chosen, yardstick, rows, loaded), [
        f"{row.scenario.title}, {row.label}: {miss}" for row in rows for miss in row.misses
    ]


def compose(
    chosen: argparse.Namespace, yardstick: Yardstick, rows: list[Measured], loaded: dict[str, Any]
) -> str:
    bare = ["Empty DRF view, empty project", "", f"{yardstick.total.per_second:.0f}", "1.00", ""]
    bare += [f"{yardstick.total.percentile(50):.1f}", f"{yardstick.total.percentile(99):.1f}"]
    cpu_ms = 1000 * yardstick.cpu_seconds / (len(yardstick.total.latencies) or 1)
    bare += [f"{cpu_ms:.2f}", "", "0", str(yardstick.total.errors(200))]
    parts = [
        f"{machine()}. {chosen.customers:,} customers of 50 merchants, {chosen.connections} connections, two gunicorn "
        f"processes, {chosen.seconds:g} s per line in {chosen.rounds} rounds"
        + (", with a Celery worker running." if chosen.worker else "."),
        report.table([bare, *[row.cells() for row in rows]]),
    ]
    if loaded:
        parts.append(
            report.table(
                [
                    [
                        step["what"],
                        f"{step['rows']:,}",
                        f"{step['seconds']:.1f}",
                        f"{step['rows'] / step['seconds']:,.0f}",
                    ]
                    for step in loaded["steps"]
                ],
                ["Bulk loading", "Rows", "Seconds", "Rows/s"],
            )
            + f"\n\nPeak memory of the loading process: {loaded['peak_mb']:.0f} MB."
        )
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
