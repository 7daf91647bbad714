"""Identifiers made in Python: no coordination, no sequence."""

from uuid import UUID, SafeUUID

from uuid_utils import uuid7

_new = object.__new__
_set_int = vars(UUID)["int"].__set__
_set_is_safe = vars(UUID)["is_safe"].__set__
_UNKNOWN = SafeUUID.unknown


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): ordered by its millisecond of creation, so that inserts append to the index.

    A sale makes seven. The slots are set as `UUID.__init__` does, without its checks: a third of the time.
    """
    made = _new(UUID)
    _set_int(made, uuid7().int)
    _set_is_safe(made, _UNKNOWN)
    return made
