"""Whoever is erased takes the files with them that they stand in, however an export and an erasure meet."""

import threading
import uuid
from typing import Any

import pytest

from cloudpos.exports import running
from cloudpos.exports.models import Export as Row
from cloudpos.exports.models import ExportPart
from cloudpos.exports.people import People
from cloudpos.ids import new_id
from cloudpos.jobs.running import run_here
from cloudpos.lifecycle import erasing
from cloudpos.lifecycle.erasing import erase_customer
from customers.models import Customer
from customers.services import create_customer
from tests.exports.conftest import Export, asked
from tests.fixtures import Shop, meanwhile


def made(shop: Shop, name: str) -> Customer:
    return create_customer(access=shop.access, data={"first_name": name})


@pytest.mark.django_db
def test_the_files_that_they_stand_in(shop: Shop, foreign_shop: Shop, export: Export) -> None:
    ann, bob = made(shop, "Ann"), made(shop, "Bob")
    both, hers, his = export(), export(filters={"query": "ann"}), export(filters={"query": "bob"})
    far = asked(foreign_shop.manager).make()
    report = erase_customer(access=shop.access, customer_id=ann.pk)
    erased = {row["table"]: row["rows"] for row in report.erasure.receipt["erased"]}
    assert erased["exports"] == 2
    for gone in (both, hers):
        read = gone.read()
        assert (read["state"], read["filters"]) == ("erasure", {})
        response = shop.manager.get(f"{gone.path}/file")
        assert (response.status_code, response.json()["code"]) == (410, "export_gone")
        row = Row.objects.get(pk=gone.id)
        assert (row.people, row.parts.exists()) == (None, False)
    assert [row["First name"] for row in his.rows()] == ["Bob"]
    assert far.rows() == []
    assert bob.first_name == "Bob"


@pytest.mark.django_db
def test_erased_while_the_file_is_made_it_is_made_anew(
    shop: Shop, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = made(shop, "Ann")
    made(shop, "Bob")
    read, once = running._read, [ann.pk]

    def read_and_erase(*arguments: Any) -> Any:
        found = read(*arguments)
        if once:
            erase_customer(access=shop.access, customer_id=once.pop())
        return found

    monkeypatch.setattr(running, "_read", read_and_erase)
    found = export(columns=["firstName"])
    assert [row["First name"] for row in found.rows()] == ["Bob"]
    assert (found.read()["rows"], ExportPart.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_an_erasure_that_is_not_over_yet_holds_the_file_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun before the export looks, and committed after the file was written: seen all the same."""
    ann = made(shop, "Ann")
    found = asked(shop.manager, columns=["firstName"])
    job_id = uuid.UUID(found.read()["jobId"])
    written, waits = threading.Event(), running.erasures_wait
    attempts: list[int] = []

    def told(merchant_id: uuid.UUID) -> None:
        attempts.append(1)
        written.set()
        waits(merchant_id)

    monkeypatch.setattr(running, "erasures_wait", told)

    begun = threading.Event()
    slow = threading.Thread(target=lambda: meanwhile(_slowly))

    def _slowly() -> None:
        original = erasing._erase_rows

        def rows(*arguments: Any) -> Any:
            begun.set()
            assert written.wait(20)
            return original(*arguments)

        monkeypatch.setattr(erasing, "_erase_rows", rows)
        erase_customer(access=shop.access, customer_id=ann.pk)

    slow.start()
    assert begun.wait(20)
    run_here(job_id)
    slow.join(20)
    assert len(attempts) == 2
    assert (found.read()["state"], found.rows()) == ("ready", [])


def test_nobody_is_missed_and_hardly_anybody_is_named_without_need() -> None:
    inside, outside = ([new_id() for _ in range(5_000)] for _ in range(2))
    people = People.room_for(len(inside))
    for id in inside:
        people.add(id)
    kept = People(people.content)
    assert all(id in kept for id in inside)
    assert sum(id in kept for id in outside) < 0.02 * len(outside)
    assert len(kept.content) <= 2 * 5_000 * 10 / 8
    nobody = People.room_for(0)
    assert not any(id in nobody for id in outside)
