"""The pages of exports: from a list that is filtered to its file, and who may do what."""

import uuid
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from cloudpos.exports.models import Export
from cloudpos.jobs import services as job_services
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import run_jobs
from customers.models import Event
from customers.services import create_customer
from tests.admin.conftest import person, staff_client
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def unrung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_services, "enqueue", lambda name: True)


@pytest.fixture
def manager(shop: Shop) -> Client:
    return staff_client(person(shop, "manager"))


def test_from_a_filtered_list_to_its_file(shop: Shop, manager: Client) -> None:
    for name in ("Ann", "Bob"):
        create_customer(access=shop.access, data={"first_name": name})
    listed = manager.get(reverse("admin:customers_customer_changelist"), {"q": "ann", "status": "active"})
    link = f"{reverse('new_export_page')}?kind=customers&amp;q=ann&amp;status=active"
    assert f'href="{link}"' in listed.content.decode()
    form = manager.get(link.replace("&amp;", "&"))
    text = form.content.decode()
    assert "Search: ann, Status: active" in text
    typed = {
        "kind": "customers",
        "query": "ann",
        "status": "active",
        "format": "csv",
        "column": ["firstName"],
    }
    answer = manager.post(reverse("new_export_page"), typed, follow=True)
    assert "Waiting" in answer.content.decode() and "Search: ann" in answer.content.decode()
    run_jobs()
    text = manager.get(reverse("exports_page")).content.decode()
    export = Export.objects.get()
    url = reverse("export_file_page", args=[export.pk])
    assert f'href="{url}"' in text and "Ready" in text
    file = manager.get(url)
    assert b"".join(file.streaming_content) == b"\xef\xbb\xbfFirst name\r\nAnn\r\n"  # type: ignore[attr-defined]
    assert Event.objects.get(type="export.downloaded").actor_id == shop.manager.user_id
    manager.post(reverse("exports_page"), {"export": export.pk, "act": "delete"})
    assert not Export.objects.exists()


def test_a_period_of_the_ledger(manager: Client) -> None:
    typed = {"kind": "ledger", "occurredFrom": "2026-03-01", "occurredTo": "2026-03-31", "format": "xlsx"}
    manager.post(reverse("new_export_page"), typed)
    export = Export.objects.get()
    assert export.filters == {"occurredFrom": "2026-03-01", "occurredTo": "2026-03-31"}
    assert (export.kind, export.format, export.timezone) == ("ledger", "xlsx", "Europe/London")
    refused = manager.post(reverse("new_export_page"), {**typed, "occurredTo": "soon"})
    assert "This must be a day" in refused.content.decode() and Export.objects.count() == 1
    manager.post(reverse("exports_page"), {"export": export.pk, "act": "stop"})
    assert Job.objects.get().state == Job.State.CANCELLED
    assert "Stopped" in manager.get(reverse("exports_page")).content.decode()


each_list = pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("loyalty_ledgerentry", "ledger"),
        ("customers_purchase", "purchases"),
        ("customers_purchasereturn", "returns"),
        ("loyalty_redemption", "redemptions"),
    ],
)


@each_list
def test_lists_lead_to_their_exports(manager: Client, model: str, kind: str) -> None:
    text = manager.get(reverse(f"admin:{model}_changelist")).content.decode()
    assert f"{reverse('new_export_page')}?kind={kind}" in text
    assert "New export" in manager.get(f"{reverse('new_export_page')}?kind={kind}&o=-1&e=1").content.decode()


@each_list
def test_what_was_searched_for_in_a_list(manager: Client, model: str, kind: str) -> None:
    text = manager.get(reverse(f"admin:{model}_changelist"), {"q": "ann"}).content.decode()
    assert f"{reverse('new_export_page')}?kind={kind}&amp;q=ann" in text
    form = manager.get(reverse("new_export_page"), {"kind": kind, "q": "ann"}).content.decode()
    assert "Search: ann" in form
    manager.post(reverse("new_export_page"), {"kind": kind, "q": "ann"})
    assert Export.objects.get().filters == {"query": "ann"}


def test_the_filters_of_the_list_of_redemptions(shop: Shop, manager: Client) -> None:
    asked = {"state__exact": "cancelled", "store": str(shop.store.pk)}
    url = f"{reverse('admin:loyalty_redemption_changelist')}?{urlencode(asked)}"
    assert (
        f"kind=redemptions&amp;{urlencode(asked).replace('&', '&amp;')}" in manager.get(url).content.decode()
    )
    form = manager.get(reverse("new_export_page"), {"kind": "redemptions", **asked}).content.decode()
    assert f"State: cancelled, Store: {shop.store}" in form
    manager.post(reverse("new_export_page"), {"kind": "redemptions", **asked})
    assert Export.objects.get().filters == {"state": "cancelled", "storeId": str(shop.store.pk)}


def test_a_download_goes_on_where_it_broke_off(manager: Client) -> None:
    manager.post(reverse("new_export_page"), {"kind": "customers", "column": ["firstName"]})
    run_jobs()
    url = reverse("export_file_page", args=[Export.objects.get().pk])
    rest = manager.get(url, headers={"range": "bytes=3-"})
    assert (rest.status_code, b"".join(rest.streaming_content)) == (206, b"First name\r\n")  # type: ignore[attr-defined]
    behind = manager.get(url, headers={"range": "bytes=900-"})
    assert (behind.status_code, behind.headers["Content-Range"]) == (416, "bytes */15")


def test_nobody_elses(shop: Shop, foreign_shop: Shop, manager: Client) -> None:
    manager.post(reverse("new_export_page"), {"kind": "customers", "query": "secretword"})
    run_jobs()
    export = Export.objects.get()
    stranger = staff_client(person(foreign_shop, "owner"))
    url = reverse("export_file_page", args=[export.pk])
    assert stranger.get(url).status_code == 404
    assert stranger.post(reverse("exports_page"), {"export": export.pk, "act": "delete"}).status_code == 404
    assert "secretword" not in stranger.get(reverse("exports_page")).content.decode()
    hers = {"segmentId": str(uuid.uuid4()), "storeId": str(shop.store.pk), "customerId": "x"}
    assert shop.store.name not in stranger.get(reverse("new_export_page"), hers).content.decode()
    cashier = staff_client(person(shop, "cashier"))
    assert cashier.get(url).status_code in (302, 403)
    assert Export.objects.exists() and not Event.objects.filter(type="export.downloaded").exists()
