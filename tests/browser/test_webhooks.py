"""Webhooks in a real browser: made, tried, looked at, and given a new secret."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from marketing.models import Webhook, WebhookDelivery
from marketing.webhooks.dispatch import send_due
from tests.browser.conftest import fits_its_window, sign_in
from tests.fixtures import Shop
from tests.marketing.conftest import Receiver, queue, receiver, says

__all__ = ["receiver"]  # a fixture

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_manager_makes_a_webhook_and_sees_what_was_sent(
    page: Page, busy_shop: Shop, receiver: Receiver
) -> None:
    sign_in(page, busy_shop, "manager")
    page.goto(reverse("admin:marketing_webhook_add"))
    page.get_by_role("textbox", name="Address").fill(f"{receiver.url}/erp")
    page.get_by_label("Every event").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#webhook-secret")).to_contain_text("whsec_")
    page.get_by_role("link", name="I have copied it").click()
    expect(page.get_by_text("Nothing was sent yet.")).to_be_visible()

    page.get_by_role("link", name="Send a test").first.click()
    page.get_by_role("button", name="Send it").click()
    assert send_due() == 1
    receiver.answer = says(503)
    queue(busy_shop, "purchase.recorded")
    send_due()
    receiver.answer = lambda handler: (handler.send_response(200), handler.end_headers())  # type: ignore[func-returns-value]
    page.reload()
    expect(page.get_by_text("Failing", exact=True)).to_be_visible()
    expect(page.get_by_text("answered 503")).to_be_visible()
    page.get_by_role("link", name="purchase.recorded").click()
    expect(page.get_by_text("Attempt 1,")).to_be_visible()
    page.get_by_role("link", name="Send again").click()
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("The delivery is on its way again.")).to_be_visible()
    assert send_due() == 1
    page.reload()
    expect(page.get_by_text("Answered 200")).to_be_visible()
    assert len(receiver.requests) == 3

    page.goto(reverse("admin:marketing_webhook_rotate", args=[Webhook.objects.get().pk]))
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_text("The secret before this one signs too until")).to_be_visible()


def test_a_phone_shows_the_console_without_scrolling_sideways(
    page: Page, busy_shop: Shop, receiver: Receiver
) -> None:
    from tests.marketing.conftest import new_webhook

    webhook = new_webhook(busy_shop, f"{receiver.url}/{'a-long-path/' * 6}", "*").webhook
    queue(busy_shop, "purchase.recorded", "points.earned")
    send_due()
    delivery = WebhookDelivery.objects.latest("pk")
    sign_in(page, busy_shop, "manager")
    page.set_viewport_size({"width": 390, "height": 844})
    for url in (
        reverse("admin:marketing_webhook_changelist"),
        reverse("admin:marketing_webhook_change", args=[webhook.pk]),
        reverse("admin:marketing_webhook_replay", args=[webhook.pk]),
        reverse("admin:marketing_webhookdelivery_change", args=[delivery.pk]),
        reverse("webhook-docs"),
    ):
        page.goto(url)
        assert fits_its_window(page), url
