"""The jobs of an import: the check, which writes nothing to customers, and the import itself.

Both walk through the file chunk by chunk and ask the same about each row. A chunk, what became of its rows and how far it is
commit together, so that a process may die at any moment.
"""

import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.timezone import now

from cloudpos.garbage import rare_collections
from cloudpos.jobs.running import Work, chunk_transaction
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Merchant, Store
from cloudpos.tenancy.roles import Role
from customers.events import emit, event
from customers.imports.ahead import Chunk, read_ahead
from customers.imports.deciding import Outcome, decide
from customers.imports.knowing import ChangedMeanwhile, Context, look_up
from customers.imports.matching import Seen
from customers.imports.rows import RowReader
from customers.imports.settings import settings_of
from customers.imports.tables import TableRow, layout_of, read_rows
from customers.imports.writers import CHUNK_MS_MAX, CHUNK_TRIES_MAX, ImportBusy, Importing, writers_of
from customers.imports.writing import counts_of, keep_rows
from customers.models import Import, ImportRow

CHECK = "customers.check_import"
RUN = "customers.run_import"
CHUNK_ROWS = 1_000
SWITCH_SECONDS = 0.0002

State, Phase = Import.State, ImportRow.Phase


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
    with (
        rare_collections(),
        _thread("check-import") as thread,
        closing(read_ahead(_chunks(source, context), context.reader, thread)) as chunks,
    ):
        for chunk in chunks:
            _check_chunk(work, source, context, seen, chunk, done_with)
    found = {"rows": work.done, **work.counts}
    with transaction.atomic():
        _update(source, state=State.CHECKED, check_counts=found)
        work.checkpoint(work.cursor, done=0)
    return found


def _check_chunk(
    work: Work, source: Import, context: Context, seen: Seen, chunk: Chunk, done_with: int
) -> None:
    rows = chunk.rows
    before = seen.mark()
    for _ in range(CHUNK_TRIES_MAX):
        try:
            with chunk_transaction(ms_max=CHUNK_MS_MAX):
                known = look_up(rows, context, seen, locked=False)
            break
        except ChangedMeanwhile:
            # Somebody was merged or deleted between two statements.
            seen.forget_since(before)
            chunk.begin_again()
    else:
        raise ImportBusy()
    if rows[-1].number <= done_with:
        # Looked at again for what it says of later rows: its own problems are kept already.
        return
    decisions = decide(rows, known, context, draw=None)
    with chunk_transaction(ms_max=CHUNK_MS_MAX):
        keep_rows([each for each in decisions if each.outcome == Outcome.FAILED], source, Phase.CHECK)
        work.checkpoint(rows[-1].number, done=len(rows), **counts_of(decisions))


def run(work: Work) -> dict[str, Any]:
    """Import the rows that have no problem, from where an earlier job was stopped."""
    source = _source(work)
    if source.state == State.DONE:
        return dict(source.run_counts)
    work.expect(max(0, int(source.check_counts.get("rows", 0)) - int(source.run_counts.get("rows", 0))))
    context = context_of(source)
    seen = Seen()
    with (
        rare_collections(),
        _thread("run-import") as thread,
        writers_of(settings.IMPORT_WRITERS) as writers,
        closing(
            read_ahead(_chunks(source, context, after=source.position), context.reader, thread)
        ) as chunks,
    ):
        _recall(source, context, seen)
        importing = Importing(work, source, context, seen, thread=thread, writers=writers)
        for chunk in chunks:
            importing.take(chunk)
        importing.finish()
    counts = importing.counts
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


@contextmanager
def _thread(name: str) -> Iterator[Executor]:
    """One thread for what needs no database, while PostgreSQL is at work: it would have a connection of its own.

    Whoever waits for PostgreSQL asks for the interpreter several times in each statement. A thread that computes gives it away
    after 5 ms only, which made each statement a hundred times as long and lost all that was won.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix=name) as executor:
            yield executor
    finally:
        sys.setswitchinterval(before)


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


def context_of(source: Import) -> Context:
    """What is the same for all rows of an import."""
    merchant = Merchant.objects.get(pk=source.merchant_id)
    chosen = settings_of(source.settings)
    access = access_of(source, merchant)
    stores = list(Store.objects.for_merchant(merchant).values_list("pk", "code", "name"))
    named = {name.casefold(): pk for pk, _, name in stores} | {code.casefold(): pk for pk, code, _ in stores}
    at = now()
    return Context(
        access=access,
        settings=chosen,
        reader=RowReader(chosen, [column["header"] for column in source.layout["columns"]], stores=named),
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
