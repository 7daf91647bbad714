"""Loading customers by the ten thousand: the rules of `create_customer`, the speed of COPY."""

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import Any

from django.db import connection, transaction
from django.utils.timezone import now

from cloudpos.api.errors import ApiError
from cloudpos.garbage import rare_collections
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.drafting import draft
from cloudpos.tenancy.models import Store
from customers.identity import new_customer_number
from customers.models import Address, Consent, ConsentState, Customer, Preferences
from customers.services.consents import build_consent
from customers.services.copying import column_names, copy_in, copy_lines
from customers.services.customers import Draft, prepare
from customers.services.profile import index_customer
from customers.services.standing import STANDING

CHUNK_ROWS = 1_000
CHUNK_MS_MAX = 120_000
NUMBER_DRAWS_MAX = 5
REFUSALS_KEPT_MAX = 1_000
RECOGNISED_BY = ("merchant_id", "id", "email_key", "phone", "customer_number")


@dataclass(slots=True)
class LoadReport:
    """What became of the rows. `refusals`: (place in the input from 0, why), the first REFUSALS_KEPT_MAX."""

    loaded: int = 0
    skipped: int = 0
    refused: int = 0
    refusals: list[tuple[int, ApiError]] = field(default_factory=list)


def load_customers(
    *,
    access: Access,
    rows: Iterable[Mapping[str, Any]],
    progress: Callable[[int], None] | None = None,
) -> LoadReport:
    """Insert customers with their `addresses`, `preferences` and `consents`, chunk by chunk, each in a transaction.

    Rows are what `create_customer` takes, and may also say `id`, `customer_number`, `created_at`, standing columns and
    `consents` (a list of {channel, purpose, state, source, occurred_at}). A row whose id, number, e-mail or phone is
    taken is skipped, so that a load with given ids may be killed and run again. No events are emitted: segments and
    the like are refreshed by their own jobs, and the planner's statistics by the caller when all is loaded. `progress`
    is called with the number of rows done since the last call.
    """
    stores = frozenset(Store.objects.for_merchant(access.merchant_id).values_list("pk", flat=True))
    report = LoadReport()
    chunks = _chunks(rows)
    # Preparing needs no database: the next chunk is prepared while PostgreSQL indexes this one.
    with (
        rare_collections(),
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="load-customers") as executor,
    ):
        prepared = _next_chunk(executor, chunks, access=access, stores=stores)
        while prepared is not None:
            chunk = prepared.result()
            prepared = _next_chunk(executor, chunks, access=access, stores=stores)
            with transaction.atomic():
                _allow_time()
                loaded = len(insert_ready(chunk.ready, search_key=access.search_key))
            report.loaded += loaded
            report.skipped += len(chunk.ready) - loaded
            report.refused += len(chunk.refusals)
            report.refusals.extend(chunk.refusals[: REFUSALS_KEPT_MAX - len(report.refusals)])
            if progress is not None:
                progress(len(chunk.ready) + len(chunk.refusals))
    return report


@dataclass(slots=True)
class Ready:
    """A customer about to be loaded: the lines of its row and of its parts."""

    customer: Customer
    line: str
    addresses: str
    consents: str
    preferences: str
    # A number that was given is never drawn again.
    number_given: bool


@dataclass(slots=True)
class _Chunk:
    ready: list[Ready] = field(default_factory=list)
    refusals: list[tuple[int, ApiError]] = field(default_factory=list)


def _chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    """(place of its first row, rows) of each chunk."""
    iterator = iter(rows)
    place = 0
    while chunk := list(islice(iterator, CHUNK_ROWS)):
        yield place, chunk
        place += len(chunk)


def _next_chunk(
    executor: ThreadPoolExecutor,
    chunks: Iterator[tuple[int, list[Mapping[str, Any]]]],
    *,
    access: Access,
    stores: Collection[uuid.UUID],
) -> "Future[_Chunk] | None":
    # Read here, not in the thread: the caller's generator may use a connection of its own.
    found = next(chunks, None)
    if found is None:
        return None
    first, rows = found
    return executor.submit(_prepare_chunk, rows, first=first, access=access, stores=stores)


def _prepare_chunk(
    rows: Sequence[Mapping[str, Any]], *, first: int, access: Access, stores: Collection[uuid.UUID]
) -> _Chunk:
    at = now()
    today = at.astimezone(access.tz).date()
    chunk = _Chunk()
    for place, row in enumerate(rows, start=first):
        try:
            made = _draft(row, access=access, stores=stores, today=today, at=at)
        except ApiError as exc:
            chunk.refusals.append((place, exc))
            continue
        chunk.ready.append(ready(made, number_given="customer_number" in row))
    return chunk


def ready(made: Draft, *, number_given: bool = False) -> Ready:
    """What `insert_ready` takes, made without the database."""
    line = copy_lines(Customer, [made.customer])
    # Half of its memory, and found anew with another number.
    made.customer.search = []
    return Ready(
        made.customer,
        line,
        copy_lines(Address, made.addresses),
        copy_lines(Consent, made.consents),
        copy_lines(Preferences, filter(None, [made.preferences])),
        number_given=number_given,
    )


