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
# What was still in the air when the last call's time was over: the next one writes down how it landed.
_aloft: Flights | None = None


def send_due(*, seconds_max: float = RUN_SECONDS_MAX) -> int:
    """Send what is due until nothing is, or for `seconds_max`. Returns how many were delivered.

    A slow endpoint occupies its own places only, also at the end: what is in the air by then is not waited for, or nobody else
    would be served meanwhile. The next call goes on with it; if there is none, its leases run out.
    """
    global _aloft
    with _one_at_a_time:
        flights, _aloft = _aloft or Flights().open(), None
        try:
            delivered = _send_until(flights, time.monotonic() + seconds_max)
        except BaseException:
            flights.close()
            raise
        if flights.count:
            _aloft = flights
        else:
            flights.close()
        return delivered


def _send_until(flights: Flights, deadline: float) -> int:
    delivered = 0
    while time.monotonic() < deadline:
        free = IN_FLIGHT_MAX - flights.count
        if free:
            flights.launch(claim(places=free))
        if flights.count:
            delivered += note(flights.landed(seconds_max=LOOK_SECONDS))
        elif waits_for_drain():
            time.sleep(DRAIN_SECONDS)
        else:
            break
    return delivered
