"""The start page: figures of the person's merchant, from SQL."""

import re
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now

from cloudpos.admin.figures import DAYS, figures
from cloudpos.tenancy.models import Merchant
from tests.admin.conftest import Regulars, make_regulars, sell
from tests.fixtures import Shop

QUERIES_MAX = 16


def test_figures(shop: Shop, foreign_shop: Shop, regulars: Regulars) -> None:
    make_regulars(foreign_shop)
    sell(shop, regulars.bob, "100.00", id="before", at=now() - timedelta(days=DAYS + 5))
    sell(shop, regulars.bob, "999.00", id="long-ago", at=now() - timedelta(days=2 * DAYS + 5))
    found = figures(shop.merchant, now=now())
    assert (found.revenue, found.returned, found.sales) == (Decimal("642.50"), Decimal("10.00"), 3)
    assert (found.revenue_before, found.sales_before) == (Decimal("100.00"), 1)
    assert (found.buyers, found.buyers_before) == (2, 1)
    assert (found.customers, found.joined) == (3, 3)
    assert len(found.days) == DAYS
    assert sum(amount for _, amount, _ in found.days) == found.revenue
    assert {share.code: share.n for share in found.segments} == {
        "new": 3,
        "regular": 0,
        "vip": 0,
        "at_risk": 0,
        "churned": 0,
    }
    assert sum(share.n for share in found.tiers) == 3


def test_a_sale_belongs_to_the_day_of_its_store(shop: Shop, regulars: Regulars) -> None:
    shop.store.timezone = "Pacific/Auckland"
    shop.store.save()
    at = now().replace(hour=20, minute=0) - timedelta(days=10)
    sell(shop, regulars.carol, "77.00", id="far", at=at)
    days = {day: amount for day, amount, _ in figures(shop.merchant, now=now()).days}
    assert days[(at + timedelta(hours=12)).date()] == Decimal("77.00")


def test_the_page(manager: Client, regulars: Regulars) -> None:
    with CaptureQueriesContext(connection) as queries:
        text = manager.get(reverse("admin:index")).content.decode()
    assert len(queries) <= QUERIES_MAX
    for part in (
        "Corner Shop",
        "£642.50",
        "3 purchases, £10.00 returned",
        "Alice Ashford",
        "Silver",
        'data-type="line"',
    ):
        assert part in text, part
    assert "Online Retail II" not in text


def test_an_empty_merchant_is_told_what_comes(manager: Client, shop: Shop) -> None:
    text = manager.get(reverse("admin:index")).content.decode()
    assert "No purchases in the last 30 days" in text
    assert "There is no loyalty program yet" in text


def test_figures_that_take_too_long_do_not_close_the_page(
    manager: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(merchant: Merchant, *, now: datetime) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 5")
            cursor.execute("SELECT pg_sleep(1)")

    monkeypatch.setattr("cloudpos.admin.dashboard.figures", slow)
    answer = manager.get(reverse("admin:index"))
    assert answer.status_code == 200
    assert "take longer than usual" in answer.content.decode()


def test_the_demo_merchant_names_its_source(manager: Client, shop: Shop) -> None:
    Merchant.objects.filter(pk=shop.merchant.pk).update(slug="quillfeather-gifts")
    cache.clear()
    text = re.sub(r"<[^>]*>|\s+", " ", manager.get(reverse("admin:index")).content.decode())
    for part in (
        "Chen",
        "(2012)",
        "Online Retail II",
        "UCI Machine Learning Repository",
        "10.24432/C5CG6D",
        "CC BY 4.0",
    ):
        assert part in text, part


def test_a_superuser_without_a_merchant_sees_each(
    superuser: Client, regulars: Regulars, foreign_shop: Shop
) -> None:
    text = superuser.get(reverse("admin:index")).content.decode()
    assert "Corner Shop" in text
    assert "Far Away Traders" in text
    assert "£652.50" in text
    assert "$0.00" in text


@pytest.mark.parametrize("name", ["index", "customers_customer_changelist"])
def test_pages_are_kept_by_no_cache(manager: Client, regulars: Regulars, name: str) -> None:
    assert "no-store" in manager.get(reverse(f"admin:{name}")).headers["Cache-Control"]
