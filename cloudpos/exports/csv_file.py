"""Rows as CSV (RFC 4180, UTF-8 with the mark that tells Excel so), compressed as they come."""

import csv
import io
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from typing import Any

from cloudpos.api.tables import cell, inert
from cloudpos.exports.columns import Column, Holds
from cloudpos.exports.storage import GZIP, PartWriter

BOM = "\ufeff"
# What follows takes a third of the time of the usual 6, for a file that is a tenth larger.
COMPRESSION = 3

Write = Callable[[Any], str]


class CsvFile:
    """`size` is the file's as somebody gets it."""

    def __init__(self, out: PartWriter, columns: Sequence[Column], *, zone: tzinfo, title: str) -> None:
        self._out = out
        self._writes = [_writer(column.holds, zone) for column in columns]
        self._text = io.StringIO()
        self._csv = csv.writer(self._text)
        self._compressor = zlib.compressobj(COMPRESSION, zlib.DEFLATED, GZIP)
        self.size = 0
        self._text.write(BOM)
        self._csv.writerow([inert(column.title) for column in columns])

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        writes = self._writes
        self._csv.writerows(
            [
                "" if value is None else write(value)
                for write, value in zip(writes, row)  # noqa: B905 - of one width by construction
            ]
            for row in rows
        )
        self._compress()

    def finish(self) -> None:
        self._compress()
        self._out.write(self._compressor.flush())
        self._out.finish()

    def _compress(self) -> None:
        data = self._text.getvalue().encode()
        self.size += len(data)
        self._out.write(self._compressor.compress(data))
        self._text.seek(0)
        self._text.truncate()


def _writer(holds: Holds, zone: tzinfo) -> Write:
    """How a value that is not None is written."""
    if holds == Holds.TEXT:
        return inert
    if holds == Holds.INSTANT:
        return lambda at: at.astimezone(zone).isoformat(timespec="seconds")
    if holds == Holds.FLAG:
        return lambda said: "yes" if said else "no"
    return cell
