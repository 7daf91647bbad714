"""script/server's supervisor: all of it starts, what dies comes back, one signal ends everything."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from cloudpos import embedded
from tests.ops.processes import commands_of, processes_of, wait_for


@dataclass
class Installation:
    """A server of its own: folder, port and process."""

    folder: Path
    port: int
    process: subprocess.Popen[str] | None = None

    def start(self, **environment: str) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
            and not name.startswith("PYTEST")
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cloudpos.supervisor"],
            env=inherited
            | {
                "DATA_DIR": str(self.folder),
                "PORT": str(self.port),
                "ENVIRONMENT": "development",
                "LOAD_DEMO": "no",
            }
            | environment,
            cwd=embedded.BASE_DIR,
            stdout=open(self.server_log, "a"),  # noqa: SIM115 - the child's alone
            stderr=subprocess.STDOUT,
            text=True,
        )

    def status(self, path: str = "/health") -> int:
        """The HTTP status, 0 when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def body(self, path: str = "/health") -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        try:
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    @property
    def server_log(self) -> Path:
        return self.folder / "server.log"

    def log(self) -> str:
        return self.server_log.read_text() if self.server_log.exists() else ""

    def wait_until_welcome(self) -> None:
        assert self.process is not None
        wait_for(lambda: self.process.poll() is not None or "API docs" in self.log(), seconds=180)
        assert self.process.poll() is None, self.log()[-3000:]

    def running(self, *words: str) -> list[psutil.Process]:
        commands = commands_of(self.folder)
        return [process for process, command in commands.items() if all(word in command for word in words)]

    def stop(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


def make_installation(folder: Path) -> Installation:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Installation(folder, probe.getsockname()[1])


def remove(installation: Installation) -> None:
    for process in processes_of(installation.folder):
        process.kill()
    if installation.process is not None:
        installation.process.wait()
    shutil.rmtree(installation.folder)


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """The folder of a server that has been started once; a first start takes the longest."""
    made = make_installation(Path(tempfile.mkdtemp(prefix="server-")))
    made.folder.chmod(0o755)
    try:
        made.start()
        made.wait_until_welcome()
        assert "Migrations:" in made.log()
        ends_all(made, signal.SIGTERM)
        made.server_log.unlink()
        yield made.folder
    finally:
        remove(made)


@pytest.fixture
def installation(prepared: Path) -> Iterator[Installation]:
    made = make_installation(Path(tempfile.mkdtemp(prefix="server-")))
    # With the owners: PostgreSQL's files may belong to another user.
    subprocess.run(["cp", "-a", f"{prepared}/.", made.folder], check=True)
    yield made
    remove(made)


# A start takes seconds, so each test that needs one ends it by a signal of its own: ends_all says what that has to do.
def ends_all(installation: Installation, number: signal.Signals) -> None:
    assert installation.stop(number) == 0
    assert processes_of(installation.folder) == []


def test_everything_runs_and_what_dies_is_started_again(installation: Installation) -> None:
    """The supervisor too: when it is killed its processes go with it, and the next one takes over the engines."""
    installation.start()
    installation.wait_until_welcome()
    assert installation.status() == 200
    for words in (
        ("gunicorn",),
        ("celery", "--concurrency"),
        ("celery", "webhooks@"),
        ("celery", "beat"),
        ("postgres",),
        ("redis",),
    ):
        assert installation.running(*words), words
    # Only the first start migrates.
    assert "Migrations:" not in installation.log()

    for words in (("celery", "beat"), ("redis",), ("postgres", "-D")):
        [victim, *_] = installation.running(*words)
        victim.kill()
        wait_for(
            lambda words=words, victim=victim: any(p.pid != victim.pid for p in installation.running(*words))
        )
    wait_for(lambda: '"database":"up","cache":"up","broker":"up"' in installation.body())
    # The workers wait for their broker instead of ending with it.
    assert "worker ended" not in installation.log() and "webhooks ended" not in installation.log()
    wait_for(lambda: installation.status("/health/ready") == 200)
    if sys.platform == "linux":
        # Nowhere else are children told that their parent was killed.
        is_followed_by_the_next(installation)
    ends_all(installation, signal.SIGHUP)


def is_followed_by_the_next(installation: Installation) -> None:
    """A killed supervisor takes its processes along, and the next one the engines."""
    assert installation.process is not None
    installation.process.kill()
    installation.process.wait()
    wait_for(lambda: not installation.running("gunicorn") and not installation.running("celery"), seconds=60)
    assert installation.running("postgres", "-D")

    installation.server_log.write_text("")
    installation.start()
    installation.wait_until_welcome()


def test_without_redis_a_sweep_does_the_work_and_a_second_server_is_refused(
    installation: Installation,
) -> None:
    installation.start(REDIS_URL="none")
    installation.wait_until_welcome()
    assert installation.status() == 200
    assert installation.running("manage.py", "sweep")
    assert not installation.running("celery")

    second = Installation(installation.folder, installation.port + 1)
    second.start()
    assert second.process is not None
    assert second.process.wait(timeout=60) == 1
    assert "another script/server runs" in installation.log()
    assert installation.status() == 200
    ends_all(installation, signal.SIGINT)


@pytest.mark.parametrize(("port", "said"), [("abc", "not a whole number"), ("70000", "not a TCP port")])
def test_a_port_that_is_none_is_said_in_one_line(installation: Installation, port: str, said: str) -> None:
    installation.start(PORT=port)
    assert installation.process is not None
    assert installation.process.wait(timeout=60) == 1
    assert said in installation.log()
    assert "Traceback" not in installation.log()


def test_a_taken_port_is_said_before_anything_else_happens(installation: Installation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", installation.port))
        taken.listen()
        installation.start()
        assert installation.process is not None
        assert installation.process.wait(timeout=60) == 1
    assert f"port {installation.port} is not free" in installation.log()
    assert processes_of(installation.folder) == []
