"""Promotions in the admin: the editor with its dry run, and the calendar."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from loyalty.models import Program, Promotion
from loyalty.services import create_program
from tests.admin.conftest import Regulars, person, staff_client
from tests.fixtures import Shop
from tests.loyalty.promoting import promote
from tests.tills import sell

pytestmark = pytest.mark.django_db

FORM: dict[str, Any] = {
    "name": "Double days",
    "status": "draft",
    "kind": "multiplier",
    "multiplier": "2",
    "member_period": "total",
    "priority": "0",
}


@pytest.fixture
def manager(shop: Shop, regulars: Regulars) -> Client:
    return staff_client(person(shop, "manager"))


def test_a_manager_adds_a_promotion_and_makes_it_active(manager: Client, shop: Shop) -> None:
    added = manager.post(
        reverse("admin:loyalty_promotion_add"),
        {**FORM, "weekdays": ["2", "4"], "stores": [str(shop.store.pk)], "categories": "Tea\nCoffee"},
    )
    assert added.status_code == 302, added.content
    promotion = Promotion.objects.get(name="Double days")
    assert (promotion.weekdays, promotion.stores, promotion.categories) == (
        [2, 4],
        [shop.store.pk],
        ["Tea", "Coffee"],
    )
    url = reverse("admin:loyalty_promotion_change", args=[promotion.pk])
    saved = manager.post(url, {**FORM, "status": "active"})
    assert saved.status_code == 302
    promotion.refresh_from_db()
    assert (promotion.status, promotion.weekdays, promotion.version) == ("active", [], 2)
    assert promotion.starts_at is not None
    listed = manager.get(reverse("admin:loyalty_promotion_changelist")).content.decode()
    assert "Double points in all stores" in listed


def test_what_cannot_be_is_said_on_the_form(manager: Client) -> None:
    page = manager.post(
        reverse("admin:loyalty_promotion_add"), {**FORM, "multiplier": "1", "opens": "10:00"}
    ).content.decode()
    assert "more than 1" in page
    assert "Give both hours, or neither." in page
    assert not Promotion.objects.filter(name="Double days").exists()


def test_the_sentence_beside_the_form(manager: Client, shop: Shop) -> None:
    url = reverse("admin:loyalty_promotion_said")
    assert (
        "Double points on Tuesdays in all stores"
        in manager.post(url, {**FORM, "weekdays": "2"}).content.decode()
    )
    refused = manager.post(url, {**FORM, "kind": "bonus"}).content.decode()
    assert "Say how many points" in refused
    there = promote(shop)
    page = manager.get(reverse("admin:loyalty_promotion_change", args=[there.pk])).content.decode()
    assert f"{url}?promotion={there.pk}" in page
    assert manager.get(url).status_code == 405


def test_it_is_tried_on_real_purchases(manager: Client, shop: Shop, regulars: Regulars) -> None:
    sell(shop.access, regulars.alice, "TRIED-1", "40.00", now() - timedelta(days=3))
    page = manager.post(reverse("admin:loyalty_promotion_tried"), FORM).content.decode()
    assert "Points more" in page
    assert "TRIED-1" in page
    assert not Promotion.objects.filter(name="Double days").exists()


def test_only_a_draft_is_deleted_and_what_has_ended_is_read_only(manager: Client, shop: Shop) -> None:
    active = promote(shop)
    assert (
        manager.post(reverse("admin:loyalty_promotion_delete", args=[active.pk]), {"post": "yes"}).status_code
        == 403
    )
    Promotion.objects.filter(pk=active.pk).update(status="ended", ends_at=now())
    url = reverse("admin:loyalty_promotion_change", args=[active.pk])
    assert manager.get(url).status_code == 200
    assert manager.post(url, FORM).status_code == 403
    Promotion.objects.filter(pk=active.pk).update(status="draft")
    gone = manager.post(reverse("admin:loyalty_promotion_delete", args=[active.pk]), {"post": "yes"})
    assert (gone.status_code, Promotion.objects.filter(pk=active.pk).count()) == (302, 0)


def test_another_merchant_s_promotion_is_not_there(manager: Client, foreign_shop: Shop, shop: Shop) -> None:
    create_program(merchant_id=foreign_shop.merchant.pk)
    theirs = promote(foreign_shop, "Theirs")
    for name in ("said", "tried"):
        url = reverse(f"admin:loyalty_promotion_{name}") + f"?promotion={theirs.pk}"
        assert manager.post(url, FORM).status_code == 404
    assert "Theirs" not in manager.get(reverse("promotion_calendar")).content.decode()


def test_the_calendar(manager: Client, shop: Shop, program_of_shop: Program) -> None:
    at = now()
    promote(shop, "For good", starts_at=at - timedelta(days=300))
    promote(shop, "Until soon", starts_at=at - timedelta(days=300), ends_at=at + timedelta(days=10))
    promote(shop, "From soon on", starts_at=at + timedelta(days=10))
    promote(shop, "This week", starts_at=at, ends_at=at + timedelta(minutes=1))
    promote(shop, "Long ago", starts_at=at - timedelta(days=300), ends_at=at - timedelta(days=200))
    page = manager.get(reverse("promotion_calendar")).content.decode()
    soon = f"{(at + timedelta(days=10)).astimezone(shop.merchant.tz):%-d %b}"
    for said in ("All these weeks", f"To {soon}", f"From {soon}", "1 week"):
        assert f">{said}<" in page
    assert "Long ago" not in page
    assert 'aria-current="date"' in page


@pytest.fixture
def program_of_shop(shop: Shop) -> Program:
    return Program.objects.get(merchant=shop.merchant)


def test_a_cashier_sees_no_calendar(shop: Shop, regulars: Regulars) -> None:
    client = staff_client(person(shop, "cashier"))
    assert client.get(reverse("promotion_calendar")).status_code in (302, 403)
