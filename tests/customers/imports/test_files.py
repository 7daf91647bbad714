"""How a file is read: encodings, separators, Excel; and files that were made to break it."""

import io
import zipfile
from typing import Any

import pytest

from customers.imports import sheets, storage, tables
from customers.imports.tables import layout_of, read_rows
from tests.customers.imports.conftest import Bring, Brought, csv_of, upload, xlsx_of
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

PEOPLE = [
    ("E-Mail", "Vorname", "Ort"),
    ("zoe@example.com", "Zoë", "Köln"),
    ("bob@example.com", "Bob", "Bonn"),
]


def lines(brought: Brought) -> list[list[str]]:
    return [row.cells for row in read_rows(brought.row, layout_of(brought.row.layout))]


@pytest.mark.parametrize(
    ("codec", "encoding"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16"),
        ("utf-16-be", "utf-16"),
        ("windows-1252", "windows-1252"),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encoding_and_separator_are_found(bring: Bring, codec: str, encoding: str, delimiter: str) -> None:
    brought = bring(csv_of(*PEOPLE, delimiter=delimiter).decode().encode(codec))

    layout = brought.read()["layout"]
    assert (layout["format"], layout["encoding"], layout["delimiter"]) == ("csv", encoding, delimiter)
    assert ("look" in layout["note"].lower()) == (encoding == "windows-1252")
    assert lines(brought) == [list(row) for row in PEOPLE]


def test_another_encoding_can_be_chosen(bring: Bring) -> None:
    brought = bring(csv_of(*PEOPLE).decode().encode("mac-roman"))
    assert lines(brought)[1][1] != "Zoë"

    shown = brought.set(encoding="mac-roman")

    assert shown["layout"]["encoding"] == "mac-roman"
    assert shown["columns"][1]["samples"] == ["Zoë", "Bob"]
    assert lines(brought)[1] == ["zoe@example.com", "Zoë", "Köln"]


def test_a_multibyte_letter_between_two_parts(shop: Shop) -> None:
    content = csv_of(("E-mail", "First name"), ("a@example.com", "ÄÖÜ" * 20))
    brought = upload(shop.manager, content, part=7)
    shop.manager.post(f"{brought.path}/uploaded")
    assert lines(brought)[1] == ["a@example.com", "ÄÖÜ" * 20]


def test_quoted_line_ends_count_as_a_spreadsheet_counts_rows(bring: Bring) -> None:
    brought = bring(b'E-mail,Notes\r\na@example.com,"two\r\nlines"\r\n\r\nno address,x\r\n')
    brought.check()
    assert lines(brought)[1] == ["a@example.com", "two\r\nlines"]
    assert brought.problems() == [(4, "E-mail", "invalid_email")]


def test_old_macintosh_line_ends(bring: Bring) -> None:
    brought = bring(b"E-mail,First name\ra@example.com,Ann\rb@example.com,Bob\r")
    assert [row[0] for row in lines(brought)] == ["E-mail", "a@example.com", "b@example.com"]


def test_a_file_without_names_of_columns(bring: Bring) -> None:
    brought = bring(b"a@example.com,Ann\r\nb@example.com,Bob\r\n")
    shown = brought.read()
    assert shown["settings"]["hasHeader"] is False
    assert [(column["header"], column["field"]) for column in shown["columns"]] == [
        ("Column A", "email"),
        ("Column B", None),
    ]
    assert brought.check() == {"rows": 2, "created": 2}


def test_excel(bring: Bring) -> None:
    from datetime import date, datetime

    brought = bring(
        xlsx_of(
            ("E-mail", "Phone", "Born", "Number", "VIP"),
            ("a@example.com", 442071838750, datetime(1990, 2, 3), 12.5, True),
            ("b@example.com", "020 7183 8751", date(1991, 3, 4), 7.0, None),
        ),
        name="customers.xlsx",
    )
    layout = brought.read()["layout"]
    assert (layout["format"], layout["sheet"], layout["sheets"]) == ("xlsx", "Sheet", ["Sheet"])
    assert lines(brought)[1:] == [
        ["a@example.com", "442071838750", "1990-02-03", "12.5", "true"],
        ["b@example.com", "020 7183 8751", "1991-03-04", "7"],
    ]


# --- Hostile ----------------------------------------------------------------------------------------------------


def refused(shop: Shop, content: bytes) -> str:
    brought = upload(shop.manager, content)
    response = shop.manager.post(f"{brought.path}/uploaded")
    assert response.status_code == 400, response.content
    return str(response.json()["code"])


def archive(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in entries.items():
            zipped.writestr(name.replace("__", "/"), content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"%PDF-1.7 something", "not_a_table"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 500, "not_a_table"),
        (b"\x00\x01\x02\x00\x00\x03" * 200, "not_a_table"),
        (b"\r\n\r\n   \r\n", "empty_file"),
        (b"PK\x03\x04 is no archive", "sheet_unreadable"),
        (archive(readme=b"nothing"), "sheet_unreadable"),
        (archive(xl__workbook=b"<a"), "sheet_unreadable"),
        (b",".join(b"c%d" % number for number in range(1_001)) + b"\n1\n", "too_many_columns"),
    ],
    ids=["pdf", "xls", "binary", "empty", "no archive", "no workbook", "broken workbook", "1,001 columns"],
)
def test_what_is_no_table_is_refused(shop: Shop, content: bytes, code: str) -> None:
    assert refused(shop, content) == code


def test_1000_columns_are_read(bring: Bring) -> None:
    names = ["E-mail", *(f"c{number}" for number in range(999))]
    brought = bring(csv_of(names, ["a@example.com", *range(999)]))
    assert len(brought.read()["columns"]) == 1_000
    assert brought.check() == {"rows": 1, "created": 1}


def test_a_zip_bomb_is_refused_before_it_is_unpacked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "OTHER_BYTES_MAX", 1_000_000)
    # Ten megabytes of one letter: ten thousand bytes.
    good = zipfile.ZipFile(io.BytesIO(xlsx_of(("E-mail",), ("a@example.com",))))
    entries = {name: good.read(name) for name in good.namelist()}
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in entries.items():
            zipped.writestr(name, content)
        zipped.writestr("xl/sharedStrings.xml", b"a" * 10_000_000)
    assert refused(shop, bomb.getvalue()) == "sheet_too_large"


