"""The program, webhooks, the team and the merchant's own settings."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from cloudpos.jobs.models import Job
from cloudpos.tenancy.models import Membership, Merchant, Store, User
from loyalty.models import Program, ProgramVersion, Tier
from marketing import encryption
from marketing.models import Webhook, WebhookDelivery
from tests.admin.conftest import PASSWORD, Regulars, person, staff_client
from tests.fixtures import Shop


def test_purchases_are_found_by_receipt_and_by_customer(manager: Client, regulars: Regulars) -> None:
    url = reverse("admin:customers_purchase_changelist")

    def found(query: str) -> set[str]:
        return set(re.findall(r"corner-shop-\d", manager.get(url + query).content.decode()))

    assert found("") == {"corner-shop-1", "corner-shop-2", "corner-shop-3"}
    assert found("?q=corner-shop-2") >= {"corner-shop-2"}
    assert "corner-shop-3" not in found("?q=corner-shop-2")
    assert found("?q=bob") == {"corner-shop-3"}
    assert found(f"?customer={regulars.bob.pk}") == {"corner-shop-3"}
    assert found("?customer=x") == set()


PROGRAM = {
    "name": "Club",
    "points_per_unit": "2",
    "rounding": "down",
    "earns_on_tax": "on",
    "pending_days": "0",
    "returns": "proportional",
    "shortfall": "within_balance",
    "expiry": "none",
    "grace_days": "0",
    "redeem_points_min": "1",
    "tier_metric": "spend",
    "tier_window": "lifetime",
    "tier_downgrade": "immediate",
    "tier_grace_days": "0",
    "point_name": "star",
    "points_name": "stars",
}


def tiers(*rows: tuple[str, str, str, str], initial: list[Tier] = []) -> dict[str, Any]:  # noqa: B006
    form: dict[str, Any] = {"tiers-TOTAL_FORMS": len(rows), "tiers-INITIAL_FORMS": len(initial)}
    for index, (name, code, threshold, multiplier) in enumerate(rows):
        row = {"name": name, "code": code, "threshold": threshold, "multiplier": multiplier}
        row["id"] = str(initial[index].pk) if index < len(initial) else ""
        form |= {f"tiers-{index}-{key}": value for key, value in row.items()}
    return form


def test_a_program_is_started_and_changed(manager: Client, shop: Shop) -> None:
    list_url = reverse("admin:loyalty_program_changelist")
    assert "No loyalty program yet" in manager.get(list_url).content.decode()
    answer = manager.post(
        reverse("admin:loyalty_program_add"), {**PROGRAM, **tiers(("Fan", "fan", "0", "1"))}
    )
    assert answer.status_code == 302
    program = Program.objects.get()
    assert (program.merchant_id, program.points_per_unit) == (shop.merchant.pk, Decimal(2))
    # One program at a time; its list leads straight to it.
    assert manager.get(reverse("admin:loyalty_program_add")).status_code == 403
    url = reverse("admin:loyalty_program_change", args=[program.pk])
    assert manager.get(list_url).headers["Location"] == url

    changed = {**PROGRAM, "points_per_unit": "3"}
    rows = tiers(("Fan", "fan", "0", "1"), ("Hero", "hero", "100", "2"), initial=list(program.tiers.all()))
    assert manager.post(url, {**changed, **rows}).status_code == 302
    program.refresh_from_db()
    assert program.points_per_unit == Decimal(3)
    assert list(program.tiers.values_list("code", "threshold", "multiplier")) == [
        ("fan", Decimal(0), Decimal(1)),
        ("hero", Decimal(100), Decimal(2)),
    ]
    # What was earned before keeps its rules: a change is a new version, by somebody.
    assert list(ProgramVersion.objects.order_by("number").values_list("number", "actor_id")) == [
        (1, shop.manager.user_id),
        (2, shop.manager.user_id),
    ]

    same = tiers(("Fan", "fan", "5", "1"), ("Hero", "hero", "5", "2"), initial=list(program.tiers.all()))
    answer = manager.post(url, {**changed, **same})
    assert answer.status_code == 200
    assert "threshold" in answer.content.decode()
    assert ProgramVersion.objects.count() == 2


def test_how_tiers_are_reached_and_kept(manager: Client, shop: Shop) -> None:
    url = reverse("admin:loyalty_program_add")
    rows = {**tiers(("Fan", "fan", "0", "1")), "tiers-0-benefits": " Free coffee \n\nLounge"}
    rolling = {"tier_window": "rolling", "tier_months": "12", "tier_downgrade": "period_end"}
    for wrong in (
        {"tier_months": ""},
        {"tier_months": "121"},
        {"tier_grace_days": "366"},
        {"tiers-0-benefits": "x" * 101},
        {"tiers-0-benefits": "\n".join("abcdefghijk")},
    ):
        assert manager.post(url, {**PROGRAM, **rows, **rolling, **wrong}).status_code == 200, wrong
    assert not Program.objects.exists()
    assert manager.post(url, {**PROGRAM, **rows, **rolling, "tier_grace_days": "7"}).status_code == 302
    program = Program.objects.get()
    assert (program.tier_window, program.tier_months, program.tier_grace_days) == ("rolling", 12, 7)
    assert program.tiers.get().benefits == ["Free coffee", "Lounge"]
    url = reverse("admin:loyalty_program_change", args=[program.pk])
    assert "Free coffee\nLounge</textarea>" in manager.get(url).content.decode()
    # All purchases: what the other fields still say means nothing.
    same = {
        **tiers(("Fan", "fan", "0", "1"), initial=list(program.tiers.all())),
        "tiers-0-benefits": "Free coffee",
    }
    left = {**rolling, "tier_window": "lifetime", "tier_grace_days": "7"}
    assert manager.post(url, {**PROGRAM, **same, **left}).status_code == 302
    program.refresh_from_db()
    assert (program.tier_months, program.tier_downgrade, program.tier_grace_days) == (None, "immediate", 0)
    assert program.tiers.get().benefits == ["Free coffee"]


def test_how_long_points_last(manager: Client, shop: Shop) -> None:
    url = reverse("admin:loyalty_program_add")
    rows = tiers(("Fan", "fan", "0", "1"))
    for wrong in (
        {"expiry_months": ""},
        {"expiry_months": "0"},
        {"expiry_months": "121"},
        {"expiry_months": "12", "grace_days": "366"},
        {"expiry_months": "12", "redeem_value": "0"},
        {"expiry_months": "12", "redeem_points_min": "0"},
    ):
        answer = manager.post(url, {**PROGRAM, **rows, "expiry": "after_earning", **wrong})
        assert answer.status_code == 200, wrong
    assert not Program.objects.exists()
    lasting = {"expiry": "after_earning", "expiry_months": "12", "expiry_month_end": "on", "grace_days": "7"}
    worth = {"redeem_value": "0.0100", "redeem_points_min": "50"}
    assert manager.post(url, {**PROGRAM, **rows, **lasting, **worth}).status_code == 302
    program = Program.objects.get()
    assert (program.expiry_months, program.expiry_month_end, program.grace_days) == (12, True, 7)
    assert (program.redeem_value, program.redeem_points_min) == (Decimal("0.01"), 50)
    url = reverse("admin:loyalty_program_change", args=[program.pk])
    page = manager.get(url).content.decode()
    assert 'name="redeem_value" value="0.01"' in page
    # "Never" needs no number, whatever the field still says.
    same = tiers(("Fan", "fan", "0", "1"), initial=list(program.tiers.all()))
    answer = manager.post(url, {**PROGRAM, **same, "expiry_months": "12"})
    assert answer.status_code == 302
    program.refresh_from_db()
    assert (program.expiry, program.expiry_months) == ("none", None)


def test_a_webhook_tells_its_secret_once(manager: Client, shop: Shop) -> None:
    url = reverse("admin:marketing_webhook_add")
    sent = {
        "url": "https://erp.corner-shop.test/in",
        "event_types": ["purchase.recorded"],
        "is_enabled": "on",
    }
    answer = manager.post(url, sent)
    assert answer.status_code == 200
    webhook = Webhook.objects.get()
    secret = encryption.decrypt(bytes(webhook.secret_encrypted)).decode()
    assert secret.startswith("whsec_")
    assert secret in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    page = reverse("admin:marketing_webhook_change", args=[webhook.pk])
    for again in (page, reverse("admin:marketing_webhook_changelist")):
        assert secret.removeprefix("whsec_") not in manager.get(again).content.decode()

    changed = manager.post(page, {**sent, "event_types": ["*"], "description": "ERP"})
    assert changed.status_code == 302
    webhook.refresh_from_db()
    assert (webhook.event_types, webhook.description) == (["*"], "ERP")
    assert manager.post(page, {**sent, "url": "ftp://x"}).status_code == 200
    assert manager.get(reverse("admin:marketing_webhook_send_test", args=[webhook.pk])).status_code == 200
    assert not WebhookDelivery.objects.exists()
    manager.post(reverse("admin:marketing_webhook_send_test", args=[webhook.pk]))
    assert WebhookDelivery.objects.get().event.type == "webhook.test"
    assert (
        manager.post(
            reverse("admin:marketing_webhook_delete", args=[webhook.pk]), {"post": "yes"}
        ).status_code
        == 302
    )
    assert not Webhook.objects.exists()


def test_the_webhook_console(manager: Client, shop: Shop, regulars: Regulars) -> None:
    webhook = Webhook.objects.get()
    delivery = WebhookDelivery.objects.filter(webhook=webhook).latest("pk")

    def page(name: str, row: Any = webhook) -> str:
        return reverse(f"admin:marketing_{row._meta.model_name}_{name}", args=[row.pk])

    listed = manager.get(reverse("admin:marketing_webhook_changelist")).content.decode()
    assert "Nothing sent yet" in listed
    assert "Latest deliveries" in manager.get(page("change")).content.decode()

    assert "once" in manager.get(page("rotate")).content.decode()
    old = bytes(webhook.secret_encrypted)
    answer = manager.post(page("rotate"))
    webhook.refresh_from_db()
    assert bytes(webhook.previous_secret_encrypted or b"") == old
    assert encryption.decrypt(bytes(webhook.secret_encrypted)).decode() in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]

    WebhookDelivery.objects.update(state="failed", next_attempt_at=None)
    assert "Attempts" in manager.get(page("change", delivery)).content.decode()
    assert manager.get(page("resend", delivery)).status_code == 200
    manager.post(page("resend", delivery))
    delivery.refresh_from_db()
    assert delivery.state == "pending"

    assert manager.get(page("replay")).status_code == 200
    assert manager.post(page("replay"), {"hours": "720", "only": "all"}).status_code == 302
    job = Job.objects.get(kind="webhooks.replay")
    assert job.parameters["only"] == "all"

    Webhook.objects.update(is_enabled=False, disabled_reason="gone", disabled_at=now())
    shown = manager.get(page("change")).content.decode()
    assert "410 Gone" in shown
    assert page("switch_on") in shown
    assert page("send_test") not in shown
    manager.post(page("switch_on"))
    webhook.refresh_from_db()
    assert (webhook.is_enabled, webhook.disabled_reason) == (True, "")


def test_an_owner_adds_a_colleague(owner: Client, shop: Shop, foreign_shop: Shop) -> None:
    url = reverse("admin:tenancy_membership_add")
    sent = {
        "email": "Erin@Corner-Shop.test",
        "name": "Erin",
        "password": PASSWORD,
        "role": "manager",
        "store": "",
    }
    assert owner.post(url, sent).status_code == 302
    erin = User.objects.get(email="erin@corner-shop.test")
    assert erin.check_password(PASSWORD)
    assert erin.is_staff
    assert Membership.objects.get(user=erin).merchant_id == shop.merchant.pk
    again = owner.post(url, sent)
    assert "already has a role there" in again.content.decode()

    # Somebody else's account is given the role and nothing more.
    stranger = person(foreign_shop, "cashier")
    stranger.set_password("their own password")
    stranger.save()
    owner.post(
        url,
        {**sent, "email": stranger.email, "name": "Renamed", "password": "taken over 123", "role": "cashier"},
    )
    after = User.objects.get(pk=stranger.pk)
    assert (after.name, after.check_password("their own password")) == (stranger.name, True)
    weak = owner.post(url, {**sent, "email": "f@corner-shop.test", "password": "123"})
    assert weak.status_code == 200
    assert not User.objects.filter(email="f@corner-shop.test").exists()


def test_the_last_owner_stays(owner: Client, shop: Shop) -> None:
    mine = Membership.objects.get(user_id=shop.owner.user_id)
    page = reverse("admin:tenancy_membership_change", args=[mine.pk])
    answer = owner.post(page, {"role": "cashier", "store": ""})
    assert "Make somebody else owner" in answer.content.decode()
    delete = reverse("admin:tenancy_membership_delete", args=[mine.pk])
    assert owner.post(delete, {"post": "yes"}).status_code == 403
    owner.post(
        reverse("admin:tenancy_membership_changelist"),
        {"action": "delete_selected", "_selected_action": [str(mine.pk)], "post": "yes"},
    )
    mine.refresh_from_db()
    assert mine.role == "owner"


def test_managers_do_not_hand_out_roles(manager: Client, shop: Shop) -> None:
    mine = Membership.objects.get(user_id=shop.manager.user_id)
    assert manager.get(reverse("admin:tenancy_membership_changelist")).status_code == 403
    answer = manager.post(
        reverse("admin:tenancy_membership_change", args=[mine.pk]), {"role": "owner", "store": ""}
    )
    assert answer.status_code == 403
    assert manager.post(reverse("admin:tenancy_membership_add"), {"email": "x@y.test"}).status_code == 403
    mine.refresh_from_db()
    assert mine.role == "manager"
    assert manager.get(reverse("admin:tenancy_user_changelist")).status_code == 403


def test_an_owner_sees_no_accounts(owner: Client, shop: Shop) -> None:
    assert owner.get(reverse("admin:tenancy_user_changelist")).status_code == 403
    assert owner.get(reverse("admin:tenancy_user_add")).status_code == 403


def test_stores(owner: Client, manager: Client, shop: Shop) -> None:
    url = reverse("admin:tenancy_store_add")
    sent = {"name": "Station", "code": "STA", "timezone": "", "is_active": "on", "country": "GB"}
    assert manager.post(url, sent).status_code == 403
    assert owner.post(url, sent).status_code == 302
    assert Store.objects.get(code="STA").merchant_id == shop.merchant.pk
    twice = owner.post(url, sent)
    assert twice.status_code == 200
    assert Store.objects.filter(code="STA").count() == 1


def test_an_owner_changes_the_merchant_but_not_its_currency(owner: Client, shop: Shop) -> None:
    page = reverse("admin:tenancy_merchant_change", args=[shop.merchant.pk])
    assert owner.get(reverse("admin:tenancy_merchant_changelist")).headers["Location"] == page
    sent = {
        "name": "Corner Shop Ltd",
        "country": "GB",
        "timezone": "Europe/Paris",
        "language": "fr",
        "currency": "EUR",
        "slug": "taken",
    }
    assert owner.post(page, sent).status_code == 302
    merchant = Merchant.objects.get(pk=shop.merchant.pk)
    assert (merchant.name, merchant.timezone, merchant.currency) == ("Corner Shop Ltd", "Europe/Paris", "GBP")
    assert (merchant.slug, merchant.is_active) == ("corner-shop", True)
    assert owner.get(reverse("admin:tenancy_merchant_add")).status_code == 403
    assert owner.post(page, {**sent, "timezone": "Mars/Base"}).status_code == 200


def test_an_account_that_is_switched_off_is_out(shop: Shop) -> None:
    client = staff_client(person(shop, "owner"))
    assert client.get(reverse("admin:index")).status_code == 200
    User.objects.filter(pk=shop.owner.user_id).update(is_active=False)
    assert client.get(reverse("admin:index")).status_code == 302


@pytest.mark.parametrize(
    "query", ["e=1&foo=bar", "foo=bar", "e=1", "status__exact=1&e=1", "o=x&store__foo=1"]
)
@pytest.mark.parametrize("page", ["customers_customer", "customers_purchase", "loyalty_enrollment"])
def test_a_query_that_makes_no_sense_leads_to_the_list(
    owner: Client, regulars: Regulars, page: str, query: str
) -> None:
    url = reverse(f"admin:{page}_changelist")
    answer = owner.get(f"{url}?{query}", follow=True)
    assert answer.status_code == 200
    assert answer.redirect_chain[-1] == (url, 302)
    text = answer.content.decode()
    assert "This is the whole list" in text
    assert "Database error" not in text


@pytest.mark.parametrize(
    "path", ["/admin/customers/customer/?q=%00", "/admin/?%00=1", "/admin/login/?next=%ff", "/%00"]
)
def test_text_that_is_none_is_answered_with_a_page(owner: Client, path: str) -> None:
    answer = owner.get(path)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "This request makes no sense" in answer.content.decode()
    assert f'href="{reverse("admin:index")}"' in answer.content.decode()
    assert "Content-Security-Policy" in answer.headers
