"""An Excel file byte by byte: what no XML may hold, more rows than a sheet has, values at the edges."""

import io
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from openpyxl import load_workbook

from cloudpos.exports import xlsx_file
from cloudpos.exports.columns import Column, Holds
from cloudpos.exports.storage import PartWriter
from cloudpos.exports.xlsx_file import XlsxFile, letters


class Collected(PartWriter):
    """Parts that are kept here."""

    def __init__(self) -> None:
        super().__init__(None, uuid.UUID(int=0))  # type: ignore[arg-type]
        self.content = b""

    def _keep(self, data: bytes) -> None:
        self.content += data


def book(holds: Sequence[Holds], rows: Iterable[Sequence[Any]], *, at_once: int = 100) -> Any:
    out = Collected()
    columns = [Column(f"c{place}", f"C{place}", "", each) for place, each in enumerate(holds)]
    file = XlsxFile(out, columns, zone=UTC, title="People")
    listed = list(rows)
    for start in range(0, len(listed), at_once):
        file.add(listed[start : start + at_once])
    file.finish()
    assert file.size == len(out.content)
    return load_workbook(io.BytesIO(out.content))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("<b>&amp;", "<b>&amp;"),
        ("a\x00\x0b\x1fb\ufffe\uffff", "ab"),
        ("line\nbreak\ttab", "line\nbreak\ttab"),
        ("carriage\r\nreturn", "carriage\r\nreturn"),
        ("  spaces  ", "  spaces  "),
        # Excel reads _x005F_ as the underscore that it is; without it, the rest would be an A.
        ("_x0041_", "_x005F_x0041_"),
        ("\u202egnp.exe \U0001f600 Ω", "\u202egnp.exe \U0001f600 Ω"),
        ("]]><f>1+1</f>", "]]><f>1+1</f>"),
        ("x" * 40_000, "x" * 32_767),
        ("=1+1", "=1+1"),
        ("\t=1+1", "\t=1+1"),
    ],
    ids=repr,
)
def test_a_text_is_that_text(text: str, read: str) -> None:
    (cell,) = list(book([Holds.TEXT], [[text]])["People"].iter_rows(min_row=2))[0]
    assert cell.value == read
    assert cell.data_type == "s" and bool(cell.quotePrefix) == read.startswith(("=", "\t"))


def test_values_of_every_kind() -> None:
    rows = [
        [
            Decimal("-0.01"),
            2**53,
            Decimal("0.1234"),
            date(2024, 2, 29),
            datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
            True,
        ],
        [None, -1, 1.5, date(1899, 1, 1), datetime(1899, 1, 1, tzinfo=UTC), False],
    ]
    holds = [Holds.MONEY, Holds.INTEGER, Holds.NUMBER, Holds.DAY, Holds.INSTANT, Holds.FLAG]
    sheet = book(holds, rows)["People"]
    assert [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)] == [
        [-0.01, 2**53, 0.1234, datetime(2024, 2, 29), datetime(2024, 2, 29, 23, 59, 59), "yes"],
        # Spreadsheets know no days before 1900.
        [None, -1, 1.5, "1899-01-01", "1899-01-01T00:00:00+00:00", "no"],
    ]


@pytest.mark.parametrize("at_once", [1, 3, 7, 100])
def test_more_rows_than_a_sheet_has(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(xlsx_file, "SHEET_ROWS_MAX", 4)
    found = book([Holds.INTEGER], [[number] for number in range(7)], at_once=at_once)
    assert found.sheetnames == ["People", "People 2", "People 3"]
    values = [[row[0].value for row in sheet.iter_rows()] for sheet in found.worksheets]
    assert values == [["C0", 0, 1, 2], ["C0", 3, 4, 5], ["C0", 6]]


def test_more_bytes_than_a_sheet_should_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_file, "SHEET_BYTES_MAX", 600)
    assert len(book([Holds.INTEGER], [[number] for number in range(50)], at_once=5).sheetnames) > 1


def test_no_rows_at_all() -> None:
    assert [row[0].value for row in book([Holds.TEXT], [])["People"].iter_rows()] == ["C0"]


def test_columns_are_named_as_spreadsheets_do() -> None:
    assert [letters(place) for place in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]
