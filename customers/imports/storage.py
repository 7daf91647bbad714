"""A file as rows of the database: any process may read it, and none needs a disk."""

import io
import uuid
from bisect import bisect_right
from typing import Any

from django.db.models.functions import Length

from cloudpos.api.errors import BadRequest, TooLarge
from customers.models import Import, ImportPart

PART_BYTES_MAX = 1_048_576
FILE_BYTES_MAX = 200 * PART_BYTES_MAX
PARTS_MAX = 400
# The reading of a spreadsheet jumps between its end and the sheet that it is at.
PARTS_AT_HAND = 4


class PartMissing(BadRequest):
    code = "part_missing"
    message = "A part of the file is missing."


def write_part(source: Import, *, number: int, data: bytes) -> None:
    """Keep a part, instead of one with this number that came before. Raises BadRequest for an empty part, and TooLarge."""
    if not data:
        raise BadRequest("A part of a file is not empty.", code="empty_part")
    if len(data) > PART_BYTES_MAX:
        raise TooLarge(f"A part may have {PART_BYTES_MAX} bytes at most.", extra={"bytesMax": PART_BYTES_MAX})
    if number >= PARTS_MAX:
        raise TooLarge(f"A file may have {PARTS_MAX} parts at most.", code="file_too_large")
    ImportPart.objects.bulk_create(
        [ImportPart(merchant_id=source.merchant_id, source=source, number=number, data=data)],
        update_conflicts=True,
        unique_fields=["merchant", "source", "number"],
        update_fields=["data"],
    )


def part_sizes(source: Import) -> list[int]:
    """The parts' sizes in order. Raises PartMissing unless they are 0 to the last one."""
    rows = list(
        ImportPart.objects.for_merchant(source.merchant_id)
        .filter(source_id=source.pk)
        .order_by("number")
        .values_list("number", Length("data"))
    )
    missing = next((at for at, (number, _) in enumerate(rows) if number != at), None)
    if missing is not None or not rows:
        raise PartMissing(f"Part {missing or 0} of the file is missing.")
    return [size for _, size in rows]


class StoredFile(io.RawIOBase):
    """The parts as one seekable file, a few of them in memory at a time."""

    def __init__(self, source: Import) -> None:
        self._merchant_id: uuid.UUID = source.merchant_id
        self._source_id = source.pk
        self._starts = [0]
        for size in part_sizes(source):
            self._starts.append(self._starts[-1] + size)
        self._at = 0
        self._parts: dict[int, bytes] = {}

    @property
    def size(self) -> int:
        return self._starts[-1]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self.size:
            return 0
        number = self._part_at(self._at)
        part = self._part(number)
        start = self._at - self._starts[number]
        found = part[start : start + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def _part_at(self, position: int) -> int:
        return bisect_right(self._starts, position) - 1

    def _part(self, number: int) -> bytes:
        found = self._parts.pop(number, None)
        if found is None:
            row = (
                ImportPart.objects.for_merchant(self._merchant_id)
                .filter(source_id=self._source_id, number=number)
                .values_list("data", flat=True)
                .first()
            )
            if row is None:
                # Deleted while it was read.
                raise PartMissing()
            found = bytes(row)
        self._parts[number] = found
        if len(self._parts) > PARTS_AT_HAND:
            del self._parts[next(iter(self._parts))]
        return found


def opened(source: Import) -> io.BufferedReader:
    """The file for reading."""
    return io.BufferedReader(StoredFile(source), buffer_size=PART_BYTES_MAX // 4)
