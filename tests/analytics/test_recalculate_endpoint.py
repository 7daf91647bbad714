"""POST /analytics/recalculate, GET /analytics/jobs/{id} and its cancelling."""

import uuid
from datetime import UTC, datetime

import pytest

from cloudpos.jobs.models import Job
from cloudpos.jobs.running import run_jobs
from customers.models import Customer
from tests.analytics.conftest import buy
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


def test_a_job_that_is_watched_to_its_end(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "10.00", datetime(2020, 1, 1, tzinfo=UTC))
    answer = shop.manager.post("/analytics/recalculate")
    assert answer.status_code == 202
    asked = answer.json()["data"]
    assert answer.headers["Location"] == f"/api/v1/analytics/jobs/{asked['id']}"
    assert (asked["kind"], asked["state"], asked["parameters"]) == (
        "analytics.recalculate",
        "queued",
        {"mode": "full"},
    )
    assert asked["actorId"] == str(shop.manager.user_id)
    run_jobs()
    found = shop.manager.get(answer.headers["Location"].removeprefix("/api/v1")).json()["data"]
    assert (found["state"], found["done"], found["total"], found["error"]) == ("done", 2, 2, "")
    assert found["counts"] == {"models": 2, "figures": 1, "moved": 1}
    assert found["result"] == {"mode": "full"}


def test_asked_twice_it_is_the_same_job(shop: Shop) -> None:
    jobs = {
        shop.manager.post("/analytics/recalculate", body).json()["data"]["id"]
        for body in ({}, {"mode": "full"}, {"mode": "incremental"})
    }
    assert len(jobs) == 1


def test_one_of_all_is_refused_while_one_of_some_is_under_way(shop: Shop) -> None:
    first = shop.manager.post("/analytics/recalculate", {"mode": "incremental"}).json()["data"]
    answer = shop.manager.post("/analytics/recalculate")
    assert (answer.status_code, answer.json()["code"], answer.json()["jobId"]) == (
        409,
        "job_is_active",
        first["id"],
    )


def test_it_can_be_stopped(shop: Shop) -> None:
    asked = shop.manager.post("/analytics/recalculate").json()["data"]
    answer = shop.manager.post(f"/analytics/jobs/{asked['id']}/cancel")
    assert (answer.status_code, answer.json()["data"]["state"]) == (200, "cancelled")
    assert run_jobs() == 0
    # A new one may be asked for.
    assert shop.manager.post("/analytics/recalculate").json()["data"]["id"] != asked["id"]


def test_jobs_of_others_are_absent(shop: Shop, foreign_shop: Shop) -> None:
    other_kind = Job.objects.create(merchant=shop.merchant, kind="probe")
    theirs = foreign_shop.manager.post("/analytics/recalculate").json()["data"]["id"]
    for job_id in (other_kind.pk, theirs, uuid.uuid4()):
        for answer in (
            shop.manager.get(f"/analytics/jobs/{job_id}"),
            shop.manager.post(f"/analytics/jobs/{job_id}/cancel"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


@pytest.mark.parametrize("body", [{"mode": "some"}, {"mode": None}, {"mode": 1}, {"days": 3}])
def test_what_makes_no_sense_is_refused(shop: Shop, body: dict[str, object]) -> None:
    assert shop.manager.post("/analytics/recalculate", body).status_code == 400
    assert not Job.objects.exists()
