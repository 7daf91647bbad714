"""cloudpos.postgres: a restart of the database costs no request of the time after it."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError, connection

from cloudpos.api import availability
from cloudpos.postgres import NoConnection

pytestmark = pytest.mark.django_db


@pytest.fixture
def kept() -> Iterator[Any]:
    """The connection of another thread, between two requests."""
    copy = connection.copy()
    copy.settings_dict = connection.settings_dict | {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
    copy.inc_thread_sharing()
    copy.connect()
    yield copy
    copy.close()


def pid(kept: Any) -> int:
    with kept.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def end(backend: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 2000)", [backend])
        assert cursor.fetchone() == (True,)


def test_it_is_kept(kept: Any) -> None:
    first = pid(kept)
    kept.close_if_unusable_or_obsolete()
    assert pid(kept) == first


def test_one_that_the_server_closed_is_replaced_before_it_fails_anything(kept: Any) -> None:
    first = pid(kept)
    end(first)
    # What Django does when a request begins.
    kept.close_if_unusable_or_obsolete()
    assert pid(kept) != first


def test_looking_takes_no_statement(kept: Any) -> None:
    pid(kept)
    kept.close_if_unusable_or_obsolete()
    kept.force_debug_cursor = True
    kept.queries_log.clear()
    pid(kept)
    assert [query["sql"] for query in kept.queries_log] == ["SELECT pg_backend_pid()"]


def test_what_the_server_says_by_itself_is_no_farewell(kept: Any) -> None:
    first = pid(kept)
    with kept.cursor() as cursor:
        cursor.execute("LISTEN bell")
    parameters = {name: kept.get_connection_params()[name] for name in ("dbname", "user", "host", "port")
                  if name in kept.get_connection_params()}  # fmt: skip
    with psycopg.connect(**parameters, autocommit=True) as other:
        other.execute("NOTIFY bell")
    time.sleep(0.05)
    kept.close_if_unusable_or_obsolete()
    assert pid(kept) == first


def test_one_in_a_failed_transaction_is_not_used_again(kept: Any) -> None:
    kept.set_autocommit(False)
    with pytest.raises(Exception, match="division"), kept.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")
    assert not kept.is_usable()


def test_a_database_that_is_away_is_told_apart(kept: Any) -> None:
    kept.close()
    kept.settings_dict = kept.settings_dict | {"HOST": "/nowhere"}
    circuit = availability.DatabaseCircuit()
    with pytest.raises(OperationalError) as raised:
        kept.ensure_connection()
    assert isinstance(raised.value.__cause__, NoConnection)
    circuit.saw(raised.value)
    assert circuit.rests()


def test_the_service_keeps_and_looks() -> None:
    options = settings.DATABASES["default"]
    assert (options["ENGINE"], options["CONN_HEALTH_CHECKS"]) == ("cloudpos.postgres", True)
    assert options["CONN_MAX_AGE"] is None
    assert "pool" not in options["OPTIONS"]
