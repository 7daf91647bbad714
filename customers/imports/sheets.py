"""Excel files (.xlsx), which are zip archives of XML: refused before anything of them is unpacked that would not fit.

openpyxl reads what a workbook says of itself: its sheets, and which styles mean days. The cells are many, and read by `cells`.
"""

import io
import zipfile
from collections.abc import Iterator
from contextlib import closing

from cloudpos.api.errors import BadRequest
from customers.imports.cells import Formats, rows_of, shared_texts

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
        names = list(book.sheets)
    if not names:
        raise SheetUnreadable("This Excel file has no sheet.")
    return names


def sheet_rows(file: io.BufferedReader, sheet: str, *, columns_max: int) -> Iterator[list[str]]:
    """A sheet's rows as texts. Raises SheetUnreadable and SheetTooLarge."""
    with closing(_workbook(file)) as book:
        if sheet not in book.sheets:
            raise SheetUnreadable("This Excel file has no such sheet.")
        rows = book.rows(sheet, columns_max=columns_max)
        while True:
            try:
                row = next(rows, None)
            except Exception as error:
                raise SheetUnreadable() from error
            if row is None:
                return
            yield row


class _Workbook:
    """`sheets`: where in the archive each sheet with cells is, by its name."""

    def __init__(self, file: io.BufferedReader) -> None:
        # Here: it brings numpy along, which no process should have that does not read a workbook.
        from openpyxl.reader.excel import ExcelReader
        from openpyxl.styles.stylesheet import apply_stylesheet
        from openpyxl.xml.constants import SHARED_STRINGS, XLSM, XLSX, XLTM, XLTX

        reader = ExcelReader(file, read_only=True, data_only=True, keep_links=False)
        reader.read_manifest()
        for part in reader.package.Override:
            # Only what is read as a stream may be as large as a sheet.
            if part.ContentType in (SHARED_STRINGS, XLSM, XLSX, XLTM, XLTX) and _is_sheet(part.PartName[1:]):
                raise SheetUnreadable()
        reader.read_workbook()
        apply_stylesheet(reader.archive, reader.wb)
        self._archive, self._book = reader.archive, reader.wb
        shared = reader.package.find(SHARED_STRINGS)
        self._shared = shared.PartName[1:] if shared is not None else None
        self.sheets: dict[str, str] = {
            str(sheet.name): relation.target
            for sheet, relation in reader.parser.find_sheets()
            if relation.target in reader.valid_files and "chartsheet" not in relation.Type
        }

    def rows(self, sheet: str, *, columns_max: int) -> Iterator[list[str]]:
        shared: list[str] = []
        if self._shared is not None:
            with self._archive.open(self._shared) as part:
                shared = shared_texts(part)
        formats = Formats(
            days=frozenset(map(str, self._book._date_formats)),
            durations=frozenset(map(str, self._book._timedelta_formats)),
            epoch=self._book.epoch,
        )
        with self._archive.open(self.sheets[sheet]) as part:
            yield from rows_of(part, shared=shared, formats=formats, columns_max=columns_max)

    def close(self) -> None:
        self._archive.close()


def _workbook(file: io.BufferedReader) -> _Workbook:
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
        return _Workbook(file)
    except Exception as error:
        # Whatever a hostile or broken archive makes the library raise: KeyError, XML errors, its own.
        raise SheetUnreadable() from error


def _is_sheet(name: str) -> bool:
    return name.startswith("xl/worksheets/")
