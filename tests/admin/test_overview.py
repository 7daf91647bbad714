"""The start page: figures of the person's merchant, the same as the API's."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now

from analytics.rollups import reading
from analytics.rollups.refresh import refresh
from cloudpos.tenancy.models import Merchant, Store
from tests.admin.conftest import Regulars, make_regulars, person, sell, staff_client
from tests.fixtures import Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kept_regulars")]

# Who asks and for which stores 4; the overview and the period before, both known, 1 each; cards 2; segments, tiers and the
# latest purchases 3.
QUERIES = 11
# The same two while the purchases are not summed up yet, and nothing is known.
QUERIES_COLD = 20


def text_of(client: Client, query: str = "") -> str:
    answer = client.get(reverse("admin:index") + query)
    assert answer.status_code == 200
    shown = re.sub(r"<script.*?</script>|<[^>]*>", " ", answer.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", shown)


def test_the_cards(manager: Client, shop: Shop, foreign_shop: Shop, regulars: Regulars) -> None:
    make_regulars(foreign_shop)
    sell(shop, regulars.bob, "100.00", id="before", at=now() - timedelta(days=35))
    sell(shop, regulars.bob, "999.00", id="long-ago", at=now() - timedelta(days=65))
    shown = text_of(manager)
    for card in (
        "Revenue £642.50 +543% · 3 purchases, £10.00 returned",
        "Active customers 2 +100% · bought in these 30 days; 1 before",
        "New customers 1 ",
        "Repeat rate 100.0% 0 pts · 2 of 2 had bought before or came twice",
        "Average order £217.50 +118% · before returns; £100.00 before",
        "Value at risk £0.00 ",
        "Customers 3 on record",
        "Points liability",
    ):
        assert card in shown, card
    assert "Alice Ashford" in shown and "Silver" in shown
    assert "Online Retail II" not in shown


def test_the_cards_are_the_figures_of_the_api(manager: Client, shop: Shop, regulars: Regulars) -> None:
    data = shop.manager.get("/analytics/overview").json()["data"]
    shown = text_of(manager)
    assert f"Revenue £{data['revenue']} " in shown
    assert f"Active customers {data['customers']['active']} " in shown
    assert f"New customers {data['customers']['new']} " in shown
    assert f"Average order £{data['averageOrderValue']} " in shown


def test_longer_periods_and_one_store(manager: Client, shop: Shop, regulars: Regulars) -> None:
    sell(shop, regulars.bob, "100.00", id="before", at=now() - timedelta(days=35))
    other = Store.objects.create(merchant=shop.merchant, name="Station Kiosk")
    assert "Revenue £742.50 " in text_of(manager, "?days=90")
    assert "Revenue £0.00 " in text_of(manager, f"?days=365&store={other.pk}")
    assert "No purchases in the last 30 days at Station Kiosk" in text_of(manager, f"?store={other.pk}")


@pytest.mark.parametrize(
    "query", ["?days=31", "?days=-1", "?days=x&store=x", "?store=01a22d51-450e-73ec-9812-1efffe689af2"]
)
def test_an_address_that_nobody_made_shows_the_first_period(
    manager: Client, regulars: Regulars, query: str
) -> None:
    assert "Revenue £642.50 " in text_of(manager, query)


def test_what_the_charts_draw_is_a_table_too(manager: Client, regulars: Regulars) -> None:
    page = manager.get(reverse("admin:index") + "?days=90").content.decode()
    assert page.count('data-type="line"') == 2
    assert page.count("The same in numbers") == 2
    assert page.count('role="img" aria-label="') == 2
    table = page[page.index("The same in numbers") :]
    assert table[: table.index("</tbody>")].count('<th scope="row">') == 90


def test_every_figure_leads_to_the_customers_behind_it(manager: Client, regulars: Regulars) -> None:
    page = manager.get(reverse("admin:index")).content.decode()
    cards = re.findall(r'class="cp-kpi__link" href="([^"]+)"', page)
    assert len(cards) == page.count("cp-card cp-kpi") == 8
    rows = re.findall(r'<a class="cp-link" href="(/admin/analytics/buyers/[^"]+)"', page)
    assert len(rows) == 6
    for url in {*cards, *rows}:
        assert manager.get(url.replace("&amp;", "&")).status_code == 200, url


def test_weeks_of_a_year_are_whole(manager: Client, shop: Shop, regulars: Regulars) -> None:
    page = manager.get(reverse("admin:index") + "?days=365").content.decode()
    table = page[page.index("The same in numbers") :]
    assert 51 <= table[: table.index("</tbody>")].count('<th scope="row">') <= 52


def test_how_much_is_asked_of_the_database(manager: Client, regulars: Regulars) -> None:
    url = reverse("admin:index")
    manager.get(url)
    with CaptureQueriesContext(connection) as queries:
        manager.get(url)
    assert len(queries) == QUERIES
    cache.clear()
    with CaptureQueriesContext(connection) as queries:
        manager.get(url)
    assert len(queries) == QUERIES_COLD


def test_figures_that_are_not_quite_of_now_say_so(
    manager: Client, shop: Shop, regulars: Regulars, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "is being added up" not in text_of(manager)
    refresh(merchant_id=shop.merchant.pk)
    cache.clear()
    for number in range(4):
        sell(shop, regulars.bob, "1.00", id=f"late-{number}", at=now() - timedelta(days=2 * number + 1))
    monkeypatch.setattr(reading, "PURCHASES_PER_REQUEST_MAX", 0)
    assert "is being added up, and is not in these figures yet" in text_of(manager)


def test_an_empty_merchant_is_told_what_comes(foreign_shop: Shop) -> None:
    manager = staff_client(person(foreign_shop, "manager"))
    for query in ("", "?days=365"):
        shown = text_of(manager, query)
        assert "No purchases in the last" in shown
        assert "There is no loyalty program yet" in shown
        assert "Repeat rate –" in shown and "Average order –" in shown


def test_figures_that_take_too_long_do_not_close_the_page(
    manager: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(**asked: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 5")
            cursor.execute("SELECT pg_sleep(1)")

    monkeypatch.setattr("cloudpos.admin.dashboard.overview", slow)
    shown = text_of(manager)
    assert "being prepared" in shown and "To the customers" in shown


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
