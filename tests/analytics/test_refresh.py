"""analytics.refresh: the segment follows the purchases, and the calendar."""

import threading
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from analytics import refresh
from analytics.models import SegmentRefresh
from analytics.refresh import merchants_due, refresh_customers, refresh_merchant
from cloudpos import outbox
from cloudpos.tenancy.models import Store
from customers.models import Customer, Event
from tests.analytics.conftest import buy, give_back, new_customer
from tests.fixtures import ApiClient, Shop

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)


def days_ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def segment_of(customer: Customer) -> str:
    return Customer.objects.values_list("segment", flat=True).get(pk=customer.pk)


def changes_of(customer: Customer) -> list[dict[str, Any]]:
    events = Event.objects.filter(customer_id=customer.pk, type="segment.changed").order_by("recorded_at")
    return list(events.values_list("data", flat=True))


def refresh_one(shop: Shop, customer: Customer, at: datetime = NOW) -> int:
    return refresh_customers(merchant_id=shop.merchant.pk, customer_ids=[customer.pk], at=at)


def test_a_change_is_written_once_with_its_reason(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "10.00", days_ago(60))
    buy(shop, alice, "10.00", days_ago(40))
    assert refresh_one(shop, alice) == 1
    assert segment_of(alice) == "regular"
    assert changes_of(alice) == [{"from": "new", "to": "regular", "reason": "buys_as_usual"}]
    version = Customer.objects.get(pk=alice.pk).version
    assert refresh_one(shop, alice) == 0, "harmless when run twice"
    assert len(changes_of(alice)) == 1
    assert Customer.objects.get(pk=alice.pk).version == version


def test_the_version_counts_the_change(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "10.00", days_ago(60))
    before = Customer.objects.get(pk=alice.pk).version
    refresh_one(shop, alice)
    assert Customer.objects.get(pk=alice.pk).version == before + 1


def test_a_purchase_that_was_wholly_returned_never_happened(shop: Shop, alice: Customer) -> None:
    sold = buy(shop, alice, "10.00", days_ago(200))
    refresh_one(shop, alice)
    assert segment_of(alice) == "churned"
    give_back(shop, sold, days_ago(190))
    refresh_one(shop, alice)
    assert segment_of(alice) == "new"
    assert changes_of(alice)[-1] == {"from": "churned", "to": "new", "reason": "no_purchase_yet"}


def test_a_partial_return_lowers_the_value_only(shop: Shop, alice: Customer) -> None:
    sold = buy(shop, alice, "10.00", days_ago(100))
    give_back(shop, sold, days_ago(90), amount="4.00")
    (known,) = refresh.histories(
        merchant_id=shop.merchant.pk, customer_ids=[alice.pk], today=NOW.date()
    ).values()
    assert (known.purchase_days, str(known.value)) == (1, "6.00")


def test_several_purchases_of_a_day_are_one_purchase_day(shop: Shop, alice: Customer) -> None:
    for hour in (8, 12, 20):
        buy(shop, alice, "1.00", datetime(2026, 5, 1, hour, tzinfo=UTC))
    buy(shop, alice, "1.00", datetime(2026, 5, 11, 9, tzinfo=UTC))
    (known,) = refresh.histories(
        merchant_id=shop.merchant.pk, customer_ids=[alice.pk], today=NOW.date()
    ).values()
    assert (known.purchase_days, known.usual_gap_days) == (2, 10)


def test_a_day_is_the_stores_day(shop: Shop, alice: Customer) -> None:
    # 23:30 UTC on 30 April is the first of May in Auckland.
    auckland = Store.objects.create(
        merchant=shop.merchant, name="Auckland", code="AKL", timezone="Pacific/Auckland"
    )
    there = ApiClient(user_id=shop.manager.user_id, store_id=auckland.pk)
    buy(shop, alice, "1.00", datetime(2026, 4, 30, 23, 30, tzinfo=UTC), access=there.access)
    buy(shop, alice, "1.00", datetime(2026, 4, 30, 21, 30, tzinfo=UTC))
    (known,) = refresh.histories(
        merchant_id=shop.merchant.pk, customer_ids=[alice.pk], today=NOW.date()
    ).values()
    assert (str(known.first_day), str(known.last_day)) == ("2026-04-30", "2026-05-01")


def test_value_reaches_back_twelve_months(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "100.00", days_ago(366))
    buy(shop, alice, "10.00", days_ago(364))
    (known,) = refresh.histories(
        merchant_id=shop.merchant.pk, customer_ids=[alice.pk], today=NOW.date()
    ).values()
    assert str(known.value) == "10.00"


def test_a_purchase_wakes_the_refresh_through_the_outbox(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "10.00", NOW - timedelta(days=300))
    assert segment_of(alice) == "new", "not in the till's transaction"
    outbox.sweep()
    assert segment_of(alice) == "churned"
    assert changes_of(alice) == [{"from": "new", "to": "churned", "reason": "silent_beyond_churn"}]


def test_a_return_wakes_it_too(shop: Shop, alice: Customer) -> None:
    sold = buy(shop, alice, "10.00", NOW - timedelta(days=300))
    outbox.sweep()
    give_back(shop, sold, NOW - timedelta(days=1))
    outbox.sweep()
    assert segment_of(alice) == "new"


def test_looking_at_a_hundred_customers_takes_five_queries(
    shop: Shop, django_assert_num_queries: Any
) -> None:
    customers = [new_customer(shop, f"C{number}") for number in range(100)]
    for customer in customers:
        buy(shop, customer, "5.00", days_ago(10))
    ids = [customer.pk for customer in customers]
    with django_assert_num_queries(4):  # merchant, last pass, segments, histories
        assert refresh_customers(merchant_id=shop.merchant.pk, customer_ids=ids, at=NOW) == 0


