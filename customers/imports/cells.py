"""The cells of a workbook as texts, read as a stream: memory for one row, or for the table of texts that cells share.

expat calls for each element while it reads. A tree of elements, cleared row by row, takes several times as long, keeps a husk of
every row, and has all of a row before anybody can say that it is too long.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import IO, Any
from xml.parsers import expat

# Of one row, of one shared text, or of a tag: Excel itself writes 32,767 characters into a cell at most.
TEXT_CHARS_MAX = 1_048_576
TAG_BYTES_MAX = 1_048_576
DEPTH_MAX = 50
ROW_NUMBER_MAX = 1_048_576
READ_BYTES = 65_536

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main "
_ROW, _CELL, _VALUE, _TEXT, _PHONETIC, _SHARED = (
    _MAIN + name for name in ("row", "c", "v", "t", "rPh", "si")
)
_DIGITS = "0123456789"


class Malformed(ValueError):
    """XML that no spreadsheet program writes."""


@dataclass(frozen=True, slots=True)
class Formats:
    """Which styles, by their numbers as the cells write them, show a number as a day or time, or as a duration; and day 0."""

    days: frozenset[str] = frozenset()
    durations: frozenset[str] = frozenset()
    epoch: datetime = field(default=datetime(1899, 12, 30))  # noqa: DTZ001 - a workbook knows no zone


def shared_texts(part: IO[bytes]) -> list[str]:
    """The texts that cells name by their place. Raises Malformed and what expat and zipfile raise."""
    texts: list[str] = []
    reader = _Texts(texts.append)
    for _ in _fed(part, reader):
        pass
    return texts


def rows_of(
    part: IO[bytes], *, shared: Sequence[str], formats: Formats, columns_max: int
) -> Iterator[list[str]]:
    """A sheet's rows from its first, those too that are not written down; what stands right of `columns_max` is left out.

    Hidden rows are rows, and formulas what they last came to. Raises Malformed, what expat and zipfile raise, and ValueError for
    cells that are not what they say.
    """
    rows: list[tuple[int, list[str]]] = []
    reader = _Cells(rows, shared, formats, columns_max)
    next_number = 1
    for _ in _fed(part, reader):
        for number, cells in rows:
            while next_number < number:
                next_number += 1
                yield []
            # One that comes again, or too late, is none that Excel would show.
            if next_number == number:
                next_number += 1
                yield cells
        rows.clear()


def _fed(part: IO[bytes], reader: "_Reader") -> Iterator[None]:
    """Yields after each piece that was read."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    # Without one there are no entities.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    fed = 0
    while piece := part.read(READ_BYTES):
        parser.Parse(piece, False)
        fed += len(piece)
        # What is not at its end yet is kept by the parser.
        if fed - parser.CurrentByteIndex > TAG_BYTES_MAX:
            raise Malformed("a tag without end")
        yield
    parser.Parse(b"", True)
    yield


def _refuse_doctype(*_: Any) -> None:
    raise Malformed("a document type")


class _Reader:
    """What expat calls. Takes the pieces of a text; how it is pronounced is left out."""

    __slots__ = ("_depth", "_phonetic", "chars", "is_wanted", "pieces")

    def __init__(self) -> None:
        self._phonetic = False
        self._depth = 0
        self.is_wanted = False
        self.pieces: list[str] = []
        self.chars = 0

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise Malformed("too deep")
        if name == _PHONETIC:
            self._phonetic = True

    def end(self, name: str) -> None:
        self._depth -= 1
        if name == _PHONETIC:
            self._phonetic = False

    def characters(self, text: str) -> None:
        if self.is_wanted:
            self.pieces.append(text)
            self.chars += len(text)
            if self.chars > TEXT_CHARS_MAX:
                raise Malformed("too long a text")


class _Texts(_Reader):
    """Puts texts together: plain ones, and those whose parts look differently."""

    __slots__ = ("_keep",)

    def __init__(self, keep: Callable[[str], None]) -> None:
        super().__init__()
        self._keep = keep

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        _Reader.begin(self, name, attributes)
        if name == _TEXT:
            self.is_wanted = not self._phonetic
        elif name == _SHARED:
            self.pieces = []
            self.chars = 0

    def end(self, name: str) -> None:
        _Reader.end(self, name)
        if name == _TEXT:
            self.is_wanted = False
        elif name == _SHARED:
            # As Excel writes an underscore that would seem to begin one of its codes.
            self._keep("".join(self.pieces).replace("x005F_", ""))


