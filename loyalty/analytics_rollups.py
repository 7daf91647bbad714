"""Summing the ledger up by day, incrementally and exactly.

The versions of an account have no gaps and are written under its lock, so "everything after version n" is precisely what
has not been summed up: no clock and no order of commits can slip an entry past. See docs/adr/0013-program-analytics.md.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection, transaction

from cloudpos.api.errors import Unavailable

# What a request sums up by itself: about two seconds. More is left to the background.
ENTRIES_PER_REQUEST_MAX = 100_000
# Per transaction, which holds the lock of the merchant's rollup meanwhile.
ENTRIES_PER_CHUNK_MAX = 200_000
WORK_MEMORY = "64MB"


class AnalyticsBeingPrepared(Unavailable):
    code = "analytics_being_prepared"
    message = "The figures are being brought up to date. Please try again in a minute."


@dataclass(frozen=True, slots=True)
class Standing:
    """All accounts of a merchant at one moment, by tier."""

    accounts: dict[str, int]
    balance: int
    entries: int


@dataclass(frozen=True, slots=True)
class State:
    """Up to where the ledger is summed up."""

    zones: dict[str, str]
    entries: int
    accounts: int
    revision: int


def standing(merchant_id: uuid.UUID) -> Standing:
    """One pass over the accounts; an account's version is the number of its entries."""
    rows = _rows(
        "SELECT tier, count(*), sum(balance)::bigint, sum(version)::bigint FROM loyalty_enrollments"
        " WHERE merchant_id = %(merchant)s GROUP BY tier",
        {"merchant": merchant_id},
    )
    return Standing(
        {tier: n for tier, n, _, _ in rows}, sum(row[2] for row in rows), sum(row[3] for row in rows)
    )


def bring_up_to_date(merchant_id: uuid.UUID) -> tuple[Standing, State]:
    """Sum up what is new, then hold everybody off the sums until the caller's transaction ends.

    Raises AnalyticsBeingPrepared when that is more than a request may take the time for.
    """
    state = lock(merchant_id)
    found = standing(merchant_id)
    if found.entries != state.entries:
        if found.entries - state.entries > ENTRIES_PER_REQUEST_MAX:
            raise AnalyticsBeingPrepared()
        state = fold(merchant_id, state, _pending(merchant_id))
    return found, state


def refresh(
    *, merchant_id: uuid.UUID, again: bool = False, progress: Callable[[int], None] | None = None
) -> int:
    """Sum up everything that is new, chunk by chunk. Returns the number of entries; `again` starts from nothing.

    Killed, the next run goes on where the last chunk was committed; several at once take turns.
    """
    total = 0
    while True:
        with transaction.atomic():
            state = lock(merchant_id, again=again)
            again = False
            chunk = _pending(merchant_id, entries_max=ENTRIES_PER_CHUNK_MAX)
            entries = fold(merchant_id, state, chunk).entries - state.entries
        if not chunk:
            return total
        total += entries
        if progress is not None:
            progress(entries)


def pending_entries(merchant_id: uuid.UUID) -> int:
    """How many entries are not summed up."""
    state = state_of(merchant_id)
    return standing(merchant_id).entries - (state.entries if state else 0)


def state_of(merchant_id: uuid.UUID) -> State | None:
    return _read(merchant_id, "")


def merchants_behind() -> list[uuid.UUID]:
    """Merchants with entries that are not summed up."""
    rows = _rows(
        "SELECT a.merchant_id FROM loyalty_enrollments a LEFT JOIN loyalty_rollups r USING (merchant_id)"
        " GROUP BY a.merchant_id, r.entries HAVING sum(a.version) <> coalesce(r.entries, 0)"
    )
    return [merchant_id for (merchant_id,) in rows]


