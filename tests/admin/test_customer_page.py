"""One page about a customer; what it saves goes through the services."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cloudpos.lifecycle.erasing import erase_customer
from customers.models import Address, Customer, Event
from customers.services import create_customer, delete_customer, update_customer
from tests.admin.conftest import Regulars, sell
from tests.fixtures import Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kept_regulars")]

QUERIES_MAX = 32


def url_of(customer: Customer) -> str:
    return reverse("admin:customers_customer_change", args=[customer.pk])


def form_of(customer: Customer, **changed: Any) -> dict[str, Any]:
    """What the browser sends when nothing was touched."""
    addresses = list(Address.objects.filter(customer=customer).order_by("-is_default", "created_at"))
    form: dict[str, Any] = {
        "type": customer.type,
        "status": customer.status,
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "company_name": customer.company_name,
        "email": customer.email,
        "phone": customer.phone,
        "date_of_birth": customer.date_of_birth or "",
        "gender": customer.gender,
        "language": customer.language,
        "tax_id": customer.tax_id,
        "home_store": customer.home_store_id or "",
        "tags": ", ".join(customer.tags),
        "notes": customer.notes,
        "seen_version": customer.version,
        "addresses-TOTAL_FORMS": len(addresses),
        "addresses-INITIAL_FORMS": len(addresses),
        "_continue": "1",
    }
    for index, address in enumerate(addresses):
        form |= address_of(index, address)
    return {**form, **changed}


def address_of(index: int, address: Address | None = None, **said: Any) -> dict[str, Any]:
    values = {
        "id": address.pk if address else "",
        "customer": "",
        "type": address.type if address else "home",
        "street1": address.street1 if address else "",
        "city": address.city if address else "",
        "country": address.country if address else "GB",
        **({"is_default": "on"} if address and address.is_default else {}),
        **said,
    }
    return {f"addresses-{index}-{name}": value for name, value in values.items()}


def test_one_page_brings_everything_together(manager: Client, regulars: Regulars) -> None:
    text = manager.get(url_of(regulars.alice)).content.decode()
    for part in (
        "Alice Ashford",
        regulars.alice.customer_number,
        "£630.00",  # total spent
        "£315.00",  # average
        "1 corner-shop Lane",  # address
        "Bought for £600.00",  # timeline
        "Returned £10.00",
        "Agreed to marketing by E-mail",
        "Till of corner-shop",
        "corner-shop-2",  # purchases
        "Corner Shop High Street",
        "manager of Corner Shop",  # who recorded the consent
        "£1,370.00</strong> more to reach Gold",
        "Club of corner-shop",
        "note of corner-shop",
        "tag-corner-shop",
    ):
        assert part in text, part


def test_a_long_history_costs_as_many_queries(manager: Client, shop: Shop, regulars: Regulars) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert manager.get(url_of(regulars.alice)).status_code == 200
        return len(queries)

    count()
    few = count()
    for number in range(20):
        sell(shop, regulars.alice, "3.00", id=f"more-{number}")
    assert count() <= few
    assert few <= QUERIES_MAX
    assert "All 22 purchases" in manager.get(url_of(regulars.alice)).content.decode()


def test_ids_stand_nowhere_as_text(manager: Client, regulars: Regulars) -> None:
    text = manager.get(url_of(regulars.alice)).content.decode()
    shown = re.sub(r"<script.*?</script>|<[^>]*>", " ", text, flags=re.S)
    assert not re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}", shown)


def test_saving_goes_through_the_service(manager: Client, shop: Shop, regulars: Regulars) -> None:
    alice = regulars.alice
    answer = manager.post(
        url_of(alice),
        form_of(
            alice,
            first_name="Alicia",
            email="Alicia@Corner-Shop.test",
            phone="020 7183 8750",
            tags="VIP,  gift cards",
        ),
    )
    assert answer.status_code == 302, answer.context["errors"]
    alice.refresh_from_db()
    assert (alice.first_name, alice.email_key, alice.phone) == (
        "Alicia",
        "alicia@corner-shop.test",
        "+442071838750",
    )
    assert alice.tags == ["gift cards", "vip"]
    assert alice.version == regulars.alice.version
    # Found under the new name at once, and told to whoever listens.
    assert "Alicia Ashford" in manager.get("/admin/customers/customer/?q=alicia").content.decode()
    happened = Event.objects.filter(customer=alice, type="customer.updated").latest("recorded_at")
    assert happened.actor_id == shop.manager.user_id
    assert set(happened.data["fields"]) == {"first_name", "email", "phone", "tags"}


def test_nothing_touched_is_nothing_saved(manager: Client, regulars: Regulars) -> None:
    before = regulars.alice.version
    assert manager.post(url_of(regulars.alice), form_of(regulars.alice)).status_code == 302
    regulars.alice.refresh_from_db()
    assert regulars.alice.version == before


def test_standing_cannot_be_typed(manager: Client, regulars: Regulars) -> None:
    alice = regulars.alice
    sent = form_of(
        alice, points=999999, tier="platinum", total_spent="0", segment="vip", merchant="x", version=99
    )
    assert manager.post(url_of(alice), sent).status_code == 302
    alice.refresh_from_db()
    assert (alice.points, alice.tier, alice.segment) == (regulars.alice.points, "silver", "new")


def test_a_change_in_between_is_not_overwritten(manager: Client, regulars: Regulars) -> None:
    alice = regulars.alice
    form = form_of(alice, first_name="Second")
    manager.post(url_of(alice), form_of(alice, first_name="First"))
    answer = manager.post(url_of(alice), form)
    assert answer.status_code == 200
    alice.refresh_from_db()
    assert alice.first_name == "First"
    assert 'value="Second"' in answer.content.decode()


def test_refusals_stand_at_their_field(manager: Client, regulars: Regulars) -> None:
    alice = regulars.alice
    taken = manager.post(url_of(alice), form_of(alice, email="bob@corner-shop.test"))
    assert "Another customer has this e-mail address" in taken.content.decode()
    wrong = manager.post(url_of(alice), form_of(alice, phone="12", email="no address"))
    assert set(wrong.context["adminform"].form.errors) == {"phone", "email"}
    alice.refresh_from_db()
    assert alice.email == "alice@corner-shop.test"


def test_addresses(manager: Client, regulars: Regulars) -> None:
    alice = regulars.alice
    home = Address.objects.get(customer=alice)
    second = address_of(1, street1="2 Work Road", city="York", is_default="on")
    sent = form_of(alice, **second, **{"addresses-TOTAL_FORMS": 2})
    assert manager.post(url_of(alice), sent).status_code == 302
    work = Address.objects.get(customer=alice, street1="2 Work Road")
    home.refresh_from_db()
    # A new default takes it from the old one.
    assert (work.is_default, home.is_default) == (True, False)

    alice.refresh_from_db()
    # The default stands first.
    sent = form_of(alice, **{"addresses-0-DELETE": "on"})
    assert manager.post(url_of(alice), sent).status_code == 302
    assert list(Address.objects.filter(customer=alice).values_list("street1", "is_default")) == [
        ("1 corner-shop Lane", True)
    ]

    alice.refresh_from_db()
    answer = manager.post(url_of(alice), form_of(alice, **{"addresses-0-country": "XX"}))
    assert "country code of two letters" in answer.content.decode()


def test_adding_a_customer(manager: Client, shop: Shop) -> None:
    url = reverse("admin:customers_customer_add")
    blank = Customer(type="individual", status="active", version=1)
    sent = {
        **form_of(blank, first_name="Dora", email="dora@corner-shop.test"),
        **address_of(0, street1="3 Lane", city="Leeds"),
    }
    sent |= {"addresses-TOTAL_FORMS": 1, "seen_version": "", "_save": "1"}
    del sent["_continue"]
    answer = manager.post(url, sent)
    assert answer.status_code == 302
    dora = Customer.objects.get(first_name="Dora")
    assert (dora.merchant_id, dora.home_store_id) == (shop.merchant.pk, None)
    assert dora.customer_number
    assert dora.addresses.get().is_default
    assert Event.objects.filter(customer=dora, type="customer.created").exists()
    refused = manager.post(url, {**sent, "first_name": "", "email": ""})
    assert "Give at least a name" in refused.content.decode()


def test_a_superuser_adds_nothing_before_choosing_a_merchant(
    superuser: Client, shop: Shop, foreign_shop: Shop
) -> None:
    assert superuser.get(reverse("admin:customers_customer_add")).status_code == 403
    superuser.post(reverse("admin:switch_merchant"), {"merchant": str(shop.merchant.pk)})
    assert superuser.get(reverse("admin:customers_customer_add")).status_code == 200


def offered(text: str) -> set[str]:
    """What can be done to the customer, by the links of the page."""
    return set(re.findall(r"/admin/customers/customer/[0-9a-f-]{36}/(points|merge|remove|erase)/", text))


def test_what_can_be_done_is_offered(manager: Client, regulars: Regulars) -> None:
    text = manager.get(url_of(regulars.alice)).content.decode()
    assert offered(text) == {"points", "merge", "remove", "erase"}
    assert "cp-badge--green" in text and ">Active<" in text


def test_a_removed_customer_is_shown_but_not_changed(manager: Client, shop: Shop, regulars: Regulars) -> None:
    delete_customer(access=shop.access, customer_id=regulars.bob.pk)
    text = manager.get(url_of(regulars.bob)).content.decode()
    assert "removed from all lists" in text
    assert ">Removed</span>" in text and ">Active</span>" not in text
    # The one thing that works on it.
    assert offered(text) == {"erase"}
    assert manager.post(url_of(regulars.bob), form_of(regulars.bob, first_name="X")).status_code == 403


def test_of_an_erased_customer_the_receipt_is_left(manager: Client, shop: Shop, regulars: Regulars) -> None:
    erase_customer(access=shop.access, customer_id=regulars.bob.pk)
    text = manager.get(url_of(regulars.bob)).content.decode()
    assert ">Erased</span>" in text and ">Active</span>" not in text
    assert offered(text) == {"erase"}
    assert text.count("/erase/") == 1
    assert "Show the receipt" in text


@pytest.mark.parametrize("tail", ["", "history/", "points/", "merge/", "erase/", "remove/"])
def test_ids_that_are_none(manager: Client, shop: Shop, tail: str) -> None:
    for row in ("1", "x" * 300, "00000000-0000-0000-0000-000000000000", "%00", "ab/cd"):
        answer = manager.get(f"/admin/customers/customer/{row}/{tail}")
        assert answer.status_code in (302, 400, 404), row


def test_a_business_stands_under_its_company(manager: Client, shop: Shop) -> None:
    made = create_customer(access=shop.access, data={"type": "business", "company_name": "Brown & Sons"})
    assert "Brown &amp; Sons" in manager.get(url_of(made)).content.decode()


def test_a_language_is_chosen_by_its_name(manager: Client, shop: Shop, regulars: Regulars) -> None:
    alice = regulars.alice
    text = manager.get(url_of(alice)).content.decode()
    assert re.search(r'<option value="pt-BR">\s*Brazilian Portuguese', text)
    assert manager.post(url_of(alice), form_of(alice, language="de")).status_code == 302
    alice.refresh_from_db()
    assert alice.language == "de"
    # A tag that a till sent and that has no name of its own stays what it is.
    update_customer(access=shop.access, customer_id=alice.pk, data={"language": "de-CH"})
    alice.refresh_from_db()
    assert re.search(
        r'<option value="de-CH" selected>\s*German \(de-CH\)', manager.get(url_of(alice)).content.decode()
    )
    assert manager.post(url_of(alice), form_of(alice)).status_code == 302
    alice.refresh_from_db()
    assert alice.language == "de-CH"
