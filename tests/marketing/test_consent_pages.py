"""What customers say for themselves: by link, on a page, by mail and by text message."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings as project
from django.core import mail
from django.test import Client
from django.utils.timezone import now

from cloudpos.lifecycle.erasing import erase_customer
from cloudpos.lifecycle.merging import merge_customers
from customers.models import Consent, Customer, Preferences
from customers.services import create_customer, record_consent, update_customer
from marketing.consents import links, requests
from marketing.consents.keywords import Keyword, keyword_of
from marketing.models import ConsentRequest
from marketing.webhooks import outcomes
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(shop: Shop) -> Customer:
    return create_customer(
        access=shop.access,
        data={"first_name": "Alice", "email": "alice@mail.example", "phone": "+441614960111"},
    )


def said(customer: Customer) -> list[tuple[str, str, str, str]]:
    rows = Consent.objects.filter(customer_id=customer.pk).order_by("occurred_at", "pk")
    return list(rows.values_list("channel", "purpose", "state", "source"))


def grant(shop: Shop, customer: Customer, channel: str = "email", **more: Any) -> None:
    data = {"channel": channel, "purpose": "marketing", "state": "granted", "source": "till", **more}
    record_consent(access=shop.access, customer_id=customer.pk, data=data)


def may(customer: Customer, channel: str = "email") -> bool:
    row = Preferences.objects.filter(customer_id=customer.pk).first()
    return bool(row and row.consents.get(channel, {}).get("marketing"))


def path(url: str) -> str:
    assert url.startswith(project.PUBLIC_URL)
    return url.removeprefix(project.PUBLIC_URL)


def unsubscribe_path(customer: Customer, channel: str = "email") -> str:
    return path(
        links.unsubscribe_url(merchant_id=customer.merchant_id, customer_id=customer.pk, channel=channel)
    )


def preferences_path(customer: Customer) -> str:
    return path(links.preferences_url(merchant_id=customer.merchant_id, customer_id=customer.pk))


# --- Unsubscribing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
)
def test_one_click_from_a_mail_program(shop: Shop, alice: Customer, content_type: str) -> None:
    grant(shop, alice)
    body = (
        "List-Unsubscribe=One-Click"
        if "urlencoded" in content_type
        else '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
    )
    strict = Client(enforce_csrf_checks=True)
    for _ in range(2):
        answer = strict.post(unsubscribe_path(alice), body, content_type=content_type)
        assert answer.status_code == 200
        assert not answer.cookies
    assert said(alice)[1:] == [("email", "marketing", "withdrawn", "unsubscribe link")]
    assert not may(alice)


def test_looking_at_the_link_changes_nothing(shop: Shop, alice: Customer, client: Client) -> None:
    grant(shop, alice)
    for method in (client.get, client.head):
        answer = method(unsubscribe_path(alice))
        assert answer.status_code == 200
        assert "no-store" in answer.headers["Cache-Control"]
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["X-Robots-Tag"] == "noindex"
    assert may(alice)
    assert f"from {shop.merchant.name}" in client.get(unsubscribe_path(alice)).content.decode()


def test_a_no_is_written_down_even_where_nothing_was_said(alice: Customer, client: Client) -> None:
    client.post(unsubscribe_path(alice, "sms"))
    assert said(alice) == [("sms", "marketing", "withdrawn", "unsubscribe link")]


def test_it_counts_against_a_till_whose_clock_is_fast(shop: Shop, alice: Customer, client: Client) -> None:
    grant(shop, alice, occurred_at=now() + timedelta(minutes=4))
    client.post(unsubscribe_path(alice))
    assert not may(alice)


def test_an_old_link_still_works_and_follows_a_merge(shop: Shop, alice: Customer, client: Client) -> None:
    with time_machine.travel(now() - timedelta(days=3_000)):
        old = unsubscribe_path(alice)
    kept = create_customer(access=shop.access, data={"first_name": "Alicia"})
    grant(shop, kept)
    merge_customers(access=shop.owner.access, customer_id=kept.pk, source_id=alice.pk)
    assert client.post(old).status_code == 200
    assert not may(kept)


def test_whoever_was_erased_is_told_the_same(shop: Shop, alice: Customer, client: Client) -> None:
    link = unsubscribe_path(alice)
    erase_customer(access=shop.owner.access, customer_id=alice.pk)
    answer = client.post(link)
    assert answer.status_code == 200
    assert "You will receive no more e-mails" in answer.content.decode()


@pytest.mark.parametrize("page", ["unsubscribe", "preferences", "confirm"])
def test_what_we_did_not_sign_is_refused(shop: Shop, alice: Customer, client: Client, page: str) -> None:
    good = {
        "unsubscribe": unsubscribe_path(alice),
        "preferences": preferences_path(alice),
        "confirm": path(links.confirmation_url(merchant_id=alice.merchant_id, request_id=uuid.uuid4())),
    }
    forged = [good[page][:-1] + ("A" if good[page][-1] != "A" else "B"), f"/{page}/x", f"/{page}/{'.' * 9}"]
    forged += [f"/{page}/{other.rsplit('/', 1)[1]}" for name, other in good.items() if name != page]
    for link in forged:
        for answer in (client.get(link), client.post(link)):
            assert answer.status_code == 404, link
            assert "not a link of ours" in answer.content.decode()
    assert said(alice) == []


# --- The preference page ------------------------------------------------------------------------------------


def test_the_preference_page_shows_and_keeps_choices(shop: Shop, alice: Customer, client: Client) -> None:
    grant(shop, alice)
    link = preferences_path(alice)
    assert re.search(r'name="email" checked', client.get(link).content.decode())
    answer = client.post(link, {"sms": "on", "perWeek": "2"})
    assert "Your choices are saved" in answer.content.decode()
    assert (may(alice), may(alice, "sms")) == (False, True)
    assert Preferences.objects.get(customer_id=alice.pk).max_messages_per_week == 2
    count = len(said(alice))
    client.post(link, {"sms": "on", "perWeek": "2"})
    assert len(said(alice)) == count, "what was said is not said again"
    client.post(link, {"sms": "on", "perWeek": "many"})
    assert Preferences.objects.get(customer_id=alice.pk).max_messages_per_week == 2
    client.post(link, {"sms": "on", "perWeek": ""})
    assert Preferences.objects.get(customer_id=alice.pk).max_messages_per_week is None


def test_a_link_to_preferences_ends(alice: Customer, client: Client) -> None:
    link = preferences_path(alice)
    with time_machine.travel(now() + links.PREFERENCES_VALID_FOR + timedelta(seconds=2)):
        for answer in (client.get(link), client.post(link, {"email": "on"})):
            assert answer.status_code == 410
    assert said(alice) == []


def test_a_till_gets_the_links(shop: Shop, alice: Customer, client: Client) -> None:
    found = shop.cashier.get(f"/api/v1/customers/{alice.pk}/consents/links").json()["data"]
    assert client.get(path(found["preferences"])).status_code == 200
    assert "text messages" in client.get(path(found["unsubscribe"]["sms"])).content.decode()


# --- Double opt-in ------------------------------------------------------------------------------------------


def ask(shop: Shop, customer: Customer) -> Any:
    return shop.cashier.post(
        f"/api/v1/customers/{customer.pk}/consents/confirmation", {"wordingVersion": "2026-1"}
    )


def link_in_the_mail() -> str:
    (found,) = re.findall(r"http\S+", str(mail.outbox[-1].body))
    return path(found)


def test_a_consent_counts_when_it_is_confirmed(shop: Shop, alice: Customer, client: Client) -> None:
    answer = ask(shop, alice)
    assert (answer.status_code, answer.json()["data"]["state"]) == (202, "pending")
    assert requests.send_due(at=now()) == 1
    assert requests.send_due(at=now()) == 0
    assert mail.outbox[0].to == ["alice@mail.example"]
    link = link_in_the_mail()
    assert client.get(link).status_code == 200
    assert not may(alice)
    assert client.post(link).status_code == 200
    assert said(alice) == [("email", "marketing", "granted", "double opt-in")]
    assert Consent.objects.get().wording_version == "2026-1"
    client.post(unsubscribe_path(alice))
    assert client.post(link).status_code == 200
    assert not may(alice), "a link that was followed once grants nothing again"


def test_another_mailbox_confirms_nothing(shop: Shop, alice: Customer, client: Client) -> None:
    ask(shop, alice)
    requests.send_due(at=now())
    link = link_in_the_mail()
    update_customer(access=shop.access, customer_id=alice.pk, data={"email": "other@mail.example"})
    assert client.post(link).status_code == 410
    ask(shop, alice)
    update_customer(access=shop.access, customer_id=alice.pk, data={"email": "third@mail.example"})
    assert requests.send_due(at=now()) == 0
    assert not may(alice)
    assert len(mail.outbox) == 1


def test_a_request_ends(shop: Shop, alice: Customer, client: Client) -> None:
    ask(shop, alice)
    requests.send_due(at=now())
    with time_machine.travel(now() + timedelta(days=7, seconds=5)):
        assert client.post(link_in_the_mail()).status_code == 410
    assert not may(alice)


def test_nobody_is_asked_again_and_again(shop: Shop, alice: Customer) -> None:
    answers = [ask(shop, alice).status_code for _ in range(4)]
    assert answers == [202, 202, 202, 409]
    nobody = create_customer(access=shop.access, data={"first_name": "Bob"})
    assert ask(shop, nobody).json()["code"] == "no_email_address"


def test_a_mail_that_cannot_be_sent_is_tried_again(
    shop: Shop, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise ConnectionRefusedError

    ask(shop, alice)
    with monkeypatch.context() as broken:
        broken.setattr("django.core.mail.EmailMessage.send", refuse)
        assert requests.send_due(at=now()) == 0
    assert requests.send_due(at=now()) == 0, "not at once"
    assert requests.send_due(at=now() + timedelta(minutes=3)) == 1
    with monkeypatch.context() as broken:
        broken.setattr("django.core.mail.EmailMessage.send", refuse)
        ask(shop, alice)
        for hours in range(requests.ATTEMPTS_MAX + 1):
            requests.send_due(at=now() + timedelta(hours=2 * hours))
    assert ConsentRequest.objects.filter(state="failed").get().attempts == requests.ATTEMPTS_MAX


def test_a_process_that_dies_while_it_sends_leaves_the_mail_to_the_next(shop: Shop, alice: Customer) -> None:
    ask(shop, alice)
    assert requests._claim(now()) is not None
    assert requests.send_due(at=now()) == 0
    assert requests.send_due(at=now() + requests.LEASE) == 1


# --- Text messages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        (" Stop. ", Keyword.STOP),
        ("STOP ALL", Keyword.STOP),
        ("arrêt", Keyword.STOP),
        ("start", Keyword.START),
        ("Help!", Keyword.HELP),
        ("Stop by tomorrow", None),
        ("", None),
    ],
)
def test_keywords(text: str, keyword: Keyword | None) -> None:
    assert keyword_of(text) is keyword


def test_stop_and_start(shop: Shop, alice: Customer) -> None:
    def send(text: str, sender: str = "+44 161 496 0111") -> dict[str, Any]:
        answer = shop.cashier.post("/api/v1/text-messages", {"sender": sender, "text": text})
        assert answer.status_code == 200, answer.content
        found: dict[str, Any] = answer.json()["data"]
        return found

    grant(shop, alice, "sms")
    assert send("STOP") | {"reply": ""} == {"keyword": "stop", "customerId": str(alice.pk), "reply": ""}
    send("stop")
    assert said(alice)[1:] == [("sms", "marketing", "withdrawn", "text message")]
    assert shop.merchant.name in send("START")["reply"]
    assert may(alice, "sms")
    assert send("When do you open?") == {"keyword": None, "customerId": str(alice.pk), "reply": ""}
    assert send("STOP", "+441614960999") == {"keyword": "stop", "customerId": None, "reply": ""}
    answer = shop.cashier.post("/api/v1/text-messages", {"sender": "nobody", "text": "STOP"})
    assert answer.status_code == 400


def test_another_merchants_customer_hears_nothing(foreign_shop: Shop, alice: Customer) -> None:
    sent = foreign_shop.cashier.post("/api/v1/text-messages", {"sender": alice.phone, "text": "STOP"})
    assert sent.json()["data"]["customerId"] is None
    assert said(alice) == []


def test_a_slow_mail_server_holds_up_no_points(settings: Any) -> None:
    for task in (requests.SEND_TASK, outcomes.TELL_TASK):
        assert settings.CELERY_TASK_ROUTES[task] == {"queue": "webhooks"}
