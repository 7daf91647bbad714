"""An account being written to: entries, lots and allocations collected in memory, then sent as one statement.

An Account is opened under the customer's lock, credited and debited any number of times, and written once. Not written,
it was a quote: the same arithmetic without a trace.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from django.db import connection
from django.utils.timezone import now

from cloudpos.ids import new_id
from customers.events import event
from customers.models import Event
from loyalty.rules import POINTS_PER_ENTRY_MAX, RuleBook, Rules, TierRule, from_cents

NEVER = datetime.max.replace(tzinfo=UTC)
LOTS_FIRST_PAGE = 32
ROWS_PER_STATEMENT_MAX = 1_000
LOTS_NEXT_PAGE = 1_000
DESCRIPTION_CHARS_MAX = 500


@dataclass(slots=True)
class LotState:
    """A lot as this posting knows it; `entry_id` is set when the lot is new."""

    id: uuid.UUID
    points: int
    remaining: int
    earned_at: datetime
    expires_at: datetime | None
    purchase_id: uuid.UUID | None
    entry_id: uuid.UUID | None = None
    stored_remaining: int = 0

    @property
    def order(self) -> tuple[datetime, datetime, uuid.UUID]:
        """The order in which debits use lots up: earliest expiry, then earliest earned, then id."""
        return (self.expires_at or NEVER, self.earned_at, self.id)

    def burnable(self, at: datetime) -> bool:
        """Whether a debit at this instant may take from it: expiry holds from its instant, swept or not."""
        return self.remaining > 0 and (self.expires_at is None or self.expires_at > at)


@dataclass(frozen=True, slots=True)
class Cause:
    """What an entry is due to. `at` is when it happened."""

    at: datetime
    description: str = ""
    purchase_id: uuid.UUID | None = None
    purchase_return_id: uuid.UUID | None = None
    reverses_id: uuid.UUID | None = None
    transaction_id: str = ""
    content_hash: bytes | None = None
    actor_id: uuid.UUID | None = None
    store_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A ledger entry about to be written."""

    id: uuid.UUID
    version: int
    type: str
    points: int
    balance_before: int
    cause: Cause
    recorded_at: datetime

    @property
    def balance_after(self) -> int:
        return self.balance_before + self.points


@dataclass(frozen=True, slots=True)
class ShortfallRow:
    id: uuid.UUID
    purchase_id: uuid.UUID
    purchase_return_id: uuid.UUID | None
    points: int
    recorded_at: datetime


COLUMNS = {
    "loyalty_transactions": (
        "id", "merchant_id", "enrollment_id", "version", "type", "points", "balance_before", "balance_after",
        "description", "purchase_id", "purchase_return_id", "reverses_id", "transaction_id", "actor_id", "store_id",
        "content_hash", "occurred_at", "recorded_at",
    ),
    "loyalty_lots": (
        "id", "merchant_id", "enrollment_id", "entry_id", "purchase_id", "points", "remaining", "earned_at",
        "expires_at",
    ),
    "loyalty_allocations": ("id", "merchant_id", "entry_id", "lot_id", "points"),
    "loyalty_shortfalls": (
        "id", "merchant_id", "enrollment_id", "purchase_id", "purchase_return_id", "points", "recorded_at",
    ),
    "loyalty_enrollments": (
        "id", "merchant_id", "customer_id", "program_id", "balance", "version", "tier", "qualifying_spend",
        "last_activity_at", "enrolled_at",
    ),
}  # fmt: skip
_INSERTS = {
    table: (f"INSERT INTO {table} ({','.join(columns)}) VALUES ", f"({','.join(['%s'] * len(columns))})")  # noqa: S608
    for table, columns in COLUMNS.items()
}

_USE_LOTS = """
used AS (
    UPDATE loyalty_lots SET remaining = v.remaining FROM unnest(%s::uuid[], %s::bigint[]) v (id, remaining)
    WHERE loyalty_lots.merchant_id = %s AND loyalty_lots.id = v.id
)
"""
_UPDATE_ENROLLMENT = """
UPDATE loyalty_enrollments SET balance = %s, version = %s, tier = %s, qualifying_spend = %s, last_activity_at = %s
WHERE merchant_id = %s AND id = %s AND version = %s
"""


def _insert(table: str, rows: int) -> str:
    head, row = _INSERTS[table]
    return head + ",".join([row] * rows)


