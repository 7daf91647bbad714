"""A recalculation whose process is killed at any moment, again and again: nobody is left out, nothing is done twice."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from analytics.models import CustomerFigures, CutPoints, ModelRun
from analytics.recalculations import Mode, start_recalculation
from cloudpos.jobs.models import Job
from customers.models import Event
from tests.analytics.conftest import buy, new_customer
from tests.fixtures import Shop
from tests.ops.nursery import workers_that
from tests.ops.processes import wait_for

CUSTOMERS = 60
KILLS = 4

# In small chunks, each of which takes a moment, so that a kill falls into one of them or right between two.
PREPARE = """
from analytics import segmenting
from analytics.recalculating import figures, job

job.CUSTOMERS_PER_CHUNK = job.TOUCHED_PER_CHUNK = 3
segmenting.MOVES_MAX = 2
job.JOB_STATEMENT_SECONDS_MAX = 0
upsert = figures._upsert
figures._upsert = lambda *arguments: (time.sleep(0.01), upsert(*arguments))[1]
"""


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
    with workers_that(PREPARE) as workers:
        workers.begin()
        for kill in range(1, KILLS + 1):
            wait_for(lambda kill=kill: done() >= kill * everything // (KILLS + 1))  # type: ignore[misc]
            time.sleep(kill * 0.007)
            workers.kill()
            assert done() < everything and asked.state == Job.State.RUNNING
            workers.begin()
        wait_for(lambda: bool(done()) and asked.state == Job.State.DONE)
    assert (asked.done, asked.counts["figures"], asked.counts["moved"]) == (everything, CUSTOMERS, CUSTOMERS)
    assert CustomerFigures.objects.count() == CUSTOMERS
    changes = Event.objects.filter(type="segment.changed").values_list("customer_id", flat=True)
    assert sorted(changes) == sorted(customer.pk for customer in customers)
    assert ModelRun.objects.count() == 2
    assert (CutPoints.objects.get().for_day is not None) == (mode is Mode.FULL)
