"""The routes of imports: states, refusals, retention."""

import uuid
from datetime import timedelta

import pytest
from django.utils.timezone import now

from cloudpos.jobs.models import Job
from cloudpos.jobs.running import run_here
from customers.imports import services, writers
from customers.imports.serializers import ImportInput, ImportSettingsInput
from customers.imports.services import forget_old_imports
from customers.models import Customer, Import, ImportPart, ImportRow
from tests.customers.imports.conftest import Bring, answer, csv_of, upload
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

FILE = csv_of(("E-mail", "First name"), ("a@example.com", "Ann"), ("bad", "Bob"))


def test_begun(shop: Shop) -> None:
    response = shop.manager.post("/imports", {"fileName": "Spring list.csv"})
    assert response.status_code == 201
    data = response.json()["data"]
    assert response.headers["Location"] == f"/api/v1/imports/{data['id']}"
    assert data == {
        "id": data["id"],
        "fileName": "Spring list.csv",
        "fileBytes": 0,
        "state": "uploading",
        "checkCounts": {},
        "runCounts": {},
        "undoCounts": {},
        "jobId": None,
        "actorId": str(shop.manager.user_id),
        "createdAt": data["createdAt"],
        "finishedAt": None,
        "undoneAt": None,
        "forgottenAt": None,
    }


def test_listed_newest_first(shop: Shop, foreign_shop: Shop, bring: Bring) -> None:
    first, second = bring(FILE, name="1.csv"), bring(FILE, name="2.csv")
    upload(foreign_shop.manager, FILE)
    first.run()
    listed = shop.manager.get("/imports").json()["data"]
    assert [row["id"] for row in listed["imports"]] == [second.id, first.id]
    assert listed["total"] == 2
    assert [row["id"] for row in shop.manager.get("/imports?state=done").json()["data"]["imports"]] == [
        first.id
    ]


def test_each_step_in_its_turn(shop: Shop, bring: Bring) -> None:
    fresh = upload(shop.manager, FILE)
    for step in ("check", "run", "undo"):
        response = shop.manager.post(f"{fresh.path}/{step}")
        assert (response.status_code, response.json()["code"]) == (409, "import_not_ready"), step
    brought = bring(FILE)
    assert shop.manager.post(f"{brought.path}/run").json()["code"] == "import_not_ready"
    brought.check()
    assert brought.read()["state"] == "checked"
    # What was checked is not what would be imported any more.
    brought.set(mode="create")
    assert brought.read()["state"] == "uploaded" and brought.read()["checkCounts"] == {}
    assert shop.manager.post(f"{brought.path}/run").json()["code"] == "import_not_ready"
    brought.run()
    assert brought.read()["state"] == "done"
    for path, data in (("parts/0", b"x"), ("settings", {"mode": "both"})):
        send = shop.manager.put if path != "settings" else shop.manager.patch
        assert send(f"{brought.path}/{path}", data).status_code == 409


def test_run_again_is_the_same_job(shop: Shop, bring: Bring) -> None:
    brought = bring(FILE)
    brought.check()
    first = answer(shop.manager.post(f"{brought.path}/run"))
    assert answer(shop.manager.post(f"{brought.path}/run"))["id"] == first["id"]
    run_here(uuid.UUID(first["id"]))
    assert answer(shop.manager.post(f"{brought.path}/run"))["id"] == first["id"]
    assert Customer.objects.count() == 1


def test_what_is_worked_on_is_not_deleted(shop: Shop, bring: Bring) -> None:
    brought = bring(FILE)
    job = answer(shop.manager.post(f"{brought.path}/check"))
    response = shop.manager.delete(brought.path)
    assert (response.status_code, response.json()["code"]) == (409, "import_under_way")
    shop.manager.post(f"/jobs/{job['id']}/cancel")
    assert shop.manager.delete(brought.path).status_code == 200
    assert not Import.objects.exists() and not ImportPart.objects.exists()


