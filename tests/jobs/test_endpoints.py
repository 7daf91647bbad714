"""GET /jobs, GET /jobs/{id}, POST /jobs/{id}/cancel. Roles and foreign merchants: tests/test_roles.py, test_tenancy.py."""

import uuid
from typing import Any

import pytest

from cloudpos.jobs.running import Work, claim_job, run_jobs
from tests.fixtures import Shop
from tests.jobs.conftest import Probe, start

pytestmark = pytest.mark.django_db


def shown(response: Any) -> Any:
    assert response.status_code == 200, response.content
    return response.json()["data"]


def test_a_job_from_its_request_to_its_result(shop: Shop, probe: Probe) -> None:
    def work(work: Work) -> Any:
        work.expect(2)
        work.advance(2, changed=1)
        return {"points": 5}

    probe.work = work
    job = start(shop, key="a", parameters={"days": 30}, actor_id=shop.manager.user_id)
    path = f"/jobs/{job.pk}"
    waiting = shown(shop.manager.get(path))
    assert waiting == {
        "id": str(job.pk),
        "kind": "probe",
        "key": "a",
        "state": "queued",
        "done": 0,
        "total": None,
        "counts": {},
        "parameters": {"days": 30},
        "errorCode": "",
        "error": "",
        "cancelRequested": False,
        "actorId": str(shop.manager.user_id),
        "createdAt": waiting["createdAt"],
        "startedAt": None,
        "finishedAt": None,
        "result": None,
    }
    run_jobs()
    done = shown(shop.manager.get(path))
    assert (done["state"], done["done"], done["total"], done["counts"]) == ("done", 2, 2, {"changed": 1})
    assert done["result"] == {"points": 5}


def test_the_list_is_newest_first_without_results_and_is_narrowed(
    shop: Shop, probe: Probe, django_assert_max_num_queries: Any
) -> None:
    jobs = [start(shop, key=str(number)) for number in range(3)]
    claim_job()
    with django_assert_max_num_queries(4):
        listing = shown(shop.manager.get("/jobs"))
    assert [row["id"] for row in listing["jobs"]] == [str(job.pk) for job in reversed(jobs)]
    assert listing["total"] == 3 and "result" not in listing["jobs"][0]
    assert [row["key"] for row in shown(shop.manager.get("/jobs?state=running"))["jobs"]] == ["0"]
    assert shown(shop.manager.get("/jobs?kind=other"))["jobs"] == []


def test_a_waiting_job_is_cancelled_and_one_that_runs_is_asked_to_stop(shop: Shop, probe: Probe) -> None:
    running, waiting = start(shop, key="a"), start(shop, key="b")
    assert claim_job() is not None
    answers = [shown(shop.manager.post(f"/jobs/{job.pk}/cancel")) for job in (waiting, running)]
    assert [(answer["state"], answer["cancelRequested"]) for answer in answers] == [
        ("cancelled", True),
        ("running", True),
    ]


def test_one_that_is_over_says_so(shop: Shop, probe: Probe) -> None:
    job = start(shop)
    run_jobs()
    answer = shop.manager.post(f"/jobs/{job.pk}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_is_over")


def test_an_absent_one_is_not_found(shop: Shop) -> None:
    for answer in (
        shop.manager.get(f"/jobs/{uuid.uuid4()}"),
        shop.manager.post(f"/jobs/{uuid.uuid4()}/cancel"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
