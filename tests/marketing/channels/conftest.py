"""Real servers on this machine that stand in for providers: HTTP and SMTP, well-behaved and not."""

import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from marketing.channels.outgoing import Outgoing
from marketing.content.compiling import Rendered


def outgoing(rendered: Rendered, **more: Any) -> Outgoing:
    said: dict[str, Any] = {
        "message_id": uuid.uuid4(),
        "merchant_id": uuid.uuid4(),
        "customer_id": uuid.uuid4(),
        "address": "alice@example.com",
        "unsubscribe_url": "",
        **more,
    }
    return Outgoing(rendered=rendered, **said)


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Api:
    """An HTTP API. `answers` are given one after another, the last one for ever: (status, headers, body)."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=lambda: [(200, {}, b"{}")])
    together: threading.Barrier | None = None

    def will(self, status: int, body: Any = None, **headers: str) -> None:
        said = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        self.answers = [(status, {name.replace("_", "-"): value for name, value in headers.items()}, said)]


@pytest.fixture
def api() -> Iterator[Api]:
    served = Api()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                served.asked.append(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, headers, said = served.answers[0]
                if len(served.answers) > 1:
                    served.answers.pop(0)
            if served.together is not None:
                served.together.wait(10)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


Talk = Callable[[socket.socket], None]


@dataclass
class Line:
    """A TCP server that talks as it is told to, one connection after another."""

    port: int
    url: str
    connections: int = 0


@pytest.fixture
def line() -> Iterator[Callable[[Talk], Line]]:
    closing: list[Callable[[], None]] = []

    def serve(talk: Talk) -> Line:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        found = Line(port, f"http://127.0.0.1:{port}")
        stopped = threading.Event()

        def run() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                found.connections += 1
                with connection:
                    connection.settimeout(5)
                    try:
                        talk(connection)
                    except OSError:
                        pass

        thread = threading.Thread(target=run)
        thread.start()

        def stop() -> None:
            stopped.set()
            # Wakes accept().
            with socket.socket() as last:
                last.connect_ex(("127.0.0.1", port))
            thread.join()
            listener.close()

        closing.append(stop)
        return found

    yield serve
    for stop in closing:
        stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def reset(connection: socket.socket) -> None:
    """Close with RST: what the other side sends or reads next fails."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()
