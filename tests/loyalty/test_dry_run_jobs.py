"""Dry runs of many purchases: by a job, in pieces, with the same result as at once."""

import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from cloudpos.jobs import running
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import claim_job, run_jobs
from cloudpos.jobs.services import cancel_job
from cloudpos.tenancy.zones import store_zones
from customers import purchases
from customers.models import Customer
from loyalty.dry_runs import dry_run, jobs, prepare, reading
from loyalty.dry_runs import run as run_trial
from loyalty.models import Program
from loyalty.rules import RuleBook, replay
from loyalty.rules.promotions import Occasion, PromotionRule, Used, award
from loyalty.services import update_program
from loyalty.services.postings import as_sale
from loyalty.services.programs import rule_book
from loyalty.services.promotions import rule_of
from tests.fixtures import Shop
from tests.loyalty.promoting import promote
from tests.ops.processes import wait_for
from tests.tills import bring_back, register, sell

pytestmark = pytest.mark.django_db

TUESDAY = datetime(2026, 3, 3, 10, tzinfo=UTC)
MARCH = {"firstDay": "2026-03-01", "lastDay": "2026-03-14"}
PERIOD: Any = {"begin": datetime(2026, 3, 1, tzinfo=UTC), "end": datetime(2026, 3, 15, tzinfo=UTC)}
DOUBLED: dict[str, Any] = {
    "name": "Double Tuesdays",
    "kind": "multiplier",
    "multiplier": "2",
    "weekdays": [2],
}
BONUS: dict[str, Any] = {"name": "Bonus", "kind": "bonus", "points": 50}
TEA = [{"sku": "T-1", "category": "Tea", "quantity": Decimal(1), "unit_price": Decimal("5.00")}]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """One customer at a time, so that there are several."""
    monkeypatch.setattr(reading, "PEOPLE_AT_ONCE", 1)
    monkeypatch.setattr(running, "TELL_SECONDS_MIN", 0.0)


@pytest.fixture
def never_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PURCHASES_AT_ONCE_MAX", -1)


@pytest.fixture
def bought(shop: Shop, program: Program) -> list[Customer]:
    """Three customers with two days of purchases, many of them within a quarter of an hour; one of them with silver."""
    update_program(merchant_id=shop.merchant.pk, redeem_value=Decimal("0.01"))
    random = Random(7)
    people = [register(shop, name, date_of_birth=date(1990, 3, 4)) for name in ("Dora", "Erin", "Fred")]
    sell(shop.access, people[0], "OLD", "600.00", TUESDAY - timedelta(days=30))
    for number in range(24):
        at = TUESDAY + timedelta(minutes=random.randrange(40), days=random.randrange(2))
        amount = f"{random.randrange(1_00, 90_00) / 100:.2f}"
        items: Any = TEA if number % 3 == 0 else ()
        sell(shop.access, people[number % 3], f"S-{number:02}", amount, at, items=items)
    bring_back(shop.access, "S-04", "R-1", "0.50", TUESDAY + timedelta(days=3))
    return people


def ask(shop: Shop, **body: Any) -> Any:
    return shop.manager.post("/loyalty/dry-runs", {**MARCH, **body})


def job_of(shop: Shop, **body: Any) -> Job:
    """The job that a question is answered with, when it is over."""
    asked = ask(shop, **body)
    assert asked.status_code == 202, asked.content
    run_jobs()
    return Job.objects.get(pk=asked.json()["data"]["id"])


TRIED: list[dict[str, Any]] = [
    {"promotion": DOUBLED},
    {"promotion": {**BONUS, "totalTimes": 5}},
    {"promotion": {**BONUS, "totalPoints": 330, "memberTimes": 3}},
    {"promotion": {**BONUS, "memberTimes": 1, "memberPeriod": "day", "priority": 9, "exclusive": True}},
    {"promotion": {**BONUS, "everyVisit": 3, "minSpend": "20.00", "segments": ["new", "regular"]}},
    {"promotion": {**BONUS, "categories": ["tea"], "opens": "09:00", "closes": "10:20", "birthdayDays": 0}},
    {"program": {"pointsPerUnit": "2", "categoriesOut": ["Tea"], "redeemValue": "0.02"}},
    {
        "program": {
            "tierWindow": "rolling",
            "tierMonths": 6,
            "tiers": [{"code": "bronze", "name": "Bronze", "threshold": "0", "multiplier": "1.5"}],
        }
    },
]


