"""An import's chunks, written on several connections at once: each begins before the one before it is done, and commits after it.

So what is done is the beginning of the file at every moment, as if there were one writer. Two of them cannot wait for each other:
the earlier chunk never waits for the later one in PostgreSQL, because they have no row in common and no key. A customer or a key
that stood in an earlier row is a problem of the later one, whoever has written what (`Seen`); random customer numbers are drawn
from shares that do not overlap; references are locked as shared; the rows that all chunks change, the import's and its job's, are
written last, when the chunk before has committed. Where others' transactions close a circle, one that PostgreSQL cannot see since
the later chunk waits for the earlier one here, the limit of waiting for a lock ends it, and the chunk is begun again, alone.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connection, connections
from psycopg.errors import DeadlockDetected, LockNotAvailable

from cloudpos.api.errors import Conflict
from cloudpos.jobs.running import LEASE_SECONDS, Work, chunk_transaction
from customers.identity import customer_numbers
from customers.imports.ahead import Chunk
from customers.imports.knowing import ChangedMeanwhile, Context
from customers.imports.matching import Seen
from customers.imports.writing import Writing, write
from customers.models import Import
from customers.services.bulk import tell_planner

CHUNK_MS_MAX = 60_000
CHUNK_TRIES_MAX = 10
# When the planner is told of the new customers, and when again.
TELL_AFTER_ROWS = 1_000
TELL_AGAIN_AT_TIMES = 10

# Its references are proved while it waits, and the server lets it wait for as long as the job has.
_READY = (
    "SET CONSTRAINTS ALL IMMEDIATE",
    f"SET LOCAL idle_in_transaction_session_timeout = '{LEASE_SECONDS}s'",
)


class ImportBusy(Conflict):
    code = "import_interrupted"
    message = "Customers were changed by others again and again meanwhile. Go on with the import in a while."


class Importing:
    """The chunks of an import that are not done, in the order of the file: some with their writers, the last looked up ahead.

    `thread` is where they are decided about, `counts` what has become of the rows that are done.
    """

    def __init__(
        self,
        work: Work,
        source: Import,
        context: Context,
        seen: Seen,
        *,
        thread: Executor,
        writers: Sequence[Executor],
    ) -> None:
        self.counts: dict[str, int] = dict(source.run_counts)
        self._work, self._source, self._context, self._seen = work, source, context, seen
        self._thread, self._writers = thread, writers
        self._line: deque[Chunk] = deque()
        self._taken = 0
        self._tell_at = TELL_AFTER_ROWS

    def take(self, chunk: Chunk) -> None:
        """The next chunk of the file: looked up now, and given to its writer when the one after it comes."""
        chunk.writer = self._taken % len(self._writers)
        self._taken += 1
        self._look_ahead(chunk)
        self._line.append(chunk)
        self._give_all_but(1)

    def finish(self) -> None:
        """Have all written that were taken."""
        self._give_all_but(0)
        while self._line:
            self._await_first()
            self._give_all_but(0)

    def _give_all_but(self, kept: int) -> None:
        while (given := sum(chunk.written is not None for chunk in self._line)) < len(self._line) - kept:
            chunk = self._line[given]
            if given == len(self._writers) or (given and not chunk.is_certain):
                self._await_first()
            elif not chunk.is_certain:
                self._write_first_alone()
            else:
                before = self._line[given - 1].written if given else None
                chunk.written = self._writers[chunk.writer].submit(self._write, chunk, before)

    def _await_first(self) -> None:
        written = self._line[0].written
        assert written is not None
        try:
            written.result()
        except ChangedMeanwhile:
            for chunk in self._line:
                if chunk.written is not None:
                    # They give up as well, since it has.
                    chunk.written.exception()
            self._write_first_alone()
        else:
            self._line.popleft()
            self._tell_planner()

    def _write(self, chunk: Chunk, before: Future[None] | None) -> None:
        """In the writer's thread, on its connection. Raises ChangedMeanwhile, also when the chunk `before` is not written."""
        writing = chunk.decided()
        with chunk_transaction(ms_max=CHUNK_MS_MAX):
            with _no_circles():
                chunk.lock(self._context)
                write(writing, self._context, self._draw(chunk))
                if before is not None and not before.done():
                    with connection.cursor() as cursor:
                        for statement in _READY:
                            cursor.execute(statement)
            if before is not None and before.exception() is not None:
                raise ChangedMeanwhile
            total = self._account(chunk, writing)
        self.counts = total

    def _write_first_alone(self) -> None:
        """Nobody else is at work: look the first chunk up under locks and write it, again when somebody else was quicker.

        Those behind it are looked up anew.
        """
        for chunk in self._line:
            chunk.begin_again()
        first = self._line[0]
        for _ in range(CHUNK_TRIES_MAX):
            self._seen.forget_since(first.mark)
            try:
                with chunk_transaction(ms_max=CHUNK_MS_MAX):
                    with _no_circles():
                        draw = self._draw(first)
                        writing = first.settle(self._source, self._context, self._seen, draw)
                        write(writing, self._context, draw)
                    total = self._account(first, writing)
                break
            except ChangedMeanwhile:
                first.begin_again()
        else:
            raise ImportBusy()
        self.counts = total
        self._line.popleft()
        self._tell_planner()
        for chunk in self._line:
            self._look_ahead(chunk)

    def _look_ahead(self, chunk: Chunk) -> None:
        with chunk_transaction(ms_max=CHUNK_MS_MAX):
            chunk.look_ahead(self._source, self._context, self._seen, self._thread, self._draw(chunk))

    def _draw(self, chunk: Chunk) -> Callable[[], str]:
        return customer_numbers(share=chunk.writer, shares=len(self._writers)).__next__

    def _account(self, chunk: Chunk, writing: Writing) -> dict[str, int]:
        """How far the import is with this chunk, at the end of its transaction: the counts then."""
        total = dict(self.counts)
        for name, number in {"rows": len(chunk.rows), **writing.counts}.items():
            total[name] = total.get(name, 0) + number
        position = chunk.rows[-1].number
        mine = Import.objects.for_merchant(self._source.merchant_id).filter(pk=self._source.pk)
        mine.update(position=position, run_counts=total)
        self._work.checkpoint(position, done=len(chunk.rows), **writing.counts)
        return total

    def _tell_planner(self) -> None:
        if self.counts["rows"] >= self._tell_at:
            self._tell_at = self.counts["rows"] * TELL_AGAIN_AT_TIMES
            tell_planner()


@contextmanager
def _no_circles() -> Iterator[None]:
    """ChangedMeanwhile where a lock was waited for in vain. Not around a checkpoint, which may not be done again."""
    try:
        yield
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable | DeadlockDetected):
            raise ChangedMeanwhile from error
        raise


@contextmanager
def writers_of(count: int) -> Iterator[Sequence[Executor]]:
    """So many threads, each with a connection of its own. One is the caller's own thread and connection."""
    if count == 1 or connection.in_atomic_block:
        # Another connection would not see what the caller's transaction has written.
        yield [_Here()]
        return
    writers = [ThreadPoolExecutor(max_workers=1, thread_name_prefix="import-writer") for _ in range(count)]
    try:
        yield writers
    finally:
        for writer in writers:
            writer.submit(connections.close_all)
        for writer in writers:
            writer.shutdown()


class _Here(Executor):
    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(work(*given, **named))
        except Exception as error:
            done.set_exception(error)
        return done


__all__ = ["CHUNK_MS_MAX", "CHUNK_TRIES_MAX", "ImportBusy", "Importing", "writers_of"]
