"""Points, consent, merge, remove and erase: shown first, done when confirmed, once."""

import re
import uuid
from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.core.mail import EmailMessage
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from customers.models import Consent, Customer, Event, Merge, Preferences, Purchase
from customers.services import update_customer
from loyalty.models import LedgerEntry, Tier, TierOverride
from marketing.consents.requests import send_due
from marketing.models import ConsentRequest
from tests.admin.conftest import Regulars
from tests.fixtures import Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kept_regulars")]


def page(customer: Customer, name: str) -> str:
    return reverse(f"admin:customers_customer_{name}", args=[customer.pk])


def follow(client: Client, url: str, **body: object) -> str:
    return client.post(url, body, follow=True).content.decode()


def test_points_are_adjusted_with_a_reason(manager: Client, shop: Shop, regulars: Regulars) -> None:
    alice = regulars.alice
    before = alice.points
    url = page(alice, "adjust_points")
    token = re.search(r'name="token" value="([^"]+)"', manager.get(url).content.decode())[1]  # type: ignore[index]
    sent = {"direction": "add", "points": 50, "reason": "Sorry for the wait", "token": token}
    assert f"The balance is now {before + 50:,}" in follow(manager, url, **sent)
    # Pressed twice: the same adjustment.
    assert f"The balance is now {before + 50:,}" in follow(manager, url, **sent)
    entry = LedgerEntry.objects.get(enrollment__customer=alice, type="adjusted")
    assert (entry.points, entry.description, entry.actor_id) == (
        50,
        "Sorry for the wait",
        shop.manager.user_id,
    )
    alice.refresh_from_db()
    assert alice.points == before + 50
    assert "Sorry for the wait" in manager.get(page(alice, "change")).content.decode()


def test_more_points_than_there_are_cannot_be_taken(manager: Client, regulars: Regulars) -> None:
    url = page(regulars.bob, "adjust_points")
    text = follow(manager, url, direction="take", points=9_999, reason="no", token=uuid.uuid4().hex)
    assert "does not have enough points" in text
    assert not LedgerEntry.objects.filter(enrollment__customer=regulars.bob, type="adjusted").exists()


@pytest.mark.parametrize(
    "wrong", [{"points": 0}, {"points": "1e9"}, {"points": ""}, {"reason": ""}, {"token": ""}]
)
def test_an_adjustment_needs_points_and_a_reason(
    manager: Client, regulars: Regulars, wrong: dict[str, object]
) -> None:
    sent = {"direction": "add", "points": 5, "reason": "why", "token": uuid.uuid4().hex, **wrong}
    assert manager.post(page(regulars.bob, "adjust_points"), sent).status_code == 200
    assert not LedgerEntry.objects.filter(type="adjusted").exists()


def test_consent_is_appended_to_the_log(manager: Client, shop: Shop, regulars: Regulars) -> None:
    bob = regulars.bob
    sent = {"channel": "sms", "purpose": "marketing", "state": "granted", "source": "in the shop"}
    assert "SMS Marketing: Granted" in follow(manager, page(bob, "consent"), **sent)
    follow(manager, page(bob, "consent"), **{**sent, "state": "withdrawn"})
    assert list(Consent.objects.filter(customer=bob).order_by("pk").values_list("state", "actor_id")) == [
        ("granted", shop.manager.user_id),
        ("withdrawn", shop.manager.user_id),
    ]
    assert Preferences.objects.get(customer=bob).consents == {"sms": {"marketing": False}}
    assert Event.objects.filter(customer=bob, type="consent.changed").count() == 2
    follow(manager, page(bob, "consent"), **{**sent, "source": ""})
    assert manager.get(page(bob, "consent")).status_code == 405
    assert Consent.objects.filter(customer=bob).count() == 2