def test_an_archive_that_lies_about_its_sizes_is_not_unpacked_further(shop: Shop) -> None:
    content = bytearray(archive(**{"xl__sharedStrings.xml": b"a" * 1_000_000, "xl__workbook.xml": b"<w/>"}))
    # The size in the directory of the first entry, and in the entry itself.
    for signature, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = content.index(signature) + at
        content[place : place + 4] = (10).to_bytes(4, "little")
    assert refused(shop, bytes(content)) == "sheet_unreadable"


def test_entities_of_a_workbook_are_not_expanded(shop: Shop) -> None:
    good = zipfile.ZipFile(io.BytesIO(xlsx_of(("E-mail",), ("a@example.com",))))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w") as zipped:
        for name in good.namelist():
            content = good.read(name)
            if name == "xl/workbook.xml":
                content = content.replace(
                    b"<workbook", b'<!DOCTYPE w [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><workbook', 1
                )
            zipped.writestr(name, content)
    assert refused(shop, bomb.getvalue()) == "sheet_unreadable"


def test_nul_and_letters_that_cannot_be_read_are_problems_of_their_row(bring: Bring) -> None:
    brought = bring(b"E-mail,First name\r\na@example.com,A\x00nn\r\nb@example.com,Bob\r\n")
    brought.check()
    assert brought.problems() == [(2, "First name", "unreadable_text")]
    brought = bring(b"E-mail,First name\r\na@example.com,Zo\xeb\r\nb@example.com,Bob\r\n")
    brought.set(encoding="utf-8")
    brought.check()
    assert brought.problems() == [(2, "First name", "unreadable_text")]


def test_an_overlong_line_is_a_problem_of_its_row(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LINE_CHARS_MAX", 1_000)
    long = b"x" * 5_000
    brought = bring(b"E-mail,Notes\r\na@example.com,%b\r\nb@example.com,Bob\r\n" % long)
    counts = brought.check()
    assert brought.problems() == [(2, None, "line_too_long")]
    assert counts == {"rows": 2, "failed": 1, "created": 1}


def test_a_quotation_mark_that_nobody_closes(bring: Bring) -> None:
    people = b"".join(b"p%d@example.com,P\r\n" % number for number in range(20_000))
    brought = bring(b'E-mail,First name\r\na@example.com,"Ann\r\n' + people)
    counts = brought.check()
    assert brought.problems()[0] == (2, None, "unclosed_quote")
    # Only so much is lost of what follows.
    assert counts["created"] > 10_000


def test_rows_with_too_many_cells(bring: Bring) -> None:
    brought = bring(b"E-mail,First name\r\na@example.com,Ann,Smith\r\nb@example.com\r\nc@example.com,C,,\r\n")
    assert brought.check() == {"rows": 3, "failed": 1, "created": 2}
    assert brought.problems() == [(2, None, "too_many_cells")]


def test_rows_are_bounded(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = bring(csv_of(("E-mail",), ("a@example.com",), ("b@example.com",), ("c@example.com",)))
    monkeypatch.setattr(tables, "ROWS_MAX", 2)
    from cloudpos.jobs.running import run_here

    started = brought.client.post(f"{brought.path}/check").json()["data"]
    import uuid

    job = run_here(uuid.UUID(started["id"]))
    assert (job.state, job.error_code) == ("failed", "too_many_rows")


def test_parts_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = upload(shop.manager, b"E-mail\r\na@example.com\r\n")

    def put(number: int, content: bytes) -> Any:
        return shop.manager.put(f"{brought.path}/parts/{number}", content, "application/octet-stream")

    assert put(0, b"x" * (storage.PART_BYTES_MAX + 1)).json()["code"] == "too_large"
    assert put(0, b"").json()["code"] == "empty_part"
    assert put(storage.PARTS_MAX, b"x").json()["code"] == "file_too_large"
    assert put(10**30, b"x").status_code == 413
    assert put(2, b"x").status_code == 200
    missing = shop.manager.post(f"{brought.path}/uploaded")
    assert (missing.status_code, missing.json()["code"]) == (400, "part_missing")
    monkeypatch.setattr("customers.imports.services.FILE_BYTES_MAX", 10)
    assert put(1, b"x" * 20).json()["code"] == "file_too_large"


def test_a_part_that_is_sent_again_is_replaced(shop: Shop) -> None:
    brought = upload(shop.manager, b"E-mail\r\nfirst@example.com\r\n")
    shop.manager.put(
        f"{brought.path}/parts/0", b"E-mail\r\nsecond@example.com\r\n", "application/octet-stream"
    )
    shop.manager.post(f"{brought.path}/uploaded")
    assert lines(brought) == [["E-mail"], ["second@example.com"]]
    assert brought.read()["fileBytes"] == len(b"E-mail\r\nsecond@example.com\r\n")
