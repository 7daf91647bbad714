"""The job analytics.recalculate: everybody's figures, models, cut points, segments and months."""

from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command

from analytics import tasks
from analytics.models import CustomerFigures, CustomerSnapshot, CutPoints, ModelRun, PromotedModel
from analytics.recalculating import job, learning
from analytics.recalculating.everyone import read_everyone
from analytics.recalculating.job import month_to_keep, refresh_customers
from analytics.recalculations import (
    RECALCULATE,
    Mode,
    merchants_due,
    start_due_recalculations,
    start_recalculation,
)
from cloudpos import outbox
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import JobLost, claim_job, run_jobs
from cloudpos.jobs.services import JobIsActive, cancel_job
from customers.models import Customer, Event
from tests.analytics.conftest import buy, give_back, new_customer, recalculate
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock() -> Any:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def days_ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def segment_of(customer: Customer) -> str:
    return Customer.objects.values_list("segment", flat=True).get(pk=customer.pk)


def figures_of(customer: Customer) -> CustomerFigures:
    return CustomerFigures.objects.get(customer_id=customer.pk)


def buyers(shop: Shop, number: int, *, ago: int = 100) -> list[Customer]:
    """Customers of whom the n-th spent n on one day."""
    customers = [new_customer(shop, f"C{n}") for n in range(1, number + 1)]
    for n, customer in enumerate(customers, start=1):
        buy(shop, customer, f"{n}.00", days_ago(ago))
    return customers


def test_everybody_is_worked_out(shop: Shop, alice: Customer, bob: Customer) -> None:
    buy(shop, alice, "10.00", days_ago(300))
    done = recalculate(shop)
    assert (done.state, done.counts) == ("done", {"models": 2, "figures": 1, "moved": 1})
    # Alice's figures, and the segments of both.
    assert (done.done, done.total) == (3, 3)
    assert figures_of(alice).as_of == NOW.date()
    assert (segment_of(alice), segment_of(bob)) == ("churned", "new")
    cuts = CutPoints.objects.get()
    assert (cuts.for_day, cuts.buyers, cuts.finished_at) == (NOW.date(), 1, NOW)


def test_time_alone_moves_customers_on(shop: Shop, alice: Customer, clock: Any) -> None:
    buy(shop, alice, "10.00", days_ago(20))
    recalculate(shop)
    assert segment_of(alice) == "new"
    clock.move_to(NOW + timedelta(days=11))
    assert recalculate(shop).counts["moved"] == 1
    assert segment_of(alice) == "regular"


def test_the_top_tenth_by_value_is_vip(shop: Shop) -> None:
    customers = buyers(shop, 20)
    recalculate(shop)
    assert CutPoints.objects.get().vip_cents == 1_900
    assert [segment_of(customer) for customer in customers[-3:]] == ["regular", "vip", "vip"]


def test_of_nine_customers_nobody_is_the_top_tenth(shop: Shop) -> None:
    buyers(shop, 9)
    recalculate(shop)
    assert CutPoints.objects.get().vip_cents is None


def test_the_vip_value_is_net_of_returns(shop: Shop) -> None:
    for number in range(1, 11):
        sold = buy(shop, new_customer(shop, f"C{number}"), f"{number}0.00", days_ago(100))
    give_back(shop, sold, days_ago(50), amount="95.00")
    recalculate(shop)
    assert CutPoints.objects.get().vip_cents == 9_000


def test_fifths_by_recency_frequency_and_money(shop: Shop) -> None:
    customers = [new_customer(shop, f"C{n}") for n in range(1, 11)]
    for n, customer in enumerate(customers, start=1):
        # The later ones bought later, more often and for more.
        for time in range(n):
            buy(shop, customer, "10.00", days_ago(200 - 10 * n + time * 2 - 2 * n))
    recalculate(shop)
    scores = [
        (found.recency_score, found.frequency_score, found.monetary_score)
        for found in map(figures_of, customers)
    ]
    assert scores == [(n, n, n) for n in (1, 1, 2, 2, 3, 3, 4, 4, 5, 5)]


def test_equal_customers_have_equal_scores_the_lower_ones(shop: Shop) -> None:
    customers = [new_customer(shop, f"C{n}") for n in range(10)]
    for customer in customers:
        buy(shop, customer, "10.00", days_ago(100))
    buy(shop, customers[0], "10.00", days_ago(90))
    recalculate(shop)
    assert [figures_of(customer).frequency_score for customer in customers] == [5] + [1] * 9
    # By the cut points of the night also after the next purchase.
    buy(shop, customers[1], "10.00", days_ago(80))
    refresh_customers(merchant_id=shop.merchant.pk, customer_ids=[customers[1].pk], at=NOW)
    assert figures_of(customers[1]).frequency_score == 5