def test_stopped_on_its_way_it_goes_on_or_back(
    shop: Shop, bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("customers.imports.running.CHUNK_ROWS", 2)
    rows = [(f"p{number}@example.com", "P") for number in range(6)]
    brought = bring(csv_of(("E-mail", "First name"), *rows, ("p0@example.com", "again")))
    brought.check()
    job = answer(shop.manager.post(f"{brought.path}/run"))
    Job.objects.filter(pk=job["id"]).update(state="queued")

    class Stop(Exception):
        pass

    real, done = writers.write, []

    def write(*arguments: object) -> None:
        if len(done) == 2:
            raise Stop
        done.append(1)
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(writers, "write", write)
    assert run_here(uuid.UUID(job["id"])).state == "failed"
    monkeypatch.setattr(writers, "write", real)
    assert (Customer.objects.count(), brought.read()["state"]) == (4, "running")
    assert brought.read()["runCounts"] == {"rows": 4, "created": 4}

    assert brought.do("run") == {"rows": 7, "created": 6, "failed": 1}
    # What was done before it was stopped is known of what comes after.
    assert brought.problems() == [(8, "E-mail", "duplicate_in_file")]
    assert brought.undo() == {"undone": 6}


def test_files_are_forgotten_after_their_time(shop: Shop, bring: Bring) -> None:
    brought = bring(FILE)
    brought.run()
    assert forget_old_imports(at=now() + timedelta(days=29)) == 0
    assert forget_old_imports(at=now() + timedelta(days=31)) == 1
    assert forget_old_imports(at=now() + timedelta(days=31)) == 0
    shown = brought.read()
    assert shown["forgottenAt"] is not None and shown["columns"] == []
    assert shown["runCounts"] == {"rows": 2, "created": 1, "failed": 1}
    assert not ImportPart.objects.exists() and not ImportRow.objects.exists()
    assert shop.manager.post(f"{brought.path}/undo").json()["code"] == "import_forgotten"
    assert Customer.objects.count() == 1


def test_a_file_that_was_never_imported_leaves_nothing_after_three_days(
    shop: Shop, foreign_shop: Shop, bring: Bring
) -> None:
    checked, uploaded = bring(FILE), bring(FILE)
    checked.check()
    unfinished = upload(foreign_shop.manager, FILE)
    imported = bring(FILE)
    imported.run()
    assert checked.read()["keptUntil"] < imported.read()["keptUntil"]
    assert forget_old_imports(at=now() + timedelta(days=2, hours=23)) == 0
    checking = answer(shop.manager.post(f"{uploaded.path}/check"))
    assert forget_old_imports(at=now() + timedelta(days=3, hours=1)) == 2
    shop.manager.post(f"/jobs/{checking['id']}/cancel")
    assert forget_old_imports(at=now() + timedelta(days=3, hours=1)) == 1
    for draft in (checked, uploaded, unfinished):
        assert draft.client.get(draft.path).status_code == 404
    assert set(ImportPart.objects.values_list("source_id", flat=True)) == {imported.row.pk}
    assert imported.undo() == {"undone": 1}


def test_files_that_wait_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "IMPORTS_WAITING_MAX", 1)
    upload(shop.manager, FILE)
    response = shop.manager.post("/imports", {"fileName": "2.csv"})
    assert (response.status_code, response.json()["code"]) == (409, "too_many_imports")


def test_a_check_writes_nothing_to_customers(shop: Shop, bring: Bring) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    brought = bring(FILE)
    job = answer(shop.manager.post(f"{brought.path}/check"))
    with CaptureQueriesContext(connection) as ran:
        run_here(uuid.UUID(job["id"]))
    words = (
        "INSERT INTO customers",
        "UPDATE customers",
        'UPDATE "customers"',
        "COPY customers",
        "customer_events",
    )
    assert [query["sql"] for query in ran if any(word in query["sql"] for word in words)] == []
    assert Customer.objects.count() == 0


def test_the_examples_of_the_documentation_are_taken(shop: Shop) -> None:
    content = csv_of(
        ("E-mail", "Name", "Shoe size", "Newsletter", "x"),
        ("a@example.com", "Ann", 39, "yes", ""),
        delimiter=";",
    )
    for example in ImportInput._spectacular_annotation["examples"]:
        brought = upload(shop.manager, content, name=example.value["fileName"])
    answer(shop.manager.post(f"{brought.path}/uploaded"))
    columns, reading = ImportSettingsInput._spectacular_annotation["examples"]
    brought.set(**reading.value)
    shown = brought.set(**columns.value)
    assert [column["field"] for column in shown["columns"]] == [
        column["field"] for column in columns.value["columns"]
    ]
    assert brought.check() == {"rows": 1, "created": 1, "granted": 1}
