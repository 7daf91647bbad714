"""How long a file of customers takes: its check of every row, its import, the same file again, and its undo.

    python -m benchmarks.imports --rows 100000 [--xlsx] [--keep]

Makes a throw-away database (`<name>_imports`) with one merchant, a fifth of whose customers are there already, and a CSV of ten
columns (e-mail, national phone, names, birth date, tags, address, own field, consent); of every thousand rows one has a problem.
The jobs run in this process, as a worker runs them. Prints the goals beside, and the most memory that the process ever had.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import resource
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import database

GOAL_S = 60.0
KNOWN_SHARE = 5
HEAD = [
    "E-Mail",
    "Vorname",
    "Nachname",
    "Telefon",
    "Geburtsdatum",
    "Tags",
    "Straße",
    "PLZ",
    "Ort",
    "metadata.size",
    "Newsletter",
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--xlsx", action="store_true", help="an Excel file instead of a CSV")
    parser.add_argument("--keep", action="store_true", help="keep the database")
    chosen = parser.parse_args()
    name = database.point_environment_at_own_database("_imports")
    os.environ["DJANGO_SETTINGS_MODULE"] = "cloudpos.settings"
    database.drop(name)
    database.make(name, chosen)
    database.migrate(Path(os.devnull))
    import django

    django.setup()
    from django.db import connections

    try:
        measure(chosen)
    finally:
        connections.close_all()
        if not chosen.keep:
            database.drop(name)


def person(number: int) -> list[str]:
    if number % 1_000 == 7:
        return ["no address", f"First{number}", "", "12", "31.2.1990", "", "", "", "", "", ""]
    return [
        f"person{number}@example.com",
        f"First{number % 900}",
        f"Last{number % 7_000}",
        f"0{1_500_000_000 + number}",
        f"{number % 28 + 1}.{number % 12 + 1}.{1940 + number % 60}",
        f"tag{number % 20}",
        f"Road {number % 300}",
        f"{10_000 + number % 80_000}",
        f"City {number % 500}",
        str(number % 50),
        ("ja", "nein", "")[number % 3],
    ]


def content(rows: int, *, xlsx: bool) -> bytes:
    if xlsx:
        from openpyxl import Workbook

        book = Workbook(write_only=True)
        sheet = book.create_sheet()
        sheet.append(HEAD)
        for number in range(rows):
            sheet.append(person(number))
        file = io.BytesIO()
        book.save(file)
        return file.getvalue()
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";")
    writer.writerow(HEAD)
    writer.writerows(person(number) for number in range(rows))
    return text.getvalue().encode()


def measure(chosen: argparse.Namespace) -> None:
    from cloudpos.tenancy.access import access_for
    from cloudpos.tenancy.models import Membership, Merchant, Role, Store, User
    from customers.services.bulk import load_customers

    merchant = Merchant.objects.create(name="Large", slug="large", country="DE", currency="EUR")
    store = Store.objects.create(merchant=merchant, name="Shop", code="SHOP")
    user = User.objects.create_user("manager@large.example")
    Membership.objects.create(merchant=merchant, user=user, role=Role.MANAGER)
    access = access_for(user_id=user.pk, store_id=store.pk)
    assert access is not None
    known = (
        {"first_name": "Old", "email": f"person{number}@example.com"}
        for number in range(0, chosen.rows, KNOWN_SHARE)
    )
    load_customers(access=access, rows=known)
    file = content(chosen.rows, xlsx=chosen.xlsx)
    print(f"{chosen.rows:,} rows, {len(file) / 1e6:.1f} MB", flush=True)
    first = _import(access, file)
    total = first["check"] + first["run"]
    print(f"{total:9.1f} s  check and import (goal {GOAL_S * chosen.rows / 100_000:.0f} s)", flush=True)
    again = _import(access, file)
    print(f"{again['check'] + again['run']:9.1f} s  the same file again: nothing changes", flush=True)
    _clocked("undo of the first", lambda: _job(access, first["id"], "undo"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{peak:9.0f} MB  the most memory of this process, the file made here included", flush=True)


def _import(access: Any, file: bytes) -> dict[str, Any]:
    from customers.imports import services
    from customers.imports.storage import PART_BYTES_MAX
    from customers.models import Import

    source = services.create_import(access=access, file_name="people.csv")

    def upload() -> None:
        for number, start in enumerate(range(0, len(file), PART_BYTES_MAX)):
            part = file[start : start + PART_BYTES_MAX]
            services.put_part(merchant_id=access.merchant_id, import_id=source.pk, number=number, data=part)
        services.finish_upload(access=access, import_id=source.pk)
        services.change_import(access=access, import_id=source.pk, changes={"consent_source": "paper form"})

    found: dict[str, Any] = {"id": source.pk, "upload": _clocked("upload", upload)}
    for step in ("check", "run"):
        found[step] = _clocked(step, lambda step=step: _job(access, source.pk, step))  # type: ignore[misc]
    print(f"{'':12} {Import.objects.get(pk=source.pk).run_counts}", flush=True)
    return found


def _job(access: Any, import_id: uuid.UUID, step: str) -> None:
    from cloudpos.jobs.running import run_here
    from customers.imports import services

    start = {"check": services.start_check, "run": services.start_run, "undo": services.start_undo}[step]
    job = run_here(start(access=access, import_id=import_id).pk)
    assert job.state == "done", (job.error_code, job.error)


def _clocked(title: str, work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    print(f"{seconds:9.1f} s  {title}", flush=True)
    return seconds


if __name__ == "__main__":
    main()
