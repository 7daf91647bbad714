"""Expiring what is due, for whole merchants: the sweep behind what every posting does for its own account.

Nobody waits for it: points are over at their instant, because whoever writes to an account posts what is due first, and
whoever reads one leaves it out. The sweep brings the books, and the balances in lists, up to that.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from threading import Event, Lock

from django.db import connection, transaction
from django.utils.timezone import now

from cloudpos.tenancy.statements import Statement
from customers.events import add_events_from, emit_all
from customers.services import add_points_from, lock_customers, write_standing
from loyalty.ledger.balance import EXPIRED, EXPIRED_DESCRIPTION
from loyalty.rules import POINTS_PER_ENTRY_MAX
from loyalty.services.accounts import open_account
from loyalty.services.inactivity import expire_inactive, merchants_with_inactive_members

# So many lots are looked at for a transaction, which locks the customers they belong to: tills wait for it. What else is due of
# these customers goes with them.
CHUNK_LOTS = 1_000
# Accounts of so many chunks that lie side by side are dealt out in turn: a transaction changes a few rows of a page, and the next
# finds the room that the versions before have left there, so that most updates need no new entry in any index.
CHUNKS_DEALT = 16
JOBS_MAX = 16

_DUE = "merchant_id = %s AND remaining > 0 AND expires_at <= %s"

_WALK = (
    f"SELECT expires_at, enrollment_id FROM loyalty_lots WHERE {_DUE}"  # noqa: S608
    " AND (expires_at, enrollment_id) > (%s, %s) ORDER BY expires_at, enrollment_id LIMIT %s"
)

# Who is being served, or swept by another copy, is left to them: they post the same.
_LOCK = """
SELECT e.id, e.customer_id, e.balance
FROM unnest(%s::uuid[]) due (id)
JOIN loyalty_enrollments e ON e.merchant_id = %s AND e.id = due.id
JOIN customers c ON c.merchant_id = e.merchant_id AND c.id = e.customer_id
ORDER BY c.id FOR NO KEY UPDATE OF c SKIP LOCKED
"""

# A line for each lot: its entry (one for each instant of an account; the first lot of it stands for the entry), the entry's
# number and points, and what has gone with it. Keys are UUIDs of version 7 like all: the time that is passed in, and what is
# random in the lot's own, for drawing and writing a new one takes a tenth of the whole. The windows share one sort; a lot's
# points fit into an integer, whose sums are quicker than those of the wider type.
_OVER = """
SELECT *,
    first_value(key) OVER instant AS entry_id,
    sum(remaining) OVER (PARTITION BY enrollment_id, expires_at) AS points,
    dense_rank() OVER (PARTITION BY enrollment_id ORDER BY expires_at) AS number,
    sum(remaining) OVER (PARTITION BY enrollment_id ORDER BY expires_at) AS gone,
    row_number() OVER instant = 1 AS is_first,
    lead(lot_id) OVER (PARTITION BY enrollment_id ORDER BY expires_at, lot_id) IS NULL AS is_last
FROM (
    SELECT l.ctid AS place, l.id AS lot_id, l.enrollment_id, l.expires_at, l.remaining::int AS remaining,
        (%s || substr(l.id::text, 16))::uuid AS key, e.customer_id, e.balance, e.version, p.is_active
    FROM unnest(%s::uuid[]) locked (id)
    JOIN loyalty_enrollments e ON e.merchant_id = %s AND e.id = locked.id
    JOIN loyalty_programs p ON p.merchant_id = e.merchant_id AND p.id = e.program_id
    JOIN loyalty_lots l ON l.merchant_id = e.merchant_id AND l.enrollment_id = e.id
    WHERE l.remaining > 0 AND l.expires_at <= %s
) due
WINDOW instant AS (PARTITION BY enrollment_id, expires_at ORDER BY lot_id)
"""
# By where they were read in this very statement: nobody else may write to them meanwhile.
_EMPTY_LOTS = """
UPDATE loyalty_lots SET remaining = 0 FROM over
WHERE loyalty_lots.ctid = over.place AND loyalty_lots.merchant_id = %s AND loyalty_lots.id = over.lot_id
    AND loyalty_lots.remaining = over.remaining
