"""A file as a table: how it is read, and its rows as lists of texts, one after the other in bounded memory."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from cloudpos.api.errors import BadRequest, FieldError
from customers.imports.sheets import SheetUnreadable, sheet_names, sheet_rows
from customers.imports.storage import opened
from customers.models import Import

COLUMNS_MAX = 1_000
ROWS_MAX = 3_000_000
# A longer line is none that a person wrote.
LINE_CHARS_MAX = 1_048_576
# A quotation mark that nobody closes would swallow the rest of the file.
LINES_PER_ROW_MAX = 200
SNIFFED_BYTES = 262_144
SNIFFED_ROWS = 50
DELIMITERS = (",", ";", "\t", "|")

CSV, XLSX = "csv", "xlsx"
# What a person may choose, by the name that is shown.
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "windows-1252": "Windows, Western Europe (1252)",
    "iso-8859-15": "ISO 8859-15",
    "windows-1250": "Windows, Central Europe (1250)",
    "windows-1251": "Windows, Cyrillic (1251)",
    "mac-roman": "Macintosh",
}
_NOTES = {
    "utf-16": "The file is in UTF-16.",
    "windows-1252": "The file is not UTF-8, so it is read as Windows-1252. Look at letters with accents: if they are wrong, "
    "choose another encoding.",
}
REPLACEMENT = "\ufffd"
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


class NotATable(BadRequest):
    code = "not_a_table"
    message = "This file is neither CSV nor an Excel file (.xlsx)."


class TooManyColumns(BadRequest):
    code = "too_many_columns"
    message = f"A file may have {COLUMNS_MAX:,} columns at most."


class TooManyRows(BadRequest):
    code = "too_many_rows"
    message = f"A file may have {ROWS_MAX:,} rows at most. Import it in several files."


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is read. `lines` is about how many rows it has; 0: not known."""

    format: str
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    sheets: tuple[str, ...] = ()
    lines: int = 0
    note: str = ""


@dataclass(slots=True)
class TableRow:
    """`number` as a spreadsheet shows it, from 1. `problem`: why it cannot be read as a row."""

    number: int
    cells: list[str] = field(default_factory=list)
    problem: FieldError | None = None

    @property
    def is_empty(self) -> bool:
        return self.problem is None and not any(cell and not cell.isspace() for cell in self.cells)


def recognise(source: Import) -> Layout:
    """Find out how an uploaded file is to be read. Raises NotATable and SheetUnreadable. Reads the whole file once."""
    with opened(source) as file:
        first = file.read(SNIFFED_BYTES)
        if first.startswith(b"PK\x03\x04"):
            names = sheet_names(file)
            return Layout(XLSX, sheet=names[0], sheets=tuple(names))
        if first.startswith(b"\xd0\xcf\x11\xe0"):
            raise NotATable(
                "This is an old Excel file (.xls), or one with a password. Save it as .xlsx without a password."
            )
        encoding = _encoding_by_marks(first)
        valid, lines = _scan(file, first)
        if not encoding:
            encoding = "utf-8" if valid else "windows-1252"
    text = _decoded(first, encoding)
    controls = len(_CONTROLS.findall(text))
    if first.startswith(b"%PDF") or controls > len(text) // 50:
        raise NotATable()
    return Layout(
        CSV,
        encoding=encoding,
        delimiter=_delimiter(text),
        lines=lines,
        note=_NOTES.get(encoding, ""),
    )


def _encoding_by_marks(first: bytes) -> str:
    """By the mark at the file's beginning; UTF-16 without one by every second byte being 0. "" when nothing tells."""
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if first.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    zeros = max(first[0::2].count(0), first[1::2].count(0))
    return "utf-16" if len(first) >= 4 and zeros > len(first) // 5 else ""


def _codec(encoding: str, first: bytes) -> str:
    if encoding == "utf-16" and not first.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16-be" if first[0::2].count(0) > first[1::2].count(0) else "utf-16-le"
    # Which reads files without the mark as well.
    return "utf-8-sig" if encoding == "utf-8" else encoding


def _decoded(first: bytes, encoding: str) -> str:
    return first.decode(_codec(encoding, first), errors="replace")