def lock(merchant_id: uuid.UUID, *, again: bool = False) -> State:
    """Take the lock of the merchant's sums. Starts them anew when a store's days no longer begin when they did."""
    key = {"merchant": merchant_id}
    _do(
        "INSERT INTO loyalty_rollups (merchant_id, zones, entries, accounts, revision)"
        " VALUES (%(merchant)s, '{}', 0, 0, 0) ON CONFLICT DO NOTHING",
        key,
    )
    state = _read(merchant_id, "FOR UPDATE")
    assert state is not None
    zones = zones_of(merchant_id)
    if again or any(zones.get(store, zone) != zone for store, zone in state.zones.items()):
        for table in ("accounts", "days", "lots", "settlements"):
            _do(f"DELETE FROM loyalty_rollup_{table} WHERE merchant_id = %(merchant)s", key)
        state = State(zones, 0, 0, state.revision + 1)
        _write(merchant_id, state)
    elif zones != state.zones:
        state = State(zones, state.entries, state.accounts, state.revision)
        _write(merchant_id, state)
    return state


def zones_of(merchant_id: uuid.UUID) -> dict[str, str]:
    """By store, and the merchant's own: the zone in which its days begin."""
    return {str(store or "merchant"): zone for store, zone in _rows(_ZONES, {"merchant": merchant_id})}


def fold(merchant_id: uuid.UUID, state: State, pending: Sequence[tuple[Any, ...]]) -> State:
    """Add the new entries of the accounts in `pending` to the sums, under `lock`."""
    if not pending:
        return state
    accounts = state.accounts
    ids, after, upto, numbers = [], [], [], []
    for enrollment_id, rolled, version, number in pending:
        if number is None:
            number = accounts
            accounts += 1
        ids.append(enrollment_id)
        after.append(rolled)
        upto.append(version)
        numbers.append(number)
    parameters = {
        "merchant": merchant_id,
        "zone": state.zones["merchant"],
        "ids": ids,
        "after": after,
        "upto": upto,
        "numbers": numbers,
    }
    _do("SELECT set_config('work_mem', %(memory)s, true)", {"memory": WORK_MEMORY})
    _do(_FOLD_DAYS, parameters)
    _do(_FOLD_OPENED, parameters)
    _do(_FOLD_TAKEN, parameters)
    reopened = [row[0] for row in _rows(_REOPENED, parameters)]
    if reopened:
        _do(_FOLD_REOPENED, {**parameters, "entries": reopened})
    _do(_FOLD_ACCOUNTS, parameters)
    folded = State(state.zones, state.entries + sum(upto) - sum(after), accounts, state.revision + 1)
    _write(merchant_id, folded)
    return folded


def _pending(merchant_id: uuid.UUID, *, entries_max: int | None = None) -> list[tuple[Any, ...]]:
    """(account, version summed up, version now, its number or None), of accounts with about `entries_max` new entries."""
    rows = _rows(_PENDING, {"merchant": merchant_id, "max": entries_max})
    return list(_first(rows, entries_max)) if entries_max is not None else rows


def _first(rows: Sequence[tuple[Any, ...]], entries_max: int) -> Iterator[tuple[Any, ...]]:
    entries = 0
    for row in rows:
        yield row
        entries += row[2] - row[1]
        if entries >= entries_max:
            return


def _read(merchant_id: uuid.UUID, locking: str) -> State | None:
    rows = _rows(
        "SELECT zones, entries, accounts, revision FROM loyalty_rollups"
        f" WHERE merchant_id = %(merchant)s {locking}",
        {"merchant": merchant_id},
    )
    if not rows:
        return None
    zones, *numbers = rows[0]
    return State(zones if isinstance(zones, dict) else orjson.loads(zones), *numbers)


def _write(merchant_id: uuid.UUID, state: State) -> None:
    _do(
        "UPDATE loyalty_rollups SET zones = %(zones)s, entries = %(entries)s, accounts = %(accounts)s,"
        " revision = %(revision)s WHERE merchant_id = %(merchant)s",
        {
            "merchant": merchant_id,
            "zones": orjson.dumps(state.zones).decode(),
            "entries": state.entries,
            "accounts": state.accounts,
            "revision": state.revision,
        },
    )