def test_figures_of_who_is_gone_go(shop: Shop, alice: Customer, bob: Customer, clock: Any) -> None:
    buy(shop, alice, "10.00", days_ago(60))
    sold = buy(shop, bob, "10.00", days_ago(60))
    recalculate(shop)
    give_back(shop, sold, days_ago(1))
    Customer.objects.filter(pk=alice.pk).update(deleted_at=NOW)
    clock.move_to(NOW + timedelta(days=1))
    recalculate(shop)
    assert not CustomerFigures.objects.exists()


# --- Models -------------------------------------------------------------------------------------------------


def test_models_are_trained_once_a_week(shop: Shop, alice: Customer, clock: Any) -> None:
    buy(shop, alice, "10.00", days_ago(60))
    for day, runs in ((0, 2), (1, 2), (6, 2), (7, 4), (8, 4)):
        clock.move_to(NOW + timedelta(days=day))
        recalculate(shop)
        assert ModelRun.objects.count() == runs, day
    run = ModelRun.objects.filter(kind="churn").latest("trained_at")
    assert (run.as_of, run.horizon_days, run.sample_size) == (NOW.date() + timedelta(days=7), 90, 1)


def test_what_was_used_before_any_training_is_replaced_by_the_first(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "10.00", days_ago(60))
    refresh_customers(merchant_id=shop.merchant.pk, customer_ids=[alice.pk], at=NOW)
    untrained = set(ModelRun.objects.values_list("pk", flat=True))
    recalculate(shop)
    used = set(PromotedModel.objects.values_list("run_id", flat=True))
    assert len(untrained) == len(used) == 2 and not untrained & used
    assert figures_of(alice).churn_run_id in used and figures_of(alice).value_run_id in used


def test_an_empty_merchant_is_not_trained_every_night(shop: Shop, clock: Any) -> None:
    for day in range(3):
        clock.move_to(NOW + timedelta(days=day))
        assert recalculate(shop).state == "done"
    assert ModelRun.objects.count() == 2


