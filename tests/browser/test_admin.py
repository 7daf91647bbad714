"""The admin in a real browser: what a manager does, with no script, style or request refused on any page."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from cloudpos.tenancy.models import Membership
from tests.admin.conftest import PASSWORD, Regulars, make_regulars, person
from tests.fixtures import Shop, make_shop

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread. Django's guard against the database beside a loop is for async code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(
            executable_path=chromium_path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def busy_shop(transactional_db: None) -> Shop:
    return make_shop("Corner Shop")


@pytest.fixture
def regulars(busy_shop: Shop) -> Regulars:
    return make_regulars(busy_shop)


@pytest.fixture
def page(browser: Any, live_server: Any) -> Iterator[Page]:
    """A page that fails its test for anything that the browser refused or could not run."""
    context: BrowserContext = browser.new_context(base_url=live_server.url)
    page = context.new_page()
    wrong: list[str] = []
    page.on(
        "console", lambda message: message.type == "error" and wrong.append(f"{page.url}: {message.text}")
    )
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    page.set_default_timeout(15_000)
    yield page
    context.close()
    assert wrong == []


def sign_in(page: Page, shop: Shop, role: str) -> None:
    user = person(shop, role)
    user.is_staff = True
    user.set_password(PASSWORD)
    user.save()
    page.goto("/admin/")
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_manager_finds_a_customer_and_adjusts_points(
    page: Page, busy_shop: Shop, regulars: Regulars
) -> None:
    sign_in(page, busy_shop, "manager")
    page.locator("#nav-sidebar-apps a", has_text="Customers").click()
    page.get_by_placeholder("Name, e-mail, phone or customer number").fill("ash ali")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Alice Ashford").click()

    page.get_by_role("tab", name="Points").click()
    expect(page.get_by_text("Net spend", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Timeline")).to_be_hidden()
    regulars.alice.refresh_from_db()
    page.locator("#panel-points").get_by_role("link", name="Adjust points").click()
    page.get_by_label("Points").fill("25")
    page.get_by_label("Reason").fill("Waited too long")
    page.get_by_role("button", name="Adjust points").click()
    expect(page.get_by_text(f"The balance is now {regulars.alice.points + 25}")).to_be_visible()
    expect(page.locator("#panel-points").get_by_text("Waited too long")).to_be_visible()


def test_a_manager_changes_a_profile_and_sees_what_was_refused(
    page: Page, busy_shop: Shop, regulars: Regulars
) -> None:
    sign_in(page, busy_shop, "manager")
    page.goto(reverse("admin:customers_customer_change", args=[regulars.alice.pk]))
    page.get_by_role("tab", name="Profile and addresses").click()
    page.get_by_label("First name").fill("Alicia")
    page.get_by_label("E-mail").fill("bob@corner-shop.test")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("Another customer has this e-mail address")).to_be_visible()
    page.get_by_label("E-mail").fill("alicia@corner-shop.test")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator(".cp-head__name")).to_have_text("Alicia Ashford")


def test_no_page_runs_into_the_content_policy(page: Page, busy_shop: Shop, regulars: Regulars) -> None:
    Membership.objects.filter(user_id=busy_shop.owner.user_id).update(role="owner")
    sign_in(page, busy_shop, "owner")
    alice = regulars.alice
    urls = [reverse("admin:index"), reverse("admin:password_change"), reverse("admin:customers_customer_add")]
    urls += [
        reverse(f"admin:customers_customer_{name}", args=[alice.pk])
        for name in ("history", "adjust_points", "merge", "remove", "erase")
    ]
    urls.append(reverse("admin:marketing_webhook_add"))
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        if name == "tenancy_user":
            continue
        urls.append(reverse(f"admin:{name}_changelist"))
        urls.append(reverse(f"admin:{name}_change", args=[model._default_manager.order_by("pk").first().pk]))
    for url in urls:
        answer = page.goto(url)
        assert answer is not None
        assert answer.status == 200, url
        # The theme's components are alive: what they hide until they run is shown.
        assert page.evaluate(
            "typeof Alpine === 'object' && !document.documentElement.hasAttribute('x-cloak')"
        ), url


def test_a_phone_shows_the_customer_page_without_scrolling_sideways(
    page: Page, busy_shop: Shop, regulars: Regulars
) -> None:
    sign_in(page, busy_shop, "manager")
    page.set_viewport_size({"width": 390, "height": 844})
    for url in (
        reverse("admin:index"),
        reverse("admin:customers_customer_changelist"),
        reverse("admin:customers_customer_change", args=[regulars.alice.pk]),
        reverse("admin:customers_customer_merge", args=[regulars.alice.pk]) + f"?source={regulars.bob.pk}",
    ):
        page.goto(url)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), url


def test_a_manager_tries_a_promotion_before_it_begins(
    page: Page, busy_shop: Shop, regulars: Regulars
) -> None:
    sign_in(page, busy_shop, "manager")
    page.goto(reverse("admin:loyalty_promotion_add"))
    page.get_by_label("Name").fill("Double points")
    page.get_by_label("Times the points").fill("2")
    expect(page.get_by_text("Double points in all stores")).to_be_visible()
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("The purchases most affected")).to_be_visible()
    for url in (reverse("admin:loyalty_promotion_add"), reverse("promotion_calendar")):
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(url)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), url
