"""Receivers that do their worst: the schedule is kept, the others are not held up, memory stays flat."""

import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from marketing.models import WebhookDelivery
from marketing.webhooks import sending
from marketing.webhooks.dispatch import send_due
from tests.fixtures import Shop
from tests.marketing.conftest import Receiver, new_webhook, queue, says

pytestmark = pytest.mark.django_db

ENDLESS_BYTES = 200 * 1024 * 1024


def hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(5)


def drip(handler: BaseHTTPRequestHandler) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n":
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.3)


def reset(handler: BaseHTTPRequestHandler) -> None:
    # Closed with something unread and no lingering: the peer gets RST.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


WORST = {
    "/500": says(500),
    "/429": says(429, retry_after="7"),
    "/302": says(302, location="http://127.0.0.1:1/"),
    "/hang": hang,
    "/drip": drip,
    "/reset": reset,
}


def test_the_worst_of_them_at_once_and_one_that_is_well(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TOTAL_SECONDS_MAX", 2.0)
    well = receiver.answer
    receiver.answer = lambda handler: WORST.get(handler.path, well)(handler)
    for path in [*WORST, "/well"]:
        new_webhook(shop, f"{receiver.url}{path}")
    queue(shop, "purchase.recorded")
    started = time.monotonic()
    assert send_due() == 1
    assert time.monotonic() - started < 8, "all at the same time"
    found = {
        url.rpartition("/")[2]: (state, status, step)
        for url, state, status, step in WebhookDelivery.objects.values_list(
            "webhook__url", "state", "response_status", "step"
        )
    }
    assert found == {
        "500": ("pending", 500, 1),
        "429": ("pending", 429, 1),
        "302": ("pending", 302, 1),
        "hang": ("pending", None, 1),
        "drip": ("pending", None, 1),
        "reset": ("pending", None, 1),
        "well": ("delivered", 200, 1),
    }


def test_who_hangs_at_the_end_of_a_round_holds_nobody_up(shop: Shop, receiver: Receiver) -> None:
    well = receiver.answer
    receiver.answer = lambda handler: time.sleep(3) if handler.path == "/hang" else well(handler)
    new_webhook(shop, f"{receiver.url}/hang", "points.earned")
    new_webhook(shop, f"{receiver.url}/well", "purchase.recorded")
    queue(shop, "points.earned")
    started = time.monotonic()
    assert send_due(seconds_max=0.3) == 0
    queue(shop, "purchase.recorded")
    assert send_due(seconds_max=0.7) == 1
    assert time.monotonic() - started < 2.5, "the first one still hangs"
    send_due()
    states = WebhookDelivery.objects.order_by("created_at").values_list("state", "attempts")
    assert list(states) == [("pending", 1), ("delivered", 1)]


@contextmanager
def endless() -> Iterator[tuple[str, list[int]]]:
    """A receiver that answers 200 and never stops talking; how many bytes each connection took of it."""
    taken: list[int] = []
    chunk = b"x" * 65_536
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            peer, _ = server.accept()
            sent = 0
            with peer:
                peer.recv(65_536)
                try:
                    peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    while sent < ENDLESS_BYTES:
                        sent += peer.send(chunk)
                except OSError:
                    pass
            taken.append(sent)

        thread = threading.Thread(target=talk)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/", taken
        thread.join()


def test_an_endless_answer_costs_no_memory(shop: Shop) -> None:
    with endless() as (url, taken):
        new_webhook(shop, url)
        queue(shop, "purchase.recorded")
        tracemalloc.start()
        assert send_due() == 1
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # What the kernels of both sides had taken before the connection was closed.
    assert taken[0] < ENDLESS_BYTES / 10
    assert peak < 3_000_000
    assert len(WebhookDelivery.objects.get().response_body) == sending.RESPONSE_CHARS_KEPT
