"""An account being written to: what a posting does to its balance and tier, sent as one statement.

An Account is opened under the customer's lock, credited and debited any number of times, and written once. Not written,
it was a quote: the same arithmetic without a trace.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from cloudpos.ids import new_id
from cloudpos.tenancy.statements import Statement
from customers.events import event
from customers.models import Event
from loyalty.ledger.awards import (
    UNCAPPED,
    USE_BUDGETS,
    AwardRow,
    Budgets,
    PromotionCapped,
    budget_values,
    counted,
    uncounted,
)
from loyalty.ledger.balance import Balance
from loyalty.ledger.lots import Lots
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
from loyalty.rules import NextTier, RuleBook, from_cents, next_tier

# Rows of the account that a statement with its parts has written.
WRITTEN = "(SELECT count(*) FROM account)"
CAPPED = -1
DESCRIPTION_CHARS_MAX = 500
# So many lots are changed each by a part of its own, which PostgreSQL plans once for all; it plans anew for each array.
FEW_LOTS = 3


class Account(Balance):
    """A customer's enrollment in the merchant's active program, with what this posting adds to it."""

    __slots__ = (
        "_first", "_first_version", "_told", "_told_tier", "awards", "budgets", "customer_id", "held", "is_new",
        "last_activity_at", "merchant_id", "program_id", "promotions_revision", "redeem_points_min", "redeem_value",
        "spend_cents", "tiers",
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
        self.is_new = id is None
        id = id or new_id()
        lots = Lots(merchant_id=merchant_id, enrollment_id=id, is_new=self.is_new, lock=lock)
        super().__init__(
            id=id, book=book, lots=lots, balance=balance, version=version, inactive_at=inactive_at
        )
        self._first_version = version
        self.tiers = tiers or TierState(book)
        self._told_tier = self.tier
        self._told = 0
        self.spend_cents = spend_cents
        self.last_activity_at = last_activity_at
        self._first = self._of_sales()
        # Reserved by tills at this moment: part of the balance that only their captures may spend.
        self.held = held
        self.redeem_points_min = redeem_points_min
        self.redeem_value = redeem_value
        # Of the program's promotions; 0 when it never had any.
        self.promotions_revision = promotions_revision
        self.budgets = budgets or Budgets(merchant_id=merchant_id, lock=lock)
        self.awards: list[AwardRow] = []
        if self.is_new:
            # Where everybody starts.
            self.tiers.follow(0)
        if book.is_lifetime and self.tiers.overrides:
            self.tiers.begin(spend_cents)

    # --- Tier -----------------------------------------------------------------------------------------------

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

    # --- Writing --------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Send everything as a statement of its own. Raises what `check` does."""
        statement = Statement()
        self.add_to(statement)
        (written,) = statement.execute(f"SELECT {self.written}")
        self.check(written)

    @property
    def written(self) -> str:
        """What a statement with the account's parts is asked, for `check`."""
        free = uncounted(self.awards)
        if not free:
            return WRITTEN
        return f"(SELECT CASE WHEN (SELECT count(*) FROM uncapped) = {len(free)} THEN {WRITTEN} ELSE {CAPPED} END)"  # noqa: S608

    def add_to(self, statement: Statement) -> None:
        """Add everything to a statement that the caller sends, asking what is `written`.

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
        free = uncounted(self.awards)
        if free:
            statement.add("uncapped", UNCAPPED, [self.merchant_id, free])
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
        """Raises StaleAccount unless the row was written, and PromotionCapped."""
        if written == CAPPED:
            raise PromotionCapped()
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


class StaleAccount(Exception):
    """Somebody wrote to an enrollment without holding its customer's lock."""
