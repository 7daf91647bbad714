"""What a posting collects: entries, lots and shortfalls, as plain records."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

NEVER = datetime.max.replace(tzinfo=UTC)


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
    # They can be spent from then on; None: at once.
    available_at: datetime | None = None
    # They are over when their owner's time of inactivity is.
    while_active: bool = False

    @property
    def order(self) -> tuple[datetime, datetime, uuid.UUID]:
        """The order in which debits use lots up: earliest expiry, then earliest earned, then id."""
        return (self.expires_at or NEVER, self.earned_at, self.id)

    def is_pending(self, at: datetime) -> bool:
        """Whether its points are there, and cannot be spent yet."""
        return self.available_at is not None and self.available_at > at


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
    expired: bool
    recorded_at: datetime
