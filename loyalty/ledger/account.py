"""An account being written to: entries, lots and allocations collected in memory, then sent as one statement.

An Account is opened under the customer's lock, credited and debited any number of times, and written once. Not written,
it was a quote: the same arithmetic without a trace.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.timezone import now

from cloudpos.ids import new_id
from cloudpos.tenancy.statements import Statement
from customers.events import event
from customers.models import Event
from loyalty.ledger.awards import USE_BUDGETS, AwardRow, Budgets, budget_values, counted
from loyalty.ledger.lots import Lots
from loyalty.ledger.records import Cause, Entry, LotState, ShortfallRow
from loyalty.ledger.tables import (
    COLUMNS,
    NEW_EFFECT,
    TABLES,
    UPDATE_ENROLLMENT,
    UPDATE_POINTS,
    USE_LOT,
    USE_LOTS,
)
from loyalty.ledger.tier_state import TierMove, TierState
from loyalty.models import LedgerEntry
from loyalty.rules import POINTS_PER_ENTRY_MAX, NextTier, RuleBook, Rules, from_cents, next_tier

# Asks a statement with an account's parts whether its row was written.
WRITTEN = "(SELECT count(*) FROM account)"
DESCRIPTION_CHARS_MAX = 500
# So many lots are changed each by a part of its own, which PostgreSQL plans once for all; it plans anew for each array.
FEW_LOTS = 3
EXPIRED = LedgerEntry.Type.EXPIRED.value
EXPIRED_DESCRIPTION = "Their time was over"
# What shows that a member is active, beside purchases that earn nothing.
ACTIVITY = frozenset(
    str(type) for type in (LedgerEntry.Type.EARNED, LedgerEntry.Type.BONUS, LedgerEntry.Type.REDEEMED)
)


class Account:
    """A customer's enrollment in the merchant's active program, with what this posting adds to it."""

    __slots__ = (
        "_first", "_first_version", "_told", "_told_tier", "allocations", "at", "awards", "balance", "book", "budgets",
        "customer_id", "entries", "held", "id", "inactive_at", "is_new", "last_activity_at", "lots", "merchant_id",
        "new_lots", "program_id", "promotions_revision", "redeem_points_min", "redeem_value", "shortfalls",
        "spend_cents", "tiers", "version",
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
        tiers: TierState | None = None,
        spend_cents: int = 0,
        last_activity_at: datetime | None = None,
        inactive_at: datetime | None = None,
        held: int = 0,
        redeem_points_min: int = 1,
        redeem_value: Decimal | None = None,
        promotions_revision: int = 0,
        budgets: Budgets | None = None,
        lock: bool = True,
    ) -> None:
        self.merchant_id = merchant_id
        self.customer_id = customer_id
        self.program_id = program_id
        self.book = book
        self.is_new = id is None
        self.id = id or new_id()
        self.balance = balance
        self.version = self._first_version = version
        self.tiers = tiers or TierState(book)
        self._told_tier = self.tier
        self._told = 0
        self.spend_cents = spend_cents
        self.last_activity_at = last_activity_at
        self._first = self._of_sales()
        # When the points that last while their owner is active are over, unless there is activity before.
        self.inactive_at = inactive_at
        # Reserved by tills at this moment: part of the balance that only their captures may spend.
        self.held = held
        self.redeem_points_min = redeem_points_min
        self.redeem_value = redeem_value
        # Of the program's promotions; 0 when it never had any.
        self.promotions_revision = promotions_revision
        self.budgets = budgets or Budgets(merchant_id=merchant_id, lock=lock)
        self.awards: list[AwardRow] = []
        # One instant for all of a posting: what it records, and which lots are over.
        self.at = now()
        self.entries: list[Entry] = []
        self.new_lots: list[LotState] = []
        # Entry, lot, points, and whether the lot expired by it.
        self.allocations: list[tuple[uuid.UUID, uuid.UUID, int, bool]] = []
        self.shortfalls: list[ShortfallRow] = []
        self.lots = Lots(merchant_id=merchant_id, enrollment_id=self.id, is_new=self.is_new, lock=lock)
        if self.is_new:
            # Where everybody starts.
            self.tiers.follow(0)
        if book.is_lifetime and self.tiers.overrides:
            self.tiers.begin(spend_cents)

    # --- Tier -----------------------------------------------------------------------------------------------

    @property
    def rules(self) -> Rules:
        return self.book.current

    @property
    def tier(self) -> str:
        """The code of the tier, "" below the first."""
        return self.tiers.code

    def next_tier(self) -> NextTier | None:
        """The next step of the ladder and what is missing to it; None at the top."""
        return next_tier(self.rules, self.tiers.rule, self.tiers.amount)

    def settle_tier(self) -> None:
        """The tier follows what counts now, up and down. The courses are at hand unless the net spend alone decides."""
        if self.tiers.follows_spend:
            self.tiers.follow(self.spend_cents)
        else:
            self.tiers.settle(max(self.at, self.last_activity_at or self.at))

    # --- Posting --------------------------------------------------------------------------------------------

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
            if missing and lot.burnable(self.at):
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

    # --- Writing --------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Send everything as a statement of its own. Raises StaleAccount when the row changed since it was read."""
        statement = Statement()
        self.add_to(statement)
        (written,) = statement.execute(f"SELECT {WRITTEN}")
        self.check(written)

    def add_to(self, statement: Statement) -> None:
        """Add everything to a statement that the caller sends, asking for WRITTEN.

        What a client moved under its own transaction id goes first: where that is on record, nothing is written.
        """
        for table, values in self.new_rows().items():
            columns = COLUMNS[table]
            rows = [dict(zip(columns, row, strict=True)) for row in values]
            if table == "loyalty_transactions":
                effects = [row for row in rows if row["transaction_id"]]
                assert len(effects) <= 1, "a posting is what one request did"
                statement.insert(TABLES[table], effects, name="effect", ending=NEW_EFFECT)
                if effects:
                    statement.only_if = "effect"
                    rows.remove(effects[0])
            statement.insert(TABLES[table], rows)
        changed = self.lots.changed()
        for number, lot in enumerate(changed if len(changed) <= FEW_LOTS else ()):
            statement.add(
                f"used_{number}",
                USE_LOT.format(condition=statement.condition),
                [lot.remaining, self.merchant_id, lot.id],
            )
        if len(changed) > FEW_LOTS:
            statement.add(
                "used",
                USE_LOTS.format(condition=statement.condition),
                [[lot.id for lot in changed], [lot.remaining for lot in changed], self.merchant_id],
            )
        used = counted(self.awards)
        if used:
            sql = USE_BUDGETS.format(condition=statement.condition)
            statement.add("budgets", sql, budget_values(used, self.merchant_id))
        if self.is_new:
            row = dict(zip(COLUMNS["loyalty_enrollments"], self.enrollment_values(), strict=True))
            statement.insert(TABLES["loyalty_enrollments"], [row], name="account", ending="RETURNING id")
            return
        if self._first == self._of_sales():
            # Only what changed: whoever writes without the customer's lock must not set the rest back.
            statement.add(
                "account",
                UPDATE_POINTS.format(condition=statement.condition),
                [
                    self.balance, self.version, self._debt_allowed(), self.inactive_at, self.merchant_id, self.id,
                    self._first_version,
                ],
            )  # fmt: skip
            return
        statement.add(
            "account",
            UPDATE_ENROLLMENT.format(condition=statement.condition),
            [
                self.balance, self.version, self.tier, from_cents(self.spend_cents), self.last_activity_at,
                self._debt_allowed(), self.inactive_at, *self._tier_values(),
                self.merchant_id, self.id, self._first_version,
            ],
        )  # fmt: skip

    def _of_sales(self) -> tuple[Any, ...]:
        """What sales and returns change of the row, and points moved by hand do not."""
        state = self.tiers
        return (
            self.spend_cents, self.last_activity_at,
            state.code, state.amount, state.amount_until, state.until, state.at, state.revision,
        )  # fmt: skip

    def check(self, written: int) -> None:
        """Raises StaleAccount unless the row was written."""
        if written != 1:
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
                    lot.earned_at, lot.expires_at, lot.available_at, lot.while_active,
                )
                for lot in self.new_lots
            ],
            "loyalty_allocations": [
                (new_id(), merchant, entry_id, lot_id, points, expired)
                for entry_id, lot_id, points, expired in self.allocations
            ],
            "loyalty_shortfalls": [
                (
                    short.id, merchant, account, short.purchase_id, short.purchase_return_id, short.points,
                    short.expired, short.recorded_at,
                )
                for short in self.shortfalls
            ],
            "loyalty_awards": [
                (
                    new_id(), merchant, award.promotion_id, self.customer_id, award.purchase_id, award.entry_id,
                    award.points, award.at, self.at,
                )
                for award in self.awards
            ],
        }  # fmt: skip

    def enrollment_values(self) -> tuple[Any, ...]:
        """The whole row, in the order of COLUMNS."""
        return (
            self.id, self.merchant_id, self.customer_id, self.program_id, self.balance, self.version, self.tier,
            from_cents(self.spend_cents), self.last_activity_at, self._debt_allowed(),
            self.inactive_at, self._enrolled_at(), *self._tier_values(),
        )  # fmt: skip

    def _tier_values(self) -> tuple[Any, ...]:
        state = self.tiers
        return from_cents(state.amount), state.amount_until, state.until, state.at, state.revision

    def _debt_allowed(self) -> bool:
        """What lets the database keep a balance below zero; a debt outlives a policy that no longer allows new ones."""
        return self.rules.allows_debt or self.balance < 0

    def _enrolled_at(self) -> datetime:
        """When a new account began: with the sale that opened it, which may be years old in a file that is loaded."""
        first = self.entries[0].cause.at if self.entries else self.last_activity_at
        return min(first or self.at, self.at)

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
        moves = self.tiers.moves
        if not moves and self.tier != self._told_tier:
            at = self.entries[-1].cause.at if found else self.at
            moves = [TierMove(self.tier, at, self.tiers.why_moved(self._told_tier, self.tier), None)]
        for move in moves:
            if move.tier != self._told_tier:
                until = move.until.isoformat() if move.until is not None else None
                data: dict[str, Any] = {
                    "from": self._told_tier,
                    "to": move.tier,
                    "reason": move.reason,
                    "until": until,
                }
                found.append(("tier.changed", data, move.at))
                self._told_tier = move.tier
        self._told, self.tiers.moves = len(self.entries), []
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


def _filled(entry: Entry) -> int:
    """How many points of a credit go into what was owed before it: they open no lots."""
    return min(entry.points, max(0, -entry.balance_before))


class StaleAccount(Exception):
    """Somebody wrote to an enrollment without holding its customer's lock."""
