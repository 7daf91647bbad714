"""The network side of sending: one event loop on a thread of its own, which never touches the database."""

import asyncio
import logging
import queue
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, Self

from django.conf import settings

from marketing import encryption
from marketing.webhooks import sending, signing
from marketing.webhooks.sending import Outcome

logger = logging.getLogger(__name__)

# What has landed is handed over together: each outcome alone would be a transaction, and a claim for its place another.
GATHER_SECONDS = 0.01


class Claimed(NamedTuple):
    """A delivery that this process sends now, with all that sending takes. `attempts` is the number of this attempt."""

    merchant_id: uuid.UUID
    id: uuid.UUID
    webhook_id: uuid.UUID
    event_id: uuid.UUID
    attempts: int
    step: int
    url: str
    secrets_encrypted: list[bytes]
    body: bytes


class Landed(NamedTuple):
    delivery: Claimed
    started_at: datetime
    outcome: Outcome


class Flights:
    """Deliveries in the air. `launch` returns at once; `landed` gives what has come back.

    flights = Flights().open()
    flights.launch(claimed)
    for landed in flights.landed(seconds_max=0.1): ...
    flights.close()
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="webhooks", daemon=True)
        self._landed: queue.SimpleQueue[list[Landed]] = queue.SimpleQueue()
        self._tasks: set[asyncio.Task[None]] = set()
        # The loop's own, as the tasks are.
        self._aloft = 0
        self._gathered: list[Landed] = []
        self._handing_over: asyncio.TimerHandle | None = None
        self.count = 0

    def open(self) -> Self:
        self._thread.start()
        return self

    def close(self) -> None:
        """What is still in the air is let go: its lease runs out and somebody sends it again."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def launch(self, deliveries: Sequence[Claimed]) -> None:
        if deliveries:
            self.count += len(deliveries)
            self._loop.call_soon_threadsafe(self._start, deliveries)

    def landed(self, *, seconds_max: float) -> list[Landed]:
        """Everything that has come back since, after waiting up to `seconds_max` for the first of it."""
        found: list[Landed] = []
        try:
            found += self._landed.get(timeout=seconds_max)
            while True:
                found += self._landed.get_nowait()
        except queue.Empty:
            self.count -= len(found)
            return found

    def _start(self, deliveries: Sequence[Claimed]) -> None:
        self._aloft += len(deliveries)
        for delivery in deliveries:
            task = self._loop.create_task(self._fly(delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fly(self, delivery: Claimed) -> None:
        started_at = datetime.now(UTC)
        try:
            outcome = await send(delivery)
        except Exception as error:
            # A defect of ours. The delivery keeps its place in the schedule, and the others are not held up.
            logger.exception("webhook_sending_failed", extra={"delivery_id": str(delivery.id)})
            outcome = Outcome(None, "", f"could not be sent ({type(error).__name__})", 0)
        self._land(Landed(delivery, started_at, outcome))

    def _land(self, landed: Landed) -> None:
        """Handed over when half of what was in the air is down, and after GATHER_SECONDS at the latest."""
        self._aloft -= 1
        self._gathered.append(landed)
        if len(self._gathered) >= self._aloft:
            self._hand_over()
        elif self._handing_over is None:
            self._handing_over = self._loop.call_later(GATHER_SECONDS, self._hand_over)

    def _hand_over(self) -> None:
        if self._handing_over is not None:
            self._handing_over.cancel()
            self._handing_over = None
        self._landed.put(self._gathered)
        self._gathered = []


async def send(delivery: Claimed) -> Outcome:
    """Sign and POST."""
    try:
        keys = tuple(settings.ENCRYPTION_SECRETS)
        secrets = [_secret(each, keys) for each in delivery.secrets_encrypted]
    except encryption.SecretUnreadable:
        logger.error("webhook_secret_unreadable", extra={"delivery_id": str(delivery.id)})
        return Outcome(None, "", "the secret of this endpoint cannot be read: rotate it", 0)
    # The same on every attempt, and at every endpoint: what a receiver recognises a repetition by.
    message_id = f"evt_{delivery.event_id.hex}"
    timestamp = int(time.time())
    signature = signing.sign(secrets=secrets, message_id=message_id, timestamp=timestamp, body=delivery.body)
    return await sending.post(
        url=delivery.url,
        body=delivery.body,
        headers={
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature,
        },
    )


# Each delivery brings its endpoint's again. `keys` are what it is decrypted with: gone with one of them.
@lru_cache(maxsize=1_024)
def _secret(encrypted: bytes, keys: tuple[str, ...]) -> str:
    """Raises SecretUnreadable."""
    return encryption.decrypt(encrypted).decode()
