"""Identifiers made in Python: no coordination, no sequence."""

import uuid

from uuid_utils.compat import uuid7


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562): ordered by its millisecond of creation, so that inserts append to the index."""
    return uuid7()