RETURNING 1
"""
_POST = """
INSERT INTO loyalty_transactions (id, merchant_id, enrollment_id, version, type, points, balance_before, balance_after,
    description, transaction_id, occurred_at, recorded_at)
SELECT entry_id, %s, enrollment_id, version + number, %s, -points, balance - gone + points, balance - gone,
    %s, '', expires_at, %s
FROM over WHERE is_first
"""
_ALLOCATE = """
INSERT INTO loyalty_allocations (id, merchant_id, entry_id, lot_id, points, expired)
SELECT key, %s, entry_id, lot_id, remaining, true FROM over
"""
_WRITE_ACCOUNTS = """
UPDATE loyalty_enrollments SET balance = over.balance - over.gone, version = over.version + over.number FROM over
WHERE over.is_last AND loyalty_enrollments.merchant_id = %s AND loyalty_enrollments.id = over.enrollment_id
    AND loyalty_enrollments.version = over.version
RETURNING loyalty_enrollments.id
"""
_EVENTS = """
SELECT entry_id AS id, customer_id, expires_at AS occurred_at,
    jsonb_build_object('entryId', entry_id, 'points', -points, 'balance', balance - gone) AS data
FROM over WHERE is_first
"""
_STANDINGS = "SELECT customer_id, balance - gone AS points FROM over WHERE is_last AND is_active"


@dataclass(frozen=True, slots=True)
class Expired:
    """What was over, or would be expired: points, lots, and the accounts that had them."""

    points: int = 0
    lots: int = 0
    accounts: int = 0

    def __add__(self, other: Expired) -> Expired:
        return Expired(self.points + other.points, self.lots + other.lots, self.accounts + other.accounts)


def merchants_with_due_lots(*, at: datetime) -> list[uuid.UUID]:
    """Merchants who have lots that are over at this instant and not yet expired."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.id FROM merchants m WHERE EXISTS (SELECT FROM loyalty_lots l"
            " WHERE l.merchant_id = m.id AND l.remaining > 0 AND l.expires_at <= %s) ORDER BY m.id",
            [at],
        )
        found = {merchant_id for (merchant_id,) in cursor.fetchall()}
    return sorted(found.union(merchants_with_inactive_members(at=at)))


