"""`script/server`: a whole installation on one machine, ended by one Ctrl-C.

Starts the embedded engines (unless DATABASE_URL and REDIS_URL name others), migrates, loads the demonstration merchant on the
first run, then starts the web, and when that answers, the Celery worker and beat. A process that dies is started again, also an
engine. SIGINT, SIGTERM and SIGHUP end everything; when the supervisor itself is killed the kernel ends its children (Linux).
"""

import ctypes
import fcntl
import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from cloudpos import embedded

READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 25
# A process that keeps dying this soon after its start is broken: restarting it for ever would hide that.
SHORT_LIFE_SECONDS = 5
SHORT_LIVES_MAX = 3
WATCH_SECONDS = 0.5

PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Runs in the child before its program: have the kernel send SIGTERM when the supervisor is gone, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Service:
    """One process that is kept running."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.name = name
        self.command = command
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.short_lives = 0

    def start(self) -> None:
        self.started_at = time.monotonic()
        # A session of its own keeps the terminal's Ctrl-C away from it, so that things end in order.
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            cwd=embedded.BASE_DIR,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    def keep(self) -> bool:
        """Start the process again if it ended. False when it is not worth another try."""
        if self.process is None or self.process.poll() is None:
            return True
        short = time.monotonic() - self.started_at < SHORT_LIFE_SECONDS
        self.short_lives = self.short_lives + 1 if short else 0
        _say(f"{self.name} ended with status {self.process.returncode}")
        if self.short_lives >= SHORT_LIVES_MAX:
            return False
        self._signal_group(signal.SIGKILL)
        self.start()
        return True

    def _signal_group(self, number: signal.Signals) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def ask_to_end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def end(self, deadline: float) -> None:
        """Wait until `deadline` (monotonic), then kill; whatever the process left behind goes too."""
        if self.process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, deadline - time.monotonic()))
        self._signal_group(signal.SIGKILL)
        self.process.wait()


class Interrupted(Exception):
    """A signal asked to stop."""


def _say(text: str) -> None:
    print(f"server: {text}", file=sys.stderr, flush=True)


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", *arguments]


def _run(environment: dict[str, str], *arguments: str) -> None:
    finished = subprocess.run(
        _manage(*arguments), env=environment, cwd=embedded.BASE_DIR, check=False, preexec_fn=_die_with_parent
    )
    if finished.returncode:
        raise SystemExit(f"server: manage.py {arguments[0]} failed")


def _code_fingerprint() -> str:
    """Changes whenever a migration or the demonstration data do."""
    digest = hashlib.sha256()
    paths = [
        *embedded.BASE_DIR.glob("*/migrations/*.py"),
        *embedded.BASE_DIR.glob("cloudpos/*/migrations/*.py"),
    ]
    for path in sorted(paths):
        digest.update(str(path.relative_to(embedded.BASE_DIR)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _prepare(environment: dict[str, str], *, stamp: Path | None) -> None:
    """Migrate and load the demonstration merchant. `stamp` remembers for which migrations that was done; it lies beside the
    data it speaks of, so that removing the one removes the other."""
    fingerprint = _code_fingerprint()
    if stamp is not None and stamp.exists() and stamp.read_text() == fingerprint:
        return
    _run(environment, "migrate_locked")
    if environment.get("LOAD_DEMO", "").lower() not in ("0", "false", "no"):
        _run(environment, "load_demo")
    if stamp is not None:
        stamp.write_text(fingerprint)


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _wait_until_healthy(web: Service, port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not _healthy(port):
        if time.monotonic() > deadline or not web.keep():
            raise SystemExit("server: the web process does not answer /health; its messages are above")
        time.sleep(0.05)


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SystemExit(
                f"server: port {port} is not free ({error.strerror}); choose another with PORT=..."
            ) from error


def _stop_on_signals() -> None:
    def stop(number: int, _frame: object) -> None:
        # One is enough; a second one while things end must not leave half of them behind.
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(signal.Signals(number).name)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, stop)


def serve() -> None:
    """Everything from the engines to the welcome, until a signal."""
    try:
        # Reads the environment and `.env`, refuses nonsense, and starts the embedded engines.
        from cloudpos import settings
    except (ImproperlyConfigured, embedded.EngineError) as error:
        raise SystemExit(f"server: {error}") from None

    _refuse_taken_port(settings.PORT)
    # Files come from the packages in development; WhiteNoise wants the folder all the same.
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    environment["DATABASE_URL"] = settings.DATABASE_URL
    environment["REDIS_URL"] = settings.REDIS_URL or "none"
    # A database that others may change behind our back is looked at on every start.
    stamp = None if "DATABASE_URL" in os.environ else embedded.data_folder() / "postgres" / "prepared"
    _prepare(environment, stamp=stamp)

    scripts = Path(sys.executable).parent
    services: list[Service] = []
    try:
        web = Service("web", [str(scripts / "gunicorn")], environment)
        services.append(web)
        web.start()
        _wait_until_healthy(web, settings.PORT)
        if settings.REDIS_URL:
            services += _celery(scripts, environment)
        else:
            services.append(Service("sweep", _manage("sweep"), environment))
        for service in services[1:]:
            service.start()
        # What it can't print is no reason to stop what runs.
        subprocess.run(_manage("welcome"), env=environment, cwd=embedded.BASE_DIR, check=False)
        _watch(services)
    finally:
        for service in reversed(services):
            service.ask_to_end()
        deadline = time.monotonic() + STOP_SECONDS_MAX
        for service in services:
            service.end(deadline)


def _celery(scripts: Path, environment: dict[str, str]) -> list[Service]:
    """The workers and their clock, as `script/start` runs them."""
    celery = [str(scripts / "celery"), "-A", "cloudpos.celery", "--quiet"]
    level = ["--loglevel", os.environ.get("CELERY_LOG_LEVEL", "WARNING")]
    worker = [*celery, "worker", *level, "--without-gossip", "--without-mingle"]
    schedule = embedded.data_folder() / "celerybeat-schedule"
    return [
        Service("worker", [*worker, "--concurrency", os.environ.get("WORKER_CONCURRENCY", "2")], environment),
        Service(
            "webhooks",
            [*worker, "--queues", "webhooks", "--hostname", "webhooks@%h", "--pool", "threads"]
            + ["--concurrency", "2"],
            environment,
        ),
        Service("beat", [*celery, "beat", *level, "-s", str(schedule), "--pidfile="], environment),
    ]


def _watch(services: list[Service]) -> None:
    while True:
        time.sleep(WATCH_SECONDS)
        for name in embedded.revive_all():
            _say(f"{name} was started again")
        for service in services:
            if not service.keep():
                raise SystemExit(f"server: {service.name} keeps failing; its messages are above")


def main() -> None:
    """Run until a signal; nothing that was started is left afterwards."""
    folder = embedded.data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "server.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"server: another script/server runs on {folder}") from None
        _stop_on_signals()
        try:
            serve()
        except Interrupted as signal_name:
            _say(f"{signal_name}: stopping")
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            embedded.stop_all()


if __name__ == "__main__":
    main()
