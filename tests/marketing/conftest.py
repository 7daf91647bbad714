"""Receivers on this machine, and webhooks that point at them."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import transaction
from django.utils.timezone import now

from cloudpos import outbox
from customers.events import emit_all, event
from customers.models import Event
from marketing.models import WebhookDelivery
from marketing.webhooks.services import NewWebhook, create_webhook
from tests.fixtures import Shop

NOBODY_LISTENS = "http://127.0.0.1:1/"


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


def happen(shop: Shop, *types: str) -> list[Event]:
    """Events of these types, as a service function would emit them."""
    events = [event(merchant_id=shop.merchant.pk, type=type, data={"n": 1}) for type in types]
    with transaction.atomic():
        emit_all(events)
    return events


def queue(shop: Shop, *types: str) -> list[Event]:
    """The same, with their deliveries waiting to be sent."""
    events = happen(shop, *types)
    outbox.relay()
    return events


def make_due() -> None:
    """As if the next attempt of each delivery, or the end of its lease, had come."""
    WebhookDelivery.objects.filter(next_attempt_at__isnull=False).update(
        next_attempt_at=now() - timedelta(hours=1)
    )


def states() -> list[str]:
    return sorted(WebhookDelivery.objects.values_list("state", flat=True))


def says(status: int, **headers: str) -> Answer:
    """A receiver that answers with this status."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer
