"""Files of customers, brought in the way a client does it."""

import io
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from openpyxl import Workbook

from cloudpos.jobs import services as job_services
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import run_here
from customers.imports.storage import PART_BYTES_MAX
from customers.models import Import
from tests.fixtures import ApiClient, Shop

Bring = Callable[..., "Brought"]


@pytest.fixture(autouse=True)
def unrung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_services, "enqueue", lambda name: True)


def csv_of(*rows: Sequence[Any], delimiter: str = ",") -> bytes:
    return "".join(delimiter.join(map(str, row)) + "\r\n" for row in rows).encode()


def xlsx_of(*rows: Sequence[Any]) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


class Brought:
    """An import of a shop, through its manager's API."""

    def __init__(self, client: ApiClient, id: str) -> None:
        self.client, self.id = client, id

    @property
    def path(self) -> str:
        return f"/imports/{self.id}"

    def read(self) -> dict[str, Any]:
        return answer(self.client.get(self.path))

    def set(self, **changes: Any) -> dict[str, Any]:
        return answer(self.client.patch(f"{self.path}/settings", changes))

    def fields(self, *names: str | None) -> dict[str, Any]:
        return self.set(columns=[{"index": place, "field": name} for place, name in enumerate(names)])

    def do(self, step: str) -> dict[str, Any]:
        """Ask for a job and have it done: its counts."""
        job = run_here(uuid.UUID(answer(self.client.post(f"{self.path}/{step}"))["id"]))
        assert job.state == Job.State.DONE, (job.error_code, job.error)
        return self.read()[{"check": "checkCounts", "run": "runCounts", "undo": "undoCounts"}[step]]

    def check(self) -> dict[str, int]:
        return self.do("check")

    def run(self) -> dict[str, int]:
        """Check, then import."""
        self.do("check")
        return self.do("run")

    def undo(self) -> dict[str, int]:
        return self.do("undo")

    def rows(self, query: str = "") -> list[dict[str, Any]]:
        return answer(self.client.get(f"{self.path}/rows{query}"))["rows"]

    def problems(self) -> list[tuple[int, str | None, str]]:
        """(row, column, code) of everything that is wrong."""
        return [
            (row["number"], problem["column"], problem["code"])
            for row in self.rows("?outcome=failed")
            for problem in row["problems"]
        ]

    def failed(self) -> str:
        response = self.client.get(f"{self.path}/failed")
        assert response.status_code == 200
        return b"".join(response.streaming_content).decode()

    @property
    def row(self) -> Import:
        return Import.objects.get(pk=self.id)


def answer(response: Any) -> dict[str, Any]:
    assert response.status_code in (200, 201, 202), response.content
    data: dict[str, Any] = response.json()["data"]
    return data


def upload(
    client: ApiClient, content: bytes, *, name: str = "customers.csv", part: int = PART_BYTES_MAX
) -> Brought:
    """Send a file in parts; it is not finished yet."""
    brought = Brought(client, answer(client.post("/imports", {"fileName": name}))["id"])
    for number, start in enumerate(range(0, len(content), part)):
        piece = content[start : start + part]
        answer(client.put(f"{brought.path}/parts/{number}", piece, "application/octet-stream"))
    return brought


@pytest.fixture
def bring(shop: Shop) -> Bring:
    """bring(b"...") or bring(rows): an import with its file."""

    def brought(content: bytes, **more: Any) -> Brought:
        found = upload(shop.manager, content, **more)
        answer(shop.manager.post(f"{found.path}/uploaded"))
        return found

    return brought
