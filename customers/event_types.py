"""Names of events: ours, and those that a client may make up."""

import re

from customers.event_catalogue import CATALOGUE

EVENT_TYPE_CHARS_MAX = 60
# noun.verb in lower case, e.g. cart.abandoned
EVENT_TYPE = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")

OUR_EVENTS = frozenset(CATALOGUE)
# Nouns that only this service speaks of, now or in a later version: a client's event can never look like one of ours.
OUR_NOUNS = frozenset(event.partition(".")[0] for event in OUR_EVENTS) | {
    "analytics",
    "campaign",
    "churn",
    "cloudpos",
    "enrollment",
    "event",
    "job",
    "loyalty",
    "merchant",
    "message",
    "preference",
    "preferences",
    "prediction",
    "reward",
    "store",
    "user",
}


def is_client_type(type: str) -> bool:
    """Whether a client may send events of this type."""
    if len(type) > EVENT_TYPE_CHARS_MAX or EVENT_TYPE.fullmatch(type) is None:
        return False
    return type.partition(".")[0] not in OUR_NOUNS