def insert_ready(
    rows: Sequence[Ready], *, search_key: str, draw: Callable[[], str] | None = None
) -> set[uuid.UUID]:
    """Insert customers with their parts, without events, inside the caller's transaction: the ids of those that are in.

    Left out is whose e-mail or phone somebody has by now. Whose number somebody has gets another one, by `draw` if given.
    """
    pending = list(rows)
    inserted: set[uuid.UUID] = set()
    for _ in range(NUMBER_DRAWS_MAX):
        if not pending:
            break
        inserted |= _insert_new(pending)
        refused = [each for each in pending if each.customer.pk not in inserted and not each.number_given]
        pending = _redrawn(refused, search_key=search_key, draw=draw or new_customer_number)
    kept = [each for each in rows if each.customer.pk in inserted]
    copy_in(Address, [each.addresses for each in kept])
    copy_in(Consent, [each.consents for each in kept])
    copy_in(Preferences, [each.preferences for each in kept])
    return inserted


def tell_planner() -> None:
    """Statistics of the columns by which customers are recognised, while a load fills their table: autovacuum comes too late.

    Without them any index that begins with the merchant seems as good as that of the e-mails.
    """
    with transaction.atomic():
        _allow_time()
        with connection.cursor() as cursor:
            # Not where autovacuum is at it.
            cursor.execute(f"ANALYZE (SKIP_LOCKED) customers ({', '.join(RECOGNISED_BY)})")


def _draft(
    row: Mapping[str, Any], *, access: Access, stores: Collection[uuid.UUID], today: date, at: datetime
) -> Draft:
    made = prepare(row, access=access, today=today, stores=stores, at=at)
    customer = made.customer
    customer.created_at = row.get("created_at") or at
    for name in STANDING & row.keys():
        setattr(customer, name, row[name])
    if "customer_number" in row:
        customer.customer_number = row["customer_number"]
        index_customer(customer, search_key=access.search_key)
    if "id" in row:
        customer.pk = row["id"]
        parts: list[Any] = [*made.addresses, *made.consents, *filter(None, [made.preferences])]
        for part in parts:
            part.customer_id = customer.pk
    said = row.get("consents") or ()
    add_statements(made, [build_consent(customer, **statement) for statement in said])
    return made


def add_statements(ready: Draft, statements: Sequence[Consent]) -> None:
    """What a customer who is about to be inserted has said."""
    if not statements:
        return
    customer = ready.customer
    ready.consents.extend(statements)
    if ready.preferences is None:
        ready.preferences = draft(Preferences, merchant_id=customer.merchant_id, customer_id=customer.pk)
    ready.preferences.consents = _fold(ready.consents)


def _fold(statements: Iterable[Consent]) -> dict[str, dict[str, bool]]:
    """The fold of `customers.services.consents`, of a log that is all here."""
    folded: dict[str, dict[str, bool]] = {}
    # "withdrawn" stands after "granted": of two at one instant the withdrawal counts.
    for statement in sorted(statements, key=lambda s: (s.occurred_at, s.state)):
        granted = statement.state == ConsentState.GRANTED
        folded.setdefault(statement.channel, {})[statement.purpose] = granted
    return folded


def _allow_time() -> None:
    """A COPY is one statement for as long as we feed it: longer than any request's may take."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {CHUNK_MS_MAX}")


def _redrawn(refused: Sequence[Ready], *, search_key: str, draw: Callable[[], str]) -> list[Ready]:
    """Those that failed only because their random number is somebody else's, with another number."""
    if not refused:
        return []
    holders = dict(
        Customer.objects.for_merchant(refused[0].customer.merchant_id)
        .filter(customer_number__in=[each.customer.customer_number for each in refused])
        .values_list("customer_number", "pk")
    )
    redrawn = []
    for each in refused:
        customer = each.customer
        if holders.get(customer.customer_number, customer.pk) != customer.pk:
            customer.customer_number = draw()
            index_customer(customer, search_key=search_key)
            each.line = copy_lines(Customer, [customer])
            redrawn.append(each)
    return redrawn


def _insert_new(ready: Sequence[Ready]) -> set[uuid.UUID]:
    """COPY into a temporary table, then insert what conflicts with nothing. The ids that are in."""
    columns = column_names(Customer)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE IF NOT EXISTS customers_loading (LIKE customers) ON COMMIT DELETE ROWS"
        )
        cursor.execute("TRUNCATE customers_loading")
        copy_in(Customer, [each.line for each in ready], table="customers_loading")
        cursor.execute(
            f"INSERT INTO customers ({columns}) SELECT {columns} FROM customers_loading "  # noqa: S608
            "ON CONFLICT DO NOTHING RETURNING id"
        )
        return {row[0] for row in cursor.fetchall()}
