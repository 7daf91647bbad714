"""A real mail server on this machine that keeps what it gets."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tests.marketing.channels.conftest import free_port


@dataclass(frozen=True)
class Mail:
    """`begun`: when its sender was named, in seconds since 1970."""

    to: str
    begun: float
    content: bytes

    @property
    def message(self) -> EmailMessage:
        found = message_from_bytes(self.content, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found


@dataclass
class Sink:
    """`meanwhile` is done, and `seconds_each` pass, before a mail is taken."""

    seconds_each: float = 0
    meanwhile: Callable[[], None] = lambda: None
    port: int = 0
    received: list[Mail] = field(default_factory=list)

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.begun = time.time()
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        await asyncio.to_thread(self.meanwhile)
        await asyncio.sleep(self.seconds_each)
        for address in envelope.rcpt_tos:
            self.received.append(Mail(address, envelope.begun, envelope.content))
        return "250 OK"


@contextmanager
def mail_sink(*, seconds_each: float = 0) -> Iterator[Sink]:
    sink = Sink(seconds_each)
    controller = Controller(sink, hostname="127.0.0.1", port=free_port())
    controller.start()
    sink.port = controller.port
    try:
        yield sink
    finally:
        controller.stop()
