"""Which events a webhook may listen to."""

from collections.abc import Iterable

from customers.event_types import EVENT_TYPE, EVENT_TYPE_CHARS_MAX, OUR_EVENTS, OUR_NOUNS

EVENT_TYPES_MAX = 50


def wants(listed: Iterable[str], type: str) -> bool:
    """Whether an endpoint with these entries receives events of `type`. An entry is a type, "noun.*" or "*"."""
    family = f"{type.partition('.')[0]}.*"
    return any(entry in (type, family, "*") for entry in listed)


def is_ours(type: str) -> bool:
    """Whether this service makes events of this type; a client can't."""
    return type.partition(".")[0] in OUR_NOUNS


def is_listenable(entry: str) -> bool:
    """Whether an entry can ever match: one of our events, a client's own type, or a family of either."""
    if entry == "*":
        return True
    if len(entry) > EVENT_TYPE_CHARS_MAX:
        return False
    if entry.endswith(".*"):
        return EVENT_TYPE.fullmatch(f"{entry[:-2]}.any") is not None
    return entry in OUR_EVENTS if is_ours(entry) else EVENT_TYPE.fullmatch(entry) is not None
