"""Log lines: JSON, from every logger, without the values of rows."""

import io
import json
import logging
import logging.config
from typing import Any

import pytest
import structlog
from django.db import IntegrityError, connection

from cloudpos.api import context, logs
from cloudpos.tenancy.models import Merchant


@pytest.fixture
def output() -> Any:
    """A handler like the configured one, on a stream of ours."""
    logs.configure({"level": "INFO", "format": "json"})
    (handler,) = [
        h
        for h in logging.getLogger().handlers
        if isinstance(h.formatter, structlog.stdlib.ProcessorFormatter)
    ]
    stream = io.StringIO()
    original = handler.setStream(stream)  # type: ignore[attr-defined]
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    handler.setStream(original)  # type: ignore[attr-defined]


def test_library_loggers(output) -> None:
    begun = context.begin("req-1")
    logging.getLogger("celery.worker").warning("lost %s", "connection", extra={"attempt": 2})
    context.end(begun)
    (line,) = output()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "lost connection",
        "attempt": 2,
        "level": "warning",
        "logger": "celery.worker",
        "request_id": "req-1",
    }


def test_structlog(output) -> None:
    structlog.get_logger("cloudpos.test").info("sold", points=3)
    (line,) = output()
    assert (line["event"], line["points"], line["level"], line["logger"]) == (
        "sold",
        3,
        "info",
        "cloudpos.test",
    )


def test_objects_are_not_printed(output) -> None:
    class Customer:
        def __repr__(self) -> str:
            return "alice@example.com"

    structlog.get_logger("cloudpos.test").info("seen", customer=Customer())
    assert output()[0]["customer"] == "<Customer>"


@pytest.mark.django_db(transaction=True)
def test_row_values_of_database_errors_are_removed(output) -> None:
    # Put together here, because a trace shows lines of source.
    name, slug = " ".join(["Alice", "Example"]), "alice-" + "41" * 2
    Merchant.objects.create(name=name, slug=slug)
    try:
        Merchant.objects.create(name=name, slug=slug)
    except IntegrityError:
        logging.getLogger("cloudpos.test").exception("failed")
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO merchants (id, name, slug) VALUES (gen_random_uuid(), %s, 'b')", [name]
            )
    except IntegrityError as exc:
        logging.getLogger("cloudpos.test").error("failed: %s", exc)
    first, second = output()
    assert "merchants_slug" in first["exception"]
    assert "violates" in second["event"]
    for line in (first, second):
        assert "4141" not in json.dumps(line)
        assert "Alice Example" not in json.dumps(line)


def test_traces_show_no_locals(output) -> None:
    def charge(card: str) -> None:
        raise ValueError("declined")

    try:
        charge("4111" + "111111111111")
    except ValueError:
        logging.getLogger("cloudpos.test").exception("failed")
    (line,) = output()
    assert "ValueError: declined" in line["exception"]
    assert "4111111111111111" not in line["exception"]


def test_scrub_knows_values_on_any_line() -> None:
    assert logs.scrub("Key (email, phone)=(a@b.c, 1) exists") == "Key (email, phone)=(...) exists"


def test_scrub_keeps_the_rest() -> None:
    text = (
        'duplicate key value violates "x"\nDETAIL:  Key (email)=(a@b.c) already exists.\nFile "y.py", line 3'
    )
    assert logs.scrub(text) == 'duplicate key value violates "x"\nDETAIL: (removed)\nFile "y.py", line 3'
