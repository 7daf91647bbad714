"""Asking for a recalculation, watching it, and stopping it."""

import re
import uuid

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from analytics.recalculations import Mode, start_recalculation
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import run_here
from tests.admin.conftest import Regulars
from tests.fixtures import Shop

QUERIES = 5


def text_of(client: Client, query: str = "") -> str:
    answer = client.get(reverse("recalculation_page") + query)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def ask(client: Client, **fields: str) -> str:
    answer = client.post(reverse("recalculation_page"), fields, follow=True)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def test_looking_starts_nothing(manager: Client, shop: Shop) -> None:
    assert "Recalculate now" in text_of(manager)
    assert not Job.objects.exists()


def test_from_the_request_to_the_end(manager: Client, shop: Shop, regulars: Regulars) -> None:
    shown = ask(manager)
    assert "The recalculation has been asked for." in shown and "Under way" in shown
    job = Job.objects.get()
    assert (job.kind, job.parameters, job.actor_id) == (
        "analytics.recalculate",
        {"mode": "full"},
        shop.manager.user_id,
    )
    # What asks again while something runs has a mark that says so.
    assert "data-running" in manager.get(reverse("recalculation_page") + "?part=1").content.decode()
    run_here(job.pk)
    part = manager.get(reverse("recalculation_page") + "?part=1").content.decode()
    assert "data-running" not in part and "Done" in part and "<html" not in part


def test_asked_twice_is_one(manager: Client, shop: Shop) -> None:
    ask(manager)
    ask(manager)
    assert Job.objects.count() == 1


def test_while_some_customers_are_recalculated(manager: Client, shop: Shop) -> None:
    start_recalculation(merchant_id=shop.merchant.pk, mode=Mode.INCREMENTAL)
    assert "already under way" in ask(manager)


def test_stopping(manager: Client, shop: Shop) -> None:
    ask(manager)
    job = Job.objects.get()
    assert "The recalculation stops" in ask(manager, cancel=str(job.pk))
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED


def test_stopping_what_is_not_theirs(manager: Client, shop: Shop, foreign_shop: Shop) -> None:
    foreign = start_recalculation(merchant_id=foreign_shop.merchant.pk)
    for job_id in (str(foreign.pk), str(uuid.uuid4()), "x"):
        assert "There is no such job." in ask(manager, cancel=job_id)
    foreign.refresh_from_db()
    assert not foreign.cancel_requested


def test_only_with_the_token_of_the_form(shop: Shop, manager: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(manager.get(reverse("recalculation_page")).wsgi_request.user)  # type: ignore[arg-type]
    assert strict.post(reverse("recalculation_page")).status_code == 403
    assert not Job.objects.exists()


def test_how_much_is_asked_of_the_database(manager: Client, shop: Shop) -> None:
    for _ in range(12):
        run_here(start_recalculation(merchant_id=shop.merchant.pk, actor_id=shop.manager.user_id).pk)
    with CaptureQueriesContext(connection) as queries:
        text_of(manager)
    assert len(queries) == QUERIES
