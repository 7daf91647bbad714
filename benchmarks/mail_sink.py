"""A mail server on this machine, in a process of its own, that takes everything and counts it.

with mail_sink() as sink:
    ...  # SMTP to 127.0.0.1, sink.port
sink.received  # {address: how many mails, ...}
"""

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SERVER = """
import collections, json, signal, socket, sys, time
from aiosmtpd.controller import Controller

received = collections.Counter()

class Handler:
    async def handle_DATA(self, server, session, envelope):
        received.update(envelope.rcpt_tos)
        return "250 OK"

with socket.create_server(("127.0.0.1", 0)) as listener:
    port = listener.getsockname()[1]
controller = Controller(Handler(), hostname="127.0.0.1", port=port)
controller.start()
print(controller.port, flush=True)
sys.stdin.read()
controller.stop()
print(json.dumps(received), flush=True)
"""


@dataclass
class Sink:
    port: int
    received: Counter[str] = field(default_factory=Counter)


@contextlib.contextmanager
def mail_sink() -> Iterator[Sink]:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None and server.stdin is not None
    sink = Sink(int(server.stdout.readline()))
    try:
        yield sink
        server.stdin.close()
        sink.received.update(json.loads(server.stdout.readline()))
    finally:
        server.kill()
        server.wait()
