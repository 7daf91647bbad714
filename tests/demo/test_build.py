"""Building the extract from a source: matching of returns, choice of customers, names, and equal bytes every time."""

import csv
import datetime as dt
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest

from demo.build_extract import write
from demo.catalogue import category, display_name
from demo.extract import Extract, choose, eligible
from demo.returns import Matching, match_returns
from demo.source import Invoice, Line, read_descriptions, read_invoices

MUG = "21071"
LAMP = "47566"


def invoice(number: str, day: int, *lines: tuple[str, int, str], country: str = "United Kingdom") -> Invoice:
    parsed = tuple(Line(code, quantity, Decimal(price)) for code, quantity, price in lines)
    return Invoice(
        number=number,
        customer=13085,
        at=dt.datetime(2011, 3, day, 10, 30),
        amount=sum((line.quantity * line.unit_price for line in parsed), Decimal("0.00")),
        country=country,
        lines=parsed,
    )


def match(*invoices: Invoice) -> Matching:
    return match_returns(invoices, services=frozenset({"POST", "D"}))


def found(matching: Matching) -> list[tuple[str, str, str, list[tuple[int, int]]]]:
    return [(r.number, r.purchase.number, str(r.amount), r.items) for r in matching.returns]


def test_a_return_finds_its_purchase() -> None:
    matching = match(
        invoice("1", 1, (LAMP, 1, "4.00"), (MUG, 6, "2.50")), invoice("C2", 2, (MUG, -2, "2.50"))
    )
    assert found(matching) == [("C2", "1", "5.00", [(2, 2)])]
    assert matching.unmatched_goods.lines == 0


def test_the_latest_purchase_is_taken() -> None:
    matching = match(
        invoice("1", 1, (MUG, 6, "2.50")),
        invoice("2", 2, (MUG, 6, "2.50")),
        invoice("C3", 3, (MUG, -6, "2.50")),
    )
    assert found(matching) == [("C3", "2", "15.00", [(1, 6)])]


def test_one_parcel_is_preferred_to_two() -> None:
    matching = match(
        invoice("1", 1, (MUG, 6, "2.50"), (LAMP, 1, "4.00")),
        invoice("2", 2, (MUG, 6, "2.50")),
        invoice("C3", 3, (MUG, -1, "2.50"), (LAMP, -1, "4.00")),
    )
    assert found(matching) == [("C3", "1", "6.50", [(1, 1), (2, 1)])]


def test_a_return_of_two_purchases_is_split_and_numbered() -> None:
    matching = match(
        invoice("1", 1, (MUG, 2, "2.50")),
        invoice("2", 2, (MUG, 3, "2.50")),
        invoice("C3", 3, (MUG, -4, "2.50")),
    )
    assert found(matching) == [("C3-1", "1", "2.50", [(1, 1)]), ("C3-2", "2", "7.50", [(1, 3)])]


def test_lines_of_the_same_code_are_given_back_one_after_the_other() -> None:
    matching = match(
        invoice("1", 1, (MUG, 2, "2.50"), (MUG, 2, "2.50"), (MUG, 9, "2.00")),
        invoice("C2", 2, (MUG, -3, "2.50")),
    )
    assert found(matching) == [("C2", "1", "7.50", [(1, 2), (2, 1)])]


def test_no_piece_comes_back_twice() -> None:
    matching = match(
        invoice("1", 1, (MUG, 3, "2.50")),
        invoice("C2", 2, (MUG, -2, "2.50")),
        invoice("C3", 3, (MUG, -2, "2.50")),
    )
    assert found(matching) == [("C2", "1", "5.00", [(1, 2)]), ("C3", "1", "2.50", [(1, 1)])]
    assert (matching.unmatched_goods.lines, matching.unmatched_goods.amount) == (1, Decimal("2.50"))


@pytest.mark.parametrize(
    "sale",
    [
        pytest.param(invoice("1", 1, (MUG, 3, "2.00")), id="another price"),
        pytest.param(invoice("1", 1, (LAMP, 3, "2.50")), id="other goods"),
        pytest.param(invoice("1", 2, (MUG, 3, "2.50")), id="the same minute"),
    ],
)
def test_what_was_not_bought_before_is_counted_and_left_out(sale: Invoice) -> None:
    matching = match(sale, invoice("C2", 2, (MUG, -3, "2.50"), ("D", -1, "9.00")))
    assert found(matching) == []
    assert (matching.unmatched_goods.lines, matching.unmatched_goods.amount) == (1, Decimal("7.50"))
    assert (matching.unmatched_other.lines, matching.unmatched_other.amount) == (1, Decimal("9.00"))


def test_a_free_piece_makes_no_return() -> None:
    matching = match(
        invoice("1", 1, (MUG, 3, "0.00"), (LAMP, 1, "4.00")), invoice("C2", 2, (MUG, -1, "0.00"))
    )
    assert found(matching) == []
    assert matching.unmatched_goods.lines == 0


GOOD = invoice("1", 1, (MUG, 3, "2.50"))


