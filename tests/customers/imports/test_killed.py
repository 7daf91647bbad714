"""An import and its undo whose process is killed at any moment, again and again: nobody is lost, and nobody comes twice."""

import os
import signal
import subprocess
import sys
import time
import uuid
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from cloudpos.jobs.models import Job
from customers.models import Customer, Erasure, Event, ImportRow
from customers.services import create_customer
from tests.customers.imports.conftest import Bring, Brought, answer, csv_of
from tests.fixtures import Shop
from tests.ops.processes import wait_for

ROWS, KNOWN, KILLS = 60, 20, 3

# In small chunks, each of which takes a moment, so that a kill falls into one of them or right between two.
WORKER = """
import time
import django
django.setup()
from cloudpos.jobs import running
from cloudpos.lifecycle import undoing_imports
from customers.imports import running as imports

imports.CHUNK_ROWS = undoing_imports.CHUNK_ROWS = 3
running.LEASE_SECONDS = 0.5
write = imports.write
imports.write = lambda *arguments: (write(*arguments), time.sleep(0.01))[0]
decide = imports.decide
imports.decide = lambda *arguments, **named: (time.sleep(0.03), decide(*arguments, **named))[1]
while True:
    running.run_jobs()
    time.sleep(0.05)
"""


def start_worker() -> subprocess.Popen[bytes]:
    url = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    return subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env={**os.environ, "DATABASE_URL": url, "REDIS_URL": "none", "ENVIRONMENT": "test"},
        cwd=settings.BASE_DIR,
    )


def do_while_killed(brought: Brought, step: str, total: int) -> None:
    job = Job.objects.get(pk=uuid.UUID(answer(brought.client.post(f"{brought.path}/{step}"))["id"]))

    def done() -> int:
        job.refresh_from_db()
        return job.done

    worker = start_worker()
    try:
        for kill in range(1, KILLS + 1):
            wait_for(lambda kill=kill: done() >= kill * total // (KILLS + 1))  # type: ignore[misc]
            time.sleep(kill * 0.004)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            assert done() < total and job.state == Job.State.RUNNING
            worker = start_worker()
        wait_for(lambda: bool(done()) and not job.is_active)
    finally:
        worker.kill()
        worker.wait()
    assert (job.state, job.done) == (Job.State.DONE, total)


@pytest.mark.django_db(transaction=True)
def test_killed_again_and_again_each_row_is_done_once(shop: Shop, bring: Bring) -> None:
    for number in range(KNOWN):
        create_customer(access=shop.access, data={"first_name": "Old", "email": f"p{number}@example.com"})
    people = [(f"p{number}@example.com", f"New{number}") for number in range(ROWS)]
    brought = bring(csv_of(("E-mail", "First name"), *people, ("p50@example.com", "twice"), ("bad", "")))
    total = ROWS + 2

    do_while_killed(brought, "check", total)
    counts = {"rows": total, "created": ROWS - KNOWN, "updated": KNOWN, "failed": 2}
    assert brought.read()["checkCounts"] == counts
    assert brought.problems() == [
        (ROWS + 2, "E-mail", "duplicate_in_file"),
        (ROWS + 3, "E-mail", "invalid_email"),
    ]
    assert Customer.objects.filter(first_name="Old").count() == Customer.objects.count() == KNOWN

    do_while_killed(brought, "run", total)
    assert brought.read()["runCounts"] == counts
    assert sorted(Customer.objects.values_list("email", "first_name")) == sorted(people)
    assert ImportRow.objects.filter(phase="run").count() == total
    assert set(
        Customer.objects.filter(email__in=[f"p{n}@example.com" for n in range(KNOWN)]).values_list(
            "version", flat=True
        )
    ) == {2}
    assert Event.objects.filter(type="import.finished").count() == 1
    assert Event.objects.filter(type="customer.updated").count() == KNOWN

    do_while_killed(brought, "undo", ROWS)
    assert brought.read()["undoCounts"] == {"undone": ROWS}
    visible = Customer.objects.filter(deleted_at=None)
    assert set(visible.values_list("first_name", flat=True)) == {"Old"} and visible.count() == KNOWN
    assert Erasure.objects.count() == ROWS - KNOWN
    assert Event.objects.filter(type="import.undone").count() == 1