class Account:
    """A customer's enrollment in the merchant's active program, with what this posting adds to it."""

    __slots__ = (
        "_asked", "_complete", "_first_version", "_horizon", "_loaded", "_lots", "_lots_of", "_told", "_told_tier",
        "allocations", "balance", "book", "customer_id", "at", "entries", "id", "is_new",
        "last_activity_at", "merchant_id", "new_lots", "program_id", "shortfalls", "spend_cents", "tier", "version",
    )  # fmt: skip

    def __init__(
        self,
        *,
        merchant_id: uuid.UUID,
        customer_id: uuid.UUID,
        program_id: uuid.UUID,
        book: RuleBook,
        id: uuid.UUID | None = None,
        balance: int = 0,
        version: int = 0,
        tier: str = "",
        spend_cents: int = 0,
        last_activity_at: datetime | None = None,
    ) -> None:
        self.merchant_id = merchant_id
        self.customer_id = customer_id
        self.program_id = program_id
        self.book = book
        self.is_new = id is None
        self.id = id or new_id()
        self.balance = balance
        self.version = self._first_version = version
        self.tier = self._told_tier = tier
        self._told = 0
        self.spend_cents = spend_cents
        self.last_activity_at = last_activity_at
        # One instant for all of a posting: what it records, and which lots are over.
        self.at = now()
        self.entries: list[Entry] = []
        self.new_lots: list[LotState] = []
        self.allocations: list[tuple[uuid.UUID, uuid.UUID, int]] = []
        self.shortfalls: list[ShortfallRow] = []
        # Lots known so far, by id; those of the database up to _horizon in FIFO order, all of them once _complete.
        self._lots: dict[uuid.UUID, LotState] = {}
        self._lots_of: dict[uuid.UUID, list[LotState]] = {}
        self._asked: set[uuid.UUID] = set()
        self._loaded = 0
        self._horizon: tuple[datetime, datetime, uuid.UUID] | None = None
        self._complete = self.is_new
        if self.is_new:
            self.settle_tier()

    # --- Tier -----------------------------------------------------------------------------------------------

    @property
    def rules(self) -> Rules:
        return self.book.current

    @property
    def tier_rule(self) -> TierRule | None:
        return self.rules.tier_for(self.spend_cents)

    def settle_tier(self) -> None:
        """The tier follows the net spend, up and down."""
        reached = self.tier_rule
        self.tier = reached.code if reached is not None else ""

    # --- Posting --------------------------------------------------------------------------------------------

    def credit(
        self,
        *,
        type: str,
        points: int,
        cause: Cause,
        earned_at: datetime | None = None,
        expires_at: datetime | None = None,
    ) -> Entry:
        """Add points in a lot of their own. `earned_at` is `cause.at` unless given."""
        entry = self._post(type, points, cause)
        self.open_lot(
            entry,
            points=points,
            earned_at=earned_at or cause.at,
            expires_at=expires_at,
            purchase_id=cause.purchase_id,
        )
        return entry

    def credit_lots(self, *, type: str, lots: Sequence[LotState], cause: Cause) -> Entry:
        """Add points in new lots that keep the times and the sale of `lots`, as a transfer does."""
        entry = self._post(type, sum(lot.remaining for lot in lots), cause)
        for lot in lots:
            self.open_lot(
                entry,
                points=lot.remaining,
                earned_at=lot.earned_at,
                expires_at=lot.expires_at,
                purchase_id=lot.purchase_id,
            )
        return entry

    def open_lot(
        self,
        entry: Entry,
        *,
        points: int,
        earned_at: datetime,
        expires_at: datetime | None,
        purchase_id: uuid.UUID | None,
    ) -> None:
        lot = LotState(new_id(), points, points, earned_at, expires_at, purchase_id, entry_id=entry.id)
        self.new_lots.append(lot)
        self._know(lot)

    def debit(self, *, type: str, points: int, cause: Cause, own: uuid.UUID | None = None) -> int:
        """Take points off, `own` names the purchase whose lots go first, then all in FIFO order.

        Returns how many were taken: fewer than asked for when there are no more to burn. No entry when there is nothing
        to take.
        """
        lots: list[tuple[LotState, int]] = []
        missing = points
        used: set[uuid.UUID] = set()
        if own is not None:
            for lot in self.lots_of(own):
                if missing and lot.burnable(self.at):
                    taken = min(missing, lot.remaining)
                    lots.append((lot, taken))
                    used.add(lot.id)
                    missing -= taken
        if missing:
            for lot in self.burnable_lots(missing, but=used):
                taken = min(missing, lot.remaining)
                lots.append((lot, taken))
                missing -= taken
                if not missing:
                    break
        return self.debit_lots(type=type, lots=lots, cause=cause)

    def debit_lots(self, *, type: str, lots: Sequence[tuple[LotState, int]], cause: Cause) -> int:
        """Take exactly these points from exactly these lots. Returns their sum; no entry when it is 0."""
        points = sum(taken for _, taken in lots)
        if points == 0:
            return 0
        entry = self._post(type, -points, cause)
        for lot, taken in lots:
            lot.remaining -= taken
            self.allocations.append((entry.id, lot.id, taken))
        return points

    def restore(self, *, type: str, lots: Sequence[tuple[LotState, int]], cause: Cause) -> Entry:
        """Put points back into the lots that a debit took them from."""
        entry = self._post(type, sum(given for _, given in lots), cause)
        for lot, given in lots:
            lot.remaining += given
            self.allocations.append((entry.id, lot.id, given))
        return entry

    def fall_short(
        self, *, points: int, purchase_id: uuid.UUID, purchase_return_id: uuid.UUID | None = None
    ) -> None:
        """Record points that should have been taken back and are spent; negative: made good."""
        self.shortfalls.append(ShortfallRow(new_id(), purchase_id, purchase_return_id, points, self.at))

    def _post(self, type: str, points: int, cause: Cause) -> Entry:
        if not 0 < abs(points) <= POINTS_PER_ENTRY_MAX:
            raise ValueError(f"an entry has 1 to {POINTS_PER_ENTRY_MAX} points, not {points}")
        self.version += 1
        entry = Entry(new_id(), self.version, type, points, self.balance, cause, self.at)
        self.balance = entry.balance_after
        self.entries.append(entry)
        return entry

    # --- Lots -----------------------------------------------------------------------------------------------

    def burnable_lots(
        self, points: int, but: set[uuid.UUID] | frozenset[uuid.UUID] = frozenset()
    ) -> list[LotState]:
        """Lots in FIFO order that hold `points` at least, or all there are. `but` leaves some out."""
        while True:
            ready = [
                lot
                for lot in self._lots.values()
                if lot.burnable(self.at)
                and lot.id not in but
                and (self._complete or (self._horizon is not None and lot.order <= self._horizon))
            ]
            if self._complete or sum(lot.remaining for lot in ready) >= points:
                ready.sort(key=lambda lot: lot.order)
                return ready
            self._load_more()

    def all_lots(self) -> list[LotState]:
        """Every lot with points left, in FIFO order."""
        while not self._complete:
            self._load_more()
        return sorted((lot for lot in self._lots.values() if lot.remaining > 0), key=lambda lot: lot.order)

    def lots_of(self, purchase_id: uuid.UUID) -> list[LotState]:
        """The lots of one purchase in FIFO order, read once."""
        self.load_lots_of([purchase_id])
        return sorted(self._lots_of.get(purchase_id, ()), key=lambda lot: lot.order)

    def lots_of_entry(self, entry_id: uuid.UUID) -> list[LotState]:
        """The open lots that one entry gave, in FIFO order."""
        found = [lot.id for lot in self._read_lots("AND entry_id = %s FOR NO KEY UPDATE", [entry_id])]
        return sorted((self._lots[lot_id] for lot_id in found), key=lambda lot: lot.order)

    def load_lots_of(self, purchase_ids: Iterable[uuid.UUID]) -> None:
        """Read the open lots of several purchases in one query."""
        asked = [purchase_id for purchase_id in purchase_ids if purchase_id not in self._asked]
        # A new account has nothing in the database, a complete one has read it.
        if not asked or self._complete:
            return
        self._asked.update(asked)
        self._read_lots("AND purchase_id = ANY(%s) FOR NO KEY UPDATE", [asked])

    def lots_by_id(self, lot_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, LotState]:
        """Lots of this account, empty ones included."""
        self._read_lots("AND id = ANY(%s) FOR NO KEY UPDATE", [list(lot_ids)], empty=True)
        return {lot_id: self._lots[lot_id] for lot_id in lot_ids}

    def _know(self, lot: LotState) -> None:
        if lot.id in self._lots:
            return  # as this posting has it, not as the database still does
        self._lots[lot.id] = lot
        if lot.purchase_id is not None:
            self._lots_of.setdefault(lot.purchase_id, []).append(lot)

    def _load_more(self) -> None:
        limit = LOTS_NEXT_PAGE if self._loaded else LOTS_FIRST_PAGE
        rows = self._read_lots(
            "ORDER BY expires_at, earned_at, id LIMIT %s OFFSET %s FOR NO KEY UPDATE", [limit, self._loaded]
        )
        self._loaded += len(rows)
        if len(rows) < limit:
            self._complete = True
        else:
            self._horizon = rows[-1].order

    def _read_lots(self, tail: str, parameters: list[Any], *, empty: bool = False) -> list[LotState]:
        """Lock and get to know lots of this account, those with points left unless `empty`."""
        condition = "" if empty else "AND remaining > 0 "
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, points, remaining, earned_at, expires_at, purchase_id FROM loyalty_lots "  # noqa: S608
                f"WHERE merchant_id = %s AND enrollment_id = %s {condition}{tail}",
                [self.merchant_id, self.id, *parameters],
            )
            rows = cursor.fetchall()
        found = [
            LotState(id_, points, remaining, earned_at, expires_at, purchase_id, stored_remaining=remaining)
            for id_, points, remaining, earned_at, expires_at, purchase_id in rows
        ]
        for lot in found:
            self._know(lot)
        return found

    def changed_lots(self) -> list[LotState]:
        return [
            lot
            for lot in self._lots.values()
            if lot.entry_id is None and lot.remaining != lot.stored_remaining
        ]

    # --- Writing --------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Send everything as one statement. Raises StaleAccount when the row changed since it was read."""
        rows = self.new_rows()
        if sum(map(len, rows.values())) > ROWS_PER_STATEMENT_MAX:
            # A correction of a very long history: more parameters than one statement may have.
            for table, values in rows.items():
                for start in range(0, len(values), ROWS_PER_STATEMENT_MAX):
                    part = values[start : start + ROWS_PER_STATEMENT_MAX]
                    with connection.cursor() as cursor:
                        cursor.execute(_insert(table, len(part)), list(chain.from_iterable(part)))
            rows = {}
        parts: list[str] = []
        parameters: list[Any] = []
        for table, values in rows.items():
            if values:
                parts.append(f"{table}_new AS ({_insert(table, len(values))})")
                parameters.extend(chain.from_iterable(values))
        changed = self.changed_lots()
        if changed:
            parts.append(_USE_LOTS)
            parameters += [[lot.id for lot in changed], [lot.remaining for lot in changed], self.merchant_id]
        if self.is_new:
            final = _insert("loyalty_enrollments", 1)
            parameters += self.enrollment_values()
        else:
            final = _UPDATE_ENROLLMENT
            parameters += [
                self.balance, self.version, self.tier, from_cents(self.spend_cents), self.last_activity_at,
                self.merchant_id, self.id, self._first_version,
            ]  # fmt: skip
        with connection.cursor() as cursor:
            cursor.execute((f"WITH {', '.join(parts)} " if parts else "") + final, parameters)
            if cursor.rowcount != 1:
                raise StaleAccount(f"enrollment {self.id} changed under the customer's lock")

    def new_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """By table, what this posting inserts besides the enrollment: values in the order of COLUMNS."""
        merchant, account = self.merchant_id, self.id
        return {
            "loyalty_transactions": [
                (
                    entry.id, merchant, account, entry.version, entry.type, entry.points, entry.balance_before,
                    entry.balance_after, entry.cause.description[:DESCRIPTION_CHARS_MAX], entry.cause.purchase_id,
                    entry.cause.purchase_return_id, entry.cause.reverses_id, entry.cause.transaction_id,
                    entry.cause.actor_id, entry.cause.store_id, entry.cause.content_hash, entry.cause.at,
                    entry.recorded_at,
                )
                for entry in self.entries
            ],
            "loyalty_lots": [
                (
                    lot.id, merchant, account, lot.entry_id, lot.purchase_id, lot.points, lot.remaining,
                    lot.earned_at, lot.expires_at,
                )
                for lot in self.new_lots
            ],
            "loyalty_allocations": [
                (new_id(), merchant, entry_id, lot_id, points) for entry_id, lot_id, points in self.allocations
            ],
            "loyalty_shortfalls": [
                (
                    short.id, merchant, account, short.purchase_id, short.purchase_return_id, short.points,
                    short.recorded_at,
                )
                for short in self.shortfalls
            ],
        }  # fmt: skip

    def enrollment_values(self) -> tuple[Any, ...]:
        """The whole row, in the order of COLUMNS."""
        return (
            self.id, self.merchant_id, self.customer_id, self.program_id, self.balance, self.version, self.tier,
            from_cents(self.spend_cents), self.last_activity_at, self.at,
        )  # fmt: skip

    def tell(self) -> list[tuple[str, dict[str, Any], datetime]]:
        """What changed since the last call, as (event type, data, time): one for every entry, and one for the tier."""
        found = [
            (
                f"points.{entry.type}",
                {"entryId": str(entry.id), "points": entry.points, "balance": entry.balance_after},
                entry.cause.at,
            )
            for entry in self.entries[self._told :]
        ]
        if self.tier != self._told_tier:
            at = self.entries[-1].cause.at if found else self.at
            found.append(("tier.changed", {"from": self._told_tier, "to": self.tier}, at))
        self._told, self._told_tier = len(self.entries), self.tier
        return found

    def events(
        self, *, store_id: uuid.UUID | None = None, actor_id: uuid.UUID | None = None, request_id: str = ""
    ) -> list[Event]:
        """`tell` as events to be emitted."""
        return [
            event(
                merchant_id=self.merchant_id,
                customer_id=self.customer_id,
                store_id=store_id,
                actor_id=actor_id,
                request_id=request_id,
                type=type,
                data=data,
                occurred_at=at,
            )
            for type, data, at in self.tell()
        ]


class StaleAccount(Exception):
    """Somebody wrote to an enrollment without holding its customer's lock."""
