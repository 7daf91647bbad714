"""Test databases: migrated once into a template, copied for each pytest worker.

The template's name carries a fingerprint of everything that makes the schema, so a run whose migrations are those of the last
run starts with a copy, in a tenth of a second.

    python -m tests.databases        make the template
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import django
import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, transaction
from psycopg import sql

TEMPLATE_LOCK_KEY = 3_002_002
MADE_BY_MIGRATE = {"django_content_type", "auth_permission"}


def fingerprint() -> str:
    """Changes with any migration, installed app or version of Django."""
    digest = hashlib.sha256(repr((django.VERSION, settings.INSTALLED_APPS)).encode())
    root = Path(settings.BASE_DIR)
    for path in sorted([*root.glob("*/migrations/*.py"), *root.glob("cloudpos/*/migrations/*.py")]):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _server() -> psycopg.Connection:
    """A session on the maintenance database, outside Django's connections, which tests may not touch yet."""
    parameters = connection.get_connection_params()
    for ours in ("pool", "options", "context", "cursor_factory", "prepare_threshold"):
        parameters.pop(ours, None)
    return psycopg.connect(**parameters | {"dbname": "postgres"}, autocommit=True)


def _exists(server: psycopg.Connection, name: str) -> bool:
    return server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def _drop(server: psycopg.Connection, name: str) -> None:
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _use(name: str) -> None:
    connection.close()
    settings.DATABASES["default"]["NAME"] = name
    connection.settings_dict["NAME"] = name


def _migrate(name: str) -> None:
    _use(name)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
    call_command("migrate", verbosity=0, interactive=False, run_syncdb=True)
    connection.close()


@contextmanager
def test_database(worker: str) -> Iterator[str]:
    """Point Django at a fresh, migrated, empty database; drop it at the end. `worker` is "gw0", ... or "master"."""
    base = f"test_{connection.settings_dict['NAME']}"
    template = f"{base}_template_{fingerprint()}"
    name = base if worker == "master" else f"{base}_{worker}"
    with closing(_server()) as server:
        # One worker migrates, the others wait.
        server.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [TEMPLATE_LOCK_KEY, base])
        if not _exists(server, template):
            for (old,) in server.execute(
                "SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{base}\\_template\\_%"]
            ).fetchall():
                _drop(server, old)
            unfinished = f"{base}_template_unfinished"
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(unfinished)))
            _migrate(unfinished)
            server.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                    sql.Identifier(unfinished), sql.Identifier(template)
                )
            )
        _drop(server, name)
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        server.execute("SELECT pg_advisory_unlock_all()")
    _use(name)
    try:
        yield name
    finally:
        connections.close_all()
        with closing(_server()) as server:
            _drop(server, name)


def empty() -> None:
    """Delete what a test has committed: all rows but those of the template, which every process may know by heart.

    Django truncates every table for this, and makes content types and permissions again: that took half a second.
    """
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    names = [connection.ops.quote_name(table) for table in sorted(set(tables) - MADE_BY_MIGRATE)]
    with transaction.atomic(), connection.cursor() as cursor:
        # Who is still writing, such as a session whose process was killed, ends first.
        cursor.execute(f"LOCK TABLE {', '.join(names)} IN EXCLUSIVE MODE")
        cursor.execute(
            " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in names)
        )
        filled = cursor.fetchall()
        # No triggers: references and append-only books end together.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for (name,) in filled:
            cursor.execute(f"DELETE FROM {name}")


if __name__ == "__main__":
    # Only the template is wanted: so that it is there when the workers start.
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    with test_database("template"):
        pass