def test_consent_is_asked_for_by_mail(
    manager: Client, shop: Shop, regulars: Regulars, mailoutbox: list[EmailMessage]
) -> None:
    bob = regulars.bob
    assert "The mail is on its way." in follow(manager, page(bob, "ask_consent"), purpose="marketing")
    send_due(at=now())
    assert [mail.to for mail in mailoutbox] == [[bob.email]]
    shown = manager.get(reverse("admin:customers_customer_change", args=[bob.pk])).content.decode()
    assert "The link holds until" in shown
    # Nothing is allowed by asking.
    assert not Consent.objects.filter(customer=bob).exists()
    assert "Say what to ask for." in follow(manager, page(bob, "ask_consent"), purpose="everything")
    for _ in range(2):
        follow(manager, page(bob, "ask_consent"), purpose="marketing")
    assert "within a day already" in follow(manager, page(bob, "ask_consent"), purpose="marketing")
    assert ConsentRequest.objects.filter(customer=bob).count() == 3


def test_merge_shows_what_wins_then_does_it(manager: Client, regulars: Regulars) -> None:
    alice, bob = regulars.alice, regulars.bob
    found = manager.get(page(alice, "merge") + "?q=bob").content.decode()
    assert "Bob Brown" in found
    assert "Alice Ashford</strong>" not in found

    url = f"{page(alice, 'merge')}?source={bob.pk}"
    preview = manager.get(url).content.decode()
    assert "Nothing has happened yet" in preview
    assert "£642.50" in preview
    # What Bob's purchase earns more, because Alice had reached a tier before it.
    together = alice.points + bob.points
    assert f"{alice.points} + {bob.points} = {together} points" in preview
    more = re.search(r"(\d+) points? more: .* The balance is then (\d+)\.", preview)
    assert more is not None
    assert int(more[1]) == int(more[2]) - together > 0
    assert not Merge.objects.exists()
    shown = manager.post(
        url, {"source": str(bob.pk), "from_source": "email", "preview": "1"}
    ).content.decode()
    assert re.search(r"bob@corner-shop.test</strong>", shown)
    assert not Merge.objects.exists()

    text = follow(manager, url, source=str(bob.pk), from_source="email")
    assert f"Customer {bob.customer_number} was merged into this one." in text
    alice.refresh_from_db()
    assert alice.points == int(more[2])
    assert (str(alice.total_spent), alice.email, alice.first_name) == (
        "642.50",
        "bob@corner-shop.test",
        "Alice",
    )
    # The old page leads to the new one.
    answer = manager.get(page(bob, "change"))
    assert answer.headers["Location"] == page(alice, "change")

    merge = Merge.objects.get()
    text = follow(manager, page(alice, "undo_merge"), merge=str(merge.pk))
    assert "The merge was undone" in text
    alice.refresh_from_db()
    assert (str(alice.total_spent), alice.email) == ("630.00", "alice@corner-shop.test")


def test_the_merge_speaks_in_names_not_in_codes(manager: Client, shop: Shop, regulars: Regulars) -> None:
    alice, bob = regulars.alice, regulars.bob
    for customer, language in ((alice, "en"), (bob, "pt-BR")):
        update_customer(access=shop.access, customer_id=customer.pk, data={"language": language})
    Tier.objects.for_merchant(shop.merchant).filter(code="silver").update(name="Silver Circle")
    preview = manager.get(f"{page(alice, 'merge')}?source={bob.pk}").content.decode()
    assert "<td >English</td>" in preview and "Brazilian Portuguese" in preview
    assert "Marketing by E-mail: allowed" in preview
    assert "<td>Silver Circle</td>" in preview


def test_merge_with_nobody(manager: Client, regulars: Regulars) -> None:
    alice = regulars.alice
    for source in ("", "x", str(uuid.uuid4()), str(alice.pk)):
        text = follow(manager, page(alice, "merge"), source=source)
        assert "Find the other record" in text
    assert "There is no such merge" in follow(manager, page(alice, "undo_merge"), merge="x")


def test_two_selected_customers_lead_to_their_merge(manager: Client, regulars: Regulars) -> None:
    url = reverse("admin:customers_customer_changelist")
    both = [str(regulars.bob.pk), str(regulars.alice.pk)]
    answer = manager.post(url, {"action": "merge_selected", "_selected_action": both})
    # The older record stays.
    assert answer.headers["Location"] == f"{page(regulars.alice, 'merge')}?source={regulars.bob.pk}"
    text = follow(manager, url, action="merge_selected", _selected_action=both[:1])
    assert "Select exactly two customers" in text


