"""The page on which owners say how messages leave."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from marketing import encryption
from marketing.channels.settings import change_messaging_settings, messaging_settings_of
from tests.admin.conftest import person, staff_client
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

TYPED = {
    "sender_name": "The corner",
    "reply_to": "us@shop.example",
    "postal_address": "1 High Street",
    "quiet_from": "21:00",
    "quiet_until": "08:00",
    "max_messages_per_week": "3",
    "per_second": "2.5",
    "sms_provider": "twilio",
    "sms_account": "AC1",
    "sms_sender": "+15005550006",
    "sms_secret": "t0ken",
}


@pytest.fixture
def owner(shop: Shop) -> Client:
    return staff_client(person(shop, "owner"))


def page(client: Client) -> str:
    answer = client.get(reverse("messaging_page"))
    assert answer.status_code == 200
    return answer.content.decode()


def save(client: Client, **typed: str) -> str:
    answer = client.post(reverse("messaging_page"), {**TYPED, **typed}, follow=True)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def test_an_owner_writes_the_foot_of_mails(shop: Shop, owner: Client) -> None:
    change_messaging_settings(
        merchant_id=shop.merchant.pk, changes={"foot_texts": {"sv": "Org.nr 7", "de": "HRB 1"}}
    )
    shown = page(owner)
    assert "As it is saved, in Swedish" in shown and "Org.nr 7" in shown
    typed = {"foot_text_": " Company <b>No. 7</b>\r\nLeeds ", "foot_text_de": "", "foot_text_sv": "Org.nr 7"}
    assert "Saved." in save(owner, **typed)
    assert messaging_settings_of(shop.merchant.pk).foot_texts == {
        "": "Company <b>No. 7</b>\nLeeds", "sv": "Org.nr 7",
    }  # fmt: skip
    assert "Company &lt;b&gt;No. 7&lt;/b&gt;<br>Leeds" in page(owner)


def test_an_owner_says_how_messages_leave(shop: Shop, owner: Client) -> None:
    assert "Saved." in save(owner)
    row = messaging_settings_of(shop.merchant.pk)
    assert (row.sender_name, row.sms_provider, f"{row.quiet_from:%H:%M}", str(row.per_second)) == (
        "The corner",
        "twilio",
        "21:00",
        "2.50",
    )
    shown = page(owner)
    assert 'value="The corner"' in shown and 'value="21:00"' in shown
    assert "t0ken" not in shown and "One is kept" in shown


def test_a_secret_that_is_not_typed_stays(shop: Shop, owner: Client) -> None:
    save(owner)
    save(owner, sms_secret="", sender_name="Another")
    row = messaging_settings_of(shop.merchant.pk)
    assert row.sender_name == "Another" and row.sms_secret_encrypted is not None
    assert encryption.decrypt(bytes(row.sms_secret_encrypted)) == b"t0ken"


def test_what_is_refused_is_said_at_its_field(shop: Shop, owner: Client) -> None:
    assert "This provider needs it." in save(owner, sms_sender="")
    assert "Give both the start and the end of quiet hours." in save(owner, quiet_until="")
    assert messaging_settings_of(shop.merchant.pk).version == 1


def test_a_manager_looks_and_changes_nothing(shop: Shop) -> None:
    manager = staff_client(person(shop, "manager"))
    assert "Changing it is for owners." in page(manager)
    assert "Save</button>" not in page(manager)
    assert manager.post(reverse("messaging_page"), TYPED).status_code == 403
    assert messaging_settings_of(shop.merchant.pk).version == 1


def test_nobody_elses(shop: Shop, foreign_shop: Shop, owner: Client) -> None:
    change_messaging_settings(merchant_id=foreign_shop.merchant.pk, changes={"sender_name": "Far away"})
    assert "Far away" not in page(owner)
    save(owner)
    assert messaging_settings_of(foreign_shop.merchant.pk).sender_name == "Far away"
