"""A recalculation whose process is killed at any moment, again and again: nobody is left out, nothing is done twice."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from analytics.models import CustomerFigures, CutPoints, ModelRun
from analytics.recalculations import Mode, start_recalculation
from cloudpos.jobs.models import Job
from customers.models import Event
from tests.analytics.conftest import buy, new_customer
from tests.fixtures import Shop
from tests.ops.processes import wait_for

CUSTOMERS = 60
KILLS = 4

# In small chunks, each of which takes a moment, so that a kill falls into one of them or right between two.
WORKER = """
import time
import django
django.setup()
from analytics import segmenting
from analytics.recalculating import figures, job
from cloudpos.jobs import running

job.CUSTOMERS_PER_CHUNK = job.TOUCHED_PER_CHUNK = 3
segmenting.MOVES_MAX = 2
running.LEASE_SECONDS = 0.5
job.JOB_STATEMENT_SECONDS_MAX = 0
upsert = figures._upsert
figures._upsert = lambda *arguments: (time.sleep(0.01), upsert(*arguments))[1]
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


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.django_db(transaction=True)
def test_killed_again_and_again_everybody_is_done_once(shop: Shop, mode: Mode) -> None:
    at = datetime.now(UTC) - timedelta(days=300)
    customers = [new_customer(shop, f"C{number}") for number in range(CUSTOMERS)]
    for customer in customers:
        buy(shop, customer, "10.00", at)
    asked = start_recalculation(merchant_id=shop.merchant.pk, mode=mode)

    def done() -> int:
        asked.refresh_from_db()
        return asked.done

    everything = CUSTOMERS * (2 if mode is Mode.FULL else 1)
    worker = start_worker()
    try:
        for kill in range(1, KILLS + 1):
            wait_for(lambda kill=kill: done() >= kill * everything // (KILLS + 1))  # type: ignore[misc]
            time.sleep(kill * 0.007)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            assert done() < everything and asked.state == Job.State.RUNNING
            worker = start_worker()
        wait_for(lambda: bool(done()) and asked.state == Job.State.DONE)
    finally:
        worker.kill()
        worker.wait()
    assert (asked.done, asked.counts["figures"], asked.counts["moved"]) == (everything, CUSTOMERS, CUSTOMERS)
    assert CustomerFigures.objects.count() == CUSTOMERS
    changes = Event.objects.filter(type="segment.changed").values_list("customer_id", flat=True)
    assert sorted(changes) == sorted(customer.pk for customer in customers)
    assert ModelRun.objects.count() == 2
    assert (CutPoints.objects.get().for_day is not None) == (mode is Mode.FULL)
