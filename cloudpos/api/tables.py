"""Lists as CSV (RFC 4180, UTF-8), for spreadsheets: asked for with `format=csv` or `Accept: text/csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.http import HttpResponse

from cloudpos.api.parameters import Choices

CSV = "text/csv"
FORMATS = ("json", "csv")
# A spreadsheet takes text that begins so for a formula and would run it.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def format_parameter() -> Choices:
    """For the parameters of an operation that is named in its view's `tables`."""
    return Choices(
        FORMATS,
        many=False,
        method="",
        description="csv: the list alone, for a spreadsheet; also by `Accept: text/csv`.",
    )


def wants_csv(request: Any, asked: Mapping[str, Any]) -> bool:
    """Whether the answer is to be a table: `format` says so, or without it the header."""
    if "format" in asked:
        return bool(asked["format"] == "csv")
    return accepts_csv(request.META.get("HTTP_ACCEPT", ""))


def accepts_csv(accept: str) -> bool:
    return CSV in accept


@dataclass(frozen=True, slots=True)
class Table:
    """Names of columns, and rows of as many values."""

    head: Sequence[str]
    rows: Iterable[Sequence[Any]]


def csv_response(name: str, table: Table) -> HttpResponse:
    """A file called `name`.csv."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.head)
    writer.writerows([cell(value) for value in row] for row in table.rows)
    response = HttpResponse(text.getvalue(), content_type=f"{CSV}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def cell(value: Any) -> str:
    """As text that no spreadsheet runs. Nothing is the empty cell; numbers and days are as in JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return inert(str(value))


def inert(text: str) -> str:
    """A text that no spreadsheet runs."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
