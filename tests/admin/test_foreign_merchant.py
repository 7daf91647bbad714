"""Another merchant's rows: every page of the admin answers as if they were not there, and writes none of them."""

import hashlib
import re
import uuid
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import models
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse

from cloudpos.ids import new_id
from cloudpos.tenancy.models import Membership, Merchant, TenantModel, User
from customers.models import Customer
from tests.admin.conftest import Regulars, make_regulars, staff_client
from tests.fixtures import Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kept_regulars")]

REGISTRY: dict[type[models.Model], Any] = admin.site._registry
MODELS = sorted(REGISTRY, key=lambda model: model._meta.label)
# Pages of the site that name no row.
SITE_PAGES = {
    # What a form says of itself: its row is in the query, see test_promotions.
    "loyalty_promotion_said",
    "loyalty_promotion_tried",
    "index",
    "login",
    "logout",
    "password_change",
    "password_change_done",
    "autocomplete",
    "jsi18n",
    "search",
    "app_list",
    "switch_merchant",
}


@pytest.fixture
def foreign(shop: Shop, foreign_shop: Shop, regulars: Regulars) -> Shop:
    """A merchant with rows in every table of the admin, beside one with as many of its own."""
    make_regulars(foreign_shop)
    return foreign_shop


def row_of(model: type[models.Model], shop: Shop) -> Any:
    if model is Merchant:
        return shop.merchant
    if model is User:
        return User.objects.get(pk=shop.owner.user_id)
    found = model._default_manager.filter(merchant_id=shop.merchant.pk).order_by("pk").first()
    assert found is not None, f"the fixture makes no {model.__name__}: make one, so that its pages are tried"
    return found


def secrets_of(shop: Shop) -> set[str]:
    """What tells of a merchant: its name, its marks in every text, and the ids of all its rows."""
    found = {shop.merchant.name, shop.merchant.slug, str(shop.merchant.pk)}
    for model in apps.get_models():
        if issubclass(model, TenantModel):
            found |= {
                str(pk)
                for pk in model._default_manager.filter(merchant=shop.merchant).values_list("pk", flat=True)
            }
    return found


def assert_silent(response: HttpResponse, secrets: set[str], where: str = "") -> None:
    text = response.content.decode() + str(dict(response.headers))
    leaked = [secret for secret in secrets if secret in text]
    assert not leaked, f"{where}: {leaked} in {response.status_code} {text[:300]}"


def books_of(shop: Shop) -> str:
    """Changes with any row of a merchant."""
    digest = hashlib.sha256()
    for model in apps.get_models():
        if issubclass(model, TenantModel):
            for row in model._default_manager.filter(merchant=shop.merchant).order_by("pk").values_list():
                digest.update(repr(row).encode())
    digest.update(repr(Merchant.objects.filter(pk=shop.merchant.pk).values_list()).encode())
    return digest.hexdigest()


def without_ids(response: HttpResponse, row_id: Any) -> tuple[int, str, str]:
    """An answer but for what differs between any two requests."""

    def masked(text: str) -> str:
        text = text.replace(str(row_id), "ID")
        return re.sub(r'(csrfmiddlewaretoken" value=")[^"]+', r"\1", text)

    return (
        response.status_code,
        masked(response.headers.get("Location", "")),
        masked(response.content.decode()),
    )


def row_pages() -> list[tuple[str, type[models.Model]]]:
    """(name, model) of every route of the admin that names a row."""
    pages = []
    for model, page in REGISTRY.items():
        for url in page.get_urls():
            if isinstance(url, URLPattern) and url.name and "object_id" in url.pattern.converters:
                pages.append((url.name, model))
    user_password = [("auth_user_password_change", User)]
    return sorted({*pages} - {*user_password}, key=lambda pair: pair[0])


