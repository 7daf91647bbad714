"""The sums of purchases: always what the purchases themselves say, whatever happens and however far they are summed up."""

import random
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db.models import F
from django.utils.timezone import now

from analytics.models import ChangedDays, PurchaseRollup, RollupDay, RollupMember, RollupSpan
from analytics.overview import Totals, overview
from analytics.periods import Period
from analytics.rollups import reading, refresh
from analytics.rollups.changes import standing
from analytics.rollups.reading import AnalyticsBeingPrepared
from analytics.rollups.recent import recent
from cloudpos import outbox
from cloudpos.checkout.bulk import load_history
from cloudpos.lifecycle.erasing import erase_customer
from cloudpos.lifecycle.merging import merge_customers
from cloudpos.lifecycle.unmerging import undo_merge
from cloudpos.tenancy.models import Store
from customers.models import Customer
from loyalty.services import create_program, post_points
from tests.analytics.conftest import buy, give_back, new_customer
from tests.analytics.naive import Ledger, Plain
from tests.fixtures import ApiClient, Shop

pytestmark = pytest.mark.django_db

YEAR = Period(date(2025, 1, 1), date(2025, 12, 31))
PERIODS = [
    YEAR,
    Period(date(2025, 3, 10), date(2025, 5, 9)),
    Period(date(2025, 4, 7), date(2025, 4, 13)),
    Period(date(2025, 6, 30), date(2025, 6, 30)),
]


def at(month: int, day: int, hour: int = 12, year: int = 2025) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def read(shop: Shop, period: Period, store_id: uuid.UUID | None = None) -> Plain:
    """Without the cache of answers, but for the sets of months."""
    cache.clear()
    found = overview(merchant_id=shop.merchant.pk, period=period, interval="month", store_id=store_id)
    assert found.as_of is None
    total: Totals = found.current
    assert sum(step.sums.sold for step in found.series) == total.sums.sold
    assert sum(step.new for step in found.series) == total.new
    return Plain(
        sold=total.sold,
        returned=total.returned,
        purchases=total.purchases,
        active=total.active,
        new=total.new,
        repeat=total.repeat,
        earned=total.sums.points_earned,
    )


def agree(shop: Shop, *stores: uuid.UUID) -> None:
    ledger = Ledger(shop.merchant.pk)
    for period in PERIODS:
        for store_id in (None, *stores):
            assert read(shop, period, store_id) == ledger.figures(period, store_id), (period, store_id)


def sum_up(shop: Shop) -> int:
    outbox.relay()
    return refresh.refresh(merchant_id=shop.merchant.pk)


@pytest.mark.parametrize("seed", range(4))
def test_they_say_what_the_purchases_say(shop: Shop, seed: int) -> None:
    """A random year at three stores from New Zealand to California: late sales, returns, merges, sums now and then."""
    chance = random.Random(seed)
    create_program(merchant_id=shop.merchant.pk, begins_at=datetime(2020, 1, 1, tzinfo=UTC))
    accesses = [shop.access]
    for code, zone in (("AKL", "Pacific/Auckland"), ("LAX", "America/Los_Angeles")):
        store = Store.objects.create(merchant=shop.merchant, name=code, code=code, timezone=zone)
        accesses.append(ApiClient(user_id=shop.manager.user_id, store_id=store.pk).access)
    stores = [access.store_id for access in accesses]
    people = [new_customer(shop, f"Person {n}") for n in range(8)]
    sales: list[tuple[str, datetime]] = []
    merges: list[tuple[Customer, uuid.UUID]] = []
    for step in range(60):
        instant = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(365 * 24 * 60))
        what = chance.random()
        if what < 0.6 or not sales:
            number = buy(
                shop,
                chance.choice(people),
                f"{chance.randint(0, 40)}.50",
                instant,
                access=chance.choice(accesses),
            )
            sales.append((number, instant))
        elif what < 0.75:
            number, sold_at = sales.pop(chance.randrange(len(sales)))
            amount = chance.choice([None, "0.25"])
            try:
                give_back(shop, number, sold_at + timedelta(days=chance.randrange(40)), amount)
            except Exception:
                continue
        elif what < 0.80 and len(people) > 3:
            source = people.pop()
            target = chance.choice(people)
            report = merge_customers(access=shop.access, customer_id=target.pk, source_id=source.pk)
            assert report.merge_id is not None
            merges.append((target, report.merge_id))
        elif what < 0.83 and merges:
            target, merge_id = merges.pop()
            undo_merge(access=shop.access, customer_id=target.pk, merge_id=merge_id)
        elif what < 0.90:
            outbox.relay()
        else:
            sum_up(shop)
        if step % 6 == 5:
            agree(shop, *stores)
    assert sum_up(shop) > 0
    assert not ChangedDays.objects.exists()
    assert RollupSpan.objects.filter(unit="month").count() > 3
    agree(shop, *stores)
    recent.clear()
    agree(shop, *stores)
    refresh.refresh(merchant_id=shop.merchant.pk, again=True)
    agree(shop, *stores)


