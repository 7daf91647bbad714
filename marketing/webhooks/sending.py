"""One HTTP POST to a stranger's server: bounded in time and bytes, to the vetted address, no redirects, no proxies.

asyncio's streams and h11 rather than a client library: every connection goes to an address that was vetted a moment before,
under the original name, is used once and is closed. There is no pool, cookie, redirect, proxy or decompression that would
have to be kept from doing something. See docs/adr/0027-webhook-deliveries.md.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import h11

from cloudpos.api.errors import ApiError
from marketing.webhooks.schedule import read_retry_after
from marketing.webhooks.targets import Target, read_url, vet

CONNECT_SECONDS_MAX = 5.0
TOTAL_SECONDS_MAX = 15.0
# Of what a receiver says, its head included; then the connection is closed.
RESPONSE_BYTES_MAX = 20_000
READ_BYTES = 4_096
# Of the answer, what the delivery log keeps.
RESPONSE_CHARS_KEPT = 1_024
ERROR_CHARS_MAX = 300

USER_AGENT = "CloudPOS-Webhooks/1.0"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt. `status` is None when no answer came; `error` then says why.

    `retry_after` are the seconds that the receiver asked us to wait.
    """

    status: int | None
    body: str
    error: str
    duration_ms: int
    retry_after: float | None = None

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(slots=True)
class _Answer:
    """What has come so far: a status that was given counts, however the rest of the answer ends."""

    status: int | None = None
    retry_after: float | None = None
    body: bytes = b""


async def post(
    *, url: str, body: bytes, headers: Mapping[str, str], tls: ssl.SSLContext | None = None
) -> Outcome:
    """POST `body` as JSON. Never raises for anything the other side does, and returns within TOTAL_SECONDS_MAX."""
    started = time.monotonic()
    answer = _Answer()
    error = ""
    try:
        async with asyncio.timeout(TOTAL_SECONDS_MAX):
            target = read_url(url)
            addresses = await vet(target)
            await _exchange(target, addresses, body, headers, tls, answer)
    except ApiError as refused:
        error = refused.detail
    except TimeoutError as late:
        error = str(late) or "no answer in time"
    except (h11.RemoteProtocolError, OSError) as failed:
        error = _words(failed)
    if answer.status is not None:
        error = _refusal(answer.status)
    # NUL is the one character that the log's column cannot hold.
    text = answer.body.decode("utf-8", "replace").replace("\x00", "\ufffd")[:RESPONSE_CHARS_KEPT]
    duration_ms = round((time.monotonic() - started) * 1000)
    return Outcome(answer.status, text, error[:ERROR_CHARS_MAX], duration_ms, answer.retry_after)


def _words(failed: Exception) -> str:
    """What went wrong, in words that say nothing of the addresses of our own network."""
    if isinstance(failed, ssl.SSLCertVerificationError):
        return f"certificate refused: {failed.verify_message}"
    if isinstance(failed, ssl.SSLError):
        return f"no TLS connection: {failed.reason or 'closed'}"
    if isinstance(failed, h11.RemoteProtocolError):
        return f"not an HTTP answer: {failed}"
    for kind, words in _FAILURES.items():
        if isinstance(failed, kind):
            return words
    return f"no connection ({type(failed).__name__})"


_FAILURES: dict[type[Exception], str] = {
    ConnectionRefusedError: "connection refused",
    ConnectionResetError: "connection reset",
    BrokenPipeError: "connection reset",
}


def _refusal(status: int) -> str:
    """What is wrong with an answer, "" when nothing is."""
    if 200 <= status < 300:
        return ""
    return "redirects are not followed" if 300 <= status < 400 else f"answered {status}"


async def _exchange(
    target: Target,
    addresses: Sequence[str],
    body: bytes,
    headers: Mapping[str, str],
    tls: ssl.SSLContext | None,
    answer: _Answer,
) -> None:
    """Fills `answer`. Raises TimeoutError, OSError and RemoteProtocolError."""
    reader, writer = await _connect(target, addresses, tls)
    try:
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=RESPONSE_BYTES_MAX)
        writer.write(_written(http, target, body, headers))
        await writer.drain()
        await _read(http, reader, answer)
    finally:
        # Not close(): that would wait for a receiver that takes nothing any more.
        writer.transport.abort()


async def _connect(
    target: Target, addresses: Sequence[str], tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first of the vetted addresses that answers, within CONNECT_SECONDS_MAX, TLS included."""
    secure = target.scheme == "https"
    failed: OSError = ConnectionError("there is no address")
    try:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            for address in addresses:
                try:
                    return await asyncio.open_connection(
                        address,
                        target.port,
                        limit=RESPONSE_BYTES_MAX,
                        ssl=(tls or _default_tls()) if secure else None,
                        server_hostname=target.host if secure else None,
                    )
                except ssl.SSLError:
                    # Somebody answers there: another address of the same name is no better.
                    raise
                except OSError as error:
                    failed = error
    except TimeoutError:
        raise TimeoutError("no connection in time") from None
    raise failed


@lru_cache(maxsize=1)
def _default_tls() -> ssl.SSLContext:
    """Once: reading the authorities takes tens of milliseconds."""
    return ssl.create_default_context()


def _written(http: h11.Connection, target: Target, body: bytes, headers: Mapping[str, str]) -> bytes:
    """The whole request. What h11 wrote of it ends with an empty line, before which `headers` go: they are ours."""
    head = http.send(_request(target))
    assert head is not None
    ours = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head[:-2] + f"{ours}content-length: {len(body)}\r\n\r\n".encode("ascii") + body


# Made and checked once for each endpoint, not for each delivery.
@lru_cache(maxsize=1_024)
def _request(target: Target) -> h11.Request:
    fields = [
        ("host", target.authority),
        ("user-agent", USER_AGENT),
        ("content-type", "application/json"),
        ("accept", "*/*"),
        ("connection", "close"),
    ]
    return h11.Request(method="POST", target=target.path, headers=fields)


async def _read(http: h11.Connection, reader: asyncio.StreamReader, answer: _Answer) -> None:
    """Up to RESPONSE_BYTES_MAX. Raises RemoteProtocolError when there is no status in them."""
    taken = 0
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            if taken >= RESPONSE_BYTES_MAX:
                break
            received = await reader.read(min(READ_BYTES, RESPONSE_BYTES_MAX - taken))
            taken += len(received)
            http.receive_data(received)
        elif isinstance(event, h11.Response):
            answer.status = event.status_code
            answer.retry_after = _retry_after(event)
        elif isinstance(event, h11.Data):
            answer.body += event.data
        elif not isinstance(event, h11.InformationalResponse):
            break
    if answer.status is None:
        raise h11.RemoteProtocolError("no status in the answer")


def _retry_after(response: h11.Response) -> float | None:
    for name, value in response.headers:
        if name == b"retry-after":
            return read_retry_after(value.decode("latin-1"), at=datetime.now(UTC))
    return None
