"""Who bought, as sets of members' numbers. Pure: no database.

A set is an int whose bit n stands for member n: `a | b`, `a & b`, `a & ~b` and `a.bit_count()` are set algebra.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, count

from analytics.rollups.packing import COMPRESSION, pack, unpack

# More purchases of one member than fit here would take a till that rings for days on end.
_COUNT_BITS = 32
_COUNT_MASK = (1 << _COUNT_BITS) - 1
_BLOCK_BYTES = 512
_TO_DIGITS = bytes.maketrans(b"01", b"\x00\x01")


@dataclass(frozen=True, slots=True)
class Members:
    """What each of some members did, in ascending order of their numbers.

    `counts` are purchases, `cents` the net revenue; a member who only returned something has a count of 0. A purchase that
    was taken back altogether is in neither.
    """

    numbers: Sequence[int]
    counts: Sequence[int]
    cents: Sequence[int]

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, int]]) -> Members:
        """From (number, purchases, cents), one for each member in any order."""
        columns = list(zip(*sorted(rows), strict=True)) or [(), (), ()]
        return cls(*columns)

    @classmethod
    def together(cls, parts: Sequence[Members]) -> Members:
        """The sums of several, member by member."""
        if len(parts) == 1:
            return parts[0]
        # One dictionary of both figures takes half the time of two.
        sums: dict[int, int] = {}
        known = sums.get
        for part in parts:
            for number, purchases, money in zip(part.numbers, part.counts, part.cents, strict=True):
                sums[number] = known(number, 0) + (money << _COUNT_BITS) + purchases
        numbers = sorted(sums)
        both = [sums[number] for number in numbers]
        return cls(numbers, [each & _COUNT_MASK for each in both], [each >> _COUNT_BITS for each in both])

    def bought(self, *, at_least: int = 1) -> int:
        """The set of those with `at_least` so many purchases."""
        if at_least == 1:
            return as_set(list(compress(self.numbers, self.counts)))
        return as_set([number for number, n in zip(self.numbers, self.counts, strict=True) if n >= at_least])

    def sets(self) -> tuple[int, int]:
        """(who bought, who bought at least twice)"""
        return self.bought(), self.bought(at_least=2)

    def pack(self) -> bytes:
        return pack(self.numbers, self.counts, self.cents)

    @classmethod
    def unpack(cls, packed: bytes) -> Members:
        """The inverse of `pack`."""
        return cls(*unpack(packed, 2))


def as_set(numbers: Sequence[int]) -> int:
    """The set of these numbers."""
    if not numbers:
        return 0
    bits = bytearray((max(numbers) >> 3) + 1)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(bits, "little")


def numbers_in(members: int) -> Iterator[int]:
    """The numbers of a set, ascending."""
    digits = members.to_bytes((members.bit_length() + 7) // 8, "little")
    for start in range(0, len(digits), _BLOCK_BYTES):
        block = digits[start : start + _BLOCK_BYTES]
        # Whoever bought first in one month is close together: most of the set is empty.
        if block.count(0) < len(block):
            flags = bin(int.from_bytes(block, "little"))[:1:-1].encode().translate(_TO_DIGITS)
            yield from compress(count(start * 8), flags)


def pack_set(members: int) -> bytes:
    return zlib.compress(members.to_bytes((members.bit_length() + 7) // 8, "little"), COMPRESSION)


def unpack_set(packed: bytes) -> int:
    return int.from_bytes(zlib.decompress(packed), "little")


@dataclass(slots=True)
class Buyers:
    """Who bought in some stretches of time that do not overlap: `once` at all, `again` twice or more."""

    once: int = 0
    again: int = 0

    def add(self, once: int, again: int) -> None:
        self.again |= (self.once & once) | again
        self.once |= once
