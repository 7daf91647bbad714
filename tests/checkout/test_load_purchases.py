"""`manage.py load_purchases`: the file that `replay_purchases` sends, loaded in bulk."""

import gzip
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from cloudpos.checkout.bulk import messages
from customers.models import Customer
from loyalty.models import Program
from tests.fixtures import Shop
from tests.tills import books, findings, minutes

pytestmark = pytest.mark.django_db

HISTORY: list[dict[str, Any]] = [
    {"store": "HIGH", "email": "ALICE@example.org", "transactionId": "A-1", "amount": "480", "occurredAt": 0},
    {"store": "HIGH", "phone": "07400 123456", "transactionId": "A-2", "amount": "40.50", "occurredAt": 1},
    {"store": "HIGH", "email": "bob@example.org", "transactionId": "B-1", "amount": "10", "occurredAt": 1},
    {"store": "HIGH", "purchase": "A-1", "transactionId": "R-1", "amount": "80", "occurredAt": 2},
    {"store": "HIGH", "email": "alice@example.org", "transactionId": "A-3", "amount": "100", "occurredAt": 3},
    {"store": "HIGH", "purchase": "B-1", "transactionId": "R-2", "occurredAt": 4},
]


@pytest.fixture(autouse=True)
def analyzed() -> Iterator[list[str]]:
    """The tables that were analyzed. Not really: statistics outlive the test's transaction."""
    tables: list[str] = []

    def note(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if not str(sql).startswith("ANALYZE"):
            return execute(sql, params, many, context)
        tables.append(str(sql).split('"')[1])
        return None

    with connection.execute_wrapper(note):
        yield tables


def write(path: Path, history: list[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt") as lines:
        for message in history:
            at = message["occurredAt"]
            sent = {**message, "occurredAt": minutes(at).isoformat() if isinstance(at, int) else at}
            lines.write(json.dumps(sent) + "\n")
    return path


def load(path: Path) -> str:
    out = StringIO()
    call_command("load_purchases", str(path), "--merchant", "corner-shop", stdout=out, stderr=out)
    return " ".join(out.getvalue().split())


@pytest.mark.parametrize("step", [1, 2, 100])
def test_a_file_is_loaded_once(
    shop: Shop,
    program: Program,
    alice: Customer,
    bob: Customer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    monkeypatch.setattr(messages, "MESSAGES_PER_STEP", step)
    path = write(tmp_path / "history.jsonl.gz", HISTORY)
    assert "4 purchases and 2 returns are new, 0 were known" in load(path)
    assert "0 purchases and 0 returns are new, 6 were known" in load(path)
    assert books(alice)["points"] == {"A-1": 400, "A-2": 40, "A-3": 100}
    assert books(bob)["points"] == {"B-1": 0}
    assert findings(shop) == []


def test_what_cannot_be_is_named(
    shop: Shop, program: Program, alice: Customer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = [
        {**HISTORY[0], "store": "NONE"},
        {**HISTORY[0], "amount": "-1"},
        {**HISTORY[0], "email": "nobody@example.org"},
        {**HISTORY[3], "purchase": "A-9"},
        HISTORY[0],
    ]
    out = StringIO()
    with pytest.raises(CommandError, match="not everything"):
        call_command(
            "load_purchases",
            str(write(tmp_path / "history.jsonl.gz", history)),
            "--merchant",
            "corner-shop",
            stdout=out,
            stderr=out,
        )
    printed = out.getvalue()
    assert "message 1: store: The merchant has no store with this code" in printed
    assert "message 2: amount: " in printed
    assert "message 3: There is no such customer" in printed
    assert "message 4: There is no purchase with this transactionId" in printed
    assert books(alice)["points"] == {"A-1": 480}


def test_bad_files_and_merchants_are_refused(shop: Shop, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("7\n")
    with pytest.raises(CommandError, match="line 1"):
        load(bad)
    with pytest.raises(CommandError, match="No such file"):
        load(tmp_path / "absent.jsonl")
    with pytest.raises(CommandError, match="no merchant"):
        call_command("load_purchases", str(bad), "--merchant", "nobody")


def test_the_planner_is_told_once_at_the_end(
    shop: Shop,
    program: Program,
    alice: Customer,
    bob: Customer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    analyzed: list[str],
) -> None:
    """Or the first pages after a load of a million would be planned for empty tables."""
    monkeypatch.setattr(messages, "MESSAGES_PER_STEP", 2)
    load(write(tmp_path / "history.jsonl.gz", HISTORY))
    assert len(analyzed) == len(set(analyzed))
    assert {"customers", "purchases", "purchase_items", "customer_events", "loyalty_transactions"} <= set(
        analyzed
    )