def test_a_sample_of_the_customers_is_learnt_from_and_it_is_the_same_each_time(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyers(shop, 60)

    def table() -> Any:
        with read_everyone(merchant_id=shop.merchant.pk, as_of=NOW.date()) as everyone:
            return learning.training_table(everyone, buyers=60)

    whole = table()
    assert (whole.customers, len(whole.day)) == (60, 60)
    monkeypatch.setattr(learning, "CUSTOMERS_LEARNT_FROM_MAX", 30)
    monkeypatch.setattr(learning, "CUSTOMERS_PER_CHUNK", 7)
    some, again = table(), table()
    assert 12 <= some.customers <= 48
    assert some.amount.tolist() == again.amount.tolist()
    assert set(some.amount.tolist()) < set(whole.amount.tolist())


# --- In pieces ----------------------------------------------------------------------------------------------


def test_a_job_that_lost_its_process_goes_on_where_it_was(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "CUSTOMERS_PER_CHUNK", 2)
    customers = buyers(shop, 5, ago=300)
    asked = start_recalculation(merchant_id=shop.merchant.pk)
    dead = claim_job()
    assert dead is not None
    written: list[int] = []
    write_figures = job.write_figures

    def die_in_the_second_chunk(*arguments: Any, **more: Any) -> Any:
        if len(written) == 1:
            raise JobLost
        written.append(1)
        return write_figures(*arguments, **more)

    monkeypatch.setattr(job, "write_figures", die_in_the_second_chunk)
    with pytest.raises(JobLost):
        job.recalculate(dead)
    assert CustomerFigures.objects.count() == 2
    monkeypatch.setattr(job, "write_figures", write_figures)
    Job.objects.update(leased_until=NOW - timedelta(seconds=1))
    run_jobs()
    asked.refresh_from_db()
    assert (asked.state, asked.counts) == ("done", {"models": 2, "figures": 5, "moved": 5})
    assert (asked.done, asked.total) == (10, 10)
    changes = Event.objects.filter(type="segment.changed").values_list("customer_id", flat=True)
    assert sorted(changes) == sorted(customer.pk for customer in customers)


def test_many_who_move_are_locked_a_few_at_a_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from analytics import segmenting

    monkeypatch.setattr(segmenting, "MOVES_MAX", 2)
    customers = buyers(shop, 5, ago=300)
    locked: list[int] = []
    write_segments = segmenting.write_segments

    def write(**arguments: Any) -> None:
        locked.append(len(arguments["segments"]))
        write_segments(**arguments)

    monkeypatch.setattr(segmenting, "write_segments", write)
    assert recalculate(shop).counts["moved"] == 5
    assert locked == [2, 2, 1]
    assert {segment_of(customer) for customer in customers} == {"churned"}
    assert {figures_of(customer).segment for customer in customers} == {"churned"}


def test_a_cancelled_one_stops_between_chunks(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "CUSTOMERS_PER_CHUNK", 2)
    buyers(shop, 5)
    asked = start_recalculation(merchant_id=shop.merchant.pk)
    write_figures = job.write_figures

    def cancel(*arguments: Any, **more: Any) -> Any:
        cancel_job(merchant_id=shop.merchant.pk, job_id=asked.pk)
        return write_figures(*arguments, **more)

    monkeypatch.setattr(job, "write_figures", cancel)
    run_jobs()
    asked.refresh_from_db()
    assert asked.state == "cancelled"
    assert CustomerFigures.objects.count() == 0, "the chunk in which it was told is rolled back"
    assert CutPoints.objects.get().for_day is None


# --- Of who bought since ------------------------------------------------------------------------------------


def test_only_who_bought_or_returned_since_is_worked_out(shop: Shop, alice: Customer, bob: Customer) -> None:
    carol = new_customer(shop, "Carol")
    for customer in (alice, bob):
        sold = buy(shop, customer, "10.00", days_ago(60))
    recalculate(shop)
    before = figures_of(alice).updated_at
    assert recalculate(shop, Mode.INCREMENTAL).counts == {}
    give_back(shop, sold, days_ago(1), amount="1.00")
    buy(shop, carol, "10.00", days_ago(300))
    done = recalculate(shop, Mode.INCREMENTAL)
    assert (done.state, done.done, done.counts) == ("done", 2, {"figures": 2, "moved": 1})
    assert (figures_of(bob).total_cents, segment_of(carol)) == (900, "churned")
    assert figures_of(alice).updated_at == before
    assert recalculate(shop, Mode.INCREMENTAL).counts == {}


def test_an_incremental_one_that_lost_its_process_leaves_nobody_out(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "TOUCHED_PER_CHUNK", 2)
    customers = buyers(shop, 5, ago=300)
    asked = start_recalculation(merchant_id=shop.merchant.pk, mode=Mode.INCREMENTAL)
    dead = claim_job()
    assert dead is not None

    def die(*_: Any) -> Any:
        raise JobLost

    with monkeypatch.context() as patched:
        # Between the figures of some and their segments.
        patched.setattr(job, "settle", die)
        with pytest.raises(JobLost):
            job.recalculate(dead)
    assert CustomerFigures.objects.count() == 2
    Job.objects.update(leased_until=NOW - timedelta(seconds=1))
    run_jobs()
    asked.refresh_from_db()
    assert (asked.state, asked.counts) == ("done", {"figures": 5, "moved": 5})
    assert {segment_of(customer) for customer in customers} == {"churned"}


def test_hidden_customers_lose_their_figures(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "10.00", days_ago(60))
    recalculate(shop)
    Customer.objects.filter(pk=alice.pk).update(deleted_at=NOW)
    recalculate(shop, Mode.INCREMENTAL)
    assert not CustomerFigures.objects.exists()


# --- One at a time ------------------------------------------------------------------------------------------


def test_asked_twice_it_is_the_same_job(shop: Shop, foreign_shop: Shop) -> None:
    first = start_recalculation(merchant_id=shop.merchant.pk)
    assert start_recalculation(merchant_id=shop.merchant.pk).pk == first.pk
    # One of all customers is also one of some.
    assert start_recalculation(merchant_id=shop.merchant.pk, mode=Mode.INCREMENTAL).pk == first.pk
    assert start_recalculation(merchant_id=foreign_shop.merchant.pk).pk != first.pk


def test_one_of_all_waits_for_one_of_some(shop: Shop) -> None:
    start_recalculation(merchant_id=shop.merchant.pk, mode=Mode.INCREMENTAL)
    with pytest.raises(JobIsActive):
        start_recalculation(merchant_id=shop.merchant.pk)


# --- Every night --------------------------------------------------------------------------------------------


def test_once_a_day_of_each_merchant(shop: Shop, foreign_shop: Shop, clock: Any) -> None:
    assert set(merchants_due(at=NOW)) == {shop.merchant.pk, foreign_shop.merchant.pk}
    assert tasks.start_due_recalculations() == 2
    assert start_due_recalculations(at=NOW) == 0
    run_jobs()
    assert CutPoints.objects.filter(for_day=NOW.date()).count() == 2
    # The day begins in London, not yet in New York.
    midnight = datetime(2026, 6, 30, 23, 30, tzinfo=UTC)
    clock.move_to(midnight)
    assert merchants_due(at=midnight) == [shop.merchant.pk]


def test_one_that_failed_or_was_stopped_waits_for_the_next_night(shop: Shop, clock: Any) -> None:
    asked = start_recalculation(merchant_id=shop.merchant.pk)
    cancel_job(merchant_id=shop.merchant.pk, job_id=asked.pk)
    assert merchants_due(at=NOW) == []
    assert merchants_due(at=NOW + timedelta(days=1)) == [shop.merchant.pk]


def test_one_of_some_does_not_stand_in_for_the_nightly_one(shop: Shop) -> None:
    recalculate(shop, Mode.INCREMENTAL)
    assert merchants_due(at=NOW) == [shop.merchant.pk]
    start_recalculation(merchant_id=shop.merchant.pk, mode=Mode.INCREMENTAL)
    assert start_due_recalculations(at=NOW) == 0, "asked for again in ten minutes"


def test_a_month_is_kept_in_the_first_night_after_it(shop: Shop, alice: Customer, clock: Any) -> None:
    buy(shop, alice, "10.00", days_ago(60))
    recalculate(shop)
    assert not CustomerSnapshot.objects.exists()
    for day in (1, 2):
        clock.move_to(NOW + timedelta(days=day))
        recalculate(shop)
    kept = CustomerSnapshot.objects.get()
    assert (kept.customer_id, kept.month, kept.as_of) == (alice.pk, date(2026, 6, 1), date(2026, 7, 1))
    assert (kept.segment, kept.purchase_days, kept.total_cents) == ("regular", 1, 1_000)
    assert kept.churn == pytest.approx(figures_of(alice).churn, abs=0.05)


@pytest.mark.parametrize(
    ("today", "last", "month"),
    [
        (date(2026, 7, 1), date(2026, 6, 30), date(2026, 6, 1)),
        (date(2026, 7, 3), date(2026, 6, 29), date(2026, 6, 1)),
        (date(2026, 7, 2), date(2026, 7, 1), None),
        (date(2027, 1, 1), date(2026, 12, 31), date(2026, 12, 1)),
        # Nobody looked in June.
        (date(2026, 7, 1), None, None),
    ],
)
def test_which_month(today: date, last: date | None, month: date | None) -> None:
    assert month_to_keep(today, last=last) == month


# --- The command --------------------------------------------------------------------------------------------


def test_the_command_shows_what_it_did(
    shop: Shop, alice: Customer, capsys: pytest.CaptureFixture[str]
) -> None:
    buy(shop, alice, "10.00", datetime(2020, 1, 1, tzinfo=UTC))
    call_command("recalculate", "--merchant", shop.merchant.slug, "--full", stdout=StringIO())
    assert "Corner Shop: figures of 1 customers, 1 changed their segment" in capsys.readouterr().out
    assert segment_of(alice) == "churned"
    call_command("recalculate", stdout=StringIO())
    assert "Corner Shop: figures of 0 customers, 0 changed their segment" in capsys.readouterr().out
    with pytest.raises(CommandError, match="there is no merchant 'nowhere'"):
        call_command("recalculate", "--merchant", "nowhere")
    assert set(Job.objects.values_list("kind", "state")) == {(RECALCULATE, "done")}


def test_the_command_says_when_it_was_not_done(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError

    monkeypatch.setattr(job, "_begin", fail)
    with pytest.raises(CommandError, match="not done: corner-shop"):
        call_command("recalculate", "--full", stdout=StringIO())


def test_events_of_purchases_and_the_nightly_job_end_the_same(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "10.00", days_ago(60))
    buy(shop, alice, "30.00", days_ago(20))
    recalculate(shop)
    outbox.sweep()
    left = {"updated_at", "recency_score", "frequency_score", "monetary_score"}
    columns = [c.attname for c in CustomerFigures._meta.concrete_fields if c.name not in left]
    by_event = CustomerFigures.objects.values(*columns).get()
    recalculate(shop)
    assert CustomerFigures.objects.values(*columns).get() == by_event
