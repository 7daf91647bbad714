"""Rows as an Excel workbook (ECMA-376), written as a stream: no row is kept, and nothing is put on a disk.

Cells are typed. A text is a text whatever it begins with: it is written as one (`inlineStr`), in a column whose format is
text, and marked as quoted, so that it stays one when somebody edits it. No cell holds a formula, and none can become one.
"""

import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, tzinfo
from typing import Any
from xml.sax.saxutils import escape

from cloudpos.api.tables import FORMULA_STARTS
from cloudpos.exports.columns import Column, Holds
from cloudpos.exports.storage import PartWriter

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Of one sheet, the names of the columns among them: more rows go to further sheets.
SHEET_ROWS_MAX = 1_048_576
# Less than where a zip file needs an extension that not every reader knows.
SHEET_BYTES_MAX = 1_500_000_000
CELL_CHARS_MAX = 32_767
SHEET_NAME_CHARS_MAX = 31
COMPRESSION = 1

# Places of xl/styles.xml's cellXfs.
_PLAIN, _HEAD, _TEXT, _QUOTED, _MONEY, _DAY, _INSTANT, _INTEGER = range(8)
_STYLE_OF = {
    Holds.TEXT: _TEXT,
    Holds.FLAG: _PLAIN,
    Holds.INTEGER: _INTEGER,
    Holds.MONEY: _MONEY,
    Holds.NUMBER: _PLAIN,
    Holds.DAY: _DAY,
    Holds.INSTANT: _INSTANT,
}

_EPOCH = date(1899, 12, 30).toordinal()
# Spreadsheets take 1900 for a leap year: days before this would be one off, and are written as text.
_FIRST_DAY = date(1900, 3, 1)
_SECONDS_PER_DAY = 86_400

# What no XML document may hold.
_FORBIDDEN = {
    **dict.fromkeys(range(32)),
    0xFFFE: None,
    0xFFFF: None,
    ord("\t"): "\t",
    ord("\n"): "\n",
    # A reader makes a line feed of it otherwise.
    ord("\r"): "&#13;",
}

_LIKE_A_CODE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")

_HEADER = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"

