"""manage.py migrate_locked: replicas that start at once migrate once."""

import threading
from collections.abc import Iterator
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from cloudpos.management.commands import migrate_locked
from tests.ops.processes import wait_for


@pytest.fixture
def other_session(db: None) -> Iterator[psycopg.Connection]:
    parameters = connection.get_connection_params()
    for ours in ("context", "cursor_factory", "prepare_threshold"):
        parameters.pop(ours, None)
    with psycopg.connect(**parameters, autocommit=True) as session:
        yield session


@pytest.mark.django_db(transaction=True)
def test_nothing_to_do_is_said() -> None:
    out = StringIO()
    call_command("migrate_locked", stdout=out)
    assert out.getvalue() == "Migrations: nothing to do.\n"


@pytest.mark.django_db(transaction=True)
def test_a_replica_waits_for_the_one_that_migrates(
    other_session: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrated = threading.Event()
    monkeypatch.setattr(migrate_locked.Command, "_migrate", lambda self: migrated.set())
    other_session.execute("SELECT pg_advisory_lock(%s)", [migrate_locked.MIGRATION_LOCK_KEY])

    def run() -> None:
        call_command("migrate_locked")
        connection.close()

    replica = threading.Thread(target=run)
    replica.start()
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND query LIKE '%pg_try_advisory_lock%'"
    )
    wait_for(lambda: other_session.execute(waiting).fetchone() == (1,))
    # Which waits for every statement that is under way: a replica that waits must not be in one.
    other_session.execute("SET statement_timeout = '5s'")
    other_session.execute("CREATE INDEX CONCURRENTLY tried ON users (name)")
    other_session.execute("DROP INDEX tried")
    # Longer than the lock_timeout of requests: a migration may take minutes.
    assert not migrated.wait(2.5)

    other_session.execute("SELECT pg_advisory_unlock(%s)", [migrate_locked.MIGRATION_LOCK_KEY])
    replica.join(timeout=10)
    assert migrated.is_set()
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    wait_for(lambda: other_session.execute(held).fetchone() == (0,))
