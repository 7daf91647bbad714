"""A chunk's way through an import: read, looked up and decided about while PostgreSQL writes those before.

Half of an import's time is Python's, half PostgreSQL's. What needs no database happens in a thread beside; what the
database knows is looked up ahead, without locks, and confirmed under locks when the chunk's turn has come.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from customers.imports.deciding import decide
from customers.imports.knowing import ChangedMeanwhile, Context, Known, lock_as_known, look_up
from customers.imports.matching import Seen
from customers.imports.rows import ReadRow, RowReader
from customers.imports.tables import TableRow
from customers.imports.writing import Writing, writing_of
from customers.models import Import


class Chunk:
    """Rows that were read. `mark`: what was seen of the file before them. `writer`: whose turn it is to write them, from 0.

    `written`: whether they are, once they were given to that writer.
    """

    def __init__(self, rows: list[ReadRow]) -> None:
        self.rows = rows
        self.mark: list[Any] = []
        self.writer = 0
        self.written: Future[None] | None = None
        self._problems = [list(row.problems) for row in rows]
        self._known: Known | None = None
        self._decided: Future[Writing] | None = None

    @property
    def is_certain(self) -> bool:
        """Whether nothing that was looked up made a row wrong, so that locks are all that is missing."""
        return self._known is not None and self._known.is_certain

    def look_ahead(
        self, source: Import, context: Context, seen: Seen, thread: Executor, draw: Callable[[], str]
    ) -> None:
        """Look these rows up before those before them are written, and have them decided about in the thread."""
        self.mark = seen.mark()
        try:
            known = self._known = look_up(self.rows, context, seen, locked=False)
        except ChangedMeanwhile:
            # Between two statements of the look-up: it will be looked at under locks.
            return
        if known.is_certain:
            self._decided = thread.submit(lambda: _decided(self.rows, known, source, context, draw))

    def decided(self) -> Writing:
        """What is to be written of a certain chunk, once the thread has come so far."""
        assert self._decided is not None
        return self._decided.result()

    def lock(self, context: Context) -> None:
        """Lock who is known, inside the caller's transaction. Raises ChangedMeanwhile."""
        assert self._known is not None
        lock_as_known(self._known, context)

    def settle(self, source: Import, context: Context, seen: Seen, draw: Callable[[], str]) -> Writing:
        """Look up and lock who is known, inside the caller's transaction: what is to be written. Raises ChangedMeanwhile."""
        return _decided(self.rows, look_up(self.rows, context, seen, locked=True), source, context, draw)

    def begin_again(self) -> None:
        """Forget what was looked up and decided, and what was found wrong by that."""
        if self._decided is not None:
            # It may be at work on these rows.
            self._decided.exception()
        self._known = self._decided = self.written = None
        for row, known in zip(self.rows, self._problems, strict=True):
            row.problems = list(known)


def _decided(
    rows: Sequence[ReadRow], known: Known, source: Import, context: Context, draw: Callable[[], str]
) -> Writing:
    writing = writing_of(decide(rows, known, context, draw=draw), source, context)
    # Their versions alone are asked for again, and several chunks are on their way at once.
    known.customers, known.addresses, known.said = {}, {}, {}
    return writing


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


__all__ = ["Chunk", "read_ahead"]
