"""Imports as they stand, and what became of their rows."""

import csv
import io
import uuid
from collections.abc import Iterator
from typing import Any

from django.db.models import Q, QuerySet

from cloudpos.api.tables import cell
from customers.imports.fields import METADATA, TARGETS, metadata_name, title_of
from customers.imports.services import find_import
from customers.imports.settings import settings_of
from customers.imports.tables import layout_of, read_rows
from customers.models import Import, ImportPart, ImportRow

# Rows whose problems are looked up together.
PROBLEMS_AT_ONCE = 1_000
BOM = "\ufeff"

State, Phase = Import.State, ImportRow.Phase


def imports_of(merchant_id: uuid.UUID) -> QuerySet[Any]:
    return Import.objects.for_merchant(merchant_id)


def rows_of(source: Import) -> QuerySet[Any]:
    """The rows of the import, or while it has not run those of the check, which are the ones with a problem."""
    return ImportRow.objects.for_merchant(source.merchant_id).filter(
        source_id=source.pk, phase=phase_of(source)
    )


def phase_of(source: Import) -> str:
    has_run = source.state in (State.RUNNING, State.DONE, State.UNDOING, State.UNDONE)
    return str(Phase.RUN if has_run else Phase.CHECK)


def not_undone(source: Import) -> QuerySet[Any]:
    """Rows whose undo was not possible, or only in part."""
    undo = Q(undo__in=[ImportRow.Undo.PARTLY, ImportRow.Undo.KEPT])
    return ImportRow.objects.for_merchant(source.merchant_id).filter(
        undo, source_id=source.pk, phase=Phase.RUN
    )


def has_file(source: Import) -> bool:
    return ImportPart.objects.for_merchant(source.merchant_id).filter(source_id=source.pk).exists()


def columns_of(source: Import) -> list[dict[str, Any]]:
    """Each column with its name, some values, what it is taken for, and what else it could be kept as."""
    targets = settings_of(source.settings).targets if source.settings else ()
    columns = []
    for place, column in enumerate(source.layout.get("columns", ())):
        field = targets[place] if place < len(targets) else None
        columns.append(
            {
                "index": place,
                "header": column["header"],
                "samples": column["samples"],
                "field": field,
                "title": title_of(field) if field else None,
                "suggestion": metadata_name(column["header"]) or None,
            }
        )
    return columns


def field_catalogue() -> list[dict[str, str]]:
    """Everything that a column may be; besides, `metadata.` and a key."""
    listed = [
        {"name": target.name, "title": target.title, "group": target.group, "note": target.note}
        for target in TARGETS.values()
    ]
    own = {
        "name": METADATA + "…",
        "title": "Own field",
        "group": "Own fields",
        "note": "Kept with the customer as text.",
    }
    return [*listed, own]


def failed_rows_csv(*, merchant_id: uuid.UUID, import_id: uuid.UUID) -> tuple[str, Iterator[str]]:
    """(a file's name, the text piece by piece) of the rows that were not imported: as they came, and what is wrong with them.

    With the problems mended the same file can be imported. No cell of it runs in a spreadsheet. Raises ImportNotFound.
    """
    source = find_import(merchant_id=merchant_id, import_id=import_id)
    stem = "".join(
        c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in source.file_name.rpartition(".")[0]
    )
    return f"{stem.strip('-') or 'import'}-not-imported.csv", _failed_rows(source)


def _failed_rows(source: Import) -> Iterator[str]:
    headers = [column["header"] for column in source.layout.get("columns", ())]
    # The mark tells Excel that this is UTF-8.
    yield BOM + _line(["Problem", "Row", *headers])
    failed = rows_of(source).filter(outcome=ImportRow.Outcome.FAILED).order_by("number")
    if not has_file(source):
        for number, problems in failed.values_list("number", "problems").iterator(
            chunk_size=PROBLEMS_AT_ONCE
        ):
            yield _line([_said(problems), number])
        return
    table = read_rows(source, layout_of(source.layout))
    last = 0
    # By number, not by a cursor: a slow reader must not keep a transaction open.
    while some := list(failed.filter(number__gt=last).values_list("number", "problems")[:PROBLEMS_AT_ONCE]):
        wanted = dict(some)
        last = some[-1][0]
        lines = []
        for row in table:
            if row.number in wanted:
                lines.append(_line([_said(wanted[row.number]), row.number, *row.cells]))
            if row.number >= last:
                break
        yield "".join(lines)


def _said(problems: list[dict[str, Any]]) -> str:
    return "; ".join(
        f"{problem['column']}: {problem['message']}" if problem.get("column") else str(problem["message"])
        for problem in problems
    )


def _line(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([cell(value).replace("\x00", "") for value in values])
    return text.getvalue()
