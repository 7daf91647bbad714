"""Long work in the admin: the list, one job with what came out of it, stopping, and dry runs beside their editors."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from analytics.recalculations import start_recalculation
from cloudpos.admin.jobs import ROWS_ON_PAGE
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import claim_job, run_jobs
from cloudpos.jobs.services import start_job
from loyalty.dry_runs import jobs
from loyalty.models import Program
from tests.admin.conftest import Regulars, person, staff_client
from tests.admin.test_other_pages import PROGRAM, tiers
from tests.admin.test_promotions import FORM
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

KIND = "analytics.recalculate"


@pytest.fixture
def manager(shop: Shop, regulars: Regulars) -> Client:
    return staff_client(person(shop, "manager"))


@pytest.fixture
def never_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PURCHASES_AT_ONCE_MAX", -1)


def page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def part_of(answer: Any) -> str:
    """The address of the part that an answer brings, with a job's state."""
    found = re.search(r'data-part="([^"]+)"', answer.content.decode())
    assert found, answer.content
    return found[1]


def test_the_list_says_how_far_each_is_and_who_asked(manager: Client, shop: Shop) -> None:
    assert "Nothing has gone on in the background yet." in text(page(manager, reverse("jobs_page")))
    start_recalculation(merchant_id=shop.merchant.pk)
    work = claim_job()
    assert work is not None
    work.expect(200)
    work._told_at = 0
    work.advance(50)
    failed = start_job(merchant_id=shop.merchant.pk, kind=KIND, key="x", actor_id=shop.manager.user_id)
    Job.objects.filter(pk=failed.pk).update(
        state="failed", error="There is no program.", finished_at=failed.created_at
    )
    listed = page(manager, reverse("jobs_page"))
    assert "Running 50 of 200 customers" in text(listed)
    assert re.search(r"Failed There is no program\. .* manager of Corner Shop", text(listed))
    assert "By itself" in text(listed)
    assert listed.count(">Stop</button>") == 1
    part = page(manager, reverse("jobs_page") + "?part=1")
    assert "data-running" in part and "<html" not in part
    work.finish(Job.State.DONE)
    assert "data-running" not in page(manager, reverse("jobs_page") + "?part=1")


def test_a_long_list_has_pages(manager: Client, shop: Shop) -> None:
    Job.objects.bulk_create(
        Job(merchant=shop.merchant, kind=KIND, state="done", finished_at=shop.merchant.created_at)
        for _ in range(ROWS_ON_PAGE + 1)
    )
    assert "Older" in text(page(manager, reverse("jobs_page")))
    assert text(page(manager, reverse("jobs_page") + "?page=2")).count("Done") == 1
    assert page(manager, reverse("jobs_page") + "?page=x")


def test_stopping_one(manager: Client, shop: Shop) -> None:
    job = start_recalculation(merchant_id=shop.merchant.pk)
    url = reverse("stop_job", args=[job.pk])
    assert manager.get(url).status_code == 405
    assert "It stops" in text(manager.post(url, follow=True).content.decode())
    job.refresh_from_db()
    assert job.state == "cancelled"
    Job.objects.filter(pk=job.pk).update(state="done")
    assert "This job is already over." in text(manager.post(url, follow=True).content.decode())


def test_one_that_runs_is_stopping(manager: Client, shop: Shop) -> None:
    job = start_recalculation(merchant_id=shop.merchant.pk)
    claim_job()
    answer = manager.post(reverse("stop_job", args=[job.pk]) + "?part=1").content.decode()
    assert "Stopping" in text(answer) and ">Stop<" not in answer and "data-running" in answer


def test_another_merchant_s_are_not_there(manager: Client, foreign_shop: Shop) -> None:
    theirs = start_recalculation(merchant_id=foreign_shop.merchant.pk)
    assert str(theirs.pk) not in page(manager, reverse("jobs_page"))
    for url in (reverse("job_page", args=[theirs.pk]), reverse("job_page", args=[theirs.pk]) + "?part=1"):
        assert manager.get(url).status_code == 404
    assert manager.post(reverse("stop_job", args=[theirs.pk])).status_code == 404
    theirs.refresh_from_db()
    assert not theirs.cancel_requested


def test_they_are_no_cashier_s(shop: Shop, regulars: Regulars) -> None:
    job = start_recalculation(merchant_id=shop.merchant.pk)
    client = staff_client(person(shop, "cashier"))
    for url in (reverse("jobs_page"), reverse("job_page", args=[job.pk])):
        assert client.get(url).status_code in (302, 403)


# --- Dry runs -----------------------------------------------------------------------------------------------------


def test_a_large_dry_run_is_watched_where_it_was_asked_for(
    manager: Client, shop: Shop, never_at_once: None
) -> None:
    asked = manager.post(reverse("admin:loyalty_promotion_tried"), FORM)
    job = Job.objects.get()
    assert job.actor_id == shop.manager.user_id
    part = part_of(asked)
    assert part == reverse("job_page", args=[job.pk]) + "?part=1"
    waiting = page(manager, part)
    assert "data-running" in waiting and "Waiting" in text(waiting) and "data-stays" in waiting
    run_jobs()
    done = page(manager, part)
    assert "Points more" in done and "data-running" not in done and "<html" not in done
    assert "Points more" in page(manager, reverse("job_page", args=[job.pk]))


def test_it_is_stopped_where_it_was_asked_for(manager: Client, shop: Shop, never_at_once: None) -> None:
    manager.post(reverse("admin:loyalty_promotion_tried"), FORM)
    stopped = manager.post(reverse("stop_job", args=[Job.objects.get().pk]) + "?part=1").content.decode()
    assert "Cancelled" in text(stopped) and "data-running" not in stopped


def test_the_program_is_tried_before_it_is_saved(
    manager: Client, shop: Shop, regulars: Regulars, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program.objects.get(merchant=shop.merchant)
    editor = page(manager, reverse("admin:loyalty_program_change", args=[program.pk]))
    url = reverse("admin:loyalty_program_tried", args=[program.pk])
    assert url in editor
    values = program_form(program, points_per_unit="3")
    at_once = manager.post(url, values).content.decode()
    assert "The program with these changes" in text(at_once) and "Points more" in text(at_once)
    monkeypatch.setattr(jobs, "PURCHASES_AT_ONCE_MAX", -1)
    part = part_of(manager.post(url, values))
    run_jobs()
    by_job = page(manager, part)
    assert numbers(by_job) == numbers(at_once)
    program.refresh_from_db()
    assert program.points_per_unit == 1
    assert "Say after how many months." in manager.post(url, {}).content.decode()


def numbers(html: str) -> list[str]:
    """All that is said, but as of when."""
    return re.findall(r"<dt>.*?</dd>|<strong>.*?</strong>", html, re.S)


def program_form(program: Program, **changed: Any) -> dict[str, Any]:
    """The fields of the program's form as they are filled in."""
    rows = list(program.tiers.order_by("threshold"))
    ladder = tiers(
        *[(row.name, row.code, str(row.threshold), str(row.multiplier)) for row in rows], initial=rows
    )
    return {**PROGRAM, "point_name": "point", **ladder, **changed}