def count_due_lots(*, merchant_id: uuid.UUID, at: datetime) -> Expired:
    """What `expire_lots` would find of a merchant."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(remaining), 0), count(*), count(DISTINCT enrollment_id)"  # noqa: S608
            f" FROM (SELECT remaining, enrollment_id FROM loyalty_lots WHERE {_DUE} UNION ALL"
            " SELECT l.remaining, l.enrollment_id FROM loyalty_enrollments e JOIN loyalty_lots l"
            " ON l.merchant_id = e.merchant_id AND l.enrollment_id = e.id AND l.remaining > 0 AND l.while_active"
            " WHERE e.merchant_id = %s AND e.inactive_at <= %s) due",
            [merchant_id, at, merchant_id, at],
        )
        points, lots, accounts = cursor.fetchone()
    return Expired(int(points), lots, accounts)


def expire_lots(
    *,
    merchant_id: uuid.UUID,
    at: datetime | None = None,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Expired:
    """Expire a merchant's lots whose time is over at `at` (now), some accounts in a transaction at a time.

    Any number of copies may run beside each other and beside tills, and be killed at any moment. `jobs` transactions are
    under way at once, each on a connection of its own. `progress` is called with the number of lots after each. Returns what
    this call expired.
    """
    at = at or now()
    found = Expired()
    walk = _walk(merchant_id, at)
    # A few are not worth another connection.
    ahead = deque(islice(walk, 2))
    beside_us = min(jobs, JOBS_MAX) - 1 if len(ahead) > 1 else 0
    turn, failed = Lock(), Event()

    def work() -> None:
        nonlocal found
        while not failed.is_set():
            with turn:
                accounts = ahead.popleft() if ahead else next(walk, None)
            if accounts is None:
                return
            with transaction.atomic():
                part = _expire(merchant_id, accounts, at)
            with turn:
                found += part
                if progress is not None:
                    progress(part.lots)

    def work_beside() -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=JOBS_MAX) as pool:
        beside = [pool.submit(work_beside) for _ in range(beside_us)]
        try:
            work()
        except BaseException:
            failed.set()
            raise
    for each in beside:
        each.result()
    return found + Expired(*expire_inactive(merchant_id=merchant_id, at=at, progress=progress))


def _walk(merchant_id: uuid.UUID, at: datetime) -> Iterator[list[uuid.UUID]]:
    """Accounts with due lots, some for a transaction at a time, along the index of what is due."""
    place = (datetime.min.replace(tzinfo=at.tzinfo), uuid.UUID(int=0))
    most = CHUNK_LOTS * CHUNKS_DEALT
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_WALK, [merchant_id, at, *place, most])
            rows = cursor.fetchall()
        accounts = list(dict.fromkeys(enrollment_id for _, enrollment_id in rows))
        chunks = -(-len(rows) // CHUNK_LOTS)
        for number in range(min(chunks, len(accounts))):
            yield accounts[number::chunks]
        if len(rows) < most:
            return
        place = rows[-1]


def _expire(merchant_id: uuid.UUID, accounts: Sequence[uuid.UUID], at: datetime) -> Expired:
    with connection.cursor() as cursor:
        # The parts of a statement have no statistics: by their keys is how few rows are found in large tables.
        cursor.execute(
            "SELECT set_config(name, 'off', true) FROM unnest(%s::text[]) name",
            [["enable_seqscan", "enable_hashjoin", "enable_mergejoin"]],
        )
        cursor.execute(_LOCK, [list(accounts), merchant_id])
        locked = cursor.fetchall()
    # More points than an entry may have are split, which is rare enough to be done one by one.
    few = [account_id for account_id, _, balance in locked if balance <= POINTS_PER_ENTRY_MAX]
    found = _expire_together(merchant_id, few, at) if few else Expired()
    for _, customer_id, balance in locked:
        if balance > POINTS_PER_ENTRY_MAX:
            found += _expire_alone(merchant_id, customer_id)
    return found


def _expire_together(merchant_id: uuid.UUID, accounts: list[uuid.UUID], at: datetime) -> Expired:
    """Entries, allocations, lots, accounts, standings and events in one statement, under the customers' locks."""
    recorded_at = now()
    key = key_prefix(recorded_at)
    statement = Statement()
    statement.add("over", _OVER, [key, accounts, merchant_id, at])
    statement.add("lots", _EMPTY_LOTS, [merchant_id])
    statement.add("entries", _POST, [merchant_id, EXPIRED, EXPIRED_DESCRIPTION, recorded_at])
    statement.add("allocations", _ALLOCATE, [merchant_id])
    statement.add("accounts", _WRITE_ACCOUNTS, [merchant_id])
    statement.add("happened", _EVENTS, [])
    add_events_from(statement, "happened", merchant_id=merchant_id, type=f"points.{EXPIRED}", at=recorded_at)
    statement.add("standings", _STANDINGS, [])
    add_points_from(statement, "standings", merchant_id=merchant_id, at=recorded_at)
    points, lots, found, emptied, written = statement.execute(
        "SELECT coalesce(sum(remaining), 0), count(*), count(*) FILTER (WHERE is_last), (SELECT count(*) FROM lots),"
        " (SELECT count(*) FROM accounts) FROM over"
    )
    assert (lots, found) == (emptied, written), "an account changed under its customer's lock"
    return Expired(int(points), lots, found)


def _expire_alone(merchant_id: uuid.UUID, customer_id: uuid.UUID) -> Expired:
    (customer,) = lock_customers(merchant_id=merchant_id, customer_ids=[customer_id])
    account = open_account(customer=customer)
    if account is None or not account.entries:
        return Expired()
    account.write()
    write_standing(customer, points=account.balance, tier=account.tier)
    emit_all(account.events())
    return Expired(-sum(entry.points for entry in account.entries), len(account.allocations), 1)


def key_prefix(at: datetime) -> str:
    """The first 15 characters of a UUID of version 7: its milliseconds."""
    milliseconds = f"{int(at.timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7"
