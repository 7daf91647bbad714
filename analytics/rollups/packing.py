"""Columns of whole numbers, as few bytes as they take. Pure."""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise

# The fastest: what is stored is read many times, and is small either way.
COMPRESSION = 1
# The narrowest that holds a column: unsigned where nothing is negative.
_UNSIGNED = "BHIQ"
_SIGNED = "hiq"

Column = Sequence[int]


def pack(numbers: Column, *columns: Column) -> bytes:
    """Ascending numbers, kept as the gaps between them, and columns of as many values."""
    gaps = [*numbers[:1], *(after - before for before, after in pairwise(numbers))]
    packed = [_narrow(column) for column in (gaps, *columns)]
    head = "".join(column.typecode for column in packed).encode()
    return zlib.compress(head + b"".join(_little(column).tobytes() for column in packed), COMPRESSION)


def unpack(packed: bytes, columns: int) -> list[array[int]]:
    """The inverse of `pack`: the numbers, then so many columns."""
    raw = memoryview(zlib.decompress(packed))
    at = columns + 1
    codes = bytes(raw[:at]).decode()
    rows = (len(raw) - at) // sum(array(code).itemsize for code in codes)
    found = []
    for code in codes:
        column = array(code)
        end = at + column.itemsize * rows
        column.frombytes(raw[at:end])
        found.append(_little(column))
        at = end
    found[0] = array("Q", accumulate(found[0]))
    return found


def _narrow(values: Column) -> array[int]:
    for code in _SIGNED if min(values, default=0) < 0 else _UNSIGNED:
        try:
            return array(code, values)
        except OverflowError:
            continue
    raise OverflowError("a figure is beyond 64 bits")


def _little(column: array[int]) -> array[int]:
    """In the byte order that is stored, from the machine's or to it."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column
