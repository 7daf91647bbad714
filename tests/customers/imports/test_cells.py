"""The cells of Excel files: each kind of them as a text, and sheets that were made to fill the memory."""

import io
import zipfile
from datetime import datetime

import pytest
from openpyxl import Workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from customers.imports import cells
from customers.imports.cells import Formats, Malformed, rows_of, shared_texts
from customers.imports.sheets import SheetUnreadable, sheet_names, sheet_rows

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SHARED = ["first", "second"]


def read(
    rows: str, *, columns_max: int = 10, formats: Formats | None = None, around: str = "{}"
) -> list[list[str]]:
    sheet = around.format(f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>')
    part = io.BytesIO(sheet.encode())
    return list(rows_of(part, shared=SHARED, formats=formats or Formats(), columns_max=columns_max))


def shared(texts: str) -> list[str]:
    return shared_texts(io.BytesIO(f'<sst xmlns="{MAIN}">{texts}</sst>'.encode()))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<c><v>442071838750</v></c>", "442071838750"),
        ("<c><v>007</v></c>", "7"),
        ("<c><v>-12</v></c>", "-12"),
        ("<c><v>12.50</v></c>", "12.5"),
        ("<c><v>7.0</v></c>", "7"),
        ("<c><v>4.42071838750E+11</v></c>", "442071838750"),
        ("<c><v>1E+20</v></c>", "1e+20"),
        ('<c t="n"><v>3</v></c>', "3"),
        ('<c t="s"><v>1</v></c>', "second"),
        ('<c t="b"><v>1</v></c>', "true"),
        ('<c t="b"><v>0</v></c>', "false"),
        ('<c t="e"><v>#N/A</v></c>', "#N/A"),
        ('<c t="d"><v>1990-02-03</v></c>', "1990-02-03"),
        ('<c t="d"><v>1990-02-03T04:05:06</v></c>', "1990-02-03 04:05:06"),
        # What a formula last came to, never the formula.
        ("<c><f>SUM(1,2)</f><v>3</v></c>", "3"),
        ('<c t="str"><f>"a"&amp;"b"</f><v>ab</v></c>', "ab"),
        ("<c><f>SUM(1,2)</f></c>", ""),
        ('<c t="inlineStr"><is><t xml:space="preserve"> &lt;b&gt;&#10;ö </t></is></c>', " <b>\nö "),
        ('<c t="inlineStr"><is><r><rPr><b/></rPr><t>An</t></r><r><t>n</t></r></is></c>', "Ann"),
        ('<c t="inlineStr"><is><t>漢</t><rPh sb="0" eb="1"><t>kan</t></rPh></is></c>', "漢"),
        ('<c t="inlineStr"><v>not this</v></c>', ""),
    ],
)
def test_each_kind_of_cell(cell: str, text: str) -> None:
    assert read(f'<row>{cell}<c t="s"><v>0</v></c></row>') == [[text, "first"]]


def test_cells_and_rows_stand_where_they_say() -> None:
    rows = read(
        '<row r="2" hidden="1"><c r="B2"><v>1</v></c><c r="D2"><v>2</v></c><c><v>3</v></c><c r="A2"><v>4</v></c></row>'
        "<row><c><v>5</v></c></row>"
        '<row r="2"><c><v>6</v></c></row>'
        '<row r="6.0"><c r="J6"><v>7</v></c><c r="K6"><v>8</v></c><c r="XFD6"><v>9</v></c><c r="B6"/></row>'
    )
    assert rows == [[], ["4", "1", "", "2", "3"], ["5"], [], [], [""] * 9 + ["7"]]


def test_names_may_have_prefixes() -> None:
    sheet = f'<x:worksheet xmlns:x="{MAIN}"><x:row><x:c><x:v>1</x:v></x:c></x:row></x:worksheet>'
    part = io.BytesIO(sheet.encode("utf-16"))
    assert list(rows_of(part, shared=[], formats=Formats(), columns_max=10)) == [["1"]]


def test_days_and_times() -> None:
    formats = Formats(days=frozenset({"1", "2"}), durations=frozenset({"2"}))
    numbers = ("32907", "32907.5", "0.25", "-5", "1E+300")
    row = "".join(f'<c s="1"><v>{number}</v></c>' for number in numbers) + '<c s="2"><v>1.5</v></c>'
    expected = ["1990-02-03", "1990-02-03 12:00:00", "06:00:00", "1899-12-25", "#VALUE!", "1 day, 12:00:00"]
    assert read(f"<row>{row}</row>", formats=formats) == [expected]
    assert read('<row><c s="3"><v>32907</v></c></row>', formats=formats) == [["32907"]]
    since_1904 = Formats(days=frozenset({"0"}), epoch=CALENDAR_MAC_1904)
    assert read("<row><c><v>31445</v></c></row>", formats=since_1904) == [["1990-02-03"]]


