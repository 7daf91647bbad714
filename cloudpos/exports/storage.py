"""A file as rows of the database, written and read a piece at a time: any process may, and none needs a disk."""

import uuid
import zlib
from collections.abc import Iterator

from django.db.models import F, Func, IntegerField, QuerySet

from cloudpos.api.errors import Conflict
from cloudpos.exports.models import Export, ExportPart

PART_BYTES = 1_048_576
STORED_BYTES_MAX = 1_024 * PART_BYTES
# What is unpacked at a time: a megabyte of zeros is a kilobyte in the file.
PIECE_BYTES_MAX = 1_048_576
GZIP = 31
NO_RUN = uuid.UUID(int=0)


class ExportTooLarge(Conflict):
    code = "export_too_large"
    message = f"The file would be larger than {STORED_BYTES_MAX >> 20:,} MB. Choose fewer columns, or a shorter period."


class FileGone(Exception):
    """Its parts were deleted while it was read."""


class PartWriter:
    """Takes bytes and keeps them as parts of one attempt at an export. Raises ExportTooLarge."""

    def __init__(self, export: Export, run: uuid.UUID) -> None:
        self._export, self._run = export, run
        self._number = 0
        self._waiting = bytearray()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._waiting += data
        self.size += len(data)
        if self.size > STORED_BYTES_MAX:
            raise ExportTooLarge()
        while len(self._waiting) >= PART_BYTES:
            self._keep(bytes(self._waiting[:PART_BYTES]))
            del self._waiting[:PART_BYTES]
        return len(data)

    def flush(self) -> None:
        """A part is written when it is full."""

    def finish(self) -> None:
        if self._waiting:
            self._keep(bytes(self._waiting))
            self._waiting.clear()

    def _keep(self, data: bytes) -> None:
        part = ExportPart(
            merchant_id=self._export.merchant_id,
            export=self._export,
            run=self._run,
            number=self._number,
            data=data,
        )
        ExportPart.objects.bulk_create([part])
        self._number += 1


def read_stored(export: Export, *, first: int = 0) -> Iterator[bytes]:
    """The file as it is kept from a byte on, part by part. Raises FileGone."""
    parts = ExportPart.objects.for_merchant(export.merchant_id).filter(
        export_id=export.pk, run=export.run or NO_RUN
    )
    number, skipped = divmod(first, _part_bytes(parts)) if first else (0, 0)
    left = (export.stored_bytes or 0) - first
    while left > 0:
        data = parts.filter(number=number).values_list("data", flat=True).first()
        if data is None:
            raise FileGone()
        piece = bytes(data[skipped:])
        left -= len(piece)
        number, skipped = number + 1, 0
        yield piece


def _part_bytes(parts: QuerySet[ExportPart]) -> int:
    """Of this file: all but its last part are as long as its first."""
    size = (
        parts.filter(number=0)
        .values_list(Func(F("data"), function="octet_length", output_field=IntegerField()), flat=True)
        .first()
    )
    if not size:
        raise FileGone()
    return int(size)


def cut(pieces: Iterator[bytes], *, skip: int, size: int) -> Iterator[bytes]:
    """`size` bytes of what comes after the first `skip`."""
    for piece in pieces:
        wanted = piece[skip : skip + size]
        skip = max(0, skip - len(piece))
        size -= len(wanted)
        if wanted:
            yield wanted
        if not size:
            return


def unpacked(packed: Iterator[bytes]) -> Iterator[bytes]:
    """A gzipped file without its compression, in pieces of bounded size."""
    decompressor = zlib.decompressobj(wbits=GZIP)
    for data in packed:
        while data:
            piece = decompressor.decompress(data, PIECE_BYTES_MAX)
            data = decompressor.unconsumed_tail
            if piece:
                yield piece
    rest = decompressor.flush()
    if rest:
        yield rest


def delete_parts(export: Export, *, run: uuid.UUID | None = None) -> None:
    """All parts, or those of one attempt."""
    parts = ExportPart.objects.for_merchant(export.merchant_id).filter(export_id=export.pk)
    if run is not None:
        parts = parts.filter(run=run)
    parts._raw_delete("default")
