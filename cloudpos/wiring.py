"""The one table "which event wakes which task". What the till waits for is not here: see cloudpos.checkout."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from analytics.rollups.changes import note_changes
from customers.events import EventRef
from marketing.campaigns.triggers import setting_off
from marketing.segment_upkeep import touching
from marketing.webhooks.deliveries import queue_deliveries

REFRESH_CUSTOMERS = "analytics.tasks.refresh_customers_of"
REFRESH_SEGMENTS = "marketing.tasks.refresh_segments_of"
TRIGGER_CAMPAIGNS = "marketing.tasks.trigger_campaigns_of"
REBUILD_SEGMENTS = "marketing.tasks.rebuild_segments_after"

# Event type, "noun.*" or "*" -> Celery tasks. A handler is called as `task(merchant_id, [event_id, ...])` with events
# of one merchant, derives everything from the current state, and is harmless when run twice or out of order.
ROUTES: dict[str, tuple[str, ...]] = {
    "purchase.recorded": (REFRESH_CUSTOMERS,),
    "purchase.returned": (REFRESH_CUSTOMERS,),
    "customer.merged": (REFRESH_CUSTOMERS,),
    "customer.unmerged": (REFRESH_CUSTOMERS,),
    # Figures that were being written while their customer went.
    "customer.deleted": (REFRESH_CUSTOMERS,),
    "customer.erased": (REFRESH_CUSTOMERS,),
    # Their customers' own events wake nobody: a million of them would keep sales waiting.
    "import.finished": (REBUILD_SEGMENTS,),
    "import.undone": (REBUILD_SEGMENTS,),
    # Rules may ask for events of any type, and campaigns wait for them; which of them is CHOOSERS' question.
    "*": (REFRESH_SEGMENTS, TRIGGER_CAMPAIGNS),
}

# Handlers that want only some of the events that are routed to them, asked once for all events that are relayed together.
CHOOSERS: dict[str, Callable[[Sequence[EventRef]], Collection[EventRef]]] = {
    REFRESH_SEGMENTS: touching,
    TRIGGER_CAMPAIGNS: setting_off,
}


@dataclass(frozen=True)
class Recorder:
    """Work that has rows of its own: they are written in the relay's transaction, and `task` only works them off.

    Without a task nobody is woken: the rows wait for what looks for them by the clock. When `record` fails for an event,
    the event goes to `fallback`, a handler as in ROUTES, which is tried again later.
    """

    record: Callable[[Sequence[EventRef]], int]
    task: str | None
    fallback: str


RECORDERS: tuple[Recorder, ...] = (
    Recorder(record=note_changes, task=None, fallback="analytics.tasks.note_changes_of"),
    Recorder(
        record=queue_deliveries,
        task="marketing.tasks.send_due_deliveries",
        fallback="marketing.tasks.queue_deliveries_of",
    ),
)


@lru_cache(maxsize=1024)
def handlers_of(type: str) -> tuple[str, ...]:
    """The tasks that an event of this type wakes, each once, in the order of ROUTES."""
    noun = type.partition(".")[0]
    found = dict.fromkeys(
        task for pattern, tasks in ROUTES.items() if pattern in (type, f"{noun}.*", "*") for task in tasks
    )
    return tuple(found)


def tasks_for(events: Sequence[EventRef]) -> list[tuple[EventRef, str]]:
    """(event, handler) for all that is to be done about these events."""
    routed = [(event, handler) for event in events for handler in handlers_of(event.type)]
    wanted = {
        name: set(choose([event for event, handler in routed if handler == name]))
        for name, choose in CHOOSERS.items()
        if any(handler == name for _, handler in routed)
    }
    return [
        (event, handler) for event, handler in routed if handler not in wanted or event in wanted[handler]
    ]