@pytest.mark.parametrize("body", TRIED)
def test_the_result_of_the_job_is_the_answer_at_once(
    shop: Shop, bought: list[Customer], small_pieces: None, monkeypatch: pytest.MonkeyPatch, body: Any
) -> None:
    promote(shop, "Beside it", points=10, priority=1, weekdays=[3])
    sell(shop.access, bought[0], "WITH", "30.00", TUESDAY + timedelta(days=1, hours=2))
    at_once = ask(shop, **body).json()["data"]
    assert at_once["total"]["purchases"] == 25 and at_once["total"]["pointsChange"]
    monkeypatch.setattr(jobs, "PURCHASES_AT_ONCE_MAX", 24)
    job = job_of(shop, **body)
    assert (job.state, job.error) == ("done", "")
    as_of = datetime.fromisoformat(job.result.pop("asOf"))
    assert as_of > datetime.fromisoformat(at_once.pop("asOf"))
    assert job.result == at_once
    assert job.done == job.total


def test_one_that_there_is_with_other_values_is_the_same_by_a_job(
    shop: Shop, bought: list[Customer], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = promote(shop, "Welcome", total_points=250)
    sell(shop.access, bought[0], "WITH", "30.00", TUESDAY + timedelta(hours=5))
    body = {"promotion": {"id": str(there.pk), "name": "Welcome", "kind": "bonus", "points": 30}}
    at_once = ask(shop, **body).json()["data"]
    # What is left of the 250 is used up by then.
    assert at_once["total"]["pointsLess"] == 100
    monkeypatch.setattr(jobs, "PURCHASES_AT_ONCE_MAX", -1)
    job = job_of(shop, **body)
    assert {**job.result, "asOf": at_once["asOf"]} == at_once


def test_the_job_is_watched_to_its_result(
    shop: Shop, foreign_shop: Shop, bought: list[Customer], small_pieces: None, never_at_once: None
) -> None:
    asked = ask(shop, promotion=DOUBLED)
    data = asked.json()["data"]
    assert (asked.status_code, asked.headers["Location"]) == (202, f"/api/v1/jobs/{data['id']}")
    assert (data["kind"], data["state"]) == ("loyalty.dry_run", "queued")
    assert data["parameters"]["firstDay"] == "2026-03-01"
    assert data["parameters"]["promotion"]["multiplier"] == "2"
    path = f"/jobs/{data['id']}"
    work = claim_job()
    assert work is not None
    told = []
    work.progress = lambda: told.append(shop.manager.get(path).json()["data"]["done"])
    running.run(work)
    assert told == [8, 16, 24]
    done = shop.manager.get(path).json()["data"]
    assert (done["state"], done["total"], done["result"]["total"]["purchases"]) == ("done", 24, 24)
    assert foreign_shop.manager.get(path).status_code == 404


def test_the_bound(shop: Shop, bought: list[Customer], monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(**body: Any) -> int:
        return int(ask(shop, **body).status_code)

    capped = {**BONUS, "totalTimes": 5}
    monkeypatch.setattr(jobs, "PURCHASES_AT_ONCE_MAX", 24)
    assert (answered(promotion=DOUBLED), answered(promotion=capped)) == (200, 202)
    # With a cap for all they are read twice.
    monkeypatch.setattr(jobs, "PURCHASES_AT_ONCE_MAX", 48)
    assert answered(promotion=capped) == 200
    monkeypatch.setattr(jobs, "PURCHASES_AT_ONCE_MAX", 23)
    assert answered(promotion=DOUBLED) == 202
    # Where tiers follow from whole histories those are read: one purchase more, of February.
    windowed = {"tierWindow": "rolling", "tierMonths": 6}
    monkeypatch.setattr(jobs, "PURCHASES_AT_ONCE_MAX", 24)
    assert answered(program=windowed) == 202


def test_a_merchant_without_purchases(shop: Shop, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = ask(shop, promotion={**BONUS, "totalTimes": 5}).json()["data"]
    assert (at_once["total"]["purchases"], at_once["customers"], at_once["mostAffected"]) == (0, 0, [])
    monkeypatch.setattr(jobs, "PURCHASES_AT_ONCE_MAX", -1)
    job = job_of(shop, promotion={**BONUS, "totalTimes": 5})
    assert {**job.result, "asOf": at_once["asOf"]} == at_once
    assert (job.state, job.done, job.total) == ("done", 0, 0)


def test_the_same_question_twice_is_one_job_and_another_one_another(
    shop: Shop, bought: list[Customer], never_at_once: None
) -> None:
    first = ask(shop, promotion=DOUBLED).json()["data"]["id"]
    assert ask(shop, promotion=DOUBLED).json()["data"]["id"] == first
    assert ask(shop, promotion={**DOUBLED, "multiplier": "3"}).json()["data"]["id"] != first
    assert ask(shop, promotion=DOUBLED, lastDay="2026-03-13").json()["data"]["id"] != first
    run_jobs()
    assert {job.state for job in Job.objects.all()} == {"done"}
    assert ask(shop, promotion=DOUBLED).json()["data"]["id"] != first, "there may be more purchases by now"


def test_what_cannot_be_tried_is_refused_before_there_is_a_job(
    shop: Shop, bought: list[Customer], never_at_once: None
) -> None:
    assert ask(shop, promotion={**DOUBLED, "multiplier": "1"}).status_code == 400
    assert not Job.objects.exists()


def test_what_is_no_longer_there_fails_the_job_in_words(
    shop: Shop, bought: list[Customer], never_at_once: None
) -> None:
    there = promote(shop, status="draft")
    asked = ask(shop, promotion={"id": str(there.pk), "name": "X", "kind": "bonus", "points": 30})
    there.delete()
    run_jobs()
    job = Job.objects.get(pk=asked.json()["data"]["id"])
    assert (job.state, job.error_code) == ("failed", "promotion_not_found")


def test_it_is_stopped_between_two_pieces(
    shop: Shop, bought: list[Customer], small_pieces: None, never_at_once: None
) -> None:
    ask(shop, promotion=DOUBLED)
    work = claim_job()
    assert work is not None
    work.progress = lambda: cancel_job(merchant_id=work.merchant_id, job_id=work.job_id) and None
    running.run(work)
    job = Job.objects.get()
    assert (job.state, job.done, job.result) == ("cancelled", 16, None)


WORKER = """
import time
import django
django.setup()
from cloudpos.jobs import running
from loyalty import tasks
from loyalty.dry_runs import reading

reading.PEOPLE_AT_ONCE = 1
running.LEASE_SECONDS = 0.5
running.TELL_SECONDS_MIN = 0.0
advance = running.Work.advance
running.Work.advance = lambda self, done: (advance(self, done), time.sleep(30))
running.run_jobs()
"""


@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_s_job_is_taken_over_and_ends_the_same(
    shop: Shop, bought: list[Customer], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"promotion": {**BONUS, "totalPoints": 330}}
    at_once = ask(shop, **body).json()["data"]
    monkeypatch.setattr(jobs, "PURCHASES_AT_ONCE_MAX", -1)
    job = Job.objects.get(pk=ask(shop, **body).json()["data"]["id"])
    url = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env={**os.environ, "DATABASE_URL": url, "REDIS_URL": "none", "ENVIRONMENT": "test"},
        cwd=settings.BASE_DIR,
    )
    try:
        wait_for(lambda: Job.objects.get(pk=job.pk).done > 0)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    job.refresh_from_db()
    assert (job.state, job.done) == ("running", 8)
    wait_for(lambda: run_jobs() == 1)
    job.refresh_from_db()
    assert (job.state, job.done, job.total) == ("done", 48, 48)
    assert {**job.result, "asOf": at_once["asOf"]} == at_once


# --- What is read -------------------------------------------------------------------------------------------------


def test_what_is_recorded_later_is_not_in_it(shop: Shop, bought: list[Customer]) -> None:
    change: Any = {"promotion": {"name": "Double", "kind": "multiplier", "multiplier": Decimal(2)}}
    trial = prepare(merchant_id=shop.merchant.pk, **change, **PERIOD)
    before = run_trial(trial).total
    sell(shop.access, bought[1], "LATE", "40.00", TUESDAY)
    bring_back(shop.access, "S-01", "R-9", at=TUESDAY + timedelta(days=2))
    assert run_trial(trial).total == before
    assert dry_run(merchant_id=shop.merchant.pk, **change, **PERIOD).total.purchases == 25


def test_only_so_much_is_in_memory_at_a_time(
    shop: Shop, bought: list[Customer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pieces() -> list[int]:
        period = reading.Period(PERIOD["begin"], PERIOD["end"], whole=False, as_of=now())
        read = reading.read_people(shop.merchant.pk, Program.objects.get().pk, period, with_lines=False)
        return [sum(len(person.sales) for person in people) for people in read]

    assert pieces() == [24]
    monkeypatch.setattr(reading, "PURCHASES_AT_ONCE", 16)
    assert pieces() == [16, 8]
    monkeypatch.setattr(reading, "PURCHASES_AT_ONCE", 1)
    assert pieces() == [8, 8, 8]
    monkeypatch.setattr(reading, "PEOPLE_AT_ONCE", 2)
    monkeypatch.setattr(reading, "PURCHASES_AT_ONCE", 100)
    assert pieces() == [16, 8]


def test_the_next_customers_are_looked_up_by_a_plan_for_this_period(
    shop: Shop, bought: list[Customer], small_pieces: None
) -> None:
    """A plan for any period would sort all of its purchases again for each piece."""
    with CaptureQueriesContext(connection) as queries:
        dry_run(merchant_id=shop.merchant.pk, program={"points_per_unit": Decimal(2)}, **PERIOD)
    asked = [query["sql"] for query in queries]
    pieces = [place for place, sql in enumerate(asked) if "GROUP BY customer_id" in sql]
    assert len(pieces) == 4, "three customers, and nobody more"
    assert all("force_custom_plan" in asked[place - 1] for place in pieces)


# --- Caps, in the order of time -----------------------------------------------------------------------------------


def given_one_by_one(shop: Shop, rule: PromotionRule, book: RuleBook) -> dict[str, int]:
    """What the rule gives to each purchase when all of them, of all customers, are taken in the order of time."""
    zone = next(iter(store_zones(shop.merchant.pk).values()))
    bought = []
    for customer in Customer.objects.defer("search").for_merchant(shop.merchant.pk):
        sales, _ = purchases.history(merchant_id=shop.merchant.pk, customer_id=customer.pk, with_items=True)
        outcome = replay([as_sale(sale) for sale in sales], [], book)
        bought += [
            (points.sale.at, points.sale.reference, visit, customer, points)
            for visit, points in enumerate(outcome.points.values(), start=1)
            if points.sale.at >= PERIOD["begin"]
        ]
    found: dict[str, int] = {}
    mine: dict[Any, list[int]] = {}
    every: list[int] = []
    for at, reference, visit, customer, points in sorted(bought, key=lambda one: one[:2]):
        local = at.astimezone(zone)
        had = mine.setdefault((customer.pk, local.date() if rule.caps.each_day else None), [])
        used = Used(len(had), sum(had), len(every), sum(every))
        occasion = Occasion(
            points.sale, points.rules, points.tier, local, customer.segment, customer.date_of_birth, visit
        )
        (given,) = award(occasion, [rule], {rule.id: used})
        if given.applies:
            had.append(given.points)
            every.append(given.points)
            found[reference[0]] = given.points
    return found


@pytest.mark.parametrize(
    "values",
    [
        {"total_times": 1},
        {"total_times": 7},
        {"total_times": 24},
        {"total_points": 333},
        {"total_points": 350},
        {"total_times": 9, "total_points": 410},
        {"member_times": 2, "total_times": 5},
        {"member_points": 120, "member_period": "day", "total_points": 290},
        {"kind": "multiplier", "points": None, "multiplier": Decimal(3), "total_points": 444},
        {"every_visit": 2, "total_times": 4},
        {"first_purchase": True, "total_times": 1},
        {"birthday_days": 0, "total_points": 177, "member_times": 3},
        {"categories": ["Tea"], "total_times": 3},
    ],
)
def test_caps_hold_as_if_all_were_judged_one_by_one(
    shop: Shop, bought: list[Customer], small_pieces: None, values: dict[str, Any]
) -> None:
    promotion = {"name": "X", "kind": "bonus", "points": 50, **values}
    trial = prepare(merchant_id=shop.merchant.pk, promotion=promotion, **PERIOD)
    assert trial.promotion is not None
    program = Program.objects.get()
    book = rule_book(merchant_id=shop.merchant.pk, program_id=program.pk, revision=program.revision)
    expected = given_one_by_one(shop, rule_of(trial.promotion), book)
    found = run_trial(trial)
    shown = {one.before.sale.reference[0]: one.after.sale.awarded for one in found.top}
    assert expected and shown.items() <= expected.items()
    assert found.total.touched == len(expected)
    returned = sum(one for name, one in expected.items() if name == "S-04")
    assert sum(expected.values()) - returned <= found.total.change <= sum(expected.values())
