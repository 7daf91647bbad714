"""marketing.sending: one POST, bounded in everything the other side can make big or slow."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from marketing.webhooks import sending
from marketing.webhooks.sending import Outcome, post
from tests.marketing.conftest import Receiver

BODY = b'{"type":"webhook.test"}'


def send(url: str, **kwargs: Any) -> Outcome:
    return asyncio.run(post(url=url, body=BODY, headers={"webhook-id": "evt_1"}, **kwargs))


def test_the_bytes_arrive_as_they_are(receiver: Receiver) -> None:
    outcome = send(f"{receiver.url}/hook?a=b%20c")
    assert outcome.succeeded
    assert (outcome.status, outcome.body, outcome.error) == (200, "thanks", "")
    (request,) = receiver.requests
    assert (request.path, request.body) == ("/hook?a=b%20c", BODY)
    assert request.headers["host"] == receiver.url.removeprefix("http://")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == "evt_1"


@pytest.mark.parametrize("status", [201, 204, 299])
def test_any_2xx_succeeds(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda handler: (handler.send_response(status), handler.end_headers())  # type: ignore[func-returns-value]
    assert send(receiver.url).succeeded


@pytest.mark.parametrize("status", [400, 410, 500, 503])
def test_anything_else_fails(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda handler: (handler.send_response(status), handler.end_headers())  # type: ignore[func-returns-value]
    outcome = send(receiver.url)
    assert (outcome.succeeded, outcome.status, outcome.error) == (False, status, f"answered {status}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_never_followed(receiver: Receiver, status: int) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("location", f"{receiver.url}/elsewhere")
        handler.end_headers()

    receiver.answer = redirect
    outcome = send(receiver.url)
    assert (outcome.status, outcome.error) == (status, "redirects are not followed")
    assert len(receiver.requests) == 1


def test_proxies_of_the_environment_are_ignored(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert send(receiver.url).succeeded


def test_an_endless_answer_is_cut(receiver: Receiver) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100_000):
            handler.wfile.write(b"x" * 1000)

    receiver.answer = flood
    started = time.monotonic()
    outcome = send(receiver.url)
    assert outcome.succeeded
    assert len(outcome.body) == sending.RESPONSE_CHARS_KEPT
    assert time.monotonic() - started < 5


def test_endless_headers_are_cut(receiver: Receiver) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for number in range(100_000):
            handler.send_header(f"x-{number}", "x" * 1000)
            handler.flush_headers()

    receiver.answer = flood
    outcome = send(receiver.url)
    assert outcome.status is None
    assert outcome.error.startswith("not an HTTP answer: ")


@pytest.mark.parametrize("where", ["headers", "body", "silence"])
def test_an_answer_that_drips_ends_with_the_total_time(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(sending, "TOTAL_SECONDS_MAX", 0.6)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        if where == "body":
            handler.send_response(500)
            handler.end_headers()
        for _ in range(100):
            # Each byte comes well within any time limit of a single read.
            if where != "silence":
                handler.wfile.write(b"x" if where == "body" else b"H")
                handler.wfile.flush()
            time.sleep(0.05)

    receiver.answer = drip
    started = time.monotonic()
    outcome = send(receiver.url)
    assert time.monotonic() - started < 2
    assert outcome.status == (500 if where == "body" else None)
    assert outcome.error == ("answered 500" if where == "body" else "no answer in time")


def test_a_port_where_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    outcome = send(f"http://127.0.0.1:{port}/")
    assert outcome.status is None
    assert outcome.error == "connection refused"


def test_an_answer_that_is_not_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            peer, _ = server.accept()
            with peer, peer.makefile("rb") as sent:
                # All of it, head and body: closed with bytes unread, the answer could be lost to a reset.
                length = 0
                while (line := sent.readline()).strip():
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                sent.read(length)
                peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        outcome = send(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()
    assert outcome.status is None
    assert outcome.error.startswith("not an HTTP answer: ")


def test_what_the_log_cannot_hold_is_replaced(receiver: Receiver) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"a\x00b\xff")

    receiver.answer = answer
    assert send(receiver.url).body == "a\ufffdb\ufffd"


@override_settings(WEBHOOKS_ALLOW_PRIVATE=False)
def test_a_name_that_moved_inside_since_it_was_checked_is_refused(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port, **_: [(socket.AF_INET, 1, 6, "", ("127.0.0.1", port))]
    )
    outcome = send("https://hooks.example.com/")
    assert (outcome.status, outcome.error) == (
        None,
        "The host of this URL is not reachable from the public internet.",
    )
    assert receiver.requests == []


# --- TLS ----------------------------------------------------------------------------------------------------


@pytest.fixture
def tls_receiver(tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext, list[str]]]:
    """A server with a certificate for hooks.example.com; yields its port, a client context, and the names asked for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=hooks.example.com",
            "-addext", "subjectAltName=DNS:hooks.example.com",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            asked.append(f"host {self.headers['host']}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    class Quiet(HTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.sni_callback = lambda connection, name, _: asked.append(f"sni {name}")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port, ssl.create_default_context(cafile=str(certificate)), asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_vetted_address_is_asked_under_the_original_name(
    tls_receiver: tuple[int, ssl.SSLContext, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, context, asked = tls_receiver
    resolved: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        # A second look-up would get another answer: DNS rebinding.
        resolved.append(host)
        return [(socket.AF_INET, 1, 6, "", ("127.0.0.1" if len(resolved) == 1 else "127.0.0.2", port))]

    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **kwargs: (
            resolve(host, *args, **kwargs) if host == "hooks.example.com" else real(host, *args, **kwargs)
        ),
    )
    outcome = send(f"https://hooks.example.com:{port}/", tls=context)
    assert outcome.succeeded, outcome.error
    assert resolved == ["hooks.example.com"]
    assert asked == ["sni hooks.example.com", f"host hooks.example.com:{port}"]


def test_a_certificate_for_another_name_is_refused(
    tls_receiver: tuple[int, ssl.SSLContext, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, context, asked = tls_receiver
    outcome = send(f"https://localhost:{port}/", tls=context)
    assert outcome.status is None
    assert outcome.error.startswith("certificate refused: ")
    assert not any(each.startswith("host") for each in asked)