def _rows(sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def _do(sql: str, parameters: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


# NULL is the merchant itself: what a person books at no store is of the merchant's day.
_ZONES = """
SELECT store.id, coalesce(nullif(store.timezone, ''), merchant.timezone)
FROM stores store JOIN merchants merchant ON merchant.id = store.merchant_id WHERE merchant.id = %(merchant)s
UNION ALL SELECT NULL, timezone FROM merchants WHERE id = %(merchant)s
"""

_PENDING = """
SELECT account.id, coalesce(rolled.version, 0), account.version, rolled.number
FROM loyalty_enrollments account
LEFT JOIN loyalty_rollup_accounts rolled
    ON rolled.merchant_id = account.merchant_id AND rolled.enrollment_id = account.id
WHERE account.merchant_id = %(merchant)s AND account.version > coalesce(rolled.version, 0)
LIMIT %(max)s
"""

_ENTRIES = """
folding AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)s::uuid[], %(after)s::int[], %(upto)s::int[], %(numbers)s::int[])
        AS folding (enrollment_id, after, upto, number)
), store AS MATERIALIZED (
    SELECT id, coalesce(nullif(timezone, ''), %(zone)s) AS zone FROM stores WHERE merchant_id = %(merchant)s
), entry AS (
    SELECT entry.id, entry.type, entry.points, entry.purchase_id, entry.store_id, entry.occurred_at, folding.number,
        greatest(-entry.balance_after, 0) - greatest(-entry.balance_before, 0) AS owed,
        (entry.occurred_at AT TIME ZONE coalesce(store.zone, %(zone)s))::date AS day,
        date_trunc('month', entry.occurred_at AT TIME ZONE %(zone)s)::date AS month
    FROM folding
    JOIN loyalty_transactions entry ON entry.merchant_id = %(merchant)s
        AND entry.enrollment_id = folding.enrollment_id
        AND entry.version > folding.after AND entry.version <= folding.upto
    LEFT JOIN store ON store.id = entry.store_id
)
"""

_ADD_LOTS = """
ON CONFLICT (merchant_id, earned_in, month) DO UPDATE SET
    opened = rolled.opened + excluded.opened, redeemed = rolled.redeemed + excluded.redeemed,
    expired = rolled.expired + excluded.expired, removed = rolled.removed + excluded.removed
"""

_FOLD_DAYS = f"""
WITH {_ENTRIES}
INSERT INTO loyalty_rollup_days AS rolled
    (merchant_id, store_id, day, type, credited, debited, entries, members)
SELECT %(merchant)s, store_id, day, type, coalesce(sum(points) FILTER (WHERE points > 0), 0),
    coalesce(-sum(points) FILTER (WHERE points < 0), 0), count(*),
    CASE WHEN type IN ('earned', 'bonus', 'redeemed') THEN string_agg(DISTINCT int4send(number), '') ELSE '' END
FROM entry GROUP BY store_id, day, type
ON CONFLICT (merchant_id, day, type, store_id) DO UPDATE SET
    credited = rolled.credited + excluded.credited, debited = rolled.debited + excluded.debited,
    entries = rolled.entries + excluded.entries, members = rolled.members || excluded.members
"""

# Every credit opens a lot of its own age, but a correction of an earlier purchase one of the purchase's, a transfer
# moves lots with their ages (which changes nothing here), and a reversal gives back to the ages it took from. What fills
# a debt is in no lot; by a transfer, points of any age fill it.
_FOLD_OPENED = f"""
WITH {_ENTRIES}, opened AS (
    SELECT coalesce(date_trunc('month', purchase.occurred_at AT TIME ZONE %(zone)s)::date, entry.month) AS earned_in,
        entry.month, entry.points + entry.owed AS points, 0 AS removed
    FROM entry
    LEFT JOIN purchases purchase ON purchase.merchant_id = %(merchant)s AND purchase.id = entry.purchase_id
    WHERE entry.points > 0 AND entry.type NOT IN ('transferred', 'reversed')
    UNION ALL
    SELECT month, month, 0, -owed FROM entry WHERE type = 'transferred' AND owed <> 0
)
INSERT INTO loyalty_rollup_lots AS rolled (merchant_id, earned_in, month, opened, redeemed, expired, removed)
SELECT %(merchant)s, earned_in, month, sum(points), 0, 0, sum(removed) FROM opened GROUP BY earned_in, month
{_ADD_LOTS}
"""

_TAKEN = (
    """
taken AS MATERIALIZED (
    SELECT entry.type, entry.day, entry.month, entry.store_id, moved.purchase_id, moved.entry_id,
        date_trunc('month', moved.earned_at AT TIME ZONE %(zone)s)::date AS earned_in,
        -moved.points * sign(entry.points)::int AS points
    FROM moved JOIN entry ON entry.id = moved.moved_by
), ages AS (
    INSERT INTO loyalty_rollup_lots AS rolled (merchant_id, earned_in, month, opened, redeemed, expired, removed)
    SELECT %(merchant)s, earned_in, month, 0, coalesce(sum(points) FILTER (WHERE type = 'redeemed' OR points < 0), 0),
        coalesce(sum(points) FILTER (WHERE type = 'expired'), 0),
        coalesce(sum(points) FILTER (WHERE type NOT IN ('redeemed', 'expired') AND points > 0), 0)
    FROM taken GROUP BY earned_in, month
"""
    + _ADD_LOTS
    + """
)
INSERT INTO loyalty_rollup_settlements AS rolled (merchant_id, day, earned_store_id, spent_store_id, points)
SELECT %(merchant)s, taken.day, coalesce(purchase.store_id, opened.store_id), taken.store_id, sum(taken.points)
FROM taken
LEFT JOIN purchases purchase ON purchase.merchant_id = %(merchant)s AND purchase.id = taken.purchase_id
JOIN loyalty_transactions opened ON opened.merchant_id = %(merchant)s AND opened.id = taken.entry_id
WHERE taken.type = 'redeemed' OR taken.points < 0
GROUP BY 2, 3, 4
ON CONFLICT (merchant_id, day, earned_store_id, spent_store_id) DO UPDATE
    SET points = rolled.points + excluded.points
"""
)

_FOLD_TAKEN = f"""
WITH {_ENTRIES}, moved AS (
    SELECT allocation.entry_id AS moved_by, allocation.points, lot.earned_at, lot.purchase_id, lot.entry_id
    FROM entry
    JOIN loyalty_allocations allocation ON allocation.merchant_id = %(merchant)s AND allocation.entry_id = entry.id
    JOIN loyalty_lots lot ON lot.merchant_id = %(merchant)s AND lot.id = allocation.lot_id
    WHERE (entry.points < 0 OR entry.type = 'reversed') AND entry.type <> 'transferred'
), {_TAKEN}
"""

# A cancelled redemption whose points went into new lots, because their own are another account's since a merge. Rare,
# and lots have no index by entry: only then is one looked for.
_REOPENED = f"""
WITH {_ENTRIES}
SELECT entry.id FROM entry WHERE entry.type = 'reversed' AND entry.points > coalesce((
    SELECT sum(allocation.points) FROM loyalty_allocations allocation
    WHERE allocation.merchant_id = %(merchant)s AND allocation.entry_id = entry.id
), 0)
"""

_FOLD_REOPENED = f"""
WITH {_ENTRIES}, moved AS (
    SELECT lot.entry_id AS moved_by, lot.points, lot.earned_at, lot.purchase_id, lot.entry_id
    FROM loyalty_lots lot WHERE lot.merchant_id = %(merchant)s AND lot.entry_id = ANY(%(entries)s)
), {_TAKEN}
"""

_FOLD_ACCOUNTS = """
INSERT INTO loyalty_rollup_accounts (enrollment_id, merchant_id, version, number)
SELECT folding.enrollment_id, %(merchant)s, folding.upto, folding.number
FROM unnest(%(ids)s::uuid[], %(upto)s::int[], %(numbers)s::int[]) AS folding (enrollment_id, upto, number)
ON CONFLICT (enrollment_id) DO UPDATE SET version = excluded.version
"""
