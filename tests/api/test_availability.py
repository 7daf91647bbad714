"""While the database is away: refused at once, one probe at a time, back by itself."""

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from cloudpos.api import availability
from cloudpos.postgres import NoConnection
from tests.api import sample

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(availability.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(availability, "database", availability.DatabaseCircuit())
    return now


def raised(cause: BaseException | None) -> Any:
    def run() -> None:
        raise OperationalError("connection refused") from cause

    return run


def status(client: Client) -> int:
    return client.get("/api/v1/fail/away").status_code


def test_circuit(anonymous: Client, clock, monkeypatch) -> None:
    monkeypatch.setitem(sample.FAILURES, "away", raised(NoConnection()))
    response = anonymous.get("/api/v1/fail/away")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    # The database is back, nobody has found out yet.
    monkeypatch.setitem(sample.FAILURES, "away", lambda: None)
    refused = anonymous.get("/api/v1/fail/away")
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    clock[0] += availability.REST_SECONDS
    assert status(anonymous) == 200
    assert status(anonymous) == 200


def test_one_probe_at_a_time(anonymous: Client, clock, monkeypatch) -> None:
    meanwhile: list[int] = []

    def probe() -> None:
        meanwhile.append(anonymous.get("/api/v1/open").status_code)
        raised(NoConnection())()

    monkeypatch.setitem(sample.FAILURES, "away", raised(NoConnection()))
    status(anonymous)
    clock[0] += availability.REST_SECONDS
    monkeypatch.setitem(sample.FAILURES, "away", probe)
    assert status(anonymous) == 503
    assert meanwhile == [503]
    assert status(anonymous) == 503
    assert meanwhile == [503]


def test_a_probe_that_never_returns_is_not_the_last(anonymous: Client, clock, monkeypatch) -> None:
    circuit = availability.database
    circuit.saw(NoConnection())
    clock[0] += availability.REST_SECONDS
    assert [circuit.rests(), circuit.rests()] == [False, True]
    clock[0] += availability.PROBE_SECONDS_MAX
    assert not circuit.rests()


def test_a_probe_that_is_refused_for_another_reason_will_do(anonymous: Client, clock) -> None:
    availability.database.saw(NoConnection())
    clock[0] += availability.REST_SECONDS
    assert anonymous.get("/api/v1/echo").status_code == 401
    assert anonymous.get("/api/v1/open").status_code == 200


def test_other_database_errors_refuse_nobody(anonymous: Client, clock, monkeypatch) -> None:
    monkeypatch.setitem(sample.FAILURES, "away", raised(None))
    assert status(anonymous) == 503
    assert anonymous.get("/api/v1/open").status_code == 200
