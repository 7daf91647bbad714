"""Summing up, reading and selling at the same time."""

from datetime import UTC, date, datetime

import pytest
from django.db import transaction

from analytics.models import ChangedDays, RollupDay
from analytics.periods import Period
from analytics.rollups import refresh
from analytics.rollups.reading import Books, one_instant
from cloudpos import outbox
from customers.models import Customer
from tests.analytics.conftest import buy
from tests.fixtures import Shop, meanwhile

pytestmark = pytest.mark.django_db(transaction=True)

APRIL = Period(date(2025, 4, 1), date(2025, 4, 30))


def at(day: int) -> datetime:
    return datetime(2025, 4, day, 12, tzinfo=UTC)


def sum_up(shop: Shop) -> int:
    outbox.relay()
    return refresh.refresh(merchant_id=shop.merchant.pk)


def test_one_process_sums_up_and_others_do_not_wait(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "5.00", at(8))
    with transaction.atomic():
        assert refresh._lock(shop.merchant.pk) is not None
        # The row itself is not committed yet.
        transaction.set_rollback(False)
    with transaction.atomic():
        assert refresh._lock(shop.merchant.pk) is not None
        assert meanwhile(lambda: sum_up(shop)) == 0
    assert not RollupDay.objects.exists()
    assert sum_up(shop) > 0


def test_figures_are_of_one_instant(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "5.00", at(8))
    sum_up(shop)

    def go_on() -> None:
        buy(shop, alice, "7.00", at(8))
        buy(shop, alice, "7.00", at(9))
        sum_up(shop)

    with one_instant():
        books = Books(shop.merchant.pk, until=APRIL.last)
        meanwhile(go_on)
        days = books.scope().days(APRIL)
    assert {day: found.sums.sold for day, found in days.items()} == {date(2025, 4, 8): 500}


def test_a_sale_during_the_summing_up_is_not_forgotten(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "5.00", at(8))
    sum_up(shop)
    buy(shop, alice, "7.00", at(8))
    outbox.relay()

    def sell_and_relay() -> None:
        buy(shop, alice, "9.00", at(8))
        outbox.relay()

    with transaction.atomic():
        rollup = refresh._lock(shop.merchant.pk)
        assert rollup is not None
        days = refresh._take_days(shop.merchant.pk)
        refresh._rebuild(rollup, days)
        # The relay waits for nobody.
        meanwhile(sell_and_relay)
    assert ChangedDays.objects.count() == 1
    assert RollupDay.objects.get(scope_id=shop.store.pk).sold == 1_200
    sum_up(shop)
    assert RollupDay.objects.get(scope_id=shop.store.pk).sold == 2_100
