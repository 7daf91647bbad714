"""Imports in the admin: each step of one, whose they are, what a browser may send twice or in hostile forms."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from cloudpos.jobs import services as job_services
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import run_here
from cloudpos.tenancy.formats import day
from customers.imports.services import create_import, finish_upload, put_part
from customers.models import Customer, Import, ImportPart
from tests.admin.conftest import person, staff_client
from tests.admin.test_foreign_merchant import assert_silent, secrets_of
from tests.customers.imports.conftest import csv_of
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

FILE = csv_of(
    ("E-mail", "First name", "Favourite"),
    ("ann@example.com", "Ann", "tea"),
    ("no address", "<b>Bob</b>", ""),
)
# As the form of the columns sends it.
TYPED = {"column-0": "email", "column-1": "firstName", "column-2": "metadata.favourite", "match_by": "email"}
ACTS = ("check", "reread", "again", "run", "undo", "stop", "delete")


@pytest.fixture(autouse=True)
def unrung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_services, "enqueue", lambda name: True)


def brought(shop: Shop, name: str = "people.csv") -> Import:
    source = create_import(access=shop.access, file_name=name)
    put_part(merchant_id=shop.merchant.pk, import_id=source.pk, number=0, data=FILE)
    return finish_upload(access=shop.access, import_id=source.pk)


def page_of(source: Import) -> str:
    return reverse("import_page", args=[source.pk])


def addresses(source: Import) -> list[str]:
    return [
        page_of(source),
        reverse("import_failed_rows", args=[source.pk]),
        reverse("import_upload_part", args=[source.pk, 0]),
        reverse("import_upload_finish", args=[source.pk]),
    ]


def text_of(response: HttpResponse) -> str:
    assert response.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


def finish_job(source: Import) -> None:
    source.refresh_from_db()
    assert source.job_id is not None
    assert run_here(source.job_id).state == Job.State.DONE


def send(client: Client, source: Import, act: str, **typed: str) -> str:
    """Press a button: what the page says then."""
    return text_of(client.post(page_of(source), {"act": act, **typed}, follow=True))


def test_from_the_file_to_the_customers_and_back(manager: Client, shop: Shop) -> None:
    file = SimpleUploadedFile("people.csv", FILE)
    said = text_of(manager.post(reverse("imports_page"), {"file": file}, follow=True))
    source = Import.objects.get()
    assert "What the columns are" in said and "1 column left out" in said
    assert f"the file is deleted {day(source.kept_until, shop.merchant.tz)}" in said

    assert "The rows are being checked" in send(manager, source, "check", **TYPED)
    finish_job(source)
    shown = manager.get(page_of(source))
    assert "What the import would do" in text_of(shown) and b"<b>Bob</b>" not in shown.content
    assert not Customer.objects.exists()

    assert "Customers are being imported" in send(manager, source, "run")
    finish_job(source)
    assert "It can be taken back until" in text_of(manager.get(page_of(source)))
    assert Customer.objects.get().metadata == {"favourite": "tea"}
    failed = manager.get(reverse("import_failed_rows", args=[source.pk]))
    assert b"no address" in b"".join(failed.streaming_content)  # type: ignore[attr-defined]
    assert failed["Content-Disposition"] == 'attachment; filename="people-not-imported.csv"'

    send(manager, source, "undo")
    finish_job(source)
    assert "Taken back 1 In part 0 Not 0" in text_of(manager.get(page_of(source)))
    assert not Customer.objects.filter(deleted_at=None).exists()
    assert "is deleted. Its customers are still there." in send(manager, source, "delete")
    assert not Import.objects.exists() and not ImportPart.objects.exists()


def test_what_cannot_be_done_now_is_said(manager: Client, shop: Shop) -> None:
    source = brought(shop)
    for act, said in (("run", "Have it checked first."), ("undo", "There is nothing to be undone.")):
        assert said in send(manager, source, act)
    # What was typed and refused stays in the form.
    assert "Say of at least one column what it is." in text_of(
        manager.post(page_of(source), {"act": "check", "column-0": "", "column-1": "", "column-2": ""})
    )
    assert "Choose a file first." in text_of(manager.post(reverse("imports_page"), follow=True))
    picture = SimpleUploadedFile("people.csv", b"%PDF-1.7 " + bytes(range(256)) * 9)
    assert "neither CSV nor an Excel file" in text_of(
        manager.post(reverse("imports_page"), {"file": picture}, follow=True)
    )
    # What cannot be read is not kept.
    assert list(Import.objects.values_list("pk", flat=True)) == [source.pk]


def test_another_merchants_imports_are_not_there(manager: Client, foreign_shop: Shop) -> None:
    theirs = brought(foreign_shop, "their-people.csv")
    secrets = secrets_of(foreign_shop) | {"their-people.csv", "ann@example.com"}
    assert_silent(manager.get(reverse("imports_page")), secrets)
    for url in addresses(theirs):
        for answer in (manager.get(url), manager.post(url, {"act": "delete"})):
            # A part and an end are sent, never had.
            assert answer.status_code in (404, 405), url
            assert_silent(answer, secrets - {str(theirs.pk)}, url)
    for act in ACTS:
        assert manager.post(page_of(theirs), {"act": act}).status_code == 404
    theirs.refresh_from_db()
    assert (theirs.state, theirs.job_id) == (Import.State.UPLOADED, None)
    assert bytes(ImportPart.objects.get().data) == FILE


def test_for_managers_only(shop: Shop, foreign_shop: Shop, superuser: Client) -> None:
    source = brought(shop)
    urls = [reverse("imports_page"), reverse("import_begin"), *addresses(source)]
    for client in (staff_client(person(shop, "cashier")), Client()):
        for url in urls:
            for answer in (client.get(url), client.post(url, {"act": "delete", "name": "x.csv"})):
                assert answer.status_code == 302 and answer["Location"].startswith(reverse("admin:login")), (
                    url
                )
    # Whoever looks at all merchants at once has none to bring customers to.
    for url in (reverse("import_begin"), *addresses(source)[1:]):
        assert superuser.post(url).status_code == 403, url
    source.refresh_from_db()
    assert source.state == Import.State.UPLOADED and Import.objects.count() == 1


def by_script(client: Client, name: str) -> Import:
    answer = client.post(reverse("import_begin"), {"name": name}).json()
    client.post(answer["parts"] + "0/", FILE, content_type="application/octet-stream")
    client.post(answer["finish"])
    return Import.objects.latest("created_at")


def by_form(client: Client, name: str) -> Import:
    client.post(reverse("imports_page"), {"file": SimpleUploadedFile(name, FILE)})
    return Import.objects.latest("created_at")


@pytest.mark.parametrize("bring", [by_script, by_form])
@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>.csv",
        '"; filename="evil.html',
        "a\r\nSet-Cookie: x=1.csv",
        "\u202egpj.csv",
        "people\x00.csv",
        "n" * 300 + ".csv",
        " ",
    ],
)
def test_hostile_names_of_files(manager: Client, bring: Callable[[Client, str], Import], name: str) -> None:
    source = bring(manager, name)
    assert source.state == Import.State.UPLOADED
    assert source.file_name.isprintable() and 0 < len(source.file_name) <= 200
    for url in (page_of(source), reverse("imports_page")):
        shown = manager.get(url).content.decode()
        assert "<script>alert(1)" not in shown and 'filename="evil' not in shown
    send(manager, source, "check", **TYPED)
    finish_job(source)
    failed = manager.get(reverse("import_failed_rows", args=[source.pk]))
    assert re.fullmatch(
        r'attachment; filename="[A-Za-z0-9_-]+-not-imported\.csv"', failed["Content-Disposition"]
    )
    assert "Set-Cookie" not in failed.headers


def test_pressed_twice(manager: Client, shop: Shop) -> None:
    source = brought(shop)
    send(manager, source, "check", **TYPED)
    send(manager, source, "check", **TYPED)
    assert Job.objects.count() == 1
    finish_job(source)
    for _ in range(2):
        send(manager, source, "run")
    finish_job(source)
    # A page that was left open, and is sent when all is over.
    assert "It can be taken back until" in send(manager, source, "run")
    assert Customer.objects.count() == 1 and Job.objects.count() == 2
    for _ in range(2):
        send(manager, source, "undo")
    finish_job(source)
    assert Job.objects.count() == 3
    assert manager.post(page_of(source), {"act": "delete"}).status_code == 302
    assert manager.post(page_of(source), {"act": "delete"}).status_code == 404


def test_a_form_of_another_site_does_nothing(shop: Shop) -> None:
    source = brought(shop)
    elsewhere = Client(enforce_csrf_checks=True)
    elsewhere.force_login(person(shop, "manager"))
    staff_client(person(shop, "manager"))
    bodies: dict[str, Any] = {"act": "delete", "name": "x.csv"}
    for url in (reverse("imports_page"), reverse("import_begin"), page_of(source), *addresses(source)[2:]):
        assert elsewhere.post(url, bodies).status_code == 403, url
    assert Import.objects.get() == source and ImportPart.objects.count() == 1
