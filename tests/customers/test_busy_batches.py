"""Batches of customers and of events under an Idempotency-Key, when the database refuses: all or nothing, and nothing kept."""

from typing import Any

import pytest
from django.db import OperationalError

from cloudpos.api.models import IdempotencyRecord
from customers.models import Customer, Event
from customers.services import activity, customers
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


class Deadlock(OperationalError):
    """As psycopg's DeadlockDetected, which Django wraps."""

    sqlstate = "40P01"


def failing_once(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    write = getattr(module, name)
    met: list[str] = []

    def once(*args: Any, **kwargs: Any) -> Any:
        if not met:
            met.append(name)
            raise OperationalError from Deadlock()
        return write(*args, **kwargs)

    monkeypatch.setattr(module, name, once)


def test_customers(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_once(monkeypatch, customers, "_insert_new")
    batch = {"customers": [{"firstName": "Ann"}, {"firstName": "Ben"}, {"email": "nonsense"}]}
    first = shop.cashier.post("/customers/batch", batch, headers={"Idempotency-Key": "k"})
    assert (first.status_code, first.json()["code"]) == (503, "unavailable")
    assert not Customer.objects.exists() and not IdempotencyRecord.objects.exists()
    again = shop.cashier.post("/customers/batch", batch, headers={"Idempotency-Key": "k"})
    assert [result["status"] for result in again.json()["data"]["results"]] == [
        "created",
        "created",
        "failed",
    ]


def test_events(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = shop.cashier.post("/customers", {"firstName": "Ann"}).json()["data"]["id"]
    failing_once(monkeypatch, activity, "emit_once")
    events = [{"customerId": ann, "type": "page.viewed", "eventId": str(number)} for number in range(2)]
    batch = {"events": [*events, {"customerId": ann, "type": "page.viewed"}]}
    first = shop.cashier.post("/events/batch", batch, headers={"Idempotency-Key": "k"})
    assert (first.status_code, first.json()["code"]) == (503, "unavailable")
    assert not Event.objects.filter(type="page.viewed").exists() and not IdempotencyRecord.objects.exists()
    again = shop.cashier.post("/events/batch", batch, headers={"Idempotency-Key": "k"})
    assert [result["status"] for result in again.json()["data"]["results"]] == ["created"] * 3
