"""The PostgreSQL and Redis of a development machine: both come as wheels, so nothing has to be installed first.

`database_url()` and `redis_url()` start the engine when it does not run yet and answer where it listens: a private unix
socket, never a TCP port. Any number of processes may ask at the same moment; they share one engine. Data lives in `.data/`
(`DATA_DIR`), that of the tests in folders of its own.

Who stops an engine: every process that uses one holds a shared file lock, which the kernel drops however the process ends;
the last one out, seen by getting that lock exclusively, stops it. `script/server` does not wait for others and stops them by
`stop_all()`. An engine left by processes that were killed is found again by the next user, who then becomes the last one out.

    python -m cloudpos.embedded run COMMAND...    runs a command with both engines up and DATABASE_URL, REDIS_URL set
"""

import os
from pathlib import Path

from cloudpos.embedded.engine import Engine
from cloudpos.embedded.folders import BASE_DIR, EngineError, data_folder
from cloudpos.embedded.postgres import Postgres
from cloudpos.embedded.redis import Redis, redis_binary

__all__ = [
    "BASE_DIR",
    "EngineError",
    "data_folder",
    "database_url",
    "postgres_programs",
    "redis_url",
    "revive_all",
    "stop_all",
]

_engines: dict[str, Engine] = {}


def _engine(kind: type[Engine]) -> Engine:
    # Tests have a server of their own that skips fsync, beside the one whose data a person keeps.
    testing = os.environ.get("ENVIRONMENT") == "test"
    label = ("test-" if testing else "") + kind.__name__.lower()
    if label not in _engines:
        _engines[label] = kind(label, durable=not testing)
    return _engines[label]


def database_url() -> str:
    """The embedded PostgreSQL, started if it does not run: `postgresql://postgres@/cloudpos?host=FOLDER`."""
    return _engine(Postgres).attach()


def postgres_programs() -> Path:
    """The folder with psql, pg_dump and the like of the embedded PostgreSQL. Raises EngineError where it is not installed."""
    return Postgres.programs()


def redis_url() -> str:
    """The embedded Redis, started if it does not run: `unix://PATH?db=0`; "none" where there is no redis-server."""
    if redis_binary() is None:
        return "none"
    return _engine(Redis).attach()


def revive_all() -> list[str]:
    """Start again the engines that died under this process; the names of those that had."""
    return [engine.label for engine in _engines.values() if engine.revive()]


def stop_all() -> None:
    """Stop the engines this process uses, whoever else does."""
    for engine in _engines.values():
        engine.release(force=True)