def test_no_route_is_left_out() -> None:
    """A page that is added is either one that names a row, a list, or one of SITE_PAGES."""
    known = {name for name, _ in row_pages()} | SITE_PAGES
    for model in REGISTRY:
        info = f"{model._meta.app_label}_{model._meta.model_name}"
        known |= {f"{info}_changelist", f"{info}_add"}

    def names(patterns: Any) -> set[str]:
        found: set[str] = set()
        for url in patterns:
            if isinstance(url, URLResolver):
                found |= names(url.url_patterns)
            elif url.name:
                found.add(url.name)
        return found

    # The user's password page names its row `id`.
    assert names(admin.site.get_urls()) - known <= {"auth_user_password_change", "view_on_site"}
    assert "view_on_site" not in names(admin.site.get_urls())


def test_a_foreign_row_is_absent(owner: Client, foreign: Shop) -> None:
    before = books_of(foreign)
    secrets = secrets_of(foreign)
    for name, model in row_pages():
        row = row_of(model, foreign)
        absent_id = new_id()
        for method, body in (
            ("get", {}),
            ("post", {"post": "yes", "merge": str(new_id()), "customer_number": "1"}),
        ):
            answers = []
            for row_id in (row.pk, absent_id):
                # Followed: what is said to somebody who is sent away appears on the next page.
                answer = getattr(owner, method)(
                    reverse(f"admin:{name}", args=[row_id]), body, follow=method == "get"
                )
                assert_silent(answer, secrets - {str(row_id)}, name)
                answers.append(without_ids(answer, row_id))
                owner.cookies.pop("messages", None)
            assert answers[0] == answers[1], (name, method)
            assert answers[0][0] in (200, 302, 403, 404, 405), (name, method)
            assert answers[0][0] != 200 or "doesn’t exist" in answers[0][2], (name, method)
    assert books_of(foreign) == before


def test_lists_show_no_foreign_row(owner: Client, foreign: Shop) -> None:
    secrets = secrets_of(foreign)
    store, customer = str(foreign.store.pk), str(row_of(Customer, foreign).pk)
    for model in MODELS:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        row_id = str(row_of(model, foreign).pk)
        sent = {store, customer, str(foreign.merchant.pk), foreign.merchant.slug, row_id}
        for query in (
            "",
            f"?store={store}",
            f"?customer={customer}",
            f"?merchant__id__exact={foreign.merchant.pk}",
            f"?q={foreign.merchant.slug}",
            "?q=Alice",
            f"?pk={row_id}",
            "?all=1&p=1",
        ):
            answer = owner.get(url + query, follow=True)
            assert answer.status_code in (200, 403), (model, query)
            assert_silent(answer, secrets - sent, f"{model.__name__} {query}")


def test_actions_touch_no_foreign_row(owner: Client, foreign: Shop) -> None:
    before = books_of(foreign)
    secrets = secrets_of(foreign)
    for model in MODELS:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        names = {
            "delete_selected",
            *[getattr(action, "__name__", action) for action in REGISTRY[model].actions or []],
        }
        row_id = str(row_of(model, foreign).pk)
        for name in sorted(names):
            for across in ("0", "1"):
                body = {"action": name, "_selected_action": [row_id], "select_across": across, "post": "yes"}
                answer = owner.post(url, body, follow=True)
                assert_silent(answer, secrets - {row_id}, f"{model.__name__} {name}")
    assert books_of(foreign) == before


def test_choices_offer_no_foreign_row(owner: Client, foreign: Shop, regulars: Regulars) -> None:
    source_id = str(row_of(Customer, foreign).pk)
    pages = [
        reverse("admin:customers_customer_add"),
        reverse("admin:customers_customer_change", args=[regulars.alice.pk]),
        reverse("admin:tenancy_membership_add"),
        reverse("admin:customers_customer_merge", args=[regulars.alice.pk]) + "?q=alice",
        reverse("admin:customers_customer_merge", args=[regulars.alice.pk]) + f"?source={source_id}",
    ]
    for page in pages:
        assert_silent(owner.get(page), secrets_of(foreign) - {source_id}, page)