class _Cells(_Reader):
    """Puts rows together."""

    __slots__ = (
        "_cells",
        "_column",
        "_columns",
        "_columns_max",
        "_formats",
        "_is_inline",
        "_is_open",
        "_number",
        "_rows",
        "_shared",
        "_style",
        "_type",
    )

    def __init__(
        self, rows: list[tuple[int, list[str]]], shared: Sequence[str], formats: Formats, columns_max: int
    ) -> None:
        super().__init__()
        self._rows, self._shared, self._formats, self._columns_max = rows, shared, formats, columns_max
        # By their letters.
        self._columns: dict[str, int] = {}
        self._number = self._column = 0
        self._cells: list[str] | None = None
        self._type = self._style = ""
        self._is_open = self._is_inline = False

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        if name == _CELL:
            if self._is_open or self._cells is None:
                raise Malformed("a cell out of its place")
            self._is_open = True
            place = attributes.get("r")
            if place:
                letters = place.rstrip(_DIGITS)
                self._column = self._columns.get(letters) or self._column_of(letters)
            else:
                self._column += 1
            self._type = attributes.get("t", "n")
            self._is_inline = self._type == "inlineStr"
            self._style = attributes.get("s", "0")
            self.pieces = []
        elif name == _VALUE:
            _Reader.begin(self, name, attributes)
            self.is_wanted = self._is_open and not self._is_inline
        elif name == _TEXT:
            _Reader.begin(self, name, attributes)
            self.is_wanted = self._is_inline and self._is_open and not self._phonetic
        elif name == _ROW:
            if self._cells is not None:
                raise Malformed("a row in a row")
            self._cells = []
            self._column = 0
            self.chars = 0
            number = attributes.get("r")
            self._number = _whole(number) if number else self._number + 1
            if self._number > ROW_NUMBER_MAX:
                raise Malformed("too many rows")
        else:
            _Reader.begin(self, name, attributes)

    def end(self, name: str) -> None:
        if name == _CELL:
            self._is_open = False
            pieces = self.pieces
            text = pieces[0] if len(pieces) == 1 else "".join(pieces)
            if text:
                kind = self._type
                if kind == "s":
                    text = self._shared[int(text)]
                elif kind == "n":
                    text = self._number_text(text)
                elif kind == "b":
                    text = "true" if int(text) else "false"
                elif kind == "d":
                    text = _iso_text(text)
            self._put(text)
        elif name in (_VALUE, _TEXT):
            _Reader.end(self, name)
            self.is_wanted = False
        elif name == _ROW:
            assert self._cells is not None
            cells, self._cells = self._cells, None
            # A sheet that was once formatted to its last column has hundreds of empty cells in each row.
            while cells and not cells[-1]:
                cells.pop()
            self._rows.append((self._number, cells))
        else:
            _Reader.end(self, name)

    def _put(self, text: str) -> None:
        cells = self._cells
        assert cells is not None
        missing = self._column - len(cells) - 1
        if missing < 0:
            cells[self._column - 1] = text
        elif self._column <= self._columns_max and text:
            if missing:
                cells.extend([""] * missing)
            cells.append(text)

    def _column_of(self, letters: str) -> int:
        from openpyxl.utils import column_index_from_string

        found: int = column_index_from_string(letters)
        self._columns[letters] = found
        return found

    def _number_text(self, text: str) -> str:
        if self._style in self._formats.days:
            return _day_text(
                _number(text), self._formats.epoch, is_duration=self._style in self._formats.durations
            )
        if text.isascii() and text.isdigit() and text[0] != "0":
            return text
        number = _number(text)
        if isinstance(number, int):
            return str(number)
        # Excel knows no whole numbers: a phone number of digits is one.
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _number(text: str) -> int | float:
    return float(text) if "." in text or "E" in text or "e" in text else int(text)


def _whole(text: str) -> int:
    """Some programs write 3.0 for the third row."""
    number = float(text)
    if not number.is_integer():
        raise Malformed("half a row")
    return int(number)


def _day_text(number: int | float, epoch: datetime, *, is_duration: bool) -> str:
    from openpyxl.utils.datetime import from_excel

    try:
        return _moment_text(from_excel(number, epoch, timedelta=is_duration))
    except (OverflowError, ValueError):
        # As Excel shows it, with its hash marks for days that there are not.
        return "#VALUE!"


def _iso_text(text: str) -> str:
    from openpyxl.utils.datetime import from_ISO8601

    return _moment_text(from_ISO8601(text))


def _moment_text(moment: Any) -> str:
    if isinstance(moment, datetime):
        return moment.date().isoformat() if moment.time() == time() else moment.isoformat(sep=" ")
    return moment.isoformat() if isinstance(moment, date | time) else str(moment)
