"""Chunks that are written at once, each on a connection of its own: what is done is the file's beginning at every moment."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections, transaction

from cloudpos.jobs.models import Job
from cloudpos.jobs.running import claim_job, run, run_here
from customers.imports import running, writers
from customers.imports.writing import Writing
from customers.models import Customer, Event, Import, ImportRow
from customers.services import create_customer
from tests.customers.imports.conftest import Bring, Brought, answer, csv_of
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db(transaction=True)

WAIT_SECONDS = 20
PEOPLE = [(f"p{number}@example.com", f"New{number}") for number in range(12)]
COUNTS = {"rows": 12, "created": 10, "updated": 2}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "CHUNK_ROWS", 2)
    assert settings.IMPORT_WRITERS == 2


@pytest.fixture
def brought(shop: Shop, bring: Bring) -> Brought:
    """A checked file of six chunks; somebody of the first and somebody of the second is known."""
    for number in (0, 2):
        create_customer(access=shop.access, data={"first_name": "Old", "email": PEOPLE[number][0]})
    found = bring(csv_of(("E-mail", "First name"), *PEOPLE))
    found.check()
    return found


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as thread:
        yield thread
        thread.submit(connections.close_all)


class Watched:
    """`write` of the chunks by their first e-mail: `before` and `after` may do something, on the first try alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.before: dict[str, Callable[[], Any]] = {}
        self.after: dict[str, Callable[[], Any]] = {}
        self.written: dict[str, threading.Event] = {email: threading.Event() for email, _ in PEOPLE}
        self._real = writers.write
        monkeypatch.setattr(writers, "write", self)

    def __call__(self, writing: Writing, *more: Any) -> None:
        lines = "".join([writing.customers.lines, *(each.line for each in writing.created)])
        first = next(email for email, _ in PEOPLE if email in lines)
        self.before.pop(first, lambda: None)()
        self._real(writing, *more)
        self.written[first].set()
        self.after.pop(first, lambda: None)()

    def wait_for(self, email: str) -> Callable[[], None]:
        def wait() -> None:
            assert self.written[email].wait(WAIT_SECONDS)

        return wait


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def assert_each_once(brought: Brought) -> None:
    assert sorted(Customer.objects.values_list("email", "first_name")) == sorted(PEOPLE)
    assert set(Customer.objects.values_list("version", flat=True)) == {1, 2}
    assert ImportRow.objects.filter(phase="run").count() == len(PEOPLE)
    assert Event.objects.filter(type="customer.created", data__importId=brought.id).count() == 10
    assert Event.objects.filter(type="customer.updated").count() == 2
    assert Event.objects.filter(type="import.finished").count() == 1
    assert brought.row.position == len(PEOPLE) + 1


def test_a_chunk_is_written_beside_the_one_before_and_commits_after_it(
    brought: Brought, watched: Watched
) -> None:
    seen = []
    # The first is not done before the second has been written, which waits for it to commit.
    watched.before["p0@example.com"] = watched.wait_for("p2@example.com")
    watched.after["p0@example.com"] = lambda: seen.append(brought.row.position)
    watched.after["p4@example.com"] = lambda: seen.append(brought.row.position)
    assert brought.do("run") == COUNTS
    assert seen[0] == 0 and seen[1] in (3, 5)
    assert_each_once(brought)


def test_a_key_that_somebody_takes_has_both_begun_again(
    shop: Shop, brought: Brought, watched: Watched, elsewhere: ThreadPoolExecutor
) -> None:
    def take() -> None:
        watched.wait_for("p2@example.com")()
        data = {"first_name": "Quick", "email": "p1@example.com"}
        elsewhere.submit(create_customer, access=shop.access, data=data).result(WAIT_SECONDS)

    watched.before["p0@example.com"] = take
    assert brought.do("run") == {"rows": 12, "created": 9, "updated": 3}
    assert sorted(Customer.objects.values_list("email", "first_name")) == sorted(PEOPLE)
    assert set(ImportRow.objects.filter(phase="run", outcome="updated").values_list("number", flat=True)) == {
        2,
        3,
        4,
    }
    assert Event.objects.filter(type="customer.updated").count() == 3


@pytest.mark.parametrize("place", range(5))
def test_one_that_fails_takes_the_later_one_along(brought: Brought, watched: Watched, place: int) -> None:
    first, later = PEOPLE[2 * place][0], PEOPLE[2 * place + 2][0]

    def fail() -> None:
        if place < 4:
            watched.wait_for(later)()
        raise ValueError

    watched.after[first] = fail
    job = run_here(answer(brought.client.post(f"{brought.path}/run"))["id"])
    assert (job.state, job.error) == (
        Job.State.FAILED,
        "Something went wrong; the log says what. (ValueError)",
    )
    done = 2 * place
    assert (brought.row.position, brought.row.run_counts.get("rows", 0), job.done) == (
        done + 1 if done else 0,
        done,
        done,
    )
    assert ImportRow.objects.filter(phase="run").count() == done
    assert brought.do("run") == COUNTS
    assert_each_once(brought)
    assert brought.undo() == {"undone": 12}


def test_a_circle_that_postgresql_does_not_see_is_broken(
    brought: Brought, watched: Watched, elsewhere: ThreadPoolExecutor
) -> None:
    """A merge holds a customer of the first chunk and waits for one of the second, which waits for the first."""
    is_held, ended = threading.Event(), threading.Event()

    def lock(email: str) -> None:
        Customer.objects.select_for_update(no_key=True).get(email=email)

    def merge() -> None:
        with transaction.atomic():
            connection.cursor().execute("SET LOCAL lock_timeout = '20s'")
            lock("p0@example.com")
            is_held.set()
            watched.wait_for("p2@example.com")()
            lock("p2@example.com")
        ended.set()

    merging = elsewhere.submit(merge)
    assert is_held.wait(WAIT_SECONDS)
    job = Job.objects.get(pk=answer(brought.client.post(f"{brought.path}/run"))["id"])
    work = claim_job(job_id=job.pk)
    assert work is not None
    run(work)
    job.refresh_from_db()
    # At once, and not by the next process when the lease is over.
    assert (job.state, brought.row.run_counts) == (Job.State.DONE, COUNTS)
    merging.result(WAIT_SECONDS)
    assert ended.is_set()
    assert_each_once(brought)


def test_who_is_cancelled_between_two_commits_has_done_the_beginning(
    brought: Brought, watched: Watched
) -> None:
    job = Job.objects.get(pk=answer(brought.client.post(f"{brought.path}/run"))["id"])

    def cancel() -> None:
        watched.wait_for("p4@example.com")()
        answer(brought.client.post(f"/jobs/{job.pk}/cancel"))

    watched.after["p2@example.com"] = cancel
    assert run_here(job.pk).state == Job.State.CANCELLED
    assert (brought.row.position, Customer.objects.count()) == (3, 3)
    assert Import.objects.get().run_counts == {"rows": 2, "created": 1, "updated": 1}
    assert brought.do("run") == COUNTS
    assert_each_once(brought)


def test_one_writer_is_enough(brought: Brought, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "IMPORT_WRITERS", 1)
    threads = set()
    real = writers.write
    monkeypatch.setattr(
        writers, "write", lambda *given: (threads.add(threading.current_thread()), real(*given))[1]
    )
    assert brought.do("run") == COUNTS
    assert threads == {threading.main_thread()}
    assert_each_once(brought)
