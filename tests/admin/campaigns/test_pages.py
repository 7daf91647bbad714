"""Campaigns in the admin: who may see them, and of whom; what the form takes, and the steps of a campaign's life."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from loyalty.services.rewards import create_reward
from marketing.models import Campaign
from tests.admin.conftest import person as colleague
from tests.admin.conftest import staff_client
from tests.admin.test_foreign_merchant import assert_silent, secrets_of
from tests.fixtures import Shop
from tests.marketing.campaigns.conftest import launch, person, send, write

pytestmark = pytest.mark.django_db

PLAIN = [
    reverse(name) for name in ("campaigns_page", "new_campaign_page", "campaign_preview", "campaign_test")
]


def typed(**more: Any) -> dict[str, Any]:
    return {
        "name": "Spring", "kind": "once", "channel": "email", "purpose": "marketing", "control_percent": "10",
        "when": "now", "conversion_days": "7", "weight-A": "1", "email-subject-A": "News", "mode-A": "designed",
        "design-text-A": "Look & see", **more,
    }  # fmt: skip


def test_for_managers_only(shop: Shop) -> None:
    urls = [*PLAIN, reverse("campaign_page", args=[write(shop).pk])]
    manager, cashier = staff_client(colleague(shop, "manager")), staff_client(colleague(shop, "cashier"))
    for url in urls:
        assert manager.get(url).status_code == 200, url
        assert cashier.get(url).status_code == 302, url
        assert Client().get(url).status_code == 302, url


def test_of_their_own_merchant_only(foreign_shop: Shop, manager: Client) -> None:
    theirs = write(foreign_shop, name="Foreign news")
    secrets = secrets_of(foreign_shop) | {"Foreign news"}
    for url in PLAIN:
        assert_silent(manager.get(url), secrets, url)
    url = reverse("campaign_page", args=[theirs.pk])
    assert manager.get(url).status_code == 404
    for step in ("schedule", "copy", "delete"):
        assert manager.post(url, {"step": step}).status_code == 404
    assert Campaign.objects.get().state == "draft"


def test_a_draft_is_saved_and_shown_again(manager: Client, shop: Shop) -> None:
    answer = manager.post(reverse("new_campaign_page"), typed(send_at="2027-01-31T09:00", when="later"))
    campaign = Campaign.objects.get()
    url = reverse("campaign_page", args=[campaign.pk])
    assert (answer.status_code, answer["Location"]) == (302, url)
    # What is typed is the shop's time.
    assert campaign.send_at is not None
    assert campaign.send_at.astimezone(shop.merchant.tz).isoformat() == "2027-01-31T09:00:00+00:00"
    assert campaign.variants[0]["design"]["text"] == "Look & see"
    assert "Look &amp; see" in campaign.variants[0]["content"]["html"]
    text = manager.get(url).content.decode()
    assert 'value="News"' in text
    assert "Look &amp; see" in text
    assert "2027-01-31T09:00" in text
    assert 'value="Spring"' in manager.get(f"{url}").content.decode()


def test_a_reward_comes_with_it(manager: Client, shop: Shop) -> None:
    values = {"name": "Free coffee", "kind": "free_item", "sku": "COFFEE", "points": 50}
    reward = create_reward(merchant_id=shop.merchant.pk, values=values)
    manager.post(reverse("new_campaign_page"), typed(incentive_reward=str(reward.pk), incentive_days="14"))
    campaign = Campaign.objects.get()
    assert (campaign.incentive_reward_id, campaign.incentive_days) == (reward.pk, 14)
    text = manager.get(reverse("campaign_page", args=[campaign.pk])).content.decode()
    assert f'<option value="{reward.pk}" selected>Free coffee</option>' in text
    assert 'data-variable="reward.code"' in text


def test_what_is_wrong_is_said_and_nothing_is_saved(manager: Client) -> None:
    for more, said in (
        ({"email-subject-A": ""}, "Variant A, subject"),
        ({"design-text-A": "{% include 'x' %}"}, "Variant A, html"),
        ({"control_percent": "90"}, "Control group"),
        ({"kind": "triggered", "trigger_event": "", "trigger_segment": ""}, "id of a segment"),
    ):
        text = manager.post(reverse("new_campaign_page"), typed(**more)).content.decode()
        assert said in text, more
        assert "This was not saved." in text
    assert not Campaign.objects.exists()


def test_the_kinds(manager: Client) -> None:
    manager.post(
        reverse("new_campaign_page"),
        typed(kind="recurring", every="week", weekdays=["2", "5"], interval="2", at="08:30"),
    )
    manager.post(
        reverse("new_campaign_page"),
        typed(
            kind="triggered",
            trigger_event="purchase.recorded",
            delay_minutes="60",
            again="days",
            again_days="30",
        ),
    )
    found = {each.kind: each for each in Campaign.objects.all()}
    assert found["recurring"].recurrence == {
        "every": "week",
        "interval": 2,
        "at": "08:30",
        "weekdays": [2, 5],
    }
    assert found["triggered"].trigger == {
        "event": "purchase.recorded",
        "delayMinutes": 60,
        "againAfterDays": 30,
    }
    for campaign in found.values():
        text = manager.get(reverse("campaign_page", args=[campaign.pk])).content.decode()
        assert "Save and start" in text


def test_its_life(manager: Client, shop: Shop) -> None:
    person(shop, "Alice")
    campaign = launch(shop, kind="triggered", trigger={"event": "order.shipped"})
    url = reverse("campaign_page", args=[campaign.pk])
    for step, state in (
        ("pause", "paused"),
        ("resume", "sending"),
        ("resume", "sending"),
        ("cancel", "cancelled"),
    ):
        manager.post(url, {"step": step})
        campaign.refresh_from_db()
        assert campaign.state == state
    manager.post(url, {"step": "copy"})
    assert Campaign.objects.filter(name="Spring (copy)", state="draft").exists()


def test_results_and_the_calendar(manager: Client, shop: Shop) -> None:
    person(shop, "Alice")
    campaign = launch(shop)
    send()
    text = manager.get(reverse("campaign_page", args=[campaign.pk])).content.decode()
    assert "There is no control group" in text
    listed = manager.get(PLAIN[0], {"month": f"{now():%Y-%m}"}).content.decode()
    assert listed.count(reverse("campaign_page", args=[campaign.pk])) == 2
    assert "Nothing goes out" in manager.get(PLAIN[0], {"month": "2020-01"}).content.decode()
    assert manager.get(PLAIN[0], {"month": "x" * 99}).status_code == 200


def test_the_preview_counts_and_shows(manager: Client, shop: Shop) -> None:
    alice = person(shop, "Alice")
    given = typed(control_percent="0", shown_for=alice.customer_number)
    given["email-subject-A"] = "For {{ customer.first_name }}"
    text = manager.post(PLAIN[2] + "?part=1", given).content.decode()
    assert "<strong>1</strong> customer gets" in text
    assert "For Alice" in text
    assert (
        "no customer of this number"
        in manager.post(PLAIN[2] + "?part=1", {**given, "shown_for": "1000000008"}).content.decode()
    )
    # Without a text yet, whom it would reach is told all the same.
    unwritten = manager.post(PLAIN[2] + "?part=1", {**given, "design-text-A": ""}).content.decode()
    assert "<strong>1</strong> customer gets" in unwritten
    assert "Write something." in unwritten
