"""An import can only tighten consent: a no counts from everybody, a yes from new customers alone, and only with its source."""

from typing import Any

import pytest

from customers.models import Consent, Customer, Preferences
from customers.services import create_customer, delete_customer, record_consent, update_customer
from marketing.channels.suppressions import suppress, suppressed
from tests.customers.imports.conftest import Bring, csv_of
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

HEAD = ("E-mail", "Newsletter", "SMS consent")


def say(shop: Shop, customer: Customer, state: str, channel: str = "email") -> None:
    record_consent(
        access=shop.access,
        customer_id=customer.pk,
        data={"channel": channel, "purpose": "marketing", "state": state, "source": "till"},
    )


def known(shop: Shop, name: str) -> Customer:
    return create_customer(
        access=shop.access, data={"first_name": name, "email": f"{name.lower()}@example.com"}
    )


def may(shop: Shop, customer: Any, channel: str = "email") -> bool:
    answer = shop.manager.get(f"/customers/{customer.pk}/preferences").json()["data"]
    return bool(answer[channel]["marketing"])


def test_a_no_withdraws_what_was_granted_and_what_was_never_said(shop: Shop, bring: Bring) -> None:
    alice, bob = known(shop, "Alice"), known(shop, "Bob")
    say(shop, alice, "granted")
    brought = bring(
        csv_of(HEAD, ("alice@example.com", "unsubscribed", ""), ("bob@example.com", "nein", "no"))
    )

    assert brought.check() == {"rows": 2, "updated": 2, "withdrawn": 3}
    assert may(shop, alice) is True
    brought.run()

    assert (may(shop, alice), may(shop, bob)) == (False, False)
    said = Consent.objects.filter(source="import").order_by("customer__first_name", "channel")
    assert list(said.values_list("customer__first_name", "channel", "state")) == [
        ("Alice", "email", "withdrawn"),
        ("Bob", "email", "withdrawn"),
        ("Bob", "sms", "withdrawn"),
    ]
    # Said once, it is not said again.
    assert bring(csv_of(HEAD, ("alice@example.com", "no", ""))).run() == {"rows": 1, "unchanged": 1}


@pytest.mark.parametrize("before", ["withdrawn", None])
def test_a_yes_grants_nothing_to_who_is_known(shop: Shop, bring: Bring, before: str | None) -> None:
    alice = known(shop, "Alice")
    if before:
        say(shop, alice, before)
    brought = bring(csv_of(HEAD, ("alice@example.com", "yes", "")))
    brought.set(consentSource="paper form 2026")

    assert brought.check() == brought.run() == {"rows": 1, "unchanged": 1, "consentsIgnored": 1}

    assert may(shop, alice) is False
    assert not Consent.objects.filter(state="granted").exists()


def test_a_yes_of_a_new_customer_needs_its_source(shop: Shop, bring: Bring) -> None:
    brought = bring(csv_of(HEAD, ("ann@example.com", "yes", "no")))
    assert brought.run() == {"rows": 1, "created": 1, "withdrawn": 1, "consentsIgnored": 1}
    assert may(shop, Customer.objects.get()) is False

    told = bring(csv_of(HEAD, ("bob@example.com", "subscribed", "")))
    told.set(consentSource="paper form 2026", consentWording="v7")
    assert told.run() == {"rows": 1, "created": 1, "granted": 1}
    bob = Customer.objects.get(email="bob@example.com")
    assert may(shop, bob) is True
    said = Consent.objects.get(customer=bob)
    assert (said.source, said.wording_version, said.actor_id) == (
        "import: paper form 2026", "v7", shop.manager.user_id,
    )  # fmt: skip
    assert Preferences.objects.get(customer=bob).consents == {"email": {"marketing": True}}


def test_the_no_of_somebody_who_was_deleted_holds_when_they_come_anew(shop: Shop, bring: Bring) -> None:
    alice, bob, carol, dora = (known(shop, name) for name in ("Alice", "Bob", "Carol", "Dora"))
    update_customer(access=shop.access, customer_id=bob.pk, data={"phone": "+447700900123"})
    for customer in (alice, bob):
        say(shop, customer, "withdrawn")
    say(shop, carol, "granted")
    for customer in (alice, bob, carol):
        delete_customer(access=shop.access, customer_id=customer.pk)
    # Who was merged said no with the one that is left.
    eve = create_customer(access=shop.access, data={"first_name": "Eve", "email": "eve@example.com"})
    say(shop, eve, "withdrawn", channel="sms")
    shop.manager.post(f"/customers/{dora.pk}/merge", {"sourceId": str(eve.pk)})
    brought = bring(
        csv_of(
            ("E-mail", "Phone", *HEAD[1:]),
            ("ALICE@example.com", "", "yes", "yes"),
            ("bob@new.example", "07700 900123", "yes", ""),
            ("carol@example.com", "", "yes", ""),
            ("eve@example.com", "", "yes", "yes"),
        )
    )
    brought.set(consentSource="paper form 2026")
    counts = {"rows": 4, "created": 4, "granted": 3, "consentsIgnored": 3}
    assert brought.check() == brought.run() == counts
    said = Consent.objects.filter(source__startswith="import").order_by("customer__email", "channel")
    assert list(said.values_list("customer__email", "channel", "state")) == [
        ("ALICE@example.com", "sms", "granted"),
        ("carol@example.com", "email", "granted"),
        ("eve@example.com", "email", "granted"),
    ]


def test_nothing_is_sent_to_an_address_that_complained_whoever_comes_with_it(
    shop: Shop, bring: Bring
) -> None:
    alice = known(shop, "Alice")
    suppress(
        merchant_id=shop.merchant.pk, channel="email", addresses=["alice@example.com"], reason="complaint"
    )
    shop.manager.post(f"/customers/{alice.pk}/erase")
    alice.refresh_from_db()
    assert alice.erased_at is not None
    brought = bring(csv_of(HEAD, ("Alice@Example.com", "yes", "")))
    brought.set(consentSource="paper form 2026")
    brought.run()
    assert suppressed(shop.merchant.pk, "email", ["alice@example.com"]) == {"alice@example.com"}


def test_a_no_counts_also_against_a_till_with_a_fast_clock(shop: Shop, bring: Bring) -> None:
    from datetime import timedelta

    from django.utils.timezone import now

    alice = known(shop, "Alice")
    record_consent(
        access=shop.access,
        customer_id=alice.pk,
        data={
            "channel": "email",
            "purpose": "marketing",
            "state": "granted",
            "source": "till",
            "occurred_at": now() + timedelta(minutes=3),
        },
    )
    bring(csv_of(HEAD, ("alice@example.com", "no", ""))).run()
    assert may(shop, alice) is False
    # Also when the whole log is folded again.
    say(shop, alice, "granted", channel="sms")
    assert (may(shop, alice), may(shop, alice, "sms")) == (False, True)


def test_what_is_neither_yes_nor_no(shop: Shop, bring: Bring) -> None:
    brought = bring(csv_of(HEAD, ("a@example.com", "maybe", ""), ("b@example.com", "", "")))
    assert brought.check() == {"rows": 2, "failed": 1, "created": 1}
    assert brought.problems() == [(2, "Newsletter", "invalid_choice")]
