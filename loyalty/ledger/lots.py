"""The lots of one account as a posting sees them: read from the database page by page, changed in memory."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from loyalty.ledger.records import LotState

LOTS_FIRST_PAGE = 32
LOTS_NEXT_PAGE = 1_000
# What LotState is made of, and which lots a debit takes, in order.
LOT_COLUMNS = "id, points, remaining, earned_at, expires_at, purchase_id, available_at, while_active"
FIFO = "remaining > 0 ORDER BY expires_at, earned_at, id"


class Lots:
    """Lots known so far, by id: those of the database up to a horizon in FIFO order, and those opened here.

    With `lock` they are locked when they are read, after the account that they belong to.
    """

    __slots__ = (
        "_asked", "_by_purchase", "_complete", "_enrollment_id", "_horizon", "_known", "_knows_pending", "_loaded", "_lock",
        "_merchant_id",
    )  # fmt: skip

    def __init__(self, *, merchant_id: uuid.UUID, enrollment_id: uuid.UUID, is_new: bool, lock: bool) -> None:
        self._merchant_id = merchant_id
        self._enrollment_id = enrollment_id
        self._lock = " FOR NO KEY UPDATE" if lock else ""
        self._known: dict[uuid.UUID, LotState] = {}
        self._by_purchase: dict[uuid.UUID, list[LotState]] = {}
        self._asked: set[uuid.UUID] = set()
        self._loaded = 0
        self._horizon: tuple[datetime, datetime, uuid.UUID] | None = None
        # A new account has nothing in the database.
        self._complete = self._knows_pending = is_new

    def know(self, lot: LotState) -> None:
        """Remember a lot, unless it is known: it stays as this posting has it, not as the database still does."""
        if lot.id in self._known:
            return
        self._known[lot.id] = lot
        if lot.purchase_id is not None:
            self._by_purchase.setdefault(lot.purchase_id, []).append(lot)

    def burnable(
        self, points: int, *, at: datetime, but: Collection[uuid.UUID] = frozenset(), pending: bool = True
    ) -> list[LotState]:
        """Lots in FIFO order that hold `points` at least, or all there are. `but` leaves some out.

        Without `pending`, only those whose points can be spent by now. What is over by now was expired before.
        """
        while True:
            ready = [
                lot
                for lot in self._known.values()
                if lot.remaining > 0
                and lot.id not in but
                and (pending or not lot.is_pending(at))
                and (self._complete or (self._horizon is not None and lot.order <= self._horizon))
            ]
            if self._complete or sum(lot.remaining for lot in ready) >= points:
                ready.sort(key=lambda lot: lot.order)
                return ready
            self._read_page()

    def begin_with(self, rows: Sequence[Sequence[Any]], *, limit: int) -> None:
        """Know the first lots in FIFO order: at most `limit` rows of LOT_COLUMNS, fewer when these are all."""
        self._turn_page(self._know_all(rows), limit)

    def all_open(self) -> list[LotState]:
        """Every lot with points left, in FIFO order."""
        while not self._complete:
            self._read_page()
        return sorted((lot for lot in self._known.values() if lot.remaining > 0), key=lambda lot: lot.order)

    def all_due(self, at: datetime) -> list[LotState]:
        """Every lot with points left whose time is over, in FIFO order."""
        if not self._complete:
            self._read("AND remaining > 0 AND expires_at <= %s", [at])
        due = [
            lot
            for lot in self._known.values()
            if lot.remaining > 0 and lot.expires_at is not None and lot.expires_at <= at
        ]
        return sorted(due, key=lambda lot: lot.order)

    def all_while_active(self) -> list[LotState]:
        """Every lot with points left that lasts while its owner is active, in FIFO order."""
        if not self._complete:
            self._read("AND remaining > 0 AND while_active", [])
        found = [lot for lot in self._known.values() if lot.remaining > 0 and lot.while_active]
        return sorted(found, key=lambda lot: lot.order)

    def pending(self, at: datetime) -> int:
        """Points that cannot be spent yet."""
        if not self._complete and not self._knows_pending:
            self._read("AND remaining > 0 AND available_at > %s", [at])
            self._knows_pending = True
        return sum(lot.remaining for lot in self._known.values() if lot.is_pending(at))

    def expired_of(self, purchase_id: uuid.UUID) -> int:
        """What the database has of `Account.expired_of`, in whichever account it was."""
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT coalesce((
                    SELECT sum(a.points) FROM loyalty_lots l
                    JOIN loyalty_allocations a ON a.merchant_id = l.merchant_id AND a.lot_id = l.id AND a.expired
                    WHERE l.merchant_id = %s AND l.purchase_id = %s
                ), 0) - coalesce((
                    SELECT sum(points) FROM loyalty_shortfalls
                    WHERE merchant_id = %s AND purchase_id = %s AND expired
                ), 0)
                """,
                [self._merchant_id, purchase_id, self._merchant_id, purchase_id],
            )
            (points,) = cursor.fetchone()
        return int(points)

    def of_purchase(self, purchase_id: uuid.UUID) -> list[LotState]:
        """The open lots of one purchase in FIFO order."""
        if purchase_id not in self._asked and not self._complete:
            self._asked.add(purchase_id)
            self._read("AND remaining > 0 AND purchase_id = %s", [purchase_id])
        return sorted(self._by_purchase.get(purchase_id, ()), key=lambda lot: lot.order)

    def of_entry(self, entry_id: uuid.UUID) -> list[LotState]:
        """The open lots that one entry gave, in FIFO order."""
        found = self._read("AND remaining > 0 AND entry_id = %s", [entry_id])
        return sorted((self._known[lot.id] for lot in found), key=lambda lot: lot.order)

    def by_id(self, lot_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, LotState]:
        """Lots of this account, empty ones included."""
        self._read("AND id = ANY(%s)", [list(lot_ids)])
        return {lot_id: self._known[lot_id] for lot_id in lot_ids}

    def changed(self) -> list[LotState]:
        """Lots of the database whose remainder is another now."""
        return [
            lot
            for lot in self._known.values()
            if lot.entry_id is None and lot.remaining != lot.stored_remaining
        ]

    def _read_page(self) -> None:
        limit = LOTS_NEXT_PAGE if self._loaded else LOTS_FIRST_PAGE
        self._turn_page(self._read(f"AND {FIFO} LIMIT %s OFFSET %s", [limit, self._loaded]), limit)

    def _turn_page(self, page: list[LotState], limit: int) -> None:
        self._loaded += len(page)
        if len(page) < limit:
            self._complete = True
        else:
            self._horizon = page[-1].order

    def _read(self, condition: str, parameters: list[Any]) -> list[LotState]:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {LOT_COLUMNS} FROM loyalty_lots"  # noqa: S608
                f" WHERE merchant_id = %s AND enrollment_id = %s {condition}{self._lock}",
                [self._merchant_id, self._enrollment_id, *parameters],
            )
            return self._know_all(cursor.fetchall())

    def _know_all(self, rows: Sequence[Sequence[Any]]) -> list[LotState]:
        found = [
            LotState(
                id_,
                points,
                remaining,
                earned_at,
                expires_at,
                purchase_id,
                stored_remaining=remaining,
                available_at=available_at,
                while_active=while_active,
            )  # fmt: skip
            for id_, points, remaining, earned_at, expires_at, purchase_id, available_at, while_active in rows
        ]
        for lot in found:
            self.know(lot)
        return found
