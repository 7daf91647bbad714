"""Excel files (.xlsx), which are zip archives of XML: refused before anything of them is unpacked that would not fit."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, time
from typing import Any

from cloudpos.api.errors import BadRequest

# Unpacked. Sheets are read as a stream; all the other parts of a workbook are in memory at once.
SHEET_BYTES_MAX = 1_073_741_824
OTHER_BYTES_MAX = 67_108_864
ENTRIES_MAX = 1_000


class SheetUnreadable(BadRequest):
    code = "sheet_unreadable"
    message = "This Excel file cannot be read. Open it, save it again as .xlsx, and try once more."


class SheetTooLarge(BadRequest):
    code = "sheet_too_large"
    message = "This Excel file is too large when it is unpacked. Save it as CSV and import that."


def sheet_names(file: io.BufferedReader) -> list[str]:
    """The sheets that have cells. Raises SheetUnreadable and SheetTooLarge."""
    with closing(_workbook(file)) as book:
        names = [str(sheet.title) for sheet in book.worksheets]
    if not names:
        raise SheetUnreadable("This Excel file has no sheet.")
    return names


def sheet_rows(file: io.BufferedReader, sheet: str, *, columns_max: int) -> Iterator[list[str]]:
    """A sheet's rows as texts. Raises SheetUnreadable and SheetTooLarge."""
    with closing(_workbook(file)) as book:
        if sheet not in book.sheetnames:
            raise SheetUnreadable("This Excel file has no such sheet.")
        cells = book[sheet]
        # Each row as long as it is: by the sheet's own word, or by ours, each would be filled up with a thousand empty cells.
        cells.reset_dimensions()
        rows = cells.iter_rows(min_row=1, values_only=True)
        while True:
            try:
                row = next(rows, None)
            except Exception as error:
                raise SheetUnreadable() from error
            if row is None:
                return
            yield _texts(row[:columns_max])


def _workbook(file: io.BufferedReader) -> Any:
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise SheetUnreadable() from error
    # What an archive says of its sizes holds: no more than that is unpacked of an entry.
    sheets = sum(entry.file_size for entry in entries if _is_sheet(entry.filename))
    others = sum(entry.file_size for entry in entries if not _is_sheet(entry.filename))
    if len(entries) > ENTRIES_MAX or sheets > SHEET_BYTES_MAX or others > OTHER_BYTES_MAX:
        raise SheetTooLarge()
    file.seek(0)
    try:
        # Here: it brings numpy along, which no process should have that does not read a workbook.
        from openpyxl import load_workbook

        return load_workbook(file, read_only=True, data_only=True, keep_links=False)
    except Exception as error:
        # Whatever a hostile or broken archive makes the library raise: KeyError, XML errors, its own.
        raise SheetUnreadable() from error


def _is_sheet(name: str) -> bool:
    return name.startswith("xl/worksheets/")


def _texts(row: tuple[Any, ...]) -> list[str]:
    cells = ["" if value is None else value if type(value) is str else _text(value) for value in row]
    # A sheet that was once formatted to its last column has hundreds of empty cells in each row.
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # Excel knows no whole numbers: a phone number of digits is one.
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)
