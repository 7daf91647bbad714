"""Event types in the admin: ours with their schemas, and the merchant's own by a form that says what is wrong."""

import json
import uuid

import pytest
from django.test import Client
from django.urls import reverse

from customers.models import CustomEventType
from customers.services.event_types import create_event_type
from tests.admin.conftest import person, staff_client
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

LIST, NEW = reverse("event_types_page"), reverse("new_event_type_page")
SCHEMA = {"type": "object", "properties": {"page": {"type": "string"}}, "required": ["page"]}


def of(found: CustomEventType) -> str:
    return reverse("event_type_page", args=[found.pk])


def test_for_managers_of_the_merchant_only(shop: Shop, foreign_shop: Shop, manager: Client) -> None:
    theirs = create_event_type(merchant_id=foreign_shop.merchant.pk, type="secret.thing")
    cashier = staff_client(person(shop, "cashier"))
    for url in (LIST, NEW):
        assert "secret.thing" not in manager.get(url).content.decode()
        assert cashier.get(url).status_code == 302 and Client().get(url).status_code == 302
    for url in (of(theirs), reverse("event_type_page", args=[uuid.uuid4()])):
        assert manager.get(url).status_code == 404
        assert manager.post(url, {"act": "delete"}).status_code == 404
    assert CustomEventType.objects.get() == theirs


def test_a_type_is_described_changed_and_let_go(manager: Client, shop: Shop) -> None:
    text = manager.get(LIST).content.decode()
    assert "You have described no event type yet." in text
    assert "purchase.recorded" in text and "&quot;properties&quot;" in text

    typed = {"type": "page.viewed", "description": "A page of the shop", "schema": json.dumps(SCHEMA)}
    answer = manager.post(NEW, typed, follow=True)
    assert "page.viewed is saved." in answer.content.decode()
    found = CustomEventType.objects.get()
    assert (found.merchant_id, found.description, found.schema) == (
        shop.merchant.pk,
        "A page of the shop",
        SCHEMA,
    )

    assert "&quot;page&quot;" in manager.get(of(found)).content.decode()
    # The type of an event never changes, whatever is sent.
    manager.post(of(found), {"type": "other.name", "description": "Any page", "schema": ""})
    found.refresh_from_db()
    assert (found.type, found.description, found.schema) == ("page.viewed", "Any page", None)

    assert "no longer described" in manager.post(of(found), {"act": "delete"}, follow=True).content.decode()
    assert not CustomEventType.objects.exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"type": "purchase.recorded"}, "not a noun of our own events"),
        ({"type": "a table"}, "noun.verb in lower case"),
        ({"type": "page.viewed", "schema": "{"}, "This was not saved."),
        ({"type": "page.viewed", "schema": '{"type": "fruit"}'}, "<strong>schema</strong>"),
        ({"type": "page.viewed", "schema": '{"$ref": "https://example.com/x"}'}, "<strong>schema</strong>"),
        ({"type": "page.viewed", "schema": '{"title": "' + "x" * 9_000 + '"}'}, "at most 8192 bytes"),
        ({"type": "taken.already"}, "described already"),
    ],
)
def test_what_is_refused_stays_on_the_page(
    manager: Client, shop: Shop, typed: dict[str, str], said: str
) -> None:
    create_event_type(merchant_id=shop.merchant.pk, type="taken.already")
    answer = manager.post(NEW, {"description": "<b>mine</b>", **typed})
    text = answer.content.decode()
    assert answer.status_code == 200 and said in text
    assert "&lt;b&gt;mine&lt;/b&gt;" in text
    assert CustomEventType.objects.count() == 1
