"""POST /exports and what follows: the shape, refusals, fetching on record, and an end after some days."""

import gzip
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from cloudpos.api import query
from cloudpos.exports import running, services
from cloudpos.exports.examples import EXAMPLES
from cloudpos.exports.models import FILE_KEPT_FOR, ROW_KEPT_FOR, ExportPart
from cloudpos.exports.models import Export as Row
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import JobLost, claim_job, run_here
from customers.models import Event
from customers.services import create_customer
from tests.exports.conftest import Export, answer, asked
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


def test_from_asking_to_fetching(shop: Shop) -> None:
    create_customer(access=shop.access, data={"first_name": "Ann"})
    filters = {"query": "ann", "status": ["active"], "hasEmail": False}
    wanted = {"kind": "customers", "columns": ["firstName", "phone"], "filters": filters}
    response = shop.manager.post("/exports", wanted)
    assert response.status_code == 202
    begun = response.json()["data"]
    assert response.headers["Location"] == f"/api/v1/exports/{begun['id']}"
    assert begun == {
        "id": begun["id"],
        "kind": "customers",
        "format": "csv",
        "columns": ["firstName", "phone"],
        "filters": filters,
        "timezone": "Europe/London",
        "fileName": begun["fileName"],
        "state": "queued",
        "done": 0,
        "total": None,
        "errorCode": "",
        "error": "",
        "rows": None,
        "fileBytes": None,
        "jobId": begun["jobId"],
        "actorId": str(shop.manager.user_id),
        "createdAt": begun["createdAt"],
        "asOf": None,
        "readyAt": None,
        "expiresAt": begun["expiresAt"],
    }
    # Asked again while it is being made, it is the same.
    assert shop.manager.post("/exports", wanted).json()["data"]["id"] == begun["id"]
    path = f"/exports/{begun['id']}"
    refused = shop.manager.get(f"{path}/file")
    assert (refused.status_code, refused.json()["code"]) == (409, "export_not_ready")

    run_here(uuid.UUID(begun["jobId"]))
    ready = answer(shop.manager.get(path))
    content = b"\xef\xbb\xbfFirst name,Phone\r\nAnn,\r\n"
    assert (ready["state"], ready["rows"], ready["done"], ready["total"]) == ("ready", 1, 1, 1)
    assert ready["fileBytes"] == len(content) and ready["asOf"] and ready["readyAt"]
    assert answer(shop.manager.get("/exports?state=ready&kind=customers"))["exports"] == [ready]
    assert answer(shop.manager.get("/exports?state=queued"))["exports"] == []

    file = shop.manager.get(f"{path}/file")
    assert b"".join(file.streaming_content) == content
    assert file.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert file.headers["Content-Disposition"] == f'attachment; filename="{begun["fileName"]}"'
    assert file.headers["Content-Length"] == str(len(content))
    assert file.headers["Cache-Control"] == "private, no-store"
    packed = shop.manager.get(f"{path}/file", headers={"accept-encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    body = b"".join(packed.streaming_content)
    assert gzip.decompress(body) == content and packed.headers["Content-Length"] == str(len(body))
    shop.manager.head(f"{path}/file")

    made, *fetched = Event.objects.filter(type__startswith="export.").order_by("recorded_at")
    assert made.data == {
        "file": begun["fileName"],
        "rows": 1,
        "exportId": begun["id"],
        "kind": "customers",
        "format": "csv",
        # What was typed is nobody's business.
        "filters": ["query", "status=active", "hasEmail=false"],
    }
    told = {"file": begun["fileName"], "rows": 1, "exportId": begun["id"]}
    assert [(event.type, event.data) for event in fetched] == [("export.downloaded", told)] * 2
    assert fetched[0].actor_id == shop.manager.user_id


def test_an_excel_file_as_it_is_accepted(export: Export) -> None:
    found = export(format="xlsx")
    media = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    file = found.client.get(f"{found.path}/file", headers={"accept": media, "accept-encoding": "gzip"})
    assert (file.status_code, file.headers["Content-Type"]) == (200, media)
    assert "Content-Encoding" not in file.headers
    assert file.headers["Content-Disposition"].endswith('.xlsx"')


@pytest.mark.parametrize(
    ("wanted", "field", "code"),
    [
        ({"kind": "secrets"}, "kind", "invalid_choice"),
        ({"kind": "customers", "format": "pdf"}, "format", "invalid_choice"),
        ({"kind": "customers", "columns": ["email", "password"]}, "columns.1", "invalid_choice"),
        ({"kind": "customers", "columns": ["email", "email"]}, "columns.1", "repeated_column"),
        ({"kind": "customers", "filters": {"segment": "rich"}}, "filters.segment", "invalid_choice"),
        ({"kind": "customers", "filters": {"page": 2}}, "filters.page", "unknown_parameter"),
        ({"kind": "customers", "filters": {"limit": 2}}, "filters.limit", "unknown_parameter"),
        ({"kind": "customers", "filters": {"sortBy": "password"}}, "filters.sortBy", "invalid_choice"),
        ({"kind": "customers", "filters": {"tags": {"a": 1}}}, "filters.tags", "invalid"),
        ({"kind": "customers", "filters": {"query": None}}, "filters.query", "invalid"),
        ({"kind": "customers", "filters": ["query"]}, "filters", "not_a_dict"),
        ({"kind": "ledger", "filters": {"occurredFrom": "yesterday"}}, "filters.occurredFrom", "invalid"),
        ({"kind": "ledger", "filters": {"tier": "gold"}}, "filters.tier", "unknown_parameter"),
        ({"kind": "purchases", "filters": {"storeId": "x"}}, "filters.storeId", "invalid"),
    ],
    ids=str,
)
def test_refused(shop: Shop, wanted: dict[str, Any], field: str, code: str) -> None:
    response = shop.manager.post("/exports", wanted)
    assert response.status_code == 400, response.content
    assert [(error["field"], error["code"]) for error in response.json()["errors"]] == [(field, code)]
    assert not Job.objects.exists()


def test_what_can_be_asked_for(shop: Shop) -> None:
    kinds = {each["kind"]: each for each in answer(shop.manager.get("/exports/kinds"))["kinds"]}
    assert set(kinds) == set(Row.Kind.values)
    assert {"query", "tagsMode", "segmentId", "sortBy"} <= set(kinds["customers"]["filters"])
    assert kinds["ledger"]["columns"][0] == {
        "name": "occurredAt",
        "title": "Time",
        "group": "Entry",
        "holds": "instant",
        "isDefault": True,
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_docs_are_taken(shop: Shop, name: str) -> None:
    asked(shop.manager, **EXAMPLES[name]).make()


def test_each_kind_has_an_example() -> None:
    assert {each["kind"] for each in EXAMPLES.values()} == set(Row.Kind.values)


def test_a_cashier_and_another_merchant_see_nothing(shop: Shop, foreign_shop: Shop, export: Export) -> None:
    found = export()
    assert shop.cashier.get(f"{found.path}/file").status_code == 403
    for method, path in (("get", "/file"), ("get", ""), ("post", "/cancel"), ("delete", "")):
        assert getattr(foreign_shop.owner, method)(f"{found.path}{path}").status_code == 404
    assert not Event.objects.filter(type="export.downloaded").exists()


def test_stopped_and_deleted(shop: Shop) -> None:
    stopped = asked(shop.manager)
    assert answer(shop.manager.post(f"{stopped.path}/cancel"))["state"] == "cancelled"
    deleted = asked(shop.manager, format="xlsx")
    job = Job.objects.get(pk=deleted.read()["jobId"])
    assert shop.manager.delete(deleted.path).status_code == 200
    assert shop.manager.get(deleted.path).status_code == 404
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED


def test_deleted_while_it_is_made(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    create_customer(access=shop.access, data={"first_name": "Ann"})
    found = asked(shop.manager)
    job_id = uuid.UUID(found.read()["jobId"])
    read = running._read

    def delete_and_read(*arguments: Any) -> Any:
        assert shop.manager.delete(found.path).status_code == 200
        return read(*arguments)

    monkeypatch.setattr(running, "_read", delete_and_read)
    assert run_here(job_id).state == Job.State.CANCELLED
    assert not ExportPart.objects.exists()
    assert not Event.objects.filter(type="export.made").exists()


def test_in_parts(shop: Shop, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudpos.exports.storage.PART_BYTES", 50)
    monkeypatch.setattr("cloudpos.exports.storage.PIECE_BYTES_MAX", 64)
    monkeypatch.setattr(running, "CHUNK_ROWS", 2)
    for number in range(7):
        create_customer(access=shop.access, data={"first_name": f"Ann{number}"})
    filters = {"sortOrder": "asc"}
    found = export(columns=["firstName", "createdAt", "id"], filters=filters)
    assert [row["First name"] for row in found.rows()] == [f"Ann{number}" for number in range(7)]
    assert ExportPart.objects.count() > 3
    book = export(format="xlsx", columns=["firstName", "createdAt", "id"], filters=filters).book()
    assert [row[0].value for row in book.worksheets[0].iter_rows(min_row=2)] == [f"Ann{n}" for n in range(7)]


def test_too_large(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudpos.exports.storage.STORED_BYTES_MAX", 50)
    found = asked(shop.manager)
    run_here(uuid.UUID(found.read()["jobId"]))
    read = found.read()
    assert (read["state"], read["errorCode"]) == ("failed", "export_too_large")
    assert not ExportPart.objects.exists()


def test_no_more_than_so_many(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "EXPORTS_KEPT_MAX", 1)
    first = asked(shop.manager)
    refused = shop.manager.post("/exports", {"kind": "ledger"})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_exports")
    answer(shop.manager.post(f"{first.path}/cancel"))
    asked(shop.manager, "ledger")


def test_kept_for_a_week(shop: Shop, export: Export) -> None:
    old, new = export(filters={"query": "ann"}), export()
    Row.objects.filter(pk=old.id).update(created_at=now() - FILE_KEPT_FOR - timedelta(minutes=1))
    assert services.forget_old_exports(at=now()) == 1
    read = old.read()
    assert (read["state"], read["filters"]) == ("expired", {})
    gone = shop.manager.get(f"{old.path}/file")
    assert (gone.status_code, gone.json()["code"]) == (410, "export_gone")
    assert new.rows() == []
    assert set(ExportPart.objects.values_list("export_id", flat=True)) == {uuid.UUID(new.id)}
    Row.objects.filter(pk=old.id).update(created_at=now() - ROW_KEPT_FOR - timedelta(minutes=1))
    services.forget_old_exports(at=now())
    assert [str(pk) for pk in Row.objects.values_list("pk", flat=True)] == [new.id]


def test_a_process_that_lost_its_job_releases_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    create_customer(access=shop.access, data={"first_name": "Ann"})
    found = asked(shop.manager)
    read = running._read

    def read_late(*arguments: Any) -> Any:
        Job.objects.update(claim=uuid.uuid4())
        return read(*arguments)

    monkeypatch.setattr(running, "_read", read_late)
    work = claim_job(job_id=uuid.UUID(found.read()["jobId"]))
    assert work is not None
    with pytest.raises(JobLost):
        running.make(work)
    assert Row.objects.get().ready_at is None and not ExportPart.objects.exists()
    assert not Event.objects.filter(type="export.made").exists()


def test_a_deep_page_says_how_far_each_is(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "DEEP_OFFSET", 1)
    made = [
        shop.manager.post("/exports", {"kind": kind}).json()["data"]["id"] for kind in ("ledger", "customers")
    ]
    page = shop.manager.get("/exports?limit=1&page=2").json()["data"]["exports"]
    assert [(each["id"], each["state"], each["kind"]) for each in page] == [(made[0], "queued", "ledger")]
    assert shop.manager.get("/exports?limit=1&page=500").json()["data"]["exports"] == []
