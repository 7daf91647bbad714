"""What every way of sending takes and gives back."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cloudpos.api.errors import Conflict
from marketing.content.compiling import Rendered

Kind = Literal["sent", "retry", "refused", "unknown", "not_begun"]
ERROR_CHARS_MAX = 300


class NoProvider(Conflict):
    code = "no_provider"
    message = "There is nothing set up to send these messages with."


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message. `address`: an e-mail address or a phone number (E.164); push and webhooks go by `customer_id`."""

    message_id: uuid.UUID
    merchant_id: uuid.UUID
    customer_id: uuid.UUID
    address: str
    rendered: Rendered
    unsubscribe_url: str
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message.

    sent: the provider has it. retry: it certainly has not, and may later; `retry_after` are the seconds it asked for.
    refused: it never will; `suppress` when the address itself is at fault for good. unknown: it may have it. not_begun: the
    time in which it was to be begun was over, and nobody was told of it. `error` holds nothing personal.
    """

    kind: Kind
    provider_id: str = ""
    error: str = ""
    suppress: bool = False
    retry_after: float | None = None


NOT_BEGUN = Outcome("not_begun")


def is_over(until: float | None) -> bool:
    """Whether nothing may be begun any more. `until`: of time.monotonic()."""
    return until is not None and time.monotonic() >= until


class Sender(Protocol):
    """open(), send() any number of times, close(). One thread at a time."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def send(self, messages: Sequence[Outgoing], *, until: float | None = None) -> list[Outcome]:
        """What became of each, in the order given. Never raises for anything that the other side does.

        `until`, of time.monotonic(): what the other side's slowness keeps from being begun by then is not begun.
        """
        ...


def by_status(code: int, who: str, *, retry_after: float | None = None) -> Outcome:
    """What an HTTP status that is no success means for a message that was handed over with it."""
    said = f"{who} answered {code}"
    if code in (401, 403):
        # Ours to put right: nobody's message is at fault.
        return Outcome("retry", error=f"{who} refuses our account ({code}): check its key")
    if code in (408, 425, 429, 503):
        return Outcome("retry", error=said, retry_after=retry_after)
    if code >= 500:
        return Outcome("unknown", error=said)
    return Outcome("refused", error=said)
