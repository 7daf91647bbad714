"""Short links of text messages: GET /s/{token}."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.utils.timezone import now

from cloudpos.admin.campaigns.results import results_shown
from cloudpos.lifecycle.erasing import erase_customer
from customers.models import Customer
from loyalty.models import Voucher
from loyalty.services import create_program
from loyalty.services.rewards import create_reward
from loyalty.services.vouchers import shown_code
from marketing.campaigns import previews, results, services
from marketing.channels.settings import change_messaging_settings
from marketing.models import Campaign, CampaignClick, CampaignLink, CampaignMessage
from marketing.tracking.short_links import message_code, read_short, short_url
from tests.fixtures import Shop
from tests.marketing.campaigns.conftest import launch, person, say, send, write

pytestmark = pytest.mark.django_db

SHORT = re.compile(r"http://127\.0\.0\.1:3002(/s/[0-9A-Za-z]{16})(?![0-9A-Za-z])")
OFFER = "https://shop.example/offer?utm_source=sms"
TEXT = f"Hello {{{{ customer.first_name }}}}: {OFFER} or https://shop.example/{{{{ customer.number }}}}."


@pytest.fixture(autouse=True)
def folder(shop: Shop, settings: Any, tmp_path: Path) -> Iterator[Path]:
    settings.MESSAGES_FOLDER = str(tmp_path)
    change_messaging_settings(merchant_id=shop.merchant.pk, changes={"sms_provider": "console"})
    yield tmp_path


@pytest.fixture
def alice(shop: Shop) -> Customer:
    return reachable(shop, "Alice", "+441614960111")


def reachable(shop: Shop, name: str, phone: str) -> Customer:
    customer = person(shop, name, consent=False, phone=phone)
    say(shop, customer, "granted", channel="sms")
    return customer


def sms(shop: Shop, text: str = TEXT, **more: Any) -> Campaign:
    return launch(shop, channel="sms", variants=[{"content": {"text": text}}], **more)


def texts(folder: Path) -> dict[str, str]:
    """By phone number."""
    read = [orjson.loads(path.read_bytes()) for path in folder.glob("*.json")]
    return {each["to"]: each["text"] for each in read}


def links_in(text: str) -> list[str]:
    return SHORT.findall(text)


def test_links_of_a_text_are_short_and_the_readers_own(
    shop: Shop, alice: Customer, folder: Path, client: Client
) -> None:
    bob = reachable(shop, "Bob", "+441614960222")
    sms(shop)
    assert send() == 2
    sent = texts(folder)
    assert SHORT.sub("*", sent["+441614960111"]) == "Hello Alice: * or *."
    offer, own = links_in(sent["+441614960111"])
    assert client.get(offer).headers["Location"] == OFFER
    assert client.get(own).headers["Location"] == f"https://shop.example/{alice.customer_number}"
    others = links_in(sent["+441614960222"])
    assert client.get(others[1]).headers["Location"] == f"https://shop.example/{bob.customer_number}"
    # A row for each link of the text, however many get it.
    assert CampaignLink.objects.count() == 2
    assert len({offer, own, *others}) == 4


def test_clicks_are_in_the_results_as_those_of_mails(
    shop: Shop, alice: Customer, folder: Path, client: Client
) -> None:
    campaign = sms(shop)
    send()
    offer, own = links_in(texts(folder)["+441614960111"])
    with time_machine.travel(now() + timedelta(hours=1), tick=False):
        clicked = now()
        answer = client.get(offer)
        client.get(offer)
    assert (answer.status_code, answer.headers["X-Robots-Tag"]) == (302, "noindex")
    assert "no-store" in answer.headers["Cache-Control"] and not answer.cookies
    message = CampaignMessage.objects.get()
    assert (message.opened_at, message.clicked_at) == (clicked, clicked)
    for headers in ({"user-agent": "facebookexternalhit/1.1"}, {"purpose": "prefetch"}):
        assert client.get(own, headers=headers).status_code == 302
    assert client.head(own).status_code == 302
    found = results.results_of(
        merchant_id=shop.merchant.pk, campaign_id=campaign.pk, zone=shop.merchant.tz, at=now()
    )
    assert [(each.variant, each.link, each.url, each.clicks, each.messages) for each in found.links] == [
        ("A", 1, OFFER, 2, 1),
        ("A", 2, "https://shop.example/{{ customer.number }}", 0, 0),
    ]


def test_the_page_of_its_results_speaks_of_clicks_and_not_of_reading(
    shop: Shop, alice: Customer, folder: Path, client: Client
) -> None:
    campaign = sms(shop)
    send()
    client.get(links_in(texts(folder)["+441614960111"])[0])
    shown = results_shown(campaign, shop.merchant)
    assert [step.name for step in shown["steps"]] == ["Meant to get it", "Sent", "Clicked", "Bought"]
    assert "Opened" not in shown["chart"]


def test_a_link_leads_on_when_its_customer_is_erased_and_when_its_message_is_gone(
    shop: Shop, alice: Customer, folder: Path, client: Client
) -> None:
    sms(shop)
    send()
    offer, own = links_in(texts(folder)["+441614960111"])
    erase_customer(access=shop.access, customer_id=alice.pk)
    assert client.get(offer).headers["Location"] == OFFER
    assert client.get(own).headers["Location"] == "https://shop.example/"
    CampaignMessage.objects.all().delete()
    assert client.get(offer).headers["Location"] == OFFER
    assert client.get(own).headers["Location"] == "https://shop.example/"
    assert not CampaignClick.objects.exists()


def test_it_leads_only_where_a_text_said(shop: Shop, alice: Customer, folder: Path, client: Client) -> None:
    sms(shop)
    send()
    (offer, own), message = links_in(texts(folder)["+441614960111"]), CampaignMessage.objects.get()
    forged = ["/s/", "/s/x", offer[:-1], f"{offer}0", f"{offer[:-1]}-", f"{offer[:-1]}é", "/s/" + "0" * 16]
    for each in forged:
        answer = client.get(each)
        assert (answer.status_code, answer.headers.get("Location")) == (404, None), each
    # Whoever guesses a message gets no more than the text says of nobody, and counts for nobody.
    guessed = own[:-1] + ("0" if own[-1] != "0" else "1")
    assert client.get(guessed).headers["Location"] == "https://shop.example/"
    assert not CampaignClick.objects.filter(message=message).exists()
    # Nor does a link of one campaign know the messages of another.
    other = sms(shop, "https://elsewhere.example/{{ customer.number }}")
    link, _ = read_short(own[3:])
    foreign = CampaignLink.objects.create(
        merchant=shop.merchant,
        campaign=other,
        variant="A",
        number=1,
        url="https://x.example/{{ customer.number }}",
        code=5,
    )
    assert link != foreign.code
    crossed = short_url(foreign.code, message_code(message.pk)).removeprefix("http://127.0.0.1:3002")
    assert client.get(crossed).headers["Location"] == "https://x.example/"


def test_who_asks_too_often_learns_nothing_of_anybody(
    shop: Shop, alice: Customer, folder: Path, client: Client, settings: Any
) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "tracking": 1}
    sms(shop)
    send()
    own = links_in(texts(folder)["+441614960111"])[1]
    answers = [client.get(own).headers["Location"] for _ in range(2)]
    assert answers == [f"https://shop.example/{alice.customer_number}", "https://shop.example/"]
    assert CampaignClick.objects.count() == 1


def test_links_that_are_out_stay_what_they_were_when_the_text_is_changed(
    shop: Shop, alice: Customer, folder: Path, client: Client
) -> None:
    campaign = sms(shop, kind="triggered", trigger={"event": "loyalty.points_earned"})
    services.pause_campaign(access=shop.access, campaign_id=campaign.pk)
    once = sms(shop, "Look: https://shop.example/old")
    send()
    old = links_in(texts(folder)["+441614960111"])[0]
    Campaign.objects.filter(pk=once.pk).update(
        variants=[{"key": "A", "weight": 1, "content": {"text": "Look: https://shop.example/new"}}]
    )
    CampaignMessage.objects.filter(campaign=once).update(state="unknown")
    services.resend_unknown(access=shop.access, campaign_id=once.pk)
    send()
    new = links_in(texts(folder)["+441614960111"])[0]
    assert client.get(old).headers["Location"] == "https://shop.example/old"
    assert client.get(new).headers["Location"] == "https://shop.example/new"


def test_the_code_of_a_voucher_is_in_the_link_that_is_followed(
    shop: Shop, alice: Customer, folder: Path, client: Client
) -> None:
    create_program(merchant_id=shop.merchant.pk)
    reward = create_reward(
        merchant_id=shop.merchant.pk, values={"name": "Five off", "kind": "fixed", "value": 5, "points": 500}
    )
    sms(shop, "https://shop.example/?code={{ reward.code }}", incentive_reward_id=reward.pk)
    send()
    (own,) = links_in(texts(folder)["+441614960111"])
    code = shown_code(Voucher.objects.get().code)
    assert client.get(own).headers["Location"] == f"https://shop.example/?code={code}"


def test_nothing_is_rewritten_for_a_merchant_who_counts_nothing(
    shop: Shop, alice: Customer, folder: Path
) -> None:
    change_messaging_settings(
        merchant_id=shop.merchant.pk, changes={"sms_provider": "console", "track_links": False}
    )
    campaign = sms(shop)
    send()
    assert texts(folder)["+441614960111"] == (
        f"Hello Alice: {OFFER} or https://shop.example/{alice.customer_number}."
    )
    assert not CampaignLink.objects.exists()
    assert OFFER in previews.preview(campaign=campaign)["text"]
    say(shop, alice, "granted")
    launch(shop)
    send()
    html = mail.outbox[0].alternatives[0].content
    assert "href='https://shop.example/offer'" in html and "/o/" not in html


def test_a_message_tells_which_of_two_links_of_one_code_is_meant(
    shop: Shop, foreign_shop: Shop, alice: Customer, folder: Path, client: Client
) -> None:
    theirs = Campaign.objects.create(merchant=foreign_shop.merchant, name="Theirs", consent_channel="sms")
    sms(shop)
    send()
    offer = links_in(texts(folder)["+441614960111"])[0]
    first = {"number": 1, "url": "https://theirs.example", "created_at": now() - timedelta(days=1)}
    CampaignLink.objects.create(
        merchant=foreign_shop.merchant, campaign=theirs, variant="A", code=read_short(offer[3:])[0], **first
    )
    assert client.get(offer).headers["Location"] == OFFER


def test_a_preview_is_as_long_as_what_is_sent_and_a_test_is_as_it_was_written(
    shop: Shop, alice: Customer, folder: Path, client: Client
) -> None:
    long = "https://shop.example/" + "x" * 150
    campaign = write(shop, channel="sms", variants=[{"content": {"text": f"Look: {long}"}}])
    shown = previews.preview(campaign=campaign)
    assert (SHORT.sub("*", shown["text"]), shown["smsSegments"]) == ("Look: *", 1)
    assert "links" not in shown
    assert client.get(links_in(shown["text"])[0]).status_code == 404
    previews.send_test(campaign=campaign, addresses=["+441614960999"])
    assert texts(folder) == {"+441614960999": f"Look: {long}"}
    services.schedule_campaign(access=shop.access, campaign_id=campaign.pk)
    send()
    assert len(texts(folder)["+441614960111"]) == len(shown["text"])


def test_a_short_name_of_the_service_makes_links_shorter(
    shop: Shop, alice: Customer, folder: Path, settings: Any
) -> None:
    settings.SHORT_URL = "https://s.example"
    sms(shop, "https://shop.example/offer")
    send()
    assert re.fullmatch(r"https://s\.example/s/[0-9A-Za-z]{16}", texts(folder)["+441614960111"])