def test_a_foreign_choice_is_refused(owner: Client, foreign: Shop, shop: Shop, regulars: Regulars) -> None:
    before = books_of(foreign)
    alice = regulars.alice
    form = {
        "type": "individual",
        "status": "active",
        "first_name": "Alice",
        "home_store": str(foreign.store.pk),
        "seen_version": alice.version,
        "addresses-TOTAL_FORMS": 0,
        "addresses-INITIAL_FORMS": 0,
    }
    answer = owner.post(reverse("admin:customers_customer_change", args=[alice.pk]), form)
    assert answer.status_code == 200
    assert "Select a valid choice" in answer.content.decode()
    alice.refresh_from_db()
    assert alice.home_store_id == shop.store.pk
    source = row_of(Customer, foreign)
    owner.post(reverse("admin:customers_customer_merge", args=[alice.pk]), {"source": str(source.pk)})
    assert books_of(foreign) == before


@pytest.mark.parametrize("query", [
    "app_label=customers&model_name=customer&field_name=home_store",
    "app_label=tenancy&model_name=membership&field_name=store",
    "app_label=customers&model_name=purchase&field_name=customer",
])  # fmt: skip
def test_autocomplete_offers_no_foreign_row(owner: Client, foreign: Shop, query: str) -> None:
    answer = owner.get(f"{reverse('admin:autocomplete')}?{query}&term=")
    assert_silent(answer, secrets_of(foreign))


def test_a_manager_of_two_merchants_sees_one_at_a_time(manager: Client, shop: Shop, foreign: Shop) -> None:
    Membership.objects.create(merchant=foreign.merchant, user_id=shop.manager.user_id, role="manager")
    url = reverse("admin:customers_customer_changelist")
    assert shop.merchant.slug in manager.get(url).content.decode()

    answer = manager.post(reverse("admin:switch_merchant"), {"merchant": str(foreign.merchant.pk)})
    assert answer.status_code == 302
    listed = manager.get(url).content.decode()
    assert f"alice@{foreign.merchant.slug}.test" in listed
    assert f"alice@{shop.merchant.slug}.test" not in listed
    # A link to the other merchant's row still opens: it is theirs too.
    row = row_of(Customer, shop)
    assert manager.get(reverse("admin:customers_customer_change", args=[row.pk])).status_code == 200


def test_nobody_switches_to_a_foreign_merchant(owner: Client, foreign: Shop) -> None:
    for choice in (str(foreign.merchant.pk), "all", str(uuid.uuid4()), "x", ""):
        answer = owner.post(reverse("admin:switch_merchant"), {"merchant": choice}, follow=True)
        assert_silent(answer, secrets_of(foreign))
        assert "There is no such merchant" in answer.content.decode()


def test_a_superuser_sees_all_and_can_choose_one(superuser: Client, shop: Shop, foreign: Shop) -> None:
    url = reverse("admin:customers_customer_changelist")
    everything = superuser.get(url).content.decode()
    assert f"alice@{shop.merchant.slug}.test" in everything
    assert f"alice@{foreign.merchant.slug}.test" in everything
    superuser.post(reverse("admin:switch_merchant"), {"merchant": str(shop.merchant.pk)})
    one = superuser.get(url).content.decode()
    assert f"alice@{shop.merchant.slug}.test" in one
    assert f"alice@{foreign.merchant.slug}.test" not in one


def test_membership_taken_away_ends_it_at_once(manager: Client, shop: Shop, regulars: Regulars) -> None:
    url = reverse("admin:customers_customer_change", args=[regulars.alice.pk])
    assert manager.get(url).status_code == 200
    Membership.objects.filter(user_id=shop.manager.user_id).update(role="cashier")
    assert manager.get(url).status_code == 302


def test_a_store_manager_reaches_the_chain(shop: Shop, regulars: Regulars) -> None:
    user = User.objects.create_user("store@corner-shop.test", name="Store manager")
    Membership.objects.create(merchant=shop.merchant, user=user, store=shop.store, role="owner")
    client = staff_client(user)
    assert client.get(reverse("admin:customers_customer_change", args=[regulars.alice.pk])).status_code == 200
    # Owner of one store is not owner of the merchant.
    assert client.get(reverse("admin:tenancy_membership_changelist")).status_code == 403
