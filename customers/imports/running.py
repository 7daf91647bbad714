"""The jobs of an import: the check, which writes nothing to customers, and the import itself.

Both walk through the file chunk by chunk and ask the same about each row. A chunk, what became of its rows and how far it is
commit together, so that a process may die at any moment.
"""

import uuid
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from django.db import transaction
from django.utils.timezone import now

from cloudpos.api.errors import Conflict
from cloudpos.garbage import rare_collections
from cloudpos.jobs.running import Work, chunk_transaction
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Merchant, Store
from cloudpos.tenancy.roles import Role
from customers.events import emit, event
from customers.imports.deciding import ChangedMeanwhile, Context, Decision, Outcome, decide
from customers.imports.matching import Seen
from customers.imports.rows import ReadRow, RowReader
from customers.imports.settings import settings_of
from customers.imports.tables import TableRow, layout_of, read_rows
from customers.imports.writing import keep_rows, write
from customers.models import Import, ImportRow
from customers.services.bulk import tell_planner

CHECK = "customers.check_import"
RUN = "customers.run_import"
CHUNK_ROWS = 1_000
CHUNK_MS_MAX = 60_000
CHUNK_TRIES_MAX = 10
# When the planner is told of the new customers, and when again.
TELL_AFTER_ROWS = 1_000
TELL_AGAIN_AT_TIMES = 10

State, Phase = Import.State, ImportRow.Phase
T = TypeVar("T")


class ImportBusy(Conflict):
    code = "import_interrupted"
    message = "Customers were changed by others again and again meanwhile. Go on with the import in a while."


def check(work: Work) -> dict[str, Any]:
    """Find every problem of every row, and what the import would do. Only the rows with a problem are kept."""
    source = _source(work)
    if work.cursor is None:
        with transaction.atomic():
            _rows(source, Phase.CHECK)._raw_delete("default")
            _update(source, check_counts={})
            work.checkpoint(0, done=0)
    work.expect(max(0, int(source.layout.get("lines") or 0) - 1))
    context = context_of(source)
    seen = Seen()
    done_with = int(work.cursor)
    with rare_collections(), closing(_read(_chunks(source, context), context.reader)) as chunks:
        for rows in chunks:
            _until_unchanged(rows, seen, partial(_check_chunk, work, source, context, seen, rows, done_with))
    found = {"rows": work.done, **work.counts}
    with transaction.atomic():
        _update(source, state=State.CHECKED, check_counts=found)
        work.checkpoint(work.cursor, done=0)
    return found


def _check_chunk(
    work: Work, source: Import, context: Context, seen: Seen, rows: list[ReadRow], done_with: int
) -> None:
    with chunk_transaction(ms_max=CHUNK_MS_MAX):
        decisions = decide(rows, context, seen, locked=False)
        if rows[-1].number <= done_with:
            # Looked at again for what it says of later rows: its own problems are kept already.
            return
        failed = [each for each in decisions if each.outcome == Outcome.FAILED]
        keep_rows(failed, source, Phase.CHECK)
        work.checkpoint(rows[-1].number, done=len(rows), **_counts(decisions))


def run(work: Work) -> dict[str, Any]:
    """Import the rows that have no problem, from where an earlier job was stopped."""
    source = _source(work)
    if source.state == State.DONE:
        return dict(source.run_counts)
    work.expect(max(0, int(source.check_counts.get("rows", 0)) - int(source.run_counts.get("rows", 0))))
    context = context_of(source)
    seen = Seen()
    counts = dict(source.run_counts)
    with rare_collections():
        _recall(source, context, seen)
        ahead = _read(_chunks(source, context, after=source.position), context.reader)
        with closing(ahead) as chunks:
            tell_at = TELL_AFTER_ROWS
            for rows in chunks:
                counts = _import_chunk(work, source, context, seen, rows, counts)
                if counts["rows"] >= tell_at:
                    tell_at = counts["rows"] * TELL_AGAIN_AT_TIMES
                    tell_planner()
    at = now()
    with transaction.atomic():
        _update(source, state=State.DONE, finished_at=at)
        emit(
            event(
                merchant_id=source.merchant_id,
                store_id=source.store_id,
                actor_id=source.actor_id,
                type="import.finished",
                data={"importId": str(source.pk), **{name: counts.get(name, 0) for name in Outcome.values}},
                occurred_at=at,
            )
        )
        work.checkpoint(work.cursor or source.position, done=0)
    return counts


def _import_chunk(
    work: Work,
    source: Import,
    context: Context,
    seen: Seen,
    rows: list[ReadRow],
    counts: dict[str, int],
) -> dict[str, int]:
    """One chunk in one transaction. Returns the counts with its own."""

    def once() -> dict[str, int]:
        with chunk_transaction(ms_max=CHUNK_MS_MAX):
            decisions = decide(rows, context, seen, locked=True)
            write(decisions, source, context)
            found = _counts(decisions)
            total = dict(counts)
            for name, number in {"rows": len(rows), **found}.items():
                total[name] = total.get(name, 0) + number
            _update(source, position=rows[-1].number, run_counts=total)
            work.checkpoint(rows[-1].number, done=len(rows), **found)
        return total

    return _until_unchanged(rows, seen, once)