_STYLES = (
    f'{_HEADER}<styleSheet xmlns="{_MAIN}">'
    '<numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>'
    '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="8">'
    + "".join(
        f'<xf numFmtId="{number}" fontId="{font}" fillId="0" borderId="0" xfId="0"{more}/>'
        for number, font, more in (
            (0, 0, ""),
            (49, 1, ' applyNumberFormat="1" applyFont="1"'),
            (49, 0, ' applyNumberFormat="1"'),
            (49, 0, ' quotePrefix="1" applyNumberFormat="1"'),
            (4, 0, ' applyNumberFormat="1"'),
            (164, 0, ' applyNumberFormat="1"'),
            (165, 0, ' applyNumberFormat="1"'),
            (1, 0, ' applyNumberFormat="1"'),
        )
    )
    + '</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)

Write = Callable[[str, Any], str]


class XlsxFile:
    """`size` is the file's, as it is kept and as somebody gets it."""

    def __init__(self, out: PartWriter, columns: Sequence[Column], *, zone: tzinfo, title: str) -> None:
        self._out = out
        self._zip = zipfile.ZipFile(
            out,  # type: ignore[call-overload]  # it has no seek, as zipfile finds out
            "w",
            zipfile.ZIP_DEFLATED,
            compresslevel=COMPRESSION,
        )
        self._title = title
        self._columns = columns
        self._letters = [letters(place) for place in range(len(columns))]
        self._writes = [_writer(column.holds, zone) for column in columns]
        self._sheets = 0
        self._sheet: Any = None
        self._row = self._bytes = 0
        self._begin_sheet()

    @property
    def size(self) -> int:
        return self._out.size

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        columns = list(zip(self._letters, self._writes, strict=True))
        lines: list[str] = []
        number = self._row
        for row in rows:
            if number >= SHEET_ROWS_MAX or self._bytes > SHEET_BYTES_MAX:
                self._put("".join(lines))
                lines.clear()
                self._end_sheet()
                self._begin_sheet()
                number = self._row
            number += 1
            cells = [
                write(f"{letter}{number}", value)
                for (letter, write), value in zip(columns, row)  # noqa: B905 - of one width by construction
                if value is not None
            ]
            lines.append(f'<row r="{number}">{"".join(cells)}</row>')
        self._row = number
        self._put("".join(lines))

    def finish(self) -> None:
        self._end_sheet()
        numbers = range(1, self._sheets + 1)
        sheets = "".join(
            f'<sheet name="{escape(self._name(number))}" sheetId="{number}" r:id="rId{number}"/>'
            for number in numbers
        )
        self._add(
            "xl/workbook.xml",
            f'{_HEADER}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{sheets}</sheets></workbook>',
        )
        related = "".join(
            f'<Relationship Id="rId{number}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number in numbers
        )
        styles = f'<Relationship Id="rId{self._sheets + 1}" Type="{_OFFICE}/styles" Target="styles.xml"/>'
        self._add("xl/_rels/workbook.xml.rels", _relationships(related + styles))
        self._add("xl/styles.xml", _STYLES)
        book = f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        self._add("_rels/.rels", _relationships(book))
        overrides = "".join(
            f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{_TYPES}.worksheet+xml"/>'
            for number in numbers
        )
        self._add(
            "[Content_Types].xml",
            f'{_HEADER}<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{_TYPES}.styles+xml"/>{overrides}</Types>',
        )
        self._zip.close()
        self._out.finish()

    def _name(self, number: int) -> str:
        return self._title if number == 1 else f"{self._title[: SHEET_NAME_CHARS_MAX - 5]} {number}"

    def _add(self, name: str, text: str) -> None:
        self._zip.writestr(name, text)

    def _begin_sheet(self) -> None:
        self._sheets += 1
        self._sheet = self._zip.open(f"xl/worksheets/sheet{self._sheets}.xml", "w")
        self._row = self._bytes = 0
        # The names of the columns stay in sight.
        view = '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
        widths = "".join(
            f'<col min="{place}" max="{place}" width="{column.width}" style="{_STYLE_OF[column.holds]}" customWidth="1"/>'
            for place, column in enumerate(self._columns, 1)
        )
        head = "".join(
            f'<c r="{letter}1" t="inlineStr" s="{_HEAD}"><is><t xml:space="preserve">{_text(column.title)}</t></is></c>'
            for letter, column in zip(self._letters, self._columns, strict=True)
        )
        self._row = 1
        self._put(
            f'{_HEADER}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">{view}</sheetView></sheetViews>'
            f'<cols>{widths}</cols><sheetData><row r="1">{head}</row>'
        )

    def _end_sheet(self) -> None:
        self._put("</sheetData></worksheet>")
        self._sheet.close()

    def _put(self, text: str) -> None:
        data = text.encode()
        self._bytes += len(data)
        self._sheet.write(data)


def letters(place: int) -> str:
    """A, B, ..., Z, AA, as spreadsheets count columns; from 0."""
    found = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        found = chr(ord("A") + rest) + found
    return found


def _relationships(inner: str) -> str:
    return f'{_HEADER}<Relationships xmlns="{_PACKAGE}/relationships">{inner}</Relationships>'


def _text(text: str) -> str:
    text = escape(text[:CELL_CHARS_MAX])
    if not text.isprintable():
        text = text.translate(_FORBIDDEN)
    # A reader makes a character of what looks like the code of one.
    return _LIKE_A_CODE.sub(r"_x005F\g<0>", text) if "_x" in text else text


def _write_text(cell: str, text: str) -> str:
    if not text:
        return ""
    style = _QUOTED if text.startswith(FORMULA_STARTS) else _TEXT
    return f'<c r="{cell}" t="inlineStr" s="{style}"><is><t xml:space="preserve">{_text(text)}</t></is></c>'


def _write_day(cell: str, day: date) -> str:
    if day < _FIRST_DAY:
        return _write_text(cell, day.isoformat())
    return f'<c r="{cell}" s="{_DAY}"><v>{day.toordinal() - _EPOCH}</v></c>'


def _writer(holds: Holds, zone: tzinfo) -> Write:
    """(the cell's name, a value that is not None) as the cell."""
    if holds == Holds.TEXT:
        return _write_text
    if holds == Holds.DAY:
        return _write_day
    if holds == Holds.FLAG:
        return lambda cell, said: _write_text(cell, "yes" if said else "no")
    if holds == Holds.INSTANT:

        def write_instant(cell: str, at: datetime) -> str:
            # Spreadsheets know no zones: what a clock on the wall showed there.
            there = at.astimezone(zone)
            if there.date() < _FIRST_DAY:
                return _write_text(cell, there.isoformat(timespec="seconds"))
            seconds = there.hour * 3_600 + there.minute * 60 + there.second
            serial = there.toordinal() - _EPOCH + seconds / _SECONDS_PER_DAY
            return f'<c r="{cell}" s="{_INSTANT}"><v>{serial:.9f}</v></c>'

        return write_instant
    style = _STYLE_OF[holds]
    return lambda cell, number: f'<c r="{cell}" s="{style}"><v>{number}</v></c>'
