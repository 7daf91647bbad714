"""A chunk's way through an import: read, looked up and decided about while PostgreSQL writes the one before.

Half of an import's time is Python's, half PostgreSQL's. What needs no database happens in a thread beside; what the
database knows is looked up one chunk ahead, without locks, and confirmed under locks when the chunk's turn has come.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from customers.imports.deciding import decide
from customers.imports.knowing import Context, Known, lock_as_known, look_up
from customers.imports.matching import Seen
from customers.imports.rows import ReadRow, RowReader
from customers.imports.tables import TableRow
from customers.imports.writing import Writing, writing_of
from customers.models import Import


class Chunk:
    """Rows that were read. `mark`: what was seen of the file before they were looked up; None: they have not been."""

    def __init__(self, rows: list[ReadRow]) -> None:
        self.rows = rows
        self.mark: list[Any] | None = None
        self._problems = [list(row.problems) for row in rows]
        self._known: Known | None = None
        self._writing: Future[Writing] | None = None

    def look_ahead(self, source: Import, context: Context, seen: Seen, thread: Executor) -> None:
        """Look these rows up before the chunk before them is written, and have them decided about in the thread."""
        self.mark = seen.mark()
        known = self._known = look_up(self.rows, context, seen, locked=False)
        self._writing = thread.submit(lambda: _decided(self.rows, known, source, context))

    def settle(self, source: Import, context: Context, seen: Seen) -> Writing:
        """Lock who is known, inside the caller's transaction: what is to be written. Raises ChangedMeanwhile."""
        if self._known is not None and self._writing is not None:
            lock_as_known(self._known, context)
            return self._writing.result()
        return _decided(self.rows, look_up(self.rows, context, seen, locked=True), source, context)

    def begin_again(self) -> None:
        """Forget what was looked up and decided, and what was found wrong by that."""
        if self._writing is not None:
            # It may be at work on these rows.
            self._writing.exception()
        self.mark = self._known = self._writing = None
        for row, known in zip(self.rows, self._problems, strict=True):
            row.problems = list(known)


def _decided(rows: Sequence[ReadRow], known: Known, source: Import, context: Context) -> Writing:
    return writing_of(decide(rows, known, context, indexed=True), source, context)


def read_ahead(tables: Iterator[list[TableRow]], reader: RowReader, thread: Executor) -> Generator[Chunk]:
    """The rows of a file as chunks, each read while the one before is at work."""

    def begin() -> Future[list[ReadRow]] | None:
        # The file itself is in the database, and so read here.
        rows = next(tables, None)
        return thread.submit(lambda: [reader.read(row) for row in rows]) if rows is not None else None

    coming = begin()
    while coming is not None:
        rows = coming.result()
        coming = begin()
        yield Chunk(rows)


def with_following(chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Chunk | None]]:
    """Each chunk with the one after it, None after the last."""
    before: Chunk | None = None
    for chunk in chunks:
        if before is not None:
            yield before, chunk
        before = chunk
    if before is not None:
        yield before, None


__all__ = ["Chunk", "read_ahead", "with_following"]