def test_another_merchants_customers_are_out_of_reach(shop: Shop, foreign_shop: Shop) -> None:
    mallory = new_customer(foreign_shop, "Mallory")
    buy(foreign_shop, mallory, "10.00", days_ago(300))
    assert refresh_customers(merchant_id=shop.merchant.pk, customer_ids=[mallory.pk], at=NOW) == 0
    assert segment_of(mallory) == "new"


# --- The daily pass -----------------------------------------------------------------------------------------


def test_time_alone_moves_customers_on(shop: Shop, alice: Customer, bob: Customer) -> None:
    buy(shop, alice, "10.00", days_ago(20))
    refresh_merchant(merchant_id=shop.merchant.pk, at=NOW)
    assert segment_of(alice) == "new"
    assert refresh_merchant(merchant_id=shop.merchant.pk, at=NOW + timedelta(days=11)) == 1
    assert (segment_of(alice), segment_of(bob)) == ("regular", "new")


def test_the_top_tenth_by_value_is_vip(shop: Shop) -> None:
    customers = [new_customer(shop, f"C{number}") for number in range(20)]
    for number, customer in enumerate(customers, start=1):
        buy(shop, customer, f"{number}.00", days_ago(100))
    refresh_merchant(merchant_id=shop.merchant.pk, at=NOW)
    assert str(SegmentRefresh.objects.get().vip_value) == "19.00"
    assert [segment_of(customer) for customer in customers[-3:]] == ["regular", "vip", "vip"]


def test_of_nine_customers_nobody_is_the_top_tenth(shop: Shop) -> None:
    for number in range(9):
        buy(shop, new_customer(shop, f"C{number}"), f"{number + 1}.00", days_ago(100))
    refresh_merchant(merchant_id=shop.merchant.pk, at=NOW)
    assert SegmentRefresh.objects.get().vip_value is None


def test_the_threshold_is_net_of_returns(shop: Shop) -> None:
    for number in range(1, 11):
        sold = buy(shop, new_customer(shop, f"C{number}"), f"{number}0.00", days_ago(100))
    give_back(shop, sold, days_ago(50), amount="95.00")
    refresh_merchant(merchant_id=shop.merchant.pk, at=NOW)
    assert str(SegmentRefresh.objects.get().vip_value) == "90.00"


def test_one_pass_a_day(shop: Shop, foreign_shop: Shop) -> None:
    assert set(merchants_due(at=NOW)) == {shop.merchant.pk, foreign_shop.merchant.pk}
    refresh_merchant(merchant_id=shop.merchant.pk, at=NOW)
    assert merchants_due(at=NOW) == [foreign_shop.merchant.pk]
    # The day begins in London, not yet in New York.
    midnight = datetime(2026, 6, 30, 23, 30, tzinfo=UTC)
    refresh_merchant(merchant_id=foreign_shop.merchant.pk, at=NOW)
    assert merchants_due(at=midnight) == [shop.merchant.pk]


def test_an_interrupted_pass_goes_on_where_it_was(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "CUSTOMERS_PER_CHUNK", 2)
    customers = [new_customer(shop, f"C{number}") for number in range(5)]
    for customer in customers:
        buy(shop, customer, "10.00", days_ago(300))

    class Killed(BaseException):
        pass

    def die_after_the_first_chunk(seen: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        refresh_merchant(merchant_id=shop.merchant.pk, at=NOW, progress=die_after_the_first_chunk)
    state = SegmentRefresh.objects.get()
    assert (state.seen, state.changed, state.finished_at) == (2, 2, None)
    assert refresh_merchant(merchant_id=shop.merchant.pk, at=NOW) == 0, "its lease still runs"

    SegmentRefresh.objects.update(leased_until=NOW - timedelta(days=9999))
    seen: list[int] = []
    refresh_merchant(merchant_id=shop.merchant.pk, at=NOW, progress=seen.append)
    assert seen == [2, 1], "the first two are not looked at again"
    state.refresh_from_db()
    assert (state.seen, state.changed) == (5, 5)
    assert state.finished_at is not None
    assert [len(changes_of(customer)) for customer in customers] == [1] * 5


def test_the_task_starts_a_pass_for_each_merchant_that_is_due(
    shop: Shop, foreign_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from analytics import tasks

    monkeypatch.setattr(tasks, "enqueue", lambda *_: False)
    assert tasks.refresh_segments() == 2
    assert tasks.refresh_segments() == 0
    assert SegmentRefresh.objects.filter(finished_at__isnull=False).count() == 2


def test_the_command_shows_what_it_did(
    shop: Shop, alice: Customer, capsys: pytest.CaptureFixture[str]
) -> None:
    buy(shop, alice, "10.00", datetime(2020, 1, 1, tzinfo=UTC))
    call_command("refresh_segments", "--merchant", shop.merchant.slug, stdout=StringIO())
    assert "Corner Shop: 1 of 1 customers changed their segment" in capsys.readouterr().out
    assert segment_of(alice) == "churned"
    with pytest.raises(CommandError, match="there is no merchant 'nowhere'"):
        call_command("refresh_segments", "--merchant", "nowhere")


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
    refresh_one(shop, alice)
    till.join()
    assert changes_of(alice) == [{"from": "regular", "to": "churned", "reason": "silent_beyond_churn"}]
