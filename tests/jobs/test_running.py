"""Running jobs: progress, results, errors, stopping, and leases that a second process respects."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import InternalError, OperationalError
from django.utils.timezone import now
from psycopg.errors import IdleInTransactionSessionTimeout

from cloudpos.api.errors import BadRequest
from cloudpos.jobs import running, services
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import ATTEMPTS_MAX, JobCancelled, JobLost, Work, claim_job, run, run_jobs
from cloudpos.jobs.tasks import run_jobs as run_jobs_task
from tests.fixtures import Shop
from tests.jobs.conftest import Probe, start, state_of

pytestmark = pytest.mark.django_db


def lose_lease(job: Job) -> None:
    """Time passes without a sign of its process."""
    Job.objects.filter(pk=job.pk).update(leased_until=now() - timedelta(seconds=1))


def test_what_comes_out_is_in_the_row(shop: Shop, probe: Probe) -> None:
    def work(work: Work) -> Any:
        work.expect(3)
        for _ in range(3):
            work.advance(even=1)
        return {"day": work.parameters["day"], "of": work.merchant_id}

    probe.work = work
    job = start(shop, parameters={"day": "2026-01-31"})
    assert run_jobs_task() == 1
    job.refresh_from_db()
    assert (job.state, job.done, job.total, job.counts) == ("done", 3, 3, {"even": 3})
    assert job.result == {"day": "2026-01-31", "of": str(shop.merchant.pk)}
    assert job.started_at < job.finished_at and job.claim is None


def test_progress_is_written_at_most_once_a_second(
    shop: Shop, probe: Probe, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(shop)
    work = claim_job()
    with django_assert_num_queries(0):
        for _ in range(1_000):
            work.advance()
    monkeypatch.setattr(running, "TELL_SECONDS_MIN", 0.0)
    with django_assert_num_queries(1):
        work.advance()
    assert (state_of(job), job.done) == ("running", 1_001)
    assert job.leased_until > now()


def test_more_than_was_expected_is_not_an_error(shop: Shop, probe: Probe) -> None:
    def work(work: Work) -> None:
        work.expect(1)
        work.advance(5)

    probe.work = work
    job = start(shop)
    run_jobs()
    assert (state_of(job), job.done, job.total) == ("done", 5, 5)


def test_a_refusal_fails_it_in_words(shop: Shop, probe: Probe) -> None:
    def work(work: Work) -> None:
        raise BadRequest("There are no purchases.", code="nothing_bought")

    probe.work = work
    job = start(shop)
    run_jobs()
    assert (state_of(job), job.error_code, job.error) == (
        "failed",
        "nothing_bought",
        "There are no purchases.",
    )


def test_a_defect_fails_it_without_the_message_that_may_hold_personal_data(shop: Shop, probe: Probe) -> None:
    def work(work: Work) -> None:
        raise ValueError("alice@example.com is odd")

    probe.work = work
    job = start(shop)
    run_jobs()
    assert (state_of(job), job.error_code) == ("failed", "unexpected")
    assert "ValueError" in job.error and "alice" not in job.error


def test_a_result_has_a_largest_size(shop: Shop, probe: Probe) -> None:
    probe.work = lambda work: "x" * running.RESULT_BYTES_MAX
    job = start(shop)
    run_jobs()
    assert (state_of(job), job.error_code, job.result) == ("failed", "result_too_large", None)


def test_one_that_runs_stops_where_it_next_says_how_far_it_is(
    shop: Shop, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "TELL_SECONDS_MIN", 0.0)

    def work(work: Work) -> None:
        work.advance()
        services.cancel_job(merchant_id=work.merchant_id, job_id=work.job_id)
        work.advance()
        raise AssertionError("it was asked to stop")

    probe.work = work
    job = start(shop)
    run_jobs()
    assert (state_of(job), job.done, job.finished_at is not None) == ("cancelled", 2, True)


def test_one_whose_process_died_goes_on_where_it_was(
    shop: Shop, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "JOBS_AT_ONCE", 2)
    job = start(shop)
    dead = claim_job()
    dead.expect(10)
    dead.checkpoint({"last": 4}, done=4, changed=2)
    assert claim_job() is None, "its lease still holds"
    lose_lease(job)
    work = claim_job()
    assert (work.cursor, work.done, work.total, work.counts) == ({"last": 4}, 4, 10, {"changed": 2})


def test_one_without_a_checkpoint_begins_anew(
    shop: Shop, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "TELL_SECONDS_MIN", 0.0)
    job = start(shop)
    claim_job().advance(4, changed=2)
    lose_lease(job)
    work = claim_job()
    assert (work.cursor, work.done, work.counts) == (None, 0, {})


def test_who_was_thought_dead_may_not_write_any_more(shop: Shop, probe: Probe) -> None:
    job = start(shop)
    late = claim_job()
    lose_lease(job)
    taker = claim_job()
    taker.checkpoint("b")
    with pytest.raises(JobLost):
        late.checkpoint("a")
    late.finish(Job.State.FAILED, error="I was first")
    assert (state_of(job), job.cursor) == ("running", "b")
    run(taker)
    assert state_of(job) == "done"


def test_one_that_was_stopped_while_its_process_was_dead_does_not_run(shop: Shop, probe: Probe) -> None:
    probe.work = lambda work: pytest.fail("it was stopped")
    job = start(shop)
    claim_job()
    services.cancel_job(merchant_id=shop.merchant.pk, job_id=job.pk)
    assert state_of(job) == "running", "who runs it must be told"
    lose_lease(job)
    run_jobs()
    assert state_of(job) == "cancelled"


def test_one_that_kills_its_process_each_time_is_given_up(shop: Shop, probe: Probe) -> None:
    probe.work = lambda work: pytest.fail("it was tried often enough")
    job = start(shop)
    for _ in range(ATTEMPTS_MAX):
        claim_job()
        lose_lease(job)
    run_jobs()
    assert (state_of(job), job.error_code) == ("failed", "worker_died")


def test_one_that_comes_further_each_time_is_not(shop: Shop, probe: Probe) -> None:
    job = start(shop)
    for number in range(ATTEMPTS_MAX + 1):
        claim_job().checkpoint(number)
        lose_lease(job)
    run_jobs()
    assert state_of(job) == "done"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OperationalError("the server is away"), None),
        # A process that stood still for too long, its transaction open.
        (InternalError("the session was ended"), IdleInTransactionSessionTimeout()),
    ],
)
def test_a_database_that_goes_leaves_it_to_be_taken_over(
    shop: Shop, probe: Probe, error: Exception, cause: Exception | None
) -> None:
    def work(work: Work) -> None:
        raise error from cause

    probe.work = work
    job = start(shop)
    run_jobs()
    assert state_of(job) == "running"
    probe.work = lambda work: None
    lose_lease(job)
    run_jobs()
    assert state_of(job) == "done"


def test_only_so_many_run_at_once(
    shop: Shop, foreign_shop: Shop, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(shop)
    start(foreign_shop)
    assert (settings.JOBS_AT_ONCE, claim_job() is not None, claim_job()) == (1, True, None)
    monkeypatch.setattr(settings, "JOBS_AT_ONCE", 2)
    assert claim_job() is not None


def test_merchants_take_turns(shop: Shop, foreign_shop: Shop, probe: Probe) -> None:
    served = []
    probe.work = lambda work: served.append(work.merchant_id)
    for number in range(3):
        start(shop, key=str(number))
    time.sleep(0.001)
    start(foreign_shop)
    run_jobs()
    ours, theirs = shop.merchant.pk, foreign_shop.merchant.pk
    assert served == [ours, theirs, ours, ours]


def test_a_kind_that_this_release_does_not_know_waits_for_one_that_does(shop: Shop, probe: Probe) -> None:
    job = start(shop)
    Job.objects.filter(pk=job.pk).update(kind="of.tomorrow")
    assert run_jobs() == 0
    assert state_of(job) == "queued"


def test_progress_beside_checkpoints_is_refused(shop: Shop, probe: Probe) -> None:
    start(shop)
    work = claim_job()
    work.checkpoint("a")
    with pytest.raises(RuntimeError, match="part of a checkpoint"):
        work.advance()
    with pytest.raises(ValueError, match="never empty"):
        work.checkpoint(None)


def test_a_long_statement_is_announced(shop: Shop, probe: Probe) -> None:
    job = start(shop)
    work = claim_job()
    assert work is not None
    work.hold(3_600)
    job.refresh_from_db()
    assert job.leased_until > now() + timedelta(seconds=3_600)
    work.hold(0)
    job.refresh_from_db()
    assert now() < job.leased_until < now() + timedelta(seconds=running.LEASE_SECONDS + 1)
    services.cancel_job(merchant_id=shop.merchant.pk, job_id=job.pk)
    with pytest.raises(JobCancelled):
        work.hold(0)
    lose_lease(job)
    assert claim_job() is not None
    with pytest.raises(JobLost):
        work.hold(0)