def test_a_sale_is_in_the_figures_at_once(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "5.00", at(4, 8))
    sum_up(shop)
    assert read(shop, YEAR).sold == 5
    buy(shop, alice, "7.00", at(4, 9))  # pending in the log
    assert read(shop, YEAR).sold == 12
    outbox.relay()  # written down
    assert ChangedDays.objects.count() == 1
    assert read(shop, YEAR).sold == 12
    refresh.refresh(merchant_id=shop.merchant.pk)  # in the sums
    assert not ChangedDays.objects.exists()
    assert read(shop, YEAR).sold == 12


def test_an_answer_is_kept_until_something_changes(
    shop: Shop, alice: Customer, django_assert_num_queries: Any
) -> None:
    buy(shop, alice, "5.00", at(4, 8))
    sum_up(shop)
    asked = {"merchant_id": shop.merchant.pk, "period": YEAR, "interval": "month"}
    overview(**asked)
    with django_assert_num_queries(1):
        assert overview(**asked).current.purchases == 1
    buy(shop, alice, "7.00", at(4, 8))
    assert overview(**asked).current.purchases == 2


def test_a_return_makes_the_day_of_its_purchase_another(shop: Shop, alice: Customer) -> None:
    number = buy(shop, alice, "5.00", at(4, 8))
    sum_up(shop)
    april = Period(date(2025, 4, 1), date(2025, 4, 30))
    assert (read(shop, april).active, read(shop, april).sold) == (1, 5)
    give_back(shop, number, at(6, 2))
    for _ in range(2):
        assert (read(shop, april).active, read(shop, april).sold) == (0, 5)
        assert read(shop, YEAR).returned == 5
        sum_up(shop)


def test_points_without_a_sale_change_their_day(shop: Shop, alice: Customer) -> None:
    create_program(merchant_id=shop.merchant.pk, begins_at=datetime(2020, 1, 1, tzinfo=UTC))
    buy(shop, alice, "50.00", at(4, 8))
    sum_up(shop)
    today = now().astimezone(shop.merchant.tz).date()
    redeemed = {"merchant_id": shop.merchant.pk, "period": Period(today, today), "interval": "day"}
    assert overview(**redeemed).current.sums.points_redeemed == 0
    post_points(access=shop.access, customer_id=alice.pk, type="redeemed", points=20, transaction_id="R-1")
    for _ in range(2):
        assert overview(**redeemed).current.sums.points_redeemed == 20
        sum_up(shop)


def test_an_erased_customer_stays_in_the_figures(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "5.00", at(4, 8))
    sum_up(shop)
    erase_customer(access=shop.owner.access, customer_id=alice.pk)
    sum_up(shop)
    agree(shop)
    assert read(shop, YEAR).active == 1


def test_a_history_loaded_behind_the_relays_back(shop: Shop, alice: Customer, bob: Customer) -> None:
    buy(shop, alice, "5.00", at(4, 8))
    sum_up(shop)
    rows = [
        {
            "customer_id": bob.pk,
            "store_id": shop.store.pk,
            "transaction_id": f"H{n}",
            "amount": 3,
            "occurred_at": at(n, 8),
            "items": [],
        }
        for n in (2, 3)
    ]
    report = load_history(access=shop.access, sales=rows)
    assert report.purchases == 2
    assert sorted(ChangedDays.objects.values_list("first", "last")) == [
        (date(2025, 2, 8), date(2025, 2, 8)),
        (date(2025, 3, 8), date(2025, 3, 8)),
    ]
    agree(shop)
    sum_up(shop)
    agree(shop)


def test_days_that_begin_at_another_hour_are_summed_up_anew(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "5.00", at(4, 30, 23))
    sum_up(shop)
    may = Period(date(2025, 5, 1), date(2025, 5, 31))
    assert read(shop, may).sold == 5  # London is at UTC+1
    Store.objects.filter(pk=shop.store.pk).update(timezone="America/Los_Angeles")
    assert standing(shop.merchant.pk).changed is None
    assert read(shop, may).sold == 0
    assert sum_up(shop) > 0
    assert read(shop, may).sold == 0
    assert list(RollupDay.objects.values_list("day", flat=True).distinct()) == [date(2025, 4, 30)]


