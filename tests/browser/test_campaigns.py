"""A campaign from an empty form to its results: written in the browser, sent to a real mail server, read, followed, ended."""

import re
from typing import Any

import httpx
import pytest
from django.conf import LazySettings
from django.core.cache import cache
from django.urls import reverse
from django.utils.timezone import now
from playwright.sync_api import Page, expect

from customers.models import Preferences
from marketing.campaigns import sending
from marketing.models import Campaign, CampaignMessage, Segment, SegmentMember
from tests.browser.conftest import fits_its_window, sign_in
from tests.fixtures import Shop
from tests.marketing.campaigns.conftest import person
from tests.marketing.sink import mail_sink

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_campaign_is_written_sent_read_and_measured(
    page: Page, busy_shop: Shop, settings: LazySettings, live_server: Any
) -> None:
    settings.PUBLIC_URL = live_server.url
    group = Segment.objects.create(merchant=busy_shop.merchant, name="Gift buyers", kind="list")
    for number in range(12):
        customer = person(busy_shop, f"Person{number}")
        SegmentMember.objects.create(merchant=busy_shop.merchant, segment=group, customer=customer)
    person(busy_shop, "Outsider")

    sign_in(page, busy_shop, "manager")
    page.goto(reverse("campaigns_page"))
    page.get_by_role("link", name="New campaign").first.click()
    page.get_by_label("Name", exact=True).fill("Spring gifts")
    page.get_by_label("Gift buyers").first.check()
    page.get_by_label("Control group, in per cent").fill("50")
    shown = page.locator("[data-preview-body]")
    expect(shown).to_contain_text("are kept to compare with")
    page.locator("#email-subject-A").fill("For you, ")
    page.get_by_text("What you can say of a customer").click()
    page.get_by_role("button", name="customer.first_name").click()
    page.locator("#design-text-A").fill("Come in & look.\n\nWe are open.")
    page.locator("#design-button-A").fill("See the gifts")
    page.locator("#design-link-A").fill("https://shop.example/gifts")
    expect(shown.locator(".cp-mail__subject")).to_have_text("For you, Alice")
    expect(shown.frame_locator("iframe").get_by_text("Come in & look.")).to_be_visible()

    page.get_by_role("button", name="Compare with another variant").click()
    page.locator("#design-text-B").fill("The other text")
    page.locator("[name=shown_variant]").select_option("B")
    expect(shown.frame_locator("iframe").get_by_text("The other text")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Save and start").click()
    expect(page.get_by_text("is on its way")).to_be_visible()

    with mail_sink() as sink:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
        sent = sending.work()
    control = CampaignMessage.objects.filter(state="control").count()
    assert (0 < control < 12, sent, len(sink.received)) == (True, 12 - control, 12 - control)
    mail = sink.received[0].message
    body = mail.get_body(("html",))
    assert body is not None
    html = body.get_content()
    assert re.fullmatch(r"For you, Person\d+", mail["Subject"])

    # Reads, follows the button, and unsubscribes as a mail program does.
    (pixel,) = re.findall(r'<img[^>]+src="([^"]+)"', html)
    (link,) = [url for url in re.findall(r'href="([^"]+)"', html) if "/t/" in url]
    # What calls itself a program is taken for a scanner of links.
    browser = {"User-Agent": "Mozilla/5.0"}
    assert httpx.get(pixel, headers=browser).status_code == 200
    followed = httpx.get(link, headers=browser)
    assert (followed.status_code, followed.headers["location"]) == (302, "https://shop.example/gifts")
    one_click = mail["List-Unsubscribe"].strip("<> ").split(">")[0]
    answer = httpx.post(one_click, data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    reader = CampaignMessage.objects.get(clicked_at__isnull=False)
    assert reader.unsubscribed_at is not None
    preferences = Preferences.objects.get(customer_id=reader.customer_id)
    assert preferences.consents["email"]["marketing"] is False

    campaign = Campaign.objects.get()
    assert campaign.started_at is not None and campaign.started_at <= now()
    # The page that followed the start is a moment old.
    cache.clear()
    page.goto(reverse("campaign_page", args=[campaign.pk]))
    expect(page.get_by_role("heading", name="What it brought")).to_be_visible()
    expect(page.get_by_text("too few to tell")).to_be_visible()
    expect(page.locator(".cp-funnel__row").filter(has_text="Sent")).to_contain_text(str(sent))
    expect(page.locator(".cp-funnel__row").filter(has_text="Clicked")).to_contain_text("1")
    expect(page.get_by_role("rowheader", name="https://shop.example/gifts").first).to_be_visible()

    page.set_viewport_size({"width": 390, "height": 844})
    for url in (
        reverse("campaigns_page"),
        reverse("new_campaign_page"),
        reverse("campaign_page", args=[campaign.pk]),
    ):
        page.goto(url)
        expect(page.get_by_text("One moment")).to_have_count(0)
        assert fits_its_window(page), url
