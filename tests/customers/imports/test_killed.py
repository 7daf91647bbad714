"""An import and its undo whose process is killed at any moment, again and again: nobody is lost, and nobody comes twice."""

import time
import uuid
from collections.abc import Iterator

import pytest

from cloudpos.jobs.models import Job
from customers.models import Customer, Erasure, Event, ImportRow
from customers.services import create_customer
from tests.customers.imports.conftest import Bring, Brought, answer, csv_of
from tests.fixtures import Shop
from tests.ops.nursery import Workers, workers_that
from tests.ops.processes import wait_for

ROWS, KNOWN, KILLS = 45, 15, 3

# In small chunks, each of which takes a moment, so that a kill falls into one of them or right between two.
PREPARE = """
import numpy
from cloudpos.lifecycle import undoing_imports
from customers.imports import ahead, running as imports, writers

imports.CHUNK_ROWS = undoing_imports.CHUNK_ROWS = 3
write = writers.write
writers.write = lambda *arguments: (write(*arguments), time.sleep(0.01))[0]
decide = ahead.decide
imports.decide = ahead.decide = lambda *arguments, **named: (time.sleep(0.03), decide(*arguments, **named))[1]
"""


@pytest.fixture
def workers() -> Iterator[Workers]:
    with workers_that(PREPARE) as workers:
        yield workers


def do_while_killed(workers: Workers, brought: Brought, step: str, total: int) -> None:
    job = Job.objects.get(pk=uuid.UUID(answer(brought.client.post(f"{brought.path}/{step}"))["id"]))

    def done() -> int:
        job.refresh_from_db()
        return job.done

    workers.begin()
    for kill in range(1, KILLS + 1):
        wait_for(lambda kill=kill: done() >= kill * total // (KILLS + 2))  # type: ignore[misc]
        time.sleep(kill * 0.004)
        workers.kill()
        assert done() < total and job.state == Job.State.RUNNING
        workers.begin()
    wait_for(lambda: bool(done()) and not job.is_active)
    workers.kill()
    assert (job.state, job.done) == (Job.State.DONE, total)


@pytest.mark.django_db(transaction=True)
def test_killed_again_and_again_each_row_is_done_once(shop: Shop, bring: Bring, workers: Workers) -> None:
    for number in range(KNOWN):
        create_customer(access=shop.access, data={"first_name": "Old", "email": f"p{number}@example.com"})
    people = [(f"p{number}@example.com", f"New{number}") for number in range(ROWS)]
    brought = bring(csv_of(("E-mail", "First name"), *people, ("p40@example.com", "twice"), ("bad", "")))
    total = ROWS + 2

    do_while_killed(workers, brought, "check", total)
    counts = {"rows": total, "created": ROWS - KNOWN, "updated": KNOWN, "failed": 2}
    assert brought.read()["checkCounts"] == counts
    assert brought.problems() == [
        (ROWS + 2, "E-mail", "duplicate_in_file"),
        (ROWS + 3, "E-mail", "invalid_email"),
    ]
    assert Customer.objects.filter(first_name="Old").count() == Customer.objects.count() == KNOWN

    do_while_killed(workers, brought, "run", total)
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

    do_while_killed(workers, brought, "undo", ROWS)
    assert brought.read()["undoCounts"] == {"undone": ROWS}
    visible = Customer.objects.filter(deleted_at=None)
    assert set(visible.values_list("first_name", flat=True)) == {"Old"} and visible.count() == KNOWN
    assert Erasure.objects.count() == ROWS - KNOWN
    assert Event.objects.filter(type="import.undone").count() == 1
