"""Points coming and going: entries, lots and allocations collected in memory, nothing of them written."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils.timezone import now

from cloudpos.ids import new_id
from loyalty.ledger.lots import Lots
from loyalty.ledger.records import Cause, Entry, LotState, ShortfallRow
from loyalty.models import LedgerEntry
from loyalty.rules import POINTS_PER_ENTRY_MAX, RuleBook, Rules

EXPIRED = LedgerEntry.Type.EXPIRED.value
EXPIRED_DESCRIPTION = "Their time was over"
# What shows that a member is active, beside purchases that earn nothing.
ACTIVITY = frozenset(
    str(type) for type in (LedgerEntry.Type.EARNED, LedgerEntry.Type.BONUS, LedgerEntry.Type.REDEEMED)
)


class Balance:
    """The points of an account, as credits and debits change them."""

    __slots__ = (
        "allocations", "at", "balance", "book", "entries", "id", "inactive_at", "lots", "new_lots", "shortfalls",
        "version",
    )  # fmt: skip

    def __init__(
        self,
        *,
        id: uuid.UUID,
        book: RuleBook,
        lots: Lots,
        balance: int,
        version: int,
        inactive_at: datetime | None,
    ) -> None:
        self.id = id
        self.book = book
        self.lots = lots
        self.balance = balance
        self.version = version
        # When the points that last while their owner is active are over, unless there is activity before.
        self.inactive_at = inactive_at
        # One instant for all of a posting: what it records, and which lots are over.
        self.at = now()
        self.entries: list[Entry] = []
        self.new_lots: list[LotState] = []
        # Entry, lot, points, and whether the lot expired by it.
        self.allocations: list[tuple[uuid.UUID, uuid.UUID, int, bool]] = []
        self.shortfalls: list[ShortfallRow] = []

    @property
    def rules(self) -> Rules:
        return self.book.current

    def credit(
        self,
        *,
        type: str,
        points: int,
        cause: Cause,
        earned_at: datetime | None = None,
    ) -> Entry:
        """Add points in a lot of their own. `earned_at` is `cause.at` unless given.

        What is owed is filled first. They last, and those of a purchase can be spent from then on, as the rules of that
        moment say. What is over by now, because it arrives late, expires at once.
        """
        earned_at = earned_at or cause.at
        entry = self._post(type, points, cause)
        left = points - _filled(entry)
        if left:
            rules = self.book.at(earned_at) or self.book.current
            lot = self.open_lot(
                entry,
                points=left,
                earned_at=earned_at,
                expires_at=rules.expires_at(earned_at),
                purchase_id=cause.purchase_id,
                available_at=self.book.available_at(earned_at) if cause.purchase_id is not None else None,
                while_active=rules.lasts_while_active,
            )
            self._expire([lot])
        return entry

    def credit_lots(self, *, type: str, lots: Sequence[LotState], cause: Cause) -> Entry:
        """Add points in new lots that keep the times and the sale of `lots`, as a transfer does."""
        entry = self._post(type, sum(lot.remaining for lot in lots), cause)
        owed = _filled(entry)
        for lot in lots:
            filled = min(owed, lot.remaining)
            owed -= filled
            if lot.remaining > filled:
                self._open_like(entry, lot, points=lot.remaining - filled, expires_at=lot.expires_at)
        return entry

    def open_lot(
        self,
        entry: Entry,
        *,
        points: int,
        earned_at: datetime,
        expires_at: datetime | None,
        purchase_id: uuid.UUID | None,
        available_at: datetime | None = None,
        while_active: bool = False,
    ) -> LotState:
        lot = LotState(
            new_id(), points, points, earned_at, expires_at, purchase_id,
            entry_id=entry.id, available_at=available_at, while_active=while_active,
        )  # fmt: skip
        self.new_lots.append(lot)
        self.lots.know(lot)
        if while_active and self.inactive_at is None:
            # Given by hand to somebody who was inactive for long: they last as long as after an activity.
            self.inactive_at = self.book.inactive_at(self.at)
        return lot

    def _open_like(
        self, entry: Entry, lot: LotState, *, points: int, expires_at: datetime | None
    ) -> LotState:
        return self.open_lot(
            entry,
            points=points,
            earned_at=lot.earned_at,
            expires_at=expires_at,
            purchase_id=lot.purchase_id,
            available_at=lot.available_at,
            while_active=lot.while_active,
        )

    def debit(self, *, type: str, points: int, cause: Cause, own: uuid.UUID) -> tuple[int, int]:
        """Take points of purchase `own` off: from its lots, then from all in FIFO order.

        Returns how many were taken, and how many of the purchase's had expired: those are gone already, no other lots
        are asked for them. What nothing is left for is owed if the program allows it; else they are together fewer than
        asked for. No entry when there is nothing to take.
        """
        lots: list[tuple[LotState, int]] = []
        missing = points
        used: set[uuid.UUID] = set()
        for lot in self.lots.of_purchase(own):
            if missing and lot.remaining:
                taken = min(missing, lot.remaining)
                lots.append((lot, taken))
                used.add(lot.id)
                missing -= taken
        expired = min(missing, max(self.expired_of(own), 0)) if missing else 0
        missing -= expired
        if missing:
            for lot in self.lots.burnable(missing, at=self.at, but=used):
                taken = min(missing, lot.remaining)
                lots.append((lot, taken))
                missing -= taken
                if not missing:
                    break
        owed = missing if self.rules.allows_debt else 0
        return self.debit_lots(type=type, lots=lots, cause=cause, owed=owed), expired

    def take_over_debt(self, *, type: str, points: int, cause: Cause) -> Entry:
        """Take points in FIFO order and owe the rest, whatever the program says: it was owed already, by another."""
        lots: list[tuple[LotState, int]] = []
        missing = points
        for lot in self.lots.burnable(points, at=self.at):
            taken = min(missing, lot.remaining)
            if taken:
                lots.append((lot, taken))
                missing -= taken
        self.debit_lots(type=type, lots=lots, cause=cause, owed=missing)
        return self.entries[-1]

    def debit_lots(
        self, *, type: str, lots: Sequence[tuple[LotState, int]], cause: Cause, owed: int = 0
    ) -> int:
        """Take exactly these points from exactly these lots, and `owed` more. Returns their sum; no entry when it is 0.

        Points are owed only when no lot has any left: so what is owed is what the balance is below zero.
        """
        points = sum(taken for _, taken in lots) + owed
        if points == 0:
            return 0
        entry = self._post(type, -points, cause)
        for lot, taken in lots:
            lot.remaining -= taken
            self.allocations.append((entry.id, lot.id, taken, type == EXPIRED))
        return points

    def restore(
        self, *, type: str, lots: Sequence[tuple[LotState, int]], cause: Cause, own: bool = True
    ) -> Entry:
        """Put points back where a debit took them from: into these lots, with `own`, or else into lots like them.

        What is owed is filled first. A lot expires once, so points whose time is over get a lot of their own too: it lasts
        the program's days of grace, or expires at once. Those that last while their owner is active get one always,
        because theirs may have expired without an instant of its own.
        """
        entry = self._post(type, sum(given for _, given in lots), cause)
        owed = _filled(entry)
        over = []
        for lot, points in lots:
            filled = min(owed, points)
            owed -= filled
            given = points - filled
            if not given:
                continue
            is_over = lot.expires_at is not None and lot.expires_at <= self.at
            if own and not is_over and not lot.while_active:
                lot.remaining += given
                self.allocations.append((entry.id, lot.id, given, False))
                continue
            grace = timedelta(days=self.rules.grace_days) if is_over else timedelta()
            ends = self.at + grace if grace else lot.expires_at
            over.append(self._open_like(entry, lot, points=given, expires_at=ends))
        self._expire(over)
        return entry

    def expire_due(self) -> None:
        """Post the expiry of every lot whose time is over: first of all in a posting, so that the balance is true."""
        self._expire(self.lots.all_due(self.at))
        if self.inactive_at is not None and self.inactive_at <= self.at:
            self._expire(self.lots.all_while_active())
            # Over once and for all: what comes from now on begins anew.
            self.inactive_at = None

    def has_due(self, first_expires_at: datetime | None) -> bool:
        """Whether there is something for `expire_due`, when the first lot by expiry ends at this instant."""
        return (first_expires_at is not None and first_expires_at <= self.at) or (
            self.inactive_at is not None and self.inactive_at <= self.at
        )

    def be_active(self) -> None:
        """The member bought, earned or redeemed: points that last while they are active last longer, never shorter.

        At the instant at which we hear of it, not at that of the sale: who sends late loses nothing by it, and what is
        over by then stays over, for the customer was told so.
        """
        ends = self.book.inactive_at(self.at)
        if ends is not None and (self.inactive_at is None or ends > self.inactive_at):
            self.inactive_at = ends

    @property
    def pending(self) -> int:
        """Points that cannot be spent yet: part of the balance."""
        return self.lots.pending(self.at) if self.book.has_pending else 0

    def _expire(self, lots: Sequence[LotState]) -> None:
        """One entry for each instant at which some of these lots were over, of as many points as an entry may have."""
        parts: dict[datetime, list[list[LotState]]] = {}
        for lot in lots:
            over_at = self.inactive_at if lot.while_active else lot.expires_at
            if over_at is None or over_at > self.at or not lot.remaining:
                continue
            same = parts.setdefault(over_at, [[]])
            if sum(each.remaining for each in same[-1]) + lot.remaining > POINTS_PER_ENTRY_MAX:
                same.append([])
            same[-1].append(lot)
        for at, same in sorted(parts.items()):
            for part in same:
                self.debit_lots(
                    type=EXPIRED,
                    lots=[(lot, lot.remaining) for lot in part],
                    cause=Cause(at=at, description=EXPIRED_DESCRIPTION),
                )

    def expired_of(self, purchase_id: uuid.UUID) -> int:
        """Points of a purchase that have expired and do not yet stand for some that were taken back."""
        own = {lot.id for lot in self.lots.of_purchase(purchase_id)}
        here = sum(points for _, lot_id, points, expired in self.allocations if expired and lot_id in own)
        settled = sum(
            short.points for short in self.shortfalls if short.expired and short.purchase_id == purchase_id
        )
        return here - settled + self.lots.expired_of(purchase_id)

    def fall_short(
        self,
        *,
        points: int,
        purchase_id: uuid.UUID,
        purchase_return_id: uuid.UUID | None = None,
        expired: bool = False,
    ) -> None:
        """Record points that should have been taken back and are spent, or `expired`; negative: made good."""
        self.shortfalls.append(
            ShortfallRow(new_id(), purchase_id, purchase_return_id, points, expired, self.at)
        )

    def _post(self, type: str, points: int, cause: Cause) -> Entry:
        if not 0 < abs(points) <= POINTS_PER_ENTRY_MAX:
            raise ValueError(f"an entry has 1 to {POINTS_PER_ENTRY_MAX} points, not {points}")
        self.version += 1
        entry = Entry(new_id(), self.version, type, points, self.balance, cause, self.at)
        self.balance = entry.balance_after
        self.entries.append(entry)
        if type in ACTIVITY:
            self.be_active()
        return entry


def _filled(entry: Entry) -> int:
    """How many points of a credit go into what was owed before it: they open no lots."""
    return min(entry.points, max(0, -entry.balance_before))
