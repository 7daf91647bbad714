"""Lists as CSV."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from cloudpos.api.tables import Table, cell, csv_response


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0"]
)
def test_what_a_spreadsheet_would_run_is_inert(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (True, "true"),
        (Decimal("-4.00"), "-4.00"),
        (-4, "-4"),
        (0.25, "0.25"),
        (date(2026, 5, 1), "2026-05-01"),
        (datetime(2026, 5, 1, 8, tzinfo=UTC), "2026-05-01T08:00:00+00:00"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_values_look_as_in_json(value: Any, expected: str) -> None:
    assert cell(value) == expected


def test_quotes_and_commas_are_quoted() -> None:
    answer = csv_response("list", Table(("name", "n"), [('Say "hi", Bob', 1), ("Zoë\nØ", 2)]))
    assert answer.content.decode() == 'name,n\r\n"Say ""hi"", Bob",1\r\n"Zoë\nØ",2\r\n'
