"""The admin in a real browser: what a manager does, with no script, style or request refused on any page."""

import pytest
from django.contrib import admin
from django.urls import reverse
from playwright.sync_api import Page, expect

from cloudpos.jobs.running import run_jobs
from cloudpos.tenancy.models import Membership
from loyalty.dry_runs import jobs
from tests.admin.conftest import Regulars
from tests.browser.conftest import fits_its_window, sign_in
from tests.fixtures import Shop

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


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
        assert fits_its_window(page), url


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
        assert fits_its_window(page), url


def test_a_large_dry_run_is_watched_and_stopped_beside_its_form(
    page: Page, busy_shop: Shop, regulars: Regulars, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PURCHASES_AT_ONCE_MAX", -1)
    sign_in(page, busy_shop, "manager")
    page.goto(reverse("admin:loyalty_promotion_add"))
    page.get_by_label("Name").fill("Double points")
    page.get_by_label("Times the points").fill("2")
    page.get_by_role("button", name="Try it").click()
    expect(page.locator("#cp-tried").get_by_text("Waiting")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#cp-tried").get_by_text("Cancelled")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Double points")
    page.get_by_role("button", name="Try it").click()
    expect(page.locator("#cp-tried").get_by_text("Waiting")).to_be_visible()
    run_jobs()
    expect(page.get_by_text("The purchases most affected")).to_be_visible()
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(reverse("jobs_page"))
        expect(page.get_by_role("rowheader", name="Dry run").first).to_be_visible()
        assert fits_its_window(page), width


def test_the_ladder_and_the_rewards_fit_their_window(page: Page, busy_shop: Shop, regulars: Regulars) -> None:
    sign_in(page, busy_shop, "manager")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for url in (reverse("admin:loyalty_program_changelist"), reverse("admin:loyalty_reward_add")):
            page.goto(url)
            assert fits_its_window(page), (url, width)
        page.goto(reverse("admin:loyalty_program_changelist"))
        ladder = page.locator("#tiers-data")
        assert ladder.evaluate(
            "ladder => ladder.scrollWidth <= ladder.closest('.formset-wrapper').clientWidth"
        ), width
        # Everything of the first tier is in the window, and the row that new ones are made of is not shown.
        for name in ("name", "code", "threshold", "multiplier", "benefits"):
            box = page.locator(f"#id_tiers-0-{name}").bounding_box()
            assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width, (name, width)
        expect(page.locator(".empty-form")).to_be_hidden()
        page.get_by_text("Add another Tier").click()
        expect(page.locator("#id_tiers-4-name")).to_be_visible()


def test_what_is_not_meant_stands_back(page: Page, busy_shop: Shop, regulars: Regulars) -> None:
    """One button of a page is the colour of deeds."""
    sign_in(page, busy_shop, "manager")
    page.goto(reverse("admin:customers_customer_give_tier", args=[regulars.alice.pk]))
    colours = [
        page.get_by_role(role, name=name).evaluate("button => getComputedStyle(button).backgroundColor")
        for role, name in (("button", "Give this tier"), ("link", "Cancel"))
    ]
    assert colours[0] != colours[1]
    assert colours[1] == "rgba(0, 0, 0, 0)"
    page.get_by_label("Last day").fill("2099-01-31")
    page.get_by_label("Reason").fill("A friend of the house")
    page.get_by_role("button", name="Give this tier").click()
    expect(page.get_by_text("A friend of the house")).to_be_visible()
