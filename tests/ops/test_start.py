"""script/start, what a container runs: replicas that start at once on an empty database all serve, and end on SIGTERM."""

import http.client
import os
import re
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


def production(*, database: str, folder: Path, port: int = 3002) -> dict[str, str]:
    """The environment of a container."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return environment | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ENVIRONMENT": "production",
        "DATABASE_URL": database,
        "REDIS_URL": settings.REDIS_URL or "none",
        "JWT_SECRET": secrets.token_urlsafe(48),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PROMETHEUS_MULTIPROC_DIR": str(folder / f"metrics-{port}"),
        "STATIC_ROOT": str(folder / "static"),
    }


def start(role: str, *, database: str, port: int, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["script/start", role],
        env=production(database=database, port=port, folder=folder),
        cwd=embedded.BASE_DIR,
        stdout=open(folder / f"{port}.log", "w"),
        stderr=subprocess.STDOUT,
        text=True,
    )


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body, as a proxy that ends TLS would ask; (0, "") when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"X-Forwarded-Proto": "https"})
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except OSError:
        return 0, ""
    finally:
        connection.close()


def ready(port: int) -> bool:
    return get(port, "/health/ready")[0] == 200


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_replicas_that_start_at_once_migrate_once_and_serve(empty_database: str, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    # As the image does when it is built.
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"],
        env=production(database="postgresql://nobody@127.0.0.1:1/nothing", folder=tmp_path),
        cwd=embedded.BASE_DIR,
        check=True,
    )
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

        for page in ("/api/docs", "/admin/login/"):
            status, body = get(ports[0], page)
            assert status == 200, page
            assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', body)
            assert assets, page
            assert {get(ports[0], asset)[0] for asset in assets} == {200}, page
        assert get(ports[0], "/api/schema")[0] == 200

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
