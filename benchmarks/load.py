"""A small HTTP/1.1 load generator: keep-alive connections, prepared requests, every answer's status checked.

It shares the machine's cores with what it measures, so it does as little as possible per request.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

CONNECT_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 30.0
# The end of an answer that comes in chunks; no body measured here can end so by itself.
LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, still without its headers."""

    method: str
    path: str
    body: bytes = b""


@dataclass
class Result:
    """What one run saw. Latencies in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    # Connections that ended in the middle of an answer.
    broken: int = 0

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float) -> float:
        """In milliseconds."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def errors(self, expected: int) -> int:
        """Answers with another status than `expected`, and those that never came."""
        return sum(n for status, n in self.statuses.items() if status != expected) + self.broken

    def add(self, other: "Result") -> None:
        self.seconds += other.seconds
        self.latencies += other.latencies
        self.statuses += other.statuses
        self.broken += other.broken


class _Connection(asyncio.Protocol):
    def __init__(self, next_request: Callable[[], bytes], result: Result, until: float) -> None:
        self.next_request = next_request
        self.result = result
        self.until = until
        self.buffer = bytearray()
        self.waiting = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def _send(self) -> None:
        prepared = self.next_request()
        self.started = time.perf_counter()
        if self.started >= self.until:
            self.transport.close()
            return
        self.waiting = True
        self.transport.write(prepared)

    def data_received(self, chunk: bytes) -> None:
        self.buffer += chunk
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        headers = bytes(self.buffer[:head]).lower()
        at = headers.find(b"content-length:")
        if at >= 0:
            end = headers.find(b"\r\n", at)
            length = int(headers[at + 15 : end if end > 0 else None])
            if len(self.buffer) < head + 4 + length:
                return
        elif not self.buffer.endswith(LAST_CHUNK):
            return
        self.waiting = False
        self.result.latencies.append(time.perf_counter() - self.started)
        self.result.statuses[int(headers[9:12])] += 1
        self.buffer.clear()
        if b"connection: close" in headers:
            self.transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting:
            self.result.broken += 1
        if not self.done.done():
            self.done.set_result(None)


async def _run(port: int, next_request: Callable[[], bytes], seconds: float, connections: int) -> Result:
    result = Result()
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    until = started + seconds

    async def one() -> None:
        # A server may close a connection after its own number of requests: open the next one.
        while time.perf_counter() < until:
            _, connection = await asyncio.wait_for(
                loop.create_connection(lambda: _Connection(next_request, result, until), "127.0.0.1", port),
                CONNECT_SECONDS_MAX,
            )
            await asyncio.wait_for(connection.done, seconds + ANSWER_SECONDS_MAX)

    await asyncio.gather(*(one() for _ in range(connections)))
    result.seconds = time.perf_counter() - started
    return result


def run(*, port: int, next_request: Callable[[], bytes], seconds: float, connections: int = 8) -> Result:
    """Send requests for `seconds` over `connections` connections, each waiting for its answer."""
    return asyncio.run(_run(port, next_request, seconds, connections))


def prepared(call: Call, headers: bytes) -> bytes:
    """`call` as it goes over the wire. `headers` are lines that end in CRLF."""
    start = f"{call.method} {call.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode() + headers
    if call.body:
        start += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(call.body)
    return start + b"\r\n" + call.body
