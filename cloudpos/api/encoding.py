"""The one JSON encoder: UUIDs, date-times (UTC as Z), Decimals as strings, enums, translated strings."""

from decimal import Decimal
from typing import Any

import orjson
from django.utils.functional import Promise

_OPTIONS = orjson.OPT_UTC_Z


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def encode(body: Any) -> bytes:
    """`body` as JSON. `orjson.Fragment` embeds text that already is JSON, without parsing it."""
    return orjson.dumps(body, default=_default, option=_OPTIONS)


def embedded(text: str | bytes) -> orjson.Fragment:
    """JSON text from a database column, to be copied into the answer as it is."""
    return orjson.Fragment(text)
