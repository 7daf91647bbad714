"""The database under test: one of its own, beside that of DATABASE_URL or on the embedded engine, loaded in bulk."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks.server import BASE_DIR

UNLIMITED = "1000000000"
STATEMENT_TIMEOUT_MS = "600000"


def point_environment_at_own_database(suffix: str = "_benchmark") -> str:
    """Set DATABASE_URL (and the rest of the service's environment) for this process and its children; the database's name."""
    from cloudpos import embedded

    os.environ.setdefault("ENVIRONMENT", "development")
    base = urlsplit(os.environ.get("DATABASE_URL") or embedded.database_url())
    name = base.path.strip("/") + suffix
    os.environ["DATABASE_URL"] = urlunsplit(base._replace(path=f"/{name}"))
    os.environ["REDIS_URL"] = os.environ.get("REDIS_URL") or embedded.redis_url()
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    for limit in ("RATE_LIMIT_ANONYMOUS", "RATE_LIMIT_LOGIN", "RATE_LIMIT_USER", "RATE_LIMIT_SERVICE"):
        os.environ[limit] = UNLIMITED
    return name


def maintenance_connection() -> psycopg.Connection[Any]:
    parts = urlsplit(os.environ["DATABASE_URL"])
    return psycopg.connect(urlunsplit(parts._replace(path="/postgres")), autocommit=True)


def description(chosen: argparse.Namespace) -> str:
    """What a kept database holds, so that another one is not taken for it."""
    return f"customers={chosen.customers} purchases={chosen.purchases}"


def make(name: str, chosen: argparse.Namespace) -> bool:
    """An empty database, unless --keep finds the one it wants. True when there is loading to do."""
    with contextlib.closing(maintenance_connection()) as server:
        found = server.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [name]
        ).fetchone()
        if chosen.keep and found and found[0] == description(chosen):
            return False
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}"')
    return True


def mark(name: str, chosen: argparse.Namespace) -> None:
    with contextlib.closing(maintenance_connection()) as server:
        server.execute(f"COMMENT ON DATABASE \"{name}\" IS '{description(chosen)}'")


def drop(name: str) -> None:
    with contextlib.closing(maintenance_connection()) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def migrate(log: Path) -> None:
    with open(log, "ab") as output:
        subprocess.run(
            [sys.executable, "manage.py", "migrate_locked"],
            cwd=BASE_DIR,
            check=True,
            stdout=output,
            stderr=output,
        )


def populate(chosen: argparse.Namespace) -> dict[str, Any]:
    """Load in a process of its own, whose peak of memory is then the loading's."""
    command = [sys.executable, "-m", "benchmarks.population"]
    command += ["--customers", str(chosen.customers), "--purchases", str(chosen.purchases)]
    done = subprocess.run(
        command,
        cwd=BASE_DIR,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"STATEMENT_TIMEOUT_MS": STATEMENT_TIMEOUT_MS},
    )
    loaded: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return loaded
