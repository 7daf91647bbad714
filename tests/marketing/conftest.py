"""Receivers on this machine, and webhooks that point at them."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from marketing.services import NewWebhook, create_webhook
from tests.fixtures import Shop


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[BaseHTTPRequestHandler], None]


def ok(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"thanks")


@dataclass
class Receiver:
    """An HTTP server that keeps what it gets; `answer` decides what it says."""

    url: str
    requests: list[Request] = field(default_factory=list)
    answer: Answer = ok


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.requests.append(Request(self.path, headers, body))
            found.answer(self)

        def log_message(self, *args: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A sender that hangs up is what some tests are about."""

    server = Quiet(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def new_webhook(shop: Shop, url: str, *event_types: str) -> NewWebhook:
    return create_webhook(
        merchant_id=shop.merchant.pk, url=url, event_types=list(event_types) or ["purchase.recorded"]
    )
