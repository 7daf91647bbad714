"""A mail server on this machine, in a process of its own, that takes everything and keeps who got what when.

with mail_sink() as sink:
    ...  # SMTP to 127.0.0.1, sink.port
sink.received  # {address: how many mails, ...}
sink.mails  # each of them, in the order in which they were taken
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
import json, socket, sys, time
from aiosmtpd.controller import Controller

mails = []

class Handler:
    async def handle_MAIL(self, server, session, envelope, address, options):
        envelope.begun = time.time()
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mails.extend((to, envelope.begun, time.time()) for to in envelope.rcpt_tos)
        return "250 OK"

with socket.create_server(("127.0.0.1", 0)) as listener:
    port = listener.getsockname()[1]
controller = Controller(Handler(), hostname="127.0.0.1", port=port)
controller.start()
print(controller.port, flush=True)
sys.stdin.read()
controller.stop()
print(json.dumps(mails), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Mail:
    """`begun`: when its sender was named; `taken`: when all of it was there. In seconds since 1970."""

    to: str
    begun: float
    taken: float


@dataclass
class Sink:
    """`mails` are there when the server has ended."""

    port: int
    mails: list[Mail] = field(default_factory=list)

    @property
    def received(self) -> Counter[str]:
        return Counter(mail.to for mail in self.mails)


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
        sink.mails.extend(Mail(*mail) for mail in json.loads(server.stdout.readline()))
    finally:
        server.kill()
        server.wait()
