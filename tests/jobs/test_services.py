"""Asking for jobs and stopping them: one active per kind and key, a bounded queue, a row that is kept for a while."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction
from django.utils.timezone import now

from cloudpos.jobs import services
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import run_jobs
from tests.fixtures import Shop
from tests.jobs.conftest import PROBE, Probe, start, state_of

pytestmark = pytest.mark.django_db


def test_a_job_waits_with_its_parameters_and_somebody_is_woken_after_the_commit(
    shop: Shop, probe: Probe, rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        job = start(shop, parameters={"days": 30}, actor_id=shop.manager.user_id)
        assert rung == []
    assert rung == ["cloudpos.jobs.tasks.run_jobs"]
    assert (state_of(job), job.parameters, job.actor_id) == ("queued", {"days": 30}, shop.manager.user_id)


def test_the_same_job_asked_for_again_is_the_same_row(shop: Shop, probe: Probe) -> None:
    assert start(shop, key="a", parameters={"n": 1}).pk == start(shop, key="a", parameters={"n": 1}).pk


def test_another_one_of_the_same_key_is_refused_while_it_is_active(shop: Shop, probe: Probe) -> None:
    job = start(shop, key="a", parameters={"n": 1})
    with pytest.raises(services.JobIsActive) as refused:
        start(shop, key="a", parameters={"n": 2})
    assert refused.value.extra == {"jobId": job.pk}
    run_jobs()
    assert start(shop, key="a", parameters={"n": 2}).pk != job.pk


def test_another_key_and_another_merchant_have_jobs_of_their_own(
    shop: Shop, foreign_shop: Shop, probe: Probe
) -> None:
    assert len({start(shop).pk, start(shop, key="a").pk, start(foreign_shop).pk}) == 3


@pytest.mark.django_db(transaction=True)
def test_two_who_ask_at_the_same_moment_get_one_job(shop: Shop, probe: Probe) -> None:
    def ask(_: int) -> Any:
        try:
            return start(shop).pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1


def test_the_database_refuses_a_second_active_one(shop: Shop, probe: Probe) -> None:
    start(shop)
    with pytest.raises(IntegrityError, match="jobs_active_uniq"), transaction.atomic():
        Job.objects.create(merchant=shop.merchant, kind=PROBE)


def test_an_unknown_kind_is_a_mistake_of_ours(shop: Shop) -> None:
    with pytest.raises(ValueError, match="no kind of job"):
        services.start_job(merchant_id=shop.merchant.pk, kind="nothing")


def test_only_so_many_of_a_merchant_may_wait(shop: Shop, foreign_shop: Shop, probe: Probe) -> None:
    for number in range(services.JOBS_WAITING_MAX):
        start(shop, key=str(number))
    with pytest.raises(services.TooManyJobs):
        start(shop, key="one more")
    assert start(foreign_shop).is_active


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(shop: Shop, probe: Probe) -> None:
    job = start(shop)
    for _ in range(2):
        services.cancel_job(merchant_id=shop.merchant.pk, job_id=job.pk)
    assert (state_of(job), job.finished_at is not None) == ("cancelled", True)
    assert run_jobs() == 0


def test_a_job_that_is_over_cannot_be_cancelled(shop: Shop, probe: Probe) -> None:
    job = start(shop)
    run_jobs()
    with pytest.raises(services.JobIsOver):
        services.cancel_job(merchant_id=shop.merchant.pk, job_id=job.pk)
    assert state_of(job) == "done"


def test_old_jobs_are_forgotten_but_never_active_ones(shop: Shop, probe: Probe) -> None:
    ended, waiting = start(shop, key="a"), start(shop, key="b")
    services.cancel_job(merchant_id=shop.merchant.pk, job_id=ended.pk)
    assert services.forget_old_jobs(at=now()) == 0
    assert services.forget_old_jobs(at=now() + timedelta(days=services.JOBS_KEPT_DAYS, seconds=1)) == 1
    assert list(Job.objects.all()) == [waiting]
