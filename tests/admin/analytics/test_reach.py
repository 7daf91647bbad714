"""Who may see the analytics pages, and of which merchant: every one of them is tried."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cloudpos.admin.analytics import urls
from cloudpos.tenancy.models import User
from tests.admin.conftest import Regulars, make_regulars, person, staff_client
from tests.admin.test_foreign_merchant import assert_silent, secrets_of
from tests.fixtures import Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kept_regulars")]

ARGUMENTS: dict[str, list[Any]] = {
    "buyers_page": ["active"],
    "cohort_page": ["2026-01-01", 0],
    "moved_page": ["2026-01-01", "vip", "joined"],
    "rfm_cell_page": [5, 1],
}
QUERIES = {"product_buyers_page": "?sku=TEA-1"}
PAGES = [
    reverse(str(pattern.name), args=ARGUMENTS.get(str(pattern.name), [])) + QUERIES.get(str(pattern.name), "")
    for pattern in urls.urlpatterns
]


def asked(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}"


@pytest.mark.parametrize("url", PAGES)
def test_for_managers_only(shop: Shop, regulars: Regulars, url: str) -> None:
    assert staff_client(person(shop, "manager")).get(url).status_code == 200
    assert staff_client(person(shop, "cashier")).get(url).status_code == 302
    assert (
        staff_client(User.objects.create_user("nobody@example.org", name="Nobody")).get(url).status_code
        == 302
    )
    assert Client().get(url).status_code == 302


@pytest.mark.parametrize("url", PAGES)
def test_of_their_own_merchant_only(shop: Shop, foreign_shop: Shop, manager: Client, url: str) -> None:
    make_regulars(foreign_shop)
    secrets = secrets_of(foreign_shop)
    for query in ("", "part=1", "format=csv", f"store={foreign_shop.store.pk}"):
        assert_silent(manager.get(asked(url, query)), secrets - {str(foreign_shop.store.pk)}, url)


@pytest.mark.parametrize("url", PAGES)
def test_a_superuser_chooses_a_merchant_first(
    superuser: Client, shop: Shop, foreign_shop: Shop, url: str
) -> None:
    assert "Choose a merchant" in superuser.get(url).content.decode()


@pytest.mark.parametrize("url", PAGES)
def test_pages_are_kept_by_no_cache(manager: Client, regulars: Regulars, url: str) -> None:
    assert "no-store" in manager.get(url).headers["Cache-Control"]


@pytest.mark.parametrize("url", PAGES)
def test_a_part_is_no_page(manager: Client, regulars: Regulars, url: str) -> None:
    part = manager.get(asked(url, "part=1")).content.decode()
    assert "<html" not in part and "<script" not in part