def test_erasing_needs_the_customer_number(manager: Client, regulars: Regulars) -> None:
    alice = regulars.alice
    url = page(alice, "erase")
    assert "not the customer" in follow(manager, url, customer_number="1234")
    alice.refresh_from_db()
    assert alice.erased_at is None

    follow(manager, page(alice, "remove"))  # its name is in the admin's history now
    receipt = follow(manager, url, customer_number=f" {alice.customer_number} ")
    assert "What stays, and why" in receipt
    # In words, not in the names that the export and the tables have.
    for words in ("The customer&#x27;s record", "Points ledger", "IP address"):
        assert words in receipt
    for code in ("loyaltyTransactions", "purchaseItems", "storedAnswers", "external_id"):
        assert code not in receipt
    alice.refresh_from_db()
    assert (alice.first_name, alice.email, alice.notes) == ("", "", "")
    assert Purchase.objects.filter(customer=alice).count() == 2
    # Nothing of the person is left on any page that still knows the record.
    for text in (
        receipt,
        manager.get(url).content.decode(),
        manager.get(page(alice, "change")).content.decode(),
    ):
        assert "Alice" not in text
        assert "alice@" not in text
    assert not LogEntry.objects.filter(object_repr__contains="Alice").exists()
    assert "Personal data was erased" in manager.get(page(alice, "change")).content.decode()


def test_one_selected_customer_leads_to_the_erasure(manager: Client, regulars: Regulars) -> None:
    url = reverse("admin:customers_customer_changelist")
    answer = manager.post(url, {"action": "erase_selected", "_selected_action": [str(regulars.bob.pk)]})
    assert answer.headers["Location"] == page(regulars.bob, "erase")


def test_removing_keeps_the_books(manager: Client, regulars: Regulars) -> None:
    bob = regulars.bob
    assert "stay in the books" in manager.get(page(bob, "remove")).content.decode()
    bob.refresh_from_db()
    assert bob.deleted_at is None
    assert "was removed from all lists" in follow(manager, page(bob, "remove"))
    assert "Nothing to tell here" in manager.get(page(bob, "change")).content.decode()
    bob.refresh_from_db()
    assert bob.deleted_at is not None
    assert Purchase.objects.filter(customer=bob).exists()
    # And nothing more can be done to it.
    assert "can no longer be changed" in follow(
        manager, page(bob, "adjust_points"), direction="add", points=1, reason="x", token="t"
    )


def test_a_tier_is_given_and_taken_back(manager: Client, shop: Shop, regulars: Regulars) -> None:
    bob = regulars.bob
    url = page(bob, "give_tier")
    assert "Give this tier" in manager.get(url).content.decode()
    sent = {"tier": "gold", "mode": "at_least", "last_day": "2199-05-31", "reason": "Runs the chess club"}
    for wrong in ({"tier": "diamond"}, {"reason": ""}, {"last_day": "soon"}, {"last_day": "2020-01-01"}):
        assert manager.post(url, {**sent, **wrong}).status_code == 200, wrong
    assert not TierOverride.objects.exists()
    assert "The tier is now Gold." in follow(manager, url, **sent)
    override = TierOverride.objects.get()
    assert (override.actor_id, override.until) == (
        shop.manager.user_id,
        datetime(2199, 5, 31, 23, tzinfo=UTC),
    )
    bob.refresh_from_db()
    assert bob.tier == "gold"
    shown = manager.get(page(bob, "change")).content.decode()
    assert "Runs the chess club" in shown and "Take the tier back" in shown
    assert "the tier follows the purchases again" in follow(manager, page(bob, "end_tier"))
    bob.refresh_from_db()
    assert bob.tier != "gold"
    assert "has no tier that was given by hand" in follow(manager, page(bob, "end_tier"))
    assert manager.get(page(bob, "end_tier")).status_code == 405