@pytest.mark.parametrize(
    ("history", "chosen"),
    [
        pytest.param([GOOD], True, id="a plain sale"),
        pytest.param([GOOD, invoice("C2", 2, ("D", -1, "1.00"))], True, id="discount given later"),
        pytest.param([invoice("1", 1, (MUG, 1, "2.50"), ("POST", 1, "5.00"))], True, id="with postage"),
        pytest.param([invoice("C1", 1, (MUG, -3, "2.50"))], False, id="only a return"),
        pytest.param([invoice("1", 1, (MUG, 3, "0.00"))], False, id="only free goods"),
        pytest.param([GOOD, invoice("2", 2, ("ADJUST", 1, "9.00"))], False, id="bookkeeping"),
        pytest.param([GOOD, invoice("2", 2, ("POST", 1, "9.00"))], False, id="a sale of postage alone"),
        pytest.param([invoice("1", 1, (MUG, 1, "2.50"), ("D", 1, "1.00"))], False, id="discount as a sale"),
        pytest.param([invoice("1", 1, (MUG, 1, "20000.01"))], False, id="a huge sale"),
        pytest.param(
            [invoice("1", 1, *[(MUG, 1, "2.50")] * 501)], False, id="more lines than a till may send"
        ),
        pytest.param([invoice("1", 1, (MUG, 1, "2.50"), country="Unspecified")], False, id="no country"),
    ],
)
def test_who_may_be_chosen(history: list[Invoice], chosen: bool) -> None:
    assert eligible(history) is chosen


@pytest.mark.parametrize(
    ("description", "name", "group"),
    [
        ("WHITE HANGING HEART T-LIGHT HOLDER", "White Hanging Heart T-Light Holder", "Candles & Lights"),
        ("PAPER CHAIN KIT 50'S CHRISTMAS ", "Paper Chain Kit 50's Christmas", "Christmas"),
        ("SET OF 3 CAKE TINS, 20CM", "Set of 3 Cake Tins, 20cm", "Baking"),
        ("CHILDREN'S  APRON", "Children's Apron", "Kitchen"),
        ("LED TORCH", "LED Torch", "Candles & Lights"),
        ("BAG 250g SWIRLY MARBLES", "BAG 250g SWIRLY MARBLES", "Bags & Purses"),
        ("SOMETHING ELSE", "Something Else", "Other gifts"),
    ],
)
def test_descriptions_become_names_and_categories(description: str, name: str, group: str) -> None:
    assert display_name(code=MUG, description=description) == name
    assert category(code=MUG, description=description) == group


def test_postage_and_manual_entries_have_their_own_categories() -> None:
    assert category(code="POST", description="POSTAGE") == "Shipping"
    assert category(code="M", description="Manual") == "Manual entry"


def write_source(folder: Path, *, second_amount: str = "7.0") -> Path:
    tables = {
        "invoices": [
            ["customer_id", "date", "amount", "quantity", "lines", "invoice", "country"],
            ["13085", "2011-03-01 10:30:00", "15.0", "6", "1", "501", "United Kingdom"],
            ["12417", "2011-03-02 09:00:00", second_amount, "2", "2", "502", "Germany"],
            ["13085", "2011-03-04 16:45:00", "-2.5", "-1", "1", "C503", "United Kingdom"],
        ],
        "lines": [
            ["invoice", "stock_code", "quantity", "unit_price"],
            ["501", MUG, "6", "2.5"],
            ["502", LAMP, "1", "7.0"],
            ["502", "PADS", "1", "0.001"],
            ["C503", MUG, "-1", "2.5"],
        ],
        "products": [
            ["stock_code", "description"],
            [MUG, "RED MUG"],
            [LAMP, "LAMP"],
            ["PADS", "PADS TO MATCH ALL CUSHIONS"],
        ],
    }
    for name, table in tables.items():
        with gzip.open(
            folder / f"online_retail_ii_{name}.csv.gz", "wt", encoding="utf-8", newline=""
        ) as text:
            csv.writer(text, lineterminator="\n").writerows(table)
    return folder


def build(source: Path, out: Path) -> dict[str, bytes]:
    histories, eligible_customers = choose(read_invoices(source))
    write(Extract(histories, read_descriptions(source)), out, eligible_customers=eligible_customers)
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_a_second_run_writes_the_same_bytes(tmp_path: Path) -> None:
    source = write_source(tmp_path)
    first = build(source, tmp_path / "first")
    assert sorted(first) == [
        "customers.jsonl.gz",
        "manifest.json",
        "products.csv.gz",
        "purchases.jsonl.gz",
        "returns.jsonl.gz",
    ]
    assert build(source, tmp_path / "second") == first
    # Two runs within one second would agree on a time stamp too.
    assert {packed[4:8] for name, packed in first.items() if name.endswith(".gz")} == {b"\0\0\0\0"}


def test_days_count_back_from_the_last_one(tmp_path: Path) -> None:
    files = build(write_source(tmp_path), tmp_path / "out")
    purchases = [json.loads(line) for line in gzip.decompress(files["purchases.jsonl.gz"]).splitlines()]
    returns = [json.loads(line) for line in gzip.decompress(files["returns.jsonl.gz"]).splitlines()]
    assert [(row["id"], row["at"], row["amount"]) for row in purchases] == [
        ("501", [3, "10:30"], "15.00"),
        ("502", [2, "09:00"], "7.00"),
    ]
    assert purchases[1]["items"] == [[LAMP, 1, "7.00"], ["PADS", 1, "0.00"]]
    assert [(row["id"], row["at"], row["purchase"], row["items"]) for row in returns] == [
        ("C503", [0, "16:45"], "501", [[1, 1]])
    ]


def test_a_source_that_does_not_add_up_is_refused(tmp_path: Path) -> None:
    source = write_source(tmp_path, second_amount="7.01")
    with pytest.raises(ValueError, match=r"invoice 502: the lines do not add up to 7\.01"):
        read_invoices(source)
