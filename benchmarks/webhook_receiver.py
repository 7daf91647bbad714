"""A receiver of webhooks in a process of its own: counts what it gets, as fast as one loop can.

POST anything: 200. POST /hang: never an answer. GET /received: {webhook-id: how often}, of all paths but /hang.
"""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Receiver(asyncio.Protocol):
    received: Counter[str] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        first, *lines = head.split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in lines)
        if len(body) < int(fields.get(b"content-length", b"0")):
            return
        assert isinstance(self.transport, asyncio.WriteTransport)
        if first.startswith(b"GET"):
            answer = json.dumps(self.received).encode()
            self.transport.write(OK.replace(b"length: 0", b"length: %d" % len(answer)) + answer)
        elif b" /hang" in first:
            return
        else:
            self.received[fields[b"webhook-id"].decode()] += 1
            self.transport.write(OK)
        self.transport.close()


async def serve(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, sock=listener)
    await server.serve_forever()


@contextlib.contextmanager
def receiver() -> Iterator[str]:
    """Its URL, while it runs in a process of its own."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    with listener:
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(listener.fileno())], pass_fds=[listener.fileno()]
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def received(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/received", timeout=30) as answer:
        counts: dict[str, int] = json.load(answer)
        return counts


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))
