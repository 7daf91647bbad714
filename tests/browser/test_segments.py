"""A rule put together in the browser: conditions, a nested group, a live count, saved by name; on a phone too."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from cloudpos.jobs.running import run_jobs
from marketing.models import Segment
from tests.admin.conftest import Regulars
from tests.browser.conftest import fits_its_window, sign_in
from tests.fixtures import Shop

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_group_is_built_tried_and_saved(page: Page, busy_shop: Shop, regulars: Regulars) -> None:
    sign_in(page, busy_shop, "manager")
    page.goto(reverse("groups_page"))
    page.get_by_role("link", name="New group").first.click()
    page.get_by_label("Name").fill("Good customers")
    count, rows = page.locator(".cp-big"), page.locator(".cp-condition")

    page.get_by_label("Add a condition").select_option(label="Total spent")
    rows.first.get_by_label("Amount").fill("1.00")
    expect(count).to_have_text("2")
    rows.first.get_by_label("Amount").fill("100.00")
    expect(count).to_have_text("1")
    expect(page.get_by_role("link", name="Alice Ashford")).to_be_visible()

    # What is not complete is said beside its condition.
    page.get_by_role("button", name="Add a group inside").click()
    inner = page.locator(".cp-group .cp-group")
    inner.get_by_label("Add a condition").select_option(label="First name")
    expect(inner.locator(".cp-condition__problem")).to_contain_text("1 to 200 characters")
    inner.get_by_label("Text").fill("bob")
    expect(count).to_have_text("0")
    inner.get_by_label("Which of them").select_option(label="none of these")
    expect(count).to_have_text("1")

    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("is saved")).to_be_visible()
    run_jobs()
    segment = Segment.objects.get()
    assert segment.rule == {
        "all": [
            {"field": {"name": "totalSpent", "op": "gte", "value": "100.00"}},
            {"none": [{"field": {"name": "firstName", "op": "is", "value": "bob"}}]},
        ]
    }

    page.set_viewport_size({"width": 390, "height": 844})
    for name, arguments in (
        ("groups_page", []),
        ("group_page", [segment.pk]),
        ("group_members_page", [segment.pk]),
    ):
        page.goto(reverse(name, args=arguments))
        expect(page.get_by_text("One moment")).to_have_count(0)
        assert fits_its_window(page), name
    expect(page.get_by_role("heading", name="1 customer")).to_be_visible()
    # What was saved is what is shown again.
    page.goto(reverse("group_page", args=[segment.pk]))
    expect(rows).to_have_count(2)
    rows.first.get_by_role("button", name="Remove this condition").click()
    expect(rows).to_have_count(1)
    expect(page.get_by_text("would come")).to_contain_text("1 would come, 0 would leave")
