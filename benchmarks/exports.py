"""How long files of customers and of the points ledger take, and the most memory that the worker ever has.

    python -m benchmarks.exports --rows 100000 [--keep]

Makes a throw-away database (`<name>_exports`) with one merchant, so many customers with address, consent and own fields, and so
many entries of the ledger. Each file is made in a process of its own, as a worker makes it, whose memory (resident, and without
what it shares) is read ten times a second. In the end the same cells are written by openpyxl, for comparison.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from benchmarks import database

GOAL_MB = 300
KINDS = [("customers", "csv"), ("customers", "xlsx"), ("ledger", "csv"), ("ledger", "xlsx")]
COMPARED_ROWS = 5_000
COMPARED_COLUMNS = 40
LOOK_SECONDS = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--keep", action="store_true", help="keep the database")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "cloudpos.settings"
    if chosen.job:
        work(uuid.UUID(chosen.job))
        return
    name = database.point_environment_at_own_database("_exports")
    database.drop(name)
    database.make(name, chosen)
    database.migrate(Path(os.devnull))
    import django

    django.setup()
    from django.db import connections

    try:
        measure(chosen.rows)
    finally:
        connections.close_all()
        if not chosen.keep:
            database.drop(name)


def work(job_id: uuid.UUID) -> None:
    """The worker: one job, then the end."""
    import django

    django.setup()
    from cloudpos.jobs.running import run_here

    job = run_here(job_id)
    sys.exit(0 if job.state == "done" else f"{job.error_code}: {job.error}")


def measure(rows: int) -> None:
    from cloudpos.exports.services import find_export, request_export

    access = fill(rows)
    print(
        f"{rows:,} customers, {rows:,} entries; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        flush=True,
    )
    for kind, format in KINDS:
        export = request_export(access=access, kind=kind, format=format)
        seconds, peak = watched(export.job_id)
        made = find_export(merchant_id=access.merchant_id, export_id=export.pk)
        print(
            f"{seconds:7.1f} s {peak:6.0f} MB  {kind} as {format}: {made.rows:,} rows, {len(made.columns)} columns, "
            f"{made.file_bytes / 1e6:.1f} MB, kept in {made.stored_bytes / 1e6:.1f} MB (goal: {GOAL_MB} MB of memory)",
            flush=True,
        )
    compare()


def watched(job_id: uuid.UUID) -> tuple[float, float]:
    """(seconds, most MB) of a process that makes a file."""
    import psutil

    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.exports", "--job", str(job_id)])
    seen = psutil.Process(process.pid)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, seen.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(LOOK_SECONDS)
    if process.wait():
        raise SystemExit("the export failed")
    return time.perf_counter() - started, peak / 1e6


def fill(rows: int) -> Any:
    """A merchant with so many customers and entries, straight into the tables."""
    from django.db import connection

    from cloudpos.tenancy.access import access_for
    from cloudpos.tenancy.models import Membership, Merchant, Role, Store, User
    from customers.services.bulk import load_customers
    from loyalty.services import create_program

    merchant = Merchant.objects.create(name="Large", slug="large", country="GB", currency="GBP")
    store = Store.objects.create(merchant=merchant, name="Shop", code="SHOP")
    user = User.objects.create_user("manager@large.example")
    Membership.objects.create(merchant=merchant, user=user, role=Role.MANAGER)
    access = access_for(user_id=user.pk, store_id=store.pk)
    assert access is not None
    program = create_program(merchant_id=merchant.pk)
    load_customers(
        access=access,
        rows=(
            {
                "first_name": f"First{number % 900}",
                "last_name": f"Last{number % 7_000}",
                "email": f"person{number}@example.com",
                "phone": f"+4420{70_000_000 + number % 9_000_000:08d}" if number < 9_000_000 else None,
                "tags": [f"tag{number % 20}"],
                "notes": f"Met at the fair of {number % 50}",
                "metadata": {"size": number % 50, "colour": f"colour {number % 9}"},
                "address": {
                    "street1": f"{number % 300} Road",
                    "city": f"City {number % 500}",
                    "postal_code": f"N{number % 90} 1AA",
                    "country": "GB",
                },
            }
            for number in range(rows)
        ),
    )
    values = {"merchant": merchant.pk, "program": program.pk, "store": store.pk, "actor": user.pk}
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for statement in _BOOKS:
            cursor.execute(statement, values)
        cursor.execute("ANALYZE")
    return access


_BOOKS = (
    """INSERT INTO loyalty_enrollments (id, merchant_id, customer_id, program_id, balance, version, tier, net_spend, enrolled_at)
    SELECT gen_random_uuid(), merchant_id, id, %(program)s, 10, 1, '', 0, created_at
    FROM customers WHERE merchant_id = %(merchant)s""",
    """INSERT INTO loyalty_transactions (id, merchant_id, enrollment_id, version, type, points, balance_before, balance_after,
        description, transaction_id, actor_id, store_id, occurred_at, recorded_at)
    SELECT gen_random_uuid(), merchant_id, id, 1, 'bonus', 10, 0, 10, 'Welcome to the club', '', %(actor)s, %(store)s,
        now() - random() * interval '300 days', now() FROM loyalty_enrollments WHERE merchant_id = %(merchant)s""",
    """INSERT INTO customer_consents (id, merchant_id, customer_id, channel, purpose, state, source, wording_version,
        occurred_at, recorded_at)
    SELECT gen_random_uuid(), merchant_id, id, 'email', 'marketing', 'granted', 'web', '1', now(), now()
    FROM customers WHERE merchant_id = %(merchant)s AND abs(hashtext(id::text)) %% 3 = 0""",
)


def compare() -> None:
    """Seconds for a million cells: ours, and openpyxl's."""
    from zoneinfo import ZoneInfo

    from openpyxl import Workbook

    from cloudpos.exports.columns import Column
    from cloudpos.exports.storage import PartWriter
    from cloudpos.exports.xlsx_file import XlsxFile

    class Nowhere(PartWriter):
        def __init__(self) -> None:
            super().__init__(None, uuid.UUID(int=0))  # type: ignore[arg-type]

        def _keep(self, data: bytes) -> None:
            pass

    rows = [
        [f"value {row} of {column}" for column in range(COMPARED_COLUMNS)] for row in range(COMPARED_ROWS)
    ]
    cells = COMPARED_ROWS * COMPARED_COLUMNS / 1e6
    started = time.perf_counter()
    columns = [Column(f"c{place}", f"C{place}", "") for place in range(COMPARED_COLUMNS)]
    file = XlsxFile(Nowhere(), columns, zone=ZoneInfo("UTC"), title="Compared")
    file.add(rows)
    file.finish()
    ours = (time.perf_counter() - started) / cells
    started = time.perf_counter()
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in rows:
        sheet.append(row)
    book.save(io.BytesIO())
    theirs = (time.perf_counter() - started) / cells
    print(f"{ours:7.1f} s for a million cells of an Excel file; {theirs:.1f} s by openpyxl", flush=True)


if __name__ == "__main__":
    main()