def test_a_new_store_changes_nothing(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "5.00", at(4, 8))
    sum_up(shop)
    Store.objects.create(merchant=shop.merchant, name="Station", code="STN", timezone="Asia/Tokyo")
    assert standing(shop.merchant.pk).changed == []


def test_more_than_a_request_may_read_is_left_to_the_background(
    shop: Shop, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PURCHASES_PER_REQUEST_MAX", 2)
    for day in (1, 3, 5):
        buy(shop, alice, "5.00", at(4, day))
    with pytest.raises(AnalyticsBeingPrepared):
        overview(merchant_id=shop.merchant.pk, period=YEAR, interval="month")
    answer = shop.manager.get("/analytics/overview?from=2025-01-01&to=2025-12-31")
    assert (answer.status_code, answer.json()["code"]) == (503, "analytics_being_prepared")
    sum_up(shop)
    assert read(shop, YEAR).purchases == 3
    # Once there are sums, they are shown with the instant since which they lack something.
    for day in (2, 4, 6):
        buy(shop, alice, "1.00", at(4, day))
    found = overview(merchant_id=shop.merchant.pk, period=YEAR, interval="month")
    assert found.current.purchases == 3
    assert found.as_of is not None
    answer = shop.manager.get("/analytics/overview?from=2025-01-01&to=2025-12-31").json()["data"]
    assert answer["asOf"] is not None
    assert any("not in these figures yet" in note for note in answer["notes"])
    sum_up(shop)
    assert read(shop, YEAR).purchases == 6


def test_a_refresh_that_is_stopped_goes_on(
    shop: Shop, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "DAYS_PER_CHUNK", 40)
    for month in range(1, 13):
        buy(shop, alice, f"{month}.00", at(month, 20))
    outbox.relay()

    class Killed(Exception):
        pass

    chunks = 0

    def kill(days: int) -> None:
        nonlocal chunks
        chunks += 1
        if chunks == 3:
            raise Killed

    with pytest.raises(Killed):
        refresh.refresh(merchant_id=shop.merchant.pk, progress=kill)
    assert 0 < RollupDay.objects.filter(scope_id=shop.store.pk).count() < 12
    assert not PurchaseRollup.objects.get().is_ready
    agree(shop)
    refresh.refresh(merchant_id=shop.merchant.pk)
    assert RollupDay.objects.filter(scope_id=shop.store.pk).count() == 12
    assert PurchaseRollup.objects.get().is_ready
    agree(shop)


def test_a_refresh_ends_when_its_time_is_over(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "5.00", at(4, 8))
    assert refresh.refresh(merchant_id=shop.merchant.pk, seconds_max=0) == 0
    assert refresh.merchants_behind() == [shop.merchant.pk]
    sum_up(shop)
    assert refresh.merchants_behind() == []


def test_members_numbers_are_dense_and_kept(shop: Shop, alice: Customer, bob: Customer) -> None:
    buy(shop, bob, "5.00", at(4, 8))
    sum_up(shop)
    buy(shop, alice, "5.00", at(3, 8))
    sum_up(shop)
    assert dict(RollupMember.objects.values_list("customer_id", "number")) == {bob.pk: 0, alice.pk: 1}
    assert PurchaseRollup.objects.get().members == 2


def test_the_command_sums_up(shop: Shop, alice: Customer, capsys: pytest.CaptureFixture[str]) -> None:
    buy(shop, alice, "5.00", at(4, 8))
    call_command("refresh_rollups", merchant=shop.merchant.slug)
    assert RollupDay.objects.count() == 2  # the store, and all of them
    buy(shop, alice, "5.00", at(4, 9))
    call_command("refresh_rollups", again=True)
    assert RollupDay.objects.count() == 4


def test_a_merchants_sums_are_its_own(shop: Shop, foreign_shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "5.00", at(4, 8))
    buy(foreign_shop, new_customer(foreign_shop, "Mallory"), "9.00", at(4, 8))
    sum_up(shop)
    sum_up(foreign_shop)
    agree(shop)
    agree(foreign_shop)
    sold = dict(RollupDay.objects.filter(scope_id=F("merchant_id")).values_list("merchant_id", "sold"))
    assert sold == {shop.merchant.pk: 500, foreign_shop.merchant.pk: 900}