def _until_unchanged(rows: list[ReadRow], seen: Seen, once: Callable[[], T]) -> T:
    """Again, as if for the first time, when somebody else changed one of a chunk's customers meanwhile."""
    before = seen.mark()
    problems = [list(row.problems) for row in rows]
    for _ in range(CHUNK_TRIES_MAX):
        try:
            return once()
        except ChangedMeanwhile:
            seen.forget_since(before)
            for row, known in zip(rows, problems, strict=True):
                row.problems = list(known)
    raise ImportBusy()


def _read(chunks: Iterator[list[TableRow]], reader: RowReader) -> Generator[list[ReadRow]]:
    """The chunks read, each while PostgreSQL works on the one before: reading needs no database."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-import") as executor:

        def begin() -> Future[list[ReadRow]] | None:
            # The file itself is in the database, and so read here: a thread would have a connection of its own.
            rows = next(chunks, None)
            return executor.submit(lambda: [reader.read(row) for row in rows]) if rows is not None else None

        coming = begin()
        while coming is not None:
            rows = coming.result()
            coming = begin()
            yield rows


def _recall(source: Import, context: Context, seen: Seen) -> None:
    """Know of the rows that are done with what later ones are compared with."""
    if not source.position:
        return
    for rows in _chunks(source, context, until=source.position):
        seen.earlier([context.reader.keys_of(row) for row in rows])
    done = _rows(source, Phase.RUN).filter(customer__isnull=False).exclude(outcome=Outcome.CREATED)
    known: Iterator[tuple[uuid.UUID, int]] = done.values_list("customer_id", "number").iterator(
        chunk_size=CHUNK_ROWS
    )
    while some := list(islice(known, CHUNK_ROWS)):
        seen.earlier_customers(some)


def _chunks(
    source: Import, context: Context, *, after: int = 0, until: int | None = None
) -> Iterator[list[TableRow]]:
    """The rows with something in them, without the names of the columns, after one number and up to another."""
    first = max(after, 1 if context.settings.has_header else 0)
    rows = (
        row for row in read_rows(source, layout_of(source.layout)) if row.number > first and not row.is_empty
    )
    while chunk := list(islice(rows, CHUNK_ROWS)):
        if until is not None and chunk[-1].number > until:
            chunk = [row for row in chunk if row.number <= until]
            if chunk:
                yield chunk
            return
        yield chunk


def _counts(decisions: list[Decision]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in decisions:
        counts[str(each.outcome)] = counts.get(str(each.outcome), 0) + 1
        if each.outcome == Outcome.FAILED:
            continue
        if each.withdrawn or each.draft is not None:
            drafted = each.draft.consents if each.draft is not None else ()
            withdrawn = len(each.withdrawn) + sum(said.state == "withdrawn" for said in drafted)
            granted = sum(said.state == "granted" for said in drafted)
            for name, number in (("withdrawn", withdrawn), ("granted", granted)):
                if number:
                    counts[name] = counts.get(name, 0) + number
        if each.consents_ignored:
            counts["consentsIgnored"] = counts.get("consentsIgnored", 0) + each.consents_ignored
    return counts


def context_of(source: Import) -> Context:
    """What is the same for all rows of an import."""
    merchant = Merchant.objects.get(pk=source.merchant_id)
    settings = settings_of(source.settings)
    access = access_of(source, merchant)
    stores = list(Store.objects.for_merchant(merchant).values_list("pk", "code", "name"))
    named = {name.casefold(): pk for pk, _, name in stores} | {code.casefold(): pk for pk, code, _ in stores}
    at = now()
    return Context(
        access=access,
        settings=settings,
        reader=RowReader(settings, [column["header"] for column in source.layout["columns"]], stores=named),
        stores=frozenset(pk for pk, _, _ in stores),
        today=at.astimezone(access.tz).date(),
        at=at,
        import_id=source.pk,
    )


def access_of(source: Import, merchant: Merchant) -> Access:
    """In whose name an import writes: of whoever asked for it, at their store."""
    return Access(
        user_id=source.actor_id,  # type: ignore[arg-type]  # nobody, where a person was deleted
        merchant_id=merchant.pk,
        store_id=source.store_id,  # type: ignore[arg-type]  # none in the back office
        role=Role.MANAGER.value,
        timezone=merchant.timezone,
        currency=merchant.currency,
        country=merchant.country,
        language=merchant.language,
        search_key=merchant.search_key,
    )


def _source(work: Work) -> Import:
    found: Import = Import.objects.for_merchant(work.merchant_id).get(pk=work.parameters["importId"])
    return found


def _rows(source: Import, phase: str) -> Any:
    return ImportRow.objects.for_merchant(source.merchant_id).filter(source_id=source.pk, phase=phase)


def _update(source: Import, **columns: Any) -> None:
    Import.objects.for_merchant(source.merchant_id).filter(pk=source.pk).update(**columns)
