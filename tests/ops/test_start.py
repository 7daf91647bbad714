"""script/start, what a container runs: replicas that start at once on an empty database all serve, and end on SIGTERM."""

import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from psycopg import sql

from cloudpos import embedded
from tests import databases
from tests.ops.processes import wait_for


@pytest.fixture
def empty_database(django_db_setup: None) -> Iterator[str]:
    """The URL of a database without a single table."""
    name = f"test_start_{secrets.token_hex(4)}"
    with closing(databases._server()) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield urlsplit(settings.DATABASE_URL)._replace(path=f"/{name}").geturl()
        databases._drop(server, name)


def start(role: str, *, database: str, port: int, folder: Path) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ENVIRONMENT": "production",
        "DATABASE_URL": database,
        "REDIS_URL": settings.REDIS_URL or "none",
        "JWT_SECRET": secrets.token_urlsafe(48),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PROMETHEUS_MULTIPROC_DIR": str(folder / f"metrics-{port}"),
        "STATIC_ROOT": str(folder),
    }
    return subprocess.Popen(
        ["script/start", role],
        env=environment,
        cwd=embedded.BASE_DIR,
        stdout=open(folder / f"{port}.log", "w"),
        stderr=subprocess.STDOUT,
        text=True,
    )


def ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_replicas_that_start_at_once_migrate_once_and_serve(empty_database: str, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    replicas = [start("web", database=empty_database, port=port, folder=tmp_path) for port in ports]
    try:
        wait_for(
            lambda: all(ready(port) for port in ports) or any(r.poll() is not None for r in replicas),
            seconds=120,
        )
        logs = [(tmp_path / f"{port}.log").read_text() for port in ports]
        assert all(ready(port) for port in ports), logs
        assert sorted("to apply" in log for log in logs) == [False, True]
        assert sorted("nothing to do" in log for log in logs) == [False, True]

        health = subprocess.run(
            [sys.executable, "script/healthcheck.py"],
            env=os.environ | {"PORT": str(ports[0])},
            cwd=embedded.BASE_DIR,
            check=False,
        )
        assert health.returncode == 0
    finally:
        for replica in replicas:
            replica.send_signal(signal.SIGTERM)
        assert [replica.wait(timeout=60) for replica in replicas] == [0, 0]
    assert not ready(ports[0])


def test_the_health_check_of_a_dead_service_fails() -> None:
    health = subprocess.run(
        [sys.executable, "script/healthcheck.py"],
        env=os.environ | {"PORT": str(free_port())},
        cwd=embedded.BASE_DIR,
        check=False,
    )
    assert health.returncode == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL must be set in production"),
        ({"JWT_SECRET": "short"}, "JWT_SECRET must be set to at least 32 bytes"),
        ({"JWT_SECRET": ""}, "JWT_SECRET must be set to at least 32 bytes"),
        ({"DEBUG": "true"}, "DEBUG must be off"),
        ({"PORT": "70000"}, "not a TCP port"),
        ({"ENVIRONMENT": "prod"}, "ENVIRONMENT='prod' is not one of"),
    ],
)
def test_production_refuses_to_start_with(changed: dict[str, str], said: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    environment |= {"ENVIRONMENT": "production", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    environment |= {"JWT_SECRET": secrets.token_urlsafe(48), **changed}
    refused = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env=environment,
        cwd=embedded.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert said in refused.stderr
