"""Parts of a file (RFC 9110, section 14): a download that broke off goes on where it did. Pure."""

import re
from dataclasses import dataclass

from cloudpos.api.errors import ApiError

# One range. Of several, the whole file is as good an answer, and none that has to be put together.
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))", re.IGNORECASE)


class RangeNotSatisfiable(ApiError):
    code = "range_not_satisfiable"
    status = 416
    message = "The file ends before that."

    def __init__(self, size: int) -> None:
        super().__init__()
        self.headers = {"Content-Range": f"bytes */{size}"}  # type: ignore[misc]  # says how long this file is


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Asked:
    """The request's headers, "" of what it has not."""

    range: str = ""
    if_range: str = ""


def span_of(asked: Asked, *, size: int, etag: str) -> Span | None:
    """What is asked for of a file; None: all of it, as where it is another file by now. Raises RangeNotSatisfiable."""
    match = _RANGE.fullmatch(asked.range.strip())
    if match is None or (asked.if_range and asked.if_range.strip() != etag):
        return None
    first, last, ending = (None if said is None else int(said) for said in match.groups())
    if ending is not None:
        first, last = max(0, size - ending), None
    if first is None or (last is not None and last < first):
        return None
    if first >= size:
        raise RangeNotSatisfiable(size)
    return Span(first, size - 1 if last is None else min(last, size - 1))
