"""Files that a shop takes out, the way a client does it."""

import csv
import io
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from openpyxl import load_workbook

from cloudpos.jobs import services as job_services
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import run_here
from tests.fixtures import ApiClient, Shop

BOM = "\ufeff"


@pytest.fixture(autouse=True)
def unrung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_services, "enqueue", lambda name: True)


class Exported:
    """An export, through a client's API."""

    def __init__(self, client: ApiClient, id: str) -> None:
        self.client, self.id = client, id

    @property
    def path(self) -> str:
        return f"/exports/{self.id}"

    def read(self) -> dict[str, Any]:
        return answer(self.client.get(self.path))

    def make(self) -> "Exported":
        job = run_here(uuid.UUID(self.read()["jobId"]))
        assert job.state == Job.State.DONE, (job.error_code, job.error)
        return self

    def bytes(self, **headers: str) -> bytes:
        response = self.client.get(f"{self.path}/file", headers=headers)
        assert response.status_code == 200, response.content
        content = b"".join(response.streaming_content)
        assert len(content) == int(response.headers["Content-Length"])
        return content

    def table(self) -> list[list[str]]:
        """The rows of a CSV file, the names of its columns first."""
        text = self.bytes().decode()
        assert text.startswith(BOM)
        return list(csv.reader(io.StringIO(text[1:], newline="")))

    def rows(self) -> list[dict[str, str]]:
        head, *rows = self.table()
        return [dict(zip(head, row, strict=True)) for row in rows]

    def book(self) -> Any:
        return load_workbook(io.BytesIO(self.bytes()))


Export = Callable[..., Exported]


def answer(response: Any) -> dict[str, Any]:
    assert response.status_code in (200, 202), response.content
    data: dict[str, Any] = response.json()["data"]
    return data


def asked(client: ApiClient, kind: str = "customers", **more: Any) -> Exported:
    """An export whose file is to be made."""
    return Exported(client, answer(client.post("/exports", {"kind": kind, **more}))["id"])


@pytest.fixture
def export(shop: Shop) -> Export:
    """export("customers", columns=[...]): with its file."""

    def made(kind: str = "customers", **more: Any) -> Exported:
        return asked(shop.manager, kind, **more).make()

    return made
