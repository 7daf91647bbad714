"""What PostgreSQL and Redis have in common: one server for any number of processes, ended by the last of them."""

import atexit
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import psutil

from cloudpos.embedded.folders import data_folder

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 20.0


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