def _scan(file: io.BufferedReader, first: bytes) -> tuple[bool, int]:
    """(whether all of it is UTF-8, about how many lines it has)"""
    utf8 = codecs.getincrementaldecoder("utf-8")()
    valid, lines, chunk, last = True, 0, first, b""
    while chunk:
        lines += chunk.count(b"\n") or chunk.count(b"\r")
        last = chunk
        if valid:
            try:
                utf8.decode(chunk)
            except UnicodeDecodeError:
                valid = False
        chunk = file.read(SNIFFED_BYTES)
    if valid:
        try:
            utf8.decode(b"", final=True)
        except UnicodeDecodeError:
            valid = False
    return valid, lines + (not last.endswith((b"\n", b"\r", b"\n\x00")))


def _delimiter(text: str) -> str:
    """The one that takes most of the first lines apart into equally many cells."""
    lines = text.splitlines()[:SNIFFED_ROWS]
    if len(lines) > 1:
        # The last one may be cut.
        lines = lines[:-1]
    best, most = ",", 0.0
    for delimiter in DELIMITERS:
        try:
            widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        except csv.Error:
            continue
        width, rows = max(widths.items(), key=lambda each: (each[1] * (each[0] > 1), each[0]), default=(0, 0))
        score = rows / max(1, widths.total()) * min(width - 1, 50) if width > 1 else 0.0
        if score > most:
            best, most = delimiter, score
    return best


def read_rows(source: Import, layout: Layout) -> Iterator[TableRow]:
    """The rows of a file, empty ones too. Raises TooManyRows, TooManyColumns, SheetUnreadable."""
    # Closed in this order: whoever reads only the beginning leaves the rest to be tidied up.
    with (
        opened(source) as file,
        closing(_sheet(file, layout) if layout.format == XLSX else _csv(file, layout)) as rows,
    ):
        for row in rows:
            if row.number > ROWS_MAX + 1:
                raise TooManyRows()
            if row.number == 1 and len(row.cells) > COLUMNS_MAX:
                raise TooManyColumns()
            yield row


def _sheet(file: io.BufferedReader, layout: Layout) -> Generator[TableRow]:
    for number, cells in enumerate(sheet_rows(file, layout.sheet, columns_max=COLUMNS_MAX + 1), start=1):
        yield TableRow(number, cells)


class _Lines:
    """Lines of at most LINE_CHARS_MAX characters; `cut` says that one was longer, and `taken` how many were read."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.cut = False
        self.taken = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(LINE_CHARS_MAX)
        if not line:
            raise StopIteration
        self.taken += 1
        if len(line) == LINE_CHARS_MAX and line[-1] not in "\r\n":
            self.cut = True
            rest = line
            while rest and rest[-1] not in "\r\n":
                rest = self._text.readline(LINE_CHARS_MAX)
            return "\n"
        return line


def _csv(file: io.BufferedReader, layout: Layout) -> Generator[TableRow]:
    codec = _codec(layout.encoding, file.peek(SNIFFED_BYTES)[:SNIFFED_BYTES])
    text = io.TextIOWrapper(file, encoding=codec, errors="replace", newline="")
    try:
        lines = _Lines(text)
        reader = csv.reader(lines, delimiter=layout.delimiter)
        number = 0
        while True:
            number += 1
            begun = lines.taken
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield TableRow(number, problem=_unclosed())
                continue
            if lines.cut:
                lines.cut = False
                problem = FieldError(None, "This line is too long to be read.", "line_too_long")
                yield TableRow(number, problem=problem)
            elif lines.taken - begun > LINES_PER_ROW_MAX:
                yield TableRow(number, problem=_unclosed())
            else:
                yield TableRow(number, cells)
    finally:
        # The file is closed by whoever opened it.
        text.detach()


def _unclosed() -> FieldError:
    message = "A quotation mark is opened here and closed much later: rows after it may be part of this one."
    return FieldError(None, message, "unclosed_quote")


def layout_of(stored: dict[str, Any]) -> Layout:
    """What `as_stored` made."""
    return Layout(
        **{name: stored[name] for name in Layout.__slots__ if name != "sheets" and name in stored},
        sheets=tuple(stored.get("sheets", ())),
    )


def as_stored(layout: Layout) -> dict[str, Any]:
    return {name: getattr(layout, name) for name in Layout.__slots__} | {"sheets": list(layout.sheets)}


__all__ = [
    "ENCODINGS",
    "Layout",
    "NotATable",
    "SheetUnreadable",
    "TableRow",
    "as_stored",
    "layout_of",
    "read_rows",
    "recognise",
]
