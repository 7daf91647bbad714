"""Lists that are taken away as files are on record: who took what, and how much of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from analytics import urls as api_urls
from customers.models import Customer, Event
from tests.admin.analytics.test_reach import PAGES, asked
from tests.admin.conftest import Regulars, make_regulars, person, staff_client
from tests.analytics.conftest import buy
from tests.analytics.goods import MAY, item, may
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

LISTS = {
    f"/analytics/overview?{MAY}": "overview-2026-05-01-2026-05-31",
    "/analytics/segments?": "segments",
    "/analytics/cohorts?startDate=2026-05-01&endDate=2026-05-31": "cohorts-retention-by-month",
    "/analytics/cohorts/2026-05-01/customers?": "cohort-2026-05-01-2026-05-01",
    f"/analytics/products?{MAY}": "products-2026-05-01-2026-05-31",
}


def exports() -> list[Event]:
    return list(Event.objects.filter(type="export.made").order_by("recorded_at"))


@pytest.fixture
def sale(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "9.00", may(5), items=[item("apple", "3", "3.00")])


@pytest.mark.parametrize("path", LISTS)
def test_a_list_that_was_taken_away(shop: Shop, sale: None, path: str) -> None:
    assert shop.manager.get(path).status_code == 200
    assert exports() == []
    answers = [shop.manager.get(f"{path}&format=csv"), shop.manager.get(path, headers={"accept": "text/csv"})]
    found = exports()
    assert len(found) == 2
    for answer, made in zip(answers, found, strict=True):
        lines = answer.content.decode().splitlines()
        assert (answer.status_code, made.data["rows"]) == (200, len(lines) - 1)
        assert made.data["rows"] > 0
        assert made.data["file"] == f"{LISTS[path]}.csv"
        assert set(made.data) == {"file", "rows"}
        assert (made.merchant_id, made.store_id) == (shop.merchant.pk, shop.store.pk)
        assert (str(made.actor_id), made.customer_id) == (str(shop.manager.user_id), None)
        assert made.request_id == answer.headers["X-Request-ID"]


def test_every_list_there_is() -> None:
    """So that a new one is tried above too."""
    views = [getattr(pattern.callback, "cls", None) for pattern in api_urls.urlpatterns]
    assert len([view for view in views if view is not None and view.tables]) == len(LISTS)


def test_what_is_refused_was_not_taken(shop: Shop, sale: None) -> None:
    assert shop.cashier.get("/analytics/products?format=csv").status_code == 403
    assert shop.manager.get("/analytics/products?format=csv&limit=0").status_code == 400
    assert exports() == []


@pytest.fixture
def regulars(shop: Shop) -> Regulars:
    return make_regulars(shop)


@pytest.mark.parametrize("url", PAGES)
def test_files_of_the_admin(shop: Shop, regulars: Regulars, url: str) -> None:
    manager = person(shop, "manager")
    answer: Any = staff_client(manager).get(asked(url, "format=csv"))
    if not answer.headers["Content-Type"].startswith("text/csv"):
        assert exports() == []
        return
    (made,) = exports()
    lines = answer.content.decode().splitlines()
    assert made.data == {"file": answer.headers["Content-Disposition"].split('"')[1], "rows": len(lines) - 1}
    assert (made.actor_id, made.merchant_id, made.store_id) == (manager.pk, shop.merchant.pk, None)


def test_the_record_can_be_read(shop: Shop, regulars: Regulars) -> None:
    client: Client = staff_client(person(shop, "manager"))
    client.get(reverse("buyers_page", args=["active"]) + "?format=csv")
    (made,) = exports()
    assert "Export made" in client.get(reverse("admin:customers_event_changelist")).content.decode()
    page = client.get(reverse("admin:customers_event_change", args=[made.pk])).content.decode()
    assert person(shop, "manager").name in page and "active-customers-" in page
    assert made.occurred_at > now() - timedelta(minutes=1)
