"""A process that is killed in the middle of a job, as by SIGKILL at any moment: nothing is lost, nothing is done twice."""

import time

import pytest

from cloudpos.jobs.models import Job
from cloudpos.tenancy.models import Store
from tests.fixtures import Shop
from tests.jobs.conftest import Probe, start, state_of
from tests.ops.nursery import workers_that
from tests.ops.processes import wait_for

CHUNKS = 60
KILLS = 3

# Opens a store per chunk: a chunk that is done twice breaks the unique code, one that is lost is missing.
PREPARE = f"""
from django.db import transaction
from cloudpos.jobs.kinds import job_kind
from cloudpos.tenancy.models import Store

@job_kind("probe", title="Probe")
def probe(work):
    work.expect({CHUNKS})
    for number in range((work.cursor or 0) + 1, {CHUNKS} + 1):
        with transaction.atomic():
            Store.objects.create(merchant_id=work.merchant_id, name="Shop", code=f"S{{number}}")
            work.checkpoint(number, opened=1)
        time.sleep(0.01)
"""


@pytest.mark.django_db(transaction=True)
def test_killed_again_and_again_each_chunk_is_done_once(shop: Shop, probe: Probe) -> None:
    job = start(shop)

    def opened() -> int:
        return Store.objects.filter(merchant=shop.merchant, code__startswith="S").count()

    with workers_that(PREPARE) as workers:
        workers.begin()
        for kill in range(1, KILLS + 1):
            wait_for(lambda kill=kill: opened() >= kill * CHUNKS // (KILLS + 1))  # type: ignore[misc]
            time.sleep(kill * 0.003)
            workers.kill()
            assert state_of(job) == "running"
            workers.begin()
        wait_for(lambda: state_of(job) == "done")
    assert (job.done, job.total, job.counts, opened()) == (CHUNKS, CHUNKS, {"opened": CHUNKS}, CHUNKS)
    assert Job.objects.count() == 1
