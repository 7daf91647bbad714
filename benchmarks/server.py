"""The processes under test: gunicorn with the project's own configuration, and what they cost in CPU time."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import psutil

BASE_DIR = Path(__file__).resolve().parent.parent
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 25.0


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One gunicorn on 127.0.0.1, started as `gunicorn -c gunicorn.conf.py [application]`; a context manager."""

    def __init__(self, *, path: str, log: Path, environment: dict[str, str], application: str = "") -> None:
        self.port = free_port()
        self.path = path
        self.log = log
        self.application = application
        self.environment = environment | {"PORT": str(self.port), "HOST": "127.0.0.1"}

    def __enter__(self) -> Self:
        command = [str(Path(sys.executable).parent / "gunicorn"), "-c", "gunicorn.conf.py"]
        if self.application:
            command.append(self.application)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=BASE_DIR,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
                raise SystemExit(f"the server does not answer; the end of {self.log}:\n{tail}")
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            try:
                connection.request("GET", self.path)
                return connection.getresponse().status == http.client.OK
            except OSError:
                return False

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def cpu_seconds(self) -> float:
        """CPU time of the server's processes until now."""
        master = psutil.Process(self.process.pid)
        return sum(_cpu_seconds(process) for process in [master, *master.children(recursive=True)])


def database_cpu_seconds(database: str) -> float | None:
    """CPU time until now of the sessions on `database`, None when PostgreSQL does not run on this machine."""
    sessions = []
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and f" {database} " in " ".join(process.cmdline()):
                sessions.append(process)
        except psutil.Error:
            continue
    return sum(_cpu_seconds(session) for session in sessions) if sessions else None


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
