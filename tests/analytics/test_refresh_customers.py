"""analytics.recalculating.job.refresh_customers: figures and segment follow each purchase."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from analytics.models import CustomerFigures, ModelRun, PromotedModel
from analytics.recalculating import job
from analytics.recalculating.job import refresh_customers
from cloudpos import outbox
from cloudpos.lifecycle.erasing import erase_customer
from cloudpos.lifecycle.merging import merge_customers
from cloudpos.lifecycle.unmerging import undo_merge
from cloudpos.tenancy.models import Store
from customers.models import Customer, Event
from customers.services import delete_customer
from tests.analytics.conftest import buy, give_back, new_customer
from tests.fixtures import ApiClient, Shop, meanwhile

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)


def days_ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def segment_of(customer: Customer) -> str:
    return Customer.objects.values_list("segment", flat=True).get(pk=customer.pk)


def figures_of(customer: Customer) -> CustomerFigures:
    return CustomerFigures.objects.get(customer_id=customer.pk)


def has_figures(customer: Customer) -> bool:
    return CustomerFigures.objects.filter(customer_id=customer.pk).exists()


def changes_of(customer: Customer) -> list[dict[str, Any]]:
    events = Event.objects.filter(customer_id=customer.pk, type="segment.changed").order_by("recorded_at")
    return list(events.values_list("data", flat=True))


def refresh(shop: Shop, *customers: Customer, at: datetime = NOW) -> int:
    return refresh_customers(
        merchant_id=shop.merchant.pk, customer_ids=[customer.pk for customer in customers], at=at
    )


def test_a_change_is_written_once_with_its_reason(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "10.00", days_ago(60))
    buy(shop, alice, "10.00", days_ago(40))
    before = Customer.objects.get(pk=alice.pk).version
    assert refresh(shop, alice) == 1
    assert segment_of(alice) == "regular"
    assert changes_of(alice) == [{"from": "new", "to": "regular", "reason": "buys_as_usual", "isFirst": True}]
    assert (figures_of(alice).segment, figures_of(alice).segment_reason) == ("regular", "buys_as_usual")
    assert refresh(shop, alice) == 0, "harmless when run twice"
    assert len(changes_of(alice)) == 1
    assert Customer.objects.get(pk=alice.pk).version == before + 1


def test_what_is_known_of_a_customer(shop: Shop, alice: Customer) -> None:
    item = {"name": "Tea", "quantity": Decimal(3), "unit_price": Decimal("10.00")}
    buy(shop, alice, "30.00", days_ago(400), items=[item])
    sold = buy(shop, alice, "20.00", days_ago(60))
    give_back(shop, sold, days_ago(50), amount="5.00")
    buy(shop, alice, "5.00", days_ago(40))
    buy(shop, alice, "1.00", days_ago(40))
    wholly = buy(shop, alice, "99.00", days_ago(20))
    give_back(shop, wholly, days_ago(10))
    refresh(shop, alice)
    found = figures_of(alice)
    today = NOW.date()
    assert found.as_of == today
    assert (found.first_day, found.last_day) == (today - timedelta(days=400), today - timedelta(days=40))
    assert (found.purchase_days, found.purchases) == (3, 4)
    assert (found.total_cents, found.spend_365d_cents) == (5_100, 2_100)
    assert found.mean_gap_days == 180
    # Gaps of 340 and 20 days.
    assert found.gap_sd_days == pytest.approx(226.2742)
    assert found.next_day == today + timedelta(days=140)
    assert (found.visit_count, found.total_spent_cents) == (5, 5_100)
    assert 0 < found.churn < 1 and 0 < found.alive < 1
    assert 0 < found.expected_purchases_90d < found.expected_purchases_180d < found.expected_purchases_365d
    for days in (90, 180, 365):
        low, value, high = (getattr(found, f"expected_{days}d{end}_cents") for end in ("_low", "", "_high"))
        assert 0 <= low <= value <= high


def test_one_purchase_day_has_no_gap(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "10.00", days_ago(60))
    refresh(shop, alice)
    found = figures_of(alice)
    assert (found.mean_gap_days, found.gap_sd_days, found.next_day) == (None, None, None)
    buy(shop, alice, "10.00", days_ago(50))
    refresh(shop, alice)
    found = figures_of(alice)
    assert (found.mean_gap_days, found.gap_sd_days) == (10, None)


def test_a_purchase_that_was_wholly_returned_never_happened(shop: Shop, alice: Customer) -> None:
    sold = buy(shop, alice, "10.00", days_ago(200))
    refresh(shop, alice)
    assert segment_of(alice) == "churned"
    give_back(shop, sold, days_ago(190))
    refresh(shop, alice)
    assert not has_figures(alice)
    assert segment_of(alice) == "new"
    assert changes_of(alice)[-1] == {"from": "churned", "to": "new", "reason": "no_purchase_yet"}


def test_a_sale_of_nothing_is_no_purchase(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "0.00", days_ago(200))
    assert refresh(shop, alice) == 0
    assert not has_figures(alice)


def test_a_day_is_the_stores_day(shop: Shop, alice: Customer) -> None:
    # 23:30 UTC on 30 April is the first of May in Auckland, and half past midnight of it in London.
    auckland = Store.objects.create(
        merchant=shop.merchant, name="Auckland", code="AKL", timezone="Pacific/Auckland"
    )
    there = ApiClient(user_id=shop.manager.user_id, store_id=auckland.pk)
    buy(shop, alice, "1.00", datetime(2026, 4, 30, 21, 30, tzinfo=UTC), access=there.access)
    buy(shop, alice, "1.00", datetime(2026, 4, 30, 21, 30, tzinfo=UTC))
    refresh(shop, alice)
    found = figures_of(alice)
    assert (str(found.first_day), str(found.last_day), found.purchase_days) == ("2026-04-30", "2026-05-01", 2)


def test_what_happens_tomorrow_in_auckland_is_of_today(shop: Shop, alice: Customer) -> None:
    auckland = Store.objects.create(
        merchant=shop.merchant, name="Auckland", code="AKL", timezone="Pacific/Auckland"
    )
    there = ApiClient(user_id=shop.manager.user_id, store_id=auckland.pk)
    evening = datetime(2026, 6, 30, 20, 0, tzinfo=UTC)
    buy(shop, alice, "1.00", evening, access=there.access)
    refresh(shop, alice, at=evening)
    assert (str(figures_of(alice).last_day), str(figures_of(alice).as_of)) == ("2026-06-30", "2026-06-30")


def test_the_models_in_use_are_named(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "10.00", days_ago(60))
    refresh(shop, alice)
    refresh(shop, alice)
    runs = {run.kind: run.pk for run in ModelRun.objects.all()}
    assert len(runs) == ModelRun.objects.count() == PromotedModel.objects.count() == 2
    assert figures_of(alice).churn_run_id == runs["churn"]
    assert figures_of(alice).value_run_id == runs["lifetime_value"]


def test_a_purchase_wakes_it_through_the_outbox(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "10.00", datetime.now(UTC) - timedelta(days=300))
    assert segment_of(alice) == "new", "not in the till's transaction"
    outbox.sweep()
    assert segment_of(alice) == "churned"
    assert changes_of(alice) == [
        {"from": "new", "to": "churned", "reason": "unlikely_to_return", "isFirst": True}
    ]


def test_a_return_wakes_it_too(shop: Shop, alice: Customer) -> None:
    sold = buy(shop, alice, "10.00", datetime.now(UTC) - timedelta(days=300))
    outbox.sweep()
    give_back(shop, sold, datetime.now(UTC) - timedelta(days=1))
    outbox.sweep()
    assert segment_of(alice) == "new"


def test_after_a_merge_there_is_one_person(shop: Shop, alice: Customer, bob: Customer) -> None:
    buy(shop, alice, "10.00", datetime.now(UTC) - timedelta(days=60))
    buy(shop, bob, "10.00", datetime.now(UTC) - timedelta(days=50))
    outbox.sweep()
    merged = merge_customers(access=shop.access, customer_id=alice.pk, source_id=bob.pk)
    outbox.sweep()
    assert not has_figures(bob)
    assert figures_of(alice).purchase_days == 2
    undo_merge(access=shop.access, customer_id=alice.pk, merge_id=merged.merge_id)
    outbox.sweep()
    assert (figures_of(alice).purchase_days, figures_of(bob).purchase_days) == (1, 1)


def test_who_is_deleted_or_erased_has_no_figures(shop: Shop, alice: Customer, bob: Customer) -> None:
    for customer in (alice, bob):
        buy(shop, customer, "10.00", datetime.now(UTC) - timedelta(days=60))
    outbox.sweep()
    delete_customer(access=shop.access, customer_id=alice.pk)
    erased = erase_customer(access=shop.access, customer_id=bob.pk).erasure.receipt
    assert not has_figures(bob), "in the same transaction"
    assert {"table": "analyticsFigures", "rows": 1, "what": "all of it"} in erased["erased"]
    outbox.sweep()
    assert not has_figures(alice)


@pytest.mark.django_db(transaction=True)
def test_figures_that_are_written_while_their_customer_is_erased_go_with_the_next_event(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = new_customer(shop, "Alice")
    buy(shop, alice, "10.00", days_ago(60))
    with transaction.atomic(), monkeypatch.context() as patched:
        # In a transaction of its own, which would wait for the erasure.
        patched.setattr(job, "settle", lambda *_: (0, True))
        refresh(shop, alice)
        # The erasure does not see a row that is not committed yet.
        meanwhile(lambda: erase_customer(access=shop.access, customer_id=alice.pk))
    assert has_figures(alice)
    outbox.sweep()
    assert not has_figures(alice)


def test_looking_at_a_hundred_customers_takes_a_dozen_queries(
    shop: Shop, django_assert_max_num_queries: Any
) -> None:
    customers = [new_customer(shop, f"C{number}") for number in range(100)]
    for customer in customers:
        buy(shop, customer, "5.00", days_ago(10))
    refresh(shop, *customers)
    with django_assert_max_num_queries(22):
        assert refresh(shop, *customers) == 0


def test_another_merchants_customers_are_out_of_reach(shop: Shop, foreign_shop: Shop) -> None:
    mallory = new_customer(foreign_shop, "Mallory")
    buy(foreign_shop, mallory, "10.00", days_ago(300))
    assert refresh(shop, mallory) == 0
    assert segment_of(mallory) == "new"
    assert not has_figures(mallory)


@pytest.mark.django_db(transaction=True)
def test_a_till_that_holds_the_customer_is_waited_for_and_seen(shop: Shop) -> None:
    alice = new_customer(shop, "Alice")
    buy(shop, alice, "10.00", days_ago(300))
    locked, release = threading.Event(), threading.Event()

    def sell() -> None:
        with transaction.atomic():
            Customer.objects.select_for_update(no_key=True).get(pk=alice.pk)
            locked.set()
            release.wait(5)
            # What the till does while it holds the lock: the customer is back.
            Customer.objects.filter(pk=alice.pk).update(segment="regular")
        connection.close()

    till = threading.Thread(target=sell)
    till.start()
    locked.wait(5)
    threading.Timer(0.3, release.set).start()
    refresh(shop, alice)
    till.join()
    assert changes_of(alice) == [{"from": "regular", "to": "churned", "reason": "unlikely_to_return"}]


@pytest.mark.django_db(transaction=True)
def test_who_read_before_a_purchase_does_not_write_after_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from analytics.recalculating import figures

    alice = new_customer(shop, "Alice")
    buy(shop, alice, "10.00", days_ago(60))
    read, bought = threading.Event(), threading.Event()
    read_sales = figures.read_sales

    def slow(**arguments: Any) -> Any:
        sales = read_sales(**arguments)
        if not read.is_set():
            read.set()
            bought.wait(5)
        return sales

    monkeypatch.setattr(figures, "read_sales", slow)

    def first() -> None:
        refresh(shop, alice)
        connection.close()

    late = threading.Thread(target=first)
    late.start()
    read.wait(5)
    buy(shop, alice, "10.00", days_ago(50))
    threading.Timer(0.3, bought.set).start()
    refresh(shop, alice)
    late.join()
    assert figures_of(alice).purchase_days == 2
