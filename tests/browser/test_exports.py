"""A manager takes out what a list shows: asked for from the list, watched while it is made, fetched, and deleted."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from cloudpos.jobs import services as job_services
from cloudpos.jobs.running import run_jobs
from tests.admin.conftest import Regulars
from tests.browser.conftest import sign_in
from tests.browser.test_imports import shot
from tests.fixtures import Shop

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_from_the_list_to_the_file(
    page: Page, busy_shop: Shop, regulars: Regulars, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_services, "enqueue", lambda name: True)
    sign_in(page, busy_shop, "manager")
    page.get_by_role("link", name="Exports").click()
    expect(page.get_by_text("Nothing was exported yet")).to_be_visible()
    shot(page, "exports-empty")
    page.goto(f"{reverse('admin:customers_customer_changelist')}?q=ali")
    shot(page, "exports-list-button")
    page.get_by_role("link", name="Export", exact=True).click()
    expect(page.get_by_text("Search: ali")).to_be_visible()
    page.get_by_label("Excel").check()
    shot(page, "exports-new")
    page.get_by_text("chosen").click()
    page.get_by_label("Notes").uncheck()
    shot(page, "exports-columns")
    page.get_by_role("button", name="Make the file").click()
    expect(page.get_by_text("Waiting")).to_be_visible()
    shot(page, "exports-waiting")

    run_jobs()
    # The list follows by itself.
    expect(page.get_by_text("Ready")).to_be_visible()
    shot(page, "exports-ready")
    with page.expect_download() as fetched:
        page.get_by_role("link", name="Download customers").click()
    assert fetched.value.suggested_filename.endswith(".xlsx")
    assert fetched.value.path().read_bytes().startswith(b"PK")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete customers").click()
    expect(page.get_by_text("Nothing was exported yet")).to_be_visible()

    page.goto(f"{reverse('new_export_page')}?kind=ledger")
    shot(page, "exports-ledger")
    page.goto(reverse("admin:loyalty_ledgerentry_changelist"))
    shot(page, "exports-ledger-button")
