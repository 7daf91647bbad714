"""Sending what is due: claims and outcomes on the calling thread, which has the database; the network on another."""

import logging
import threading
import time

from marketing.webhooks.claiming import DRAIN_SECONDS, IN_FLIGHT_MAX, claim, waits_for_drain
from marketing.webhooks.flights import Flights
from marketing.webhooks.outcomes import note

logger = logging.getLogger(__name__)

RUN_SECONDS_MAX = 20.0
# While something is in the air: how long new deliveries wait to be looked for, at most.
LOOK_SECONDS = 0.1

# One loop a process is as quick as several. Who waits finds what was rung for, when the other one has ended.
_one_at_a_time = threading.Lock()


def send_due(*, seconds_max: float = RUN_SECONDS_MAX) -> int:
    """Send what is due until nothing is. Returns how many were delivered.

    Takes no more after `seconds_max`, and ends when what is in the air has landed. A slow endpoint occupies its own places only.
    """
    with _one_at_a_time, Flights() as flights:
        return _send_until_done(flights, time.monotonic() + seconds_max)


def _send_until_done(flights: Flights, deadline: float) -> int:
    delivered = 0
    while True:
        free = IN_FLIGHT_MAX - flights.count
        if free and time.monotonic() < deadline:
            flights.launch(claim(places=free))
        if flights.count:
            delivered += note(flights.landed(seconds_max=LOOK_SECONDS))
        elif time.monotonic() < deadline and waits_for_drain():
            time.sleep(DRAIN_SECONDS)
        else:
            return delivered
