"""A file brought in by a manager: uploaded in parts, its columns shown and changed, checked, imported, and taken back."""

import os
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from cloudpos.jobs.running import run_jobs
from customers.models import Customer
from tests.admin.conftest import Regulars
from tests.browser.conftest import fits_its_window, sign_in
from tests.customers.imports.conftest import csv_of
from tests.fixtures import Shop

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

FILE = csv_of(
    ("E-Mail", "Vorname", "Geburtsdatum", "Telefon", "Newsletter", "Schuhgröße"),
    ("alice@corner-shop.test", "Alicia", "03.04.1990", "020 7183 8750", "nein", "38"),
    ("new@example.com", "Nora", "05.06.1991", "", "ja", "41"),
    ("not an address", "Bob", "31.2.1990", "12", "", ""),
    delimiter=";",
)


def shot(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)
    page.set_viewport_size({"width": 390, "height": 844})
    assert fits_its_window(page), name
    page.set_viewport_size({"width": 1280, "height": 900})


def test_from_the_file_to_the_customers_and_back(
    page: Page, busy_shop: Shop, regulars: Regulars, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several parts, also of so small a file.
    monkeypatch.setattr("cloudpos.admin.imports.uploads.PART_BYTES_MAX", 100)
    assert len(FILE) > 100
    file = tmp_path / "Kunden.csv"
    file.write_bytes(FILE)
    sign_in(page, busy_shop, "manager")
    page.get_by_role("link", name="Imports").click()
    expect(page.get_by_role("button", name="Upload")).to_be_visible()
    shot(page, "imports-empty")
    page.get_by_label("File").set_input_files(file)
    expect(page.get_by_text("Kunden.csv")).to_be_visible()
    page.get_by_role("button", name="Upload").click()

    # Guessed, and shown; changed by hand.
    expect(page.get_by_label("Vorname is")).to_have_value("firstName")
    expect(page.get_by_label("E-Mail is")).to_have_value("email")
    expect(page.get_by_label("Geburtsdatum is")).to_have_value("dateOfBirth")
    expect(page.get_by_label("Newsletter is")).to_have_value("consent.email")
    page.get_by_label("Schuhgröße is").select_option("metadata.schuhgro_e")
    page.get_by_label("Where consent was given").fill("paper form")
    shot(page, "imports-columns")
    page.get_by_role("button", name="Check the rows").click()

    expect(page.get_by_role("heading", name="The rows are being checked")).to_be_visible()
    shot(page, "imports-checking")
    run_jobs()
    expect(page.get_by_role("heading", name="What the import would do")).to_be_visible()
    expect(page.get_by_text("There is no such day, read as day, month, year.")).to_be_visible()
    expect(page.get_by_text("not an address")).to_be_visible()
    shot(page, "imports-checked")
    assert not Customer.objects.filter(email="new@example.com").exists()

    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("heading", name="Customers are being imported")).to_be_visible()
    run_jobs()
    expect(page.get_by_role("heading", name="Imported")).to_be_visible()
    shot(page, "imports-done")
    nora = Customer.objects.get(email="new@example.com")
    assert (nora.first_name, nora.metadata) == ("Nora", {"schuhgro_e": "41"})
    assert Customer.objects.get(pk=regulars.alice.pk).first_name == "Alicia"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all of them").click()
    assert download.value.suggested_filename == "Kunden-not-imported.csv"
    assert "not an address" in Path(download.value.path()).read_text()

    # Nothing happens until the question is answered.
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_role("heading", name="Imported")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_role("heading", name="The import is being taken back")).to_be_visible()
    run_jobs()
    expect(page.get_by_role("heading", name="Taken back")).to_be_visible()
    expect(page.get_by_text("The withdrawal of consent (email) stays.")).to_be_visible()
    shot(page, "imports-undone")
    nora.refresh_from_db()
    assert nora.erased_at is not None
    assert Customer.objects.get(pk=regulars.alice.pk).first_name == "Alice"
    page.get_by_role("link", name="Imports").first.click()
    expect(page.get_by_role("link", name="Kunden.csv")).to_be_visible()
    shot(page, "imports-list")


def test_a_file_that_cannot_be_read_says_so(page: Page, busy_shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "letter.pdf"
    file.write_bytes(b"%PDF-1.7 something")
    sign_in(page, busy_shop, "manager")
    page.goto(reverse("imports_page"))
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("This file is neither CSV nor an Excel file")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Nothing was imported yet.")).to_be_visible()
