"""Loading a history of sales: the arithmetic of the till's own functions, the speed of COPY.

Purchases of customers who had none, or who come after everything on record of their customer, are worked out in memory and
copied in; anything else (late ones, returns of purchases on record) goes through `take_purchase` and `return_purchase`
in the same transaction. So the outcome is the one that tills would have reached by sending everything one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from django.db import IntegrityError, OperationalError, connection, transaction

from cloudpos.checkout.bulk.chunk import Chunk, LoadReport
from cloudpos.checkout.bulk.copying import tell_planner
from cloudpos.checkout.bulk.rows import Row
from cloudpos.garbage import rare_collections
from cloudpos.tenancy.access import Access
from loyalty.ledger import PromotionCapped

__all__ = ["LoadReport", "load_history", "tell_planner"]

CHUNK_ROWS = 4_000
WORKERS = 2
ATTEMPTS = 4
CHUNK_TIMEOUT_SECONDS = 120


def load_history(
    *, access: Access, sales: Iterable[Row], progress: Callable[[int], None] | None = None
) -> LoadReport:
    """Load purchases with their returns, chunk by chunk, each in a transaction.

    A row has the fields of POST /purchases by their Python names, always with `customer_id`, `store_id` and
    `occurred_at`, and `returns`: rows as POST /purchases/{transactionId}/returns takes them, each with `store_id`,
    `amount` and `occurred_at`. Rows of one customer stand together; their order is free. A row whose transaction is on
    record is left out, so a load may be killed at any moment and run again. Events are recorded as history: nobody is
    notified. `progress` is called with the number of purchases and returns done since the last call. Memory is bounded
    by WORKERS chunks. Whoever has loaded the last of it calls `tell_planner`.

    Raises CustomerNotFound for a customer who is not there.
    """
    report = LoadReport()

    def done(size: int, loaded: LoadReport) -> None:
        report.add(loaded)
        if progress is not None:
            progress(size)

    if connection.in_atomic_block:
        # The caller's transaction is this thread's alone.
        with rare_collections():
            for chunk in _chunks(sales):
                done(_size(chunk), _load_chunk(access, chunk))
        return report
    with (
        rare_collections(),
        ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="load-history") as executor,
    ):
        running: dict[Future[LoadReport], int] = {}
        for chunk in _chunks(sales):
            while len(running) >= WORKERS:
                _collect(running, done)
            running[executor.submit(_load_in_thread, access, chunk)] = _size(chunk)
        while running:
            _collect(running, done)
    return report


def _collect(running: dict[Future[LoadReport], int], done: Callable[[int, LoadReport], None]) -> None:
    finished, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in finished:
        done(running.pop(future), future.result())


def _load_in_thread(access: Access, chunk: list[list[Row]]) -> LoadReport:
    try:
        return _load_chunk(access, chunk)
    finally:
        connection.close()


def _chunks(sales: Iterable[Row]) -> Iterator[list[list[Row]]]:
    """Customers with all of their rows that stand together, until a chunk is full."""
    chunk: list[list[Row]] = []
    size = 0
    customer_id = None
    for sale in sales:
        if chunk and sale["customer_id"] == customer_id:
            chunk[-1].append(sale)
        else:
            if size >= CHUNK_ROWS:
                yield chunk
                chunk, size = [], 0
            chunk.append([sale])
            customer_id = sale["customer_id"]
        size += 1 + len(sale.get("returns") or ())
    if chunk:
        yield chunk


def _size(chunk: list[list[Row]]) -> int:
    return sum(1 + len(sale.get("returns") or ()) for sales in chunk for sale in sales)


def _load_chunk(access: Access, chunk: list[list[Row]]) -> LoadReport:
    """One transaction; tried again when a till got in between."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(f"SET LOCAL statement_timeout = {CHUNK_TIMEOUT_SECONDS * 1000}")
                return Chunk(access, chunk).load()
        except (IntegrityError, OperationalError, PromotionCapped):
            if attempt == ATTEMPTS or connection.in_atomic_block:
                raise
            time.sleep(0.1 * attempt)
    raise AssertionError("the last attempt returns or raises")
