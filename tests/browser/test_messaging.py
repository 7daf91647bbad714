"""The messaging settings in the browser: typed, saved, and narrow enough for a phone."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from marketing.channels.settings import messaging_settings_of
from tests.browser.conftest import fits_its_window, sign_in
from tests.fixtures import Shop

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_messaging_is_set_and_fits_a_phone(page: Page, busy_shop: Shop) -> None:
    sign_in(page, busy_shop, "owner")
    page.goto(reverse("messaging_page"))
    page.get_by_label("Sender", exact=True).fill("The corner")
    page.get_by_label("Quiet from").fill("21:00")
    page.get_by_label("Until", exact=True).fill("08:00")
    page.get_by_label("Your own text").fill("Company No. 1234567\nVAT 7 <b>")
    page.get_by_text("In other languages").click()
    page.get_by_label("German").fill("HRB 12345")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.locator(".cp-foot-shown").first).to_contain_text("VAT 7 <b>")
    expect(page.locator(".cp-foot-shown").last).to_contain_text("Abmelden")
    assert messaging_settings_of(busy_shop.merchant.pk).sender_name == "The corner"
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(reverse("messaging_page"))
    assert fits_its_window(page)