def test_shared_texts() -> None:
    assert shared(
        "<si><t>plain</t></si><si/><si><r><t>Wei</t></r><r><t>ß</t></r><rPh sb='0' eb='1'><t>no</t></rPh></si>"
        "<si><t>_x005F_x000D_</t></si>"
    ) == ["plain", "", "Weiß", "_x000D_"]


def test_a_workbook_says_which_styles_are_days_and_where_they_begin() -> None:
    book = Workbook()
    book.epoch = CALENDAR_MAC_1904
    sheet = book.active
    assert sheet is not None
    sheet.title = "People"
    sheet.append(["a@example.com", datetime(1990, 2, 3), datetime(1990, 2, 3, 4, 5), 0.5, 36_000])
    sheet["D1"].number_format = "[h]:mm"
    book.create_chartsheet("Chart")
    file = io.BytesIO()
    book.save(file)
    assert sheet_names(buffered(file)) == ["People"]
    rows = list(sheet_rows(buffered(file), "People", columns_max=10))
    assert rows == [["a@example.com", "1990-02-03", "1990-02-03 04:05:00", "12:00:00", "36000"]]
    with pytest.raises(SheetUnreadable):
        list(sheet_rows(buffered(file), "Chart", columns_max=10))


def buffered(file: io.BytesIO) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(file.getvalue()))  # type: ignore[arg-type]


# --- Hostile ----------------------------------------------------------------------------------------------------

LONG = "x" * 2_000


@pytest.mark.parametrize(
    "rows",
    [
        "<row><row/></row>",
        "<c><v>1</v></c>",
        "<row><c><c/></c></row>",
        '<row r="1048577"/>',
        '<row r="1e9"/>',
        '<row r="1.5"/>',
        "<a>" * 60 + "</a>" * 60,
        "<row><c>" + "<v>" * 60 + "</v>" * 60 + "</c></row>",
        "<t>" * 60 + "</t>" * 60,
        f"<row><c><v>{LONG}</v></c></row>",
        # A little in each cell.
        f'<row><c t="str"><v>{LONG[:600]}</v></c><c t="str"><v>{LONG[:600]}</v></c></row>',
    ],
)
def test_what_no_program_writes_is_refused(rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "TEXT_CHARS_MAX", 1_000)
    with pytest.raises(Malformed):
        read(rows)


@pytest.mark.parametrize(
    "rows",
    [
        '<row><c r="1A"><v>1</v></c></row>',
        '<row><c r="ABCD1"><v>1</v></c></row>',
        "<row><c><v>one</v></c></row>",
        '<row><c t="d"><v>yesterday</v></c></row>',
        '<row r="first"/>',
    ],
)
def test_cells_that_are_not_what_they_say(rows: str) -> None:
    with pytest.raises(ValueError):
        read(rows)


def test_entities_and_document_types_are_refused() -> None:
    entity = '<!DOCTYPE w [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>{}'
    for around in (entity, '<!DOCTYPE w SYSTEM "file:///etc/passwd">{}'):
        with pytest.raises(Malformed):
            read("<row><c><v>1</v></c></row>", around=around)
    with pytest.raises(Malformed):
        shared_texts(io.BytesIO(entity.format(f'<sst xmlns="{MAIN}"/>').encode()))


def test_a_tag_or_shared_text_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "READ_BYTES", 100)
    monkeypatch.setattr(cells, "TAG_BYTES_MAX", 1_000)
    part = io.BytesIO(b"<worksheet a='" + b"x" * 100_000)
    with pytest.raises(Malformed):
        list(rows_of(part, shared=[], formats=Formats(), columns_max=10))
    assert part.tell() <= 1_200
    monkeypatch.setattr(cells, "TEXT_CHARS_MAX", 1_000)
    with pytest.raises(Malformed):
        shared(f"<si><t>{LONG}</t></si>")
    with pytest.raises(Malformed):
        shared("<si>" * 60 + "</si>" * 60)
    # Many short ones are what the part is for.
    assert len(shared(f"<si><t>{LONG[:500]}</t></si>" * 10)) == 10


def test_only_sheets_may_be_as_large_as_sheets() -> None:
    """Texts that cells share are in memory together: below `xl/worksheets` they would have a sheet's bounds."""
    file = io.BytesIO()
    Workbook().save(file)
    before = zipfile.ZipFile(file)
    said = (
        b'<Override PartName="/%s" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.'
        b'sharedStrings+xml"/></Types>'
    )
    for place, is_read in ((b"xl/texts.xml", True), (b"xl/worksheets/texts.xml", False)):
        moved = io.BytesIO()
        with zipfile.ZipFile(moved, "w") as archive:
            for name in before.namelist():
                archive.writestr(name, before.read(name).replace(b"</Types>", said % place))
            archive.writestr(place.decode(), f'<sst xmlns="{MAIN}"/>')
        if is_read:
            assert sheet_names(buffered(moved)) == ["Sheet"]
        else:
            with pytest.raises(SheetUnreadable):
                sheet_names(buffered(moved))
