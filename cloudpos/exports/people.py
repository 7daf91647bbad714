"""Who stands in a file, in ten bits each: an erasure must find the files of a person without reading them.

A Bloom filter (B. H. Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 13, 1970): it never misses
anybody; of those who do not stand in the file it names less than one in a hundred, so that now and then a file goes without need.
The positions are the double hashing of A. Kirsch and M. Mitzenmacher, "Less hashing, same performance" (2006).
"""

import uuid
from hashlib import blake2b

BITS_EACH = 10
HASHES = 7
BITS_MIN = 1_024
# Beyond it (13 million people) more and more are named without need.
BITS_MAX = 1 << 27


class People:
    """Ids, added one by one; `content` is what is kept."""

    def __init__(self, content: bytes | bytearray | memoryview) -> None:
        self._bytes = content
        # A power of two.
        self._mask = len(content) * 8 - 1

    @classmethod
    def room_for(cls, number: int) -> "People":
        bits = min(max(BITS_MIN, 1 << (number * BITS_EACH - 1).bit_length() if number else 0), BITS_MAX)
        return cls(bytearray(bits // 8))

    @property
    def content(self) -> bytes:
        return bytes(self._bytes)

    def add(self, id: uuid.UUID) -> None:
        found, mask = self._bytes, self._mask
        assert isinstance(found, bytearray)
        at, step = _hashes(id)
        for _ in range(HASHES):
            place = at & mask
            found[place >> 3] |= 1 << (place & 7)
            at += step

    def __contains__(self, id: uuid.UUID) -> bool:
        found, mask = self._bytes, self._mask
        at, step = _hashes(id)
        for _ in range(HASHES):
            place = at & mask
            if not found[place >> 3] & (1 << (place & 7)):
                return False
            at += step
        return True


def _hashes(id: uuid.UUID) -> tuple[int, int]:
    number = int.from_bytes(blake2b(id.bytes, digest_size=16).digest())
    # An odd step comes past every place.
    return number >> 64, (number & 0xFFFF_FFFF_FFFF_FFFF) | 1
