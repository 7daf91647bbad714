"""The start page and what stands behind its numbers, in a real browser."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from cloudpos.admin.analytics import urls
from tests.admin.analytics.test_reach import PAGES
from tests.admin.conftest import Regulars
from tests.browser.conftest import fits_its_window, sign_in
from tests.fixtures import Shop

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Whether a chart has drawn anything: a canvas of nothing is transparent all over.
DRAWN = """canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(part => part > 0)"""


def test_from_a_number_to_the_customers_behind_it(page: Page, busy_shop: Shop, regulars: Regulars) -> None:
    sign_in(page, busy_shop, "manager")
    for canvas in page.locator("canvas.chart").all():
        assert canvas.evaluate(DRAWN)
    # Parts that come by themselves have come.
    expect(page.get_by_text("One moment")).to_have_count(0)
    page.get_by_role("link", name="90 days").click()
    expect(page.get_by_role("link", name="90 days")).to_have_attribute("aria-current", "page")

    page.locator(".cp-kpi", has_text="Active customers").click()
    expect(page.get_by_role("heading", name="2 customers")).to_be_visible()
    page.get_by_role("link", name="Alice Ashford").click()
    expect(page.locator(".cp-head__name")).to_have_text("Alice Ashford")

    page.goto(reverse("admin:index"))
    page.get_by_text("The same in numbers").first.click()
    page.locator("details[open] tbody a").first.click()
    expect(page.get_by_role("heading", name="1 customer")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export", exact=True).click()
    assert download.value.suggested_filename.startswith("active-customers-")


def test_from_a_product_to_who_bought_it(page: Page, busy_shop: Shop, regulars: Regulars) -> None:
    sign_in(page, busy_shop, "manager")
    page.locator("#nav-sidebar-apps a", has_text="Products").click()
    page.get_by_role("link", name="By units").click()
    page.get_by_role("link", name="90 days").click()
    expect(page.get_by_role("link", name="By units")).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="Oolong tea").click()
    expect(page.get_by_role("heading", name="2 customers")).to_be_visible()


def test_every_page_on_a_phone_and_in_the_dark(page: Page, busy_shop: Shop, regulars: Regulars) -> None:
    sign_in(page, busy_shop, "manager")
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    assert len(PAGES) == len(urls.urlpatterns)
    for url in [reverse("admin:index"), *PAGES]:
        page.goto(url)
        expect(page.get_by_text("One moment")).to_have_count(0)
        assert fits_its_window(page), url
